"""What a run is held against fold by fold while it trains, so that one without hope stops by itself.

The baseline is chosen as a verdict's is: the best run of the engine so far on the same data and the same folds. How far behind is
clearly behind, when one fold is finished? The baseline's own folds tell how far apart folds lie by chance alone. Two runs of equal
worth differ on one fold by no more than that as long as their scores on an image correlate by a half or more, as those of any two
nets on the same images do. So the spread of the baseline's folds stands for the unknown spread of the differences, on the
careful side, in the same interval that a verdict has (`student.corrected_margin`): with five folds a run of equal worth is stopped
in about two of a hundred cases after its first fold. With two folds chance reaches so far that nothing is ever stopped; then
a person gives the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from sqlmodel import Session, col, select

from app.journal.tables import Challenge, FoldScore, Run
from app.scores.run_rows import EQUAL, spread
from app.scores.stored_specs import stored_spec
from app.scores.student import corrected_margin
from engine.contract import METRIC_DIRECTIONS, OnehourError, RunSpec, StopIfBehind
from engine.run_folder import RunFolder, file_sha256

MOST_LOOKED_AT = 500  # the best runs, among which the baseline is looked for


def with_rule(db: Session, challenge: Challenge, spec: RunSpec, by: float | None = None) -> RunSpec:
    """The spec with its baseline filled in; `by`: how far behind is clearly behind, else as the baseline's folds tell.

    Raises OnehourError where there is no such run, or its folds tell nothing.
    """
    run = baseline(db, challenge, spec)
    if run is None or run.folds_sha256 is None:
        raise OnehourError(
            "there is no finished run on the same data and folds to hold it against",
            where="--stop-if-behind",
            fix="Leave it out for the first run; folds_from reuses an earlier run's folds.",
        )
    scores = db.exec(select(FoldScore.score).where(FoldScore.run_id == run.id).order_by(col(FoldScore.fold))).all()
    allowed = margins(scores) if by is None else (by,)
    if not allowed:
        raise OnehourError(
            f"the folds of {run.key} do not differ, so nothing tells how far chance reaches",
            where="--stop-if-behind",
            fix="Say it: --behind-by 0.02.",
        )
    rule = StopIfBehind(run=run.key, folds_sha256=run.folds_sha256, fold_scores=tuple(scores), by=allowed)
    return spec.model_copy(update={"stop_if_behind": rule})


def margins(scores: Sequence[float]) -> tuple[float, ...]:
    """How far behind the mean over 1, 2, … folds may be by chance, by the baseline's `scores`; nothing where they are all the same."""
    apart = spread(scores)
    if apart is None or apart < EQUAL:
        return ()
    return tuple(round(corrected_margin(apart, len(scores), seen), 6) for seen in range(1, len(scores)))


def rule_words(rule: StopIfBehind) -> str:
    """`stops by itself when it is behind humpback_001-r01 by more than 0.0180 after its first fold`."""
    return f"stops by itself when it is behind {rule.run} by more than {rule.allowed(1):.4f} after its first fold"


def baseline(db: Session, challenge: Challenge, spec: RunSpec) -> Run | None:
    """The best finished run of the engine on the folds that `spec` will have, as far as can be told before they are made."""
    best_first = col(Run.cv).desc() if METRIC_DIRECTIONS[spec.metric] == "max" else col(Run.cv)
    query = (
        select(Run)
        .where(
            Run.challenge_id == challenge.id,
            Run.metric == spec.metric,
            Run.kind == "train",
            col(Run.cv).is_not(None),
            col(Run.folds_sha256).is_not(None),
        )
        .order_by(best_first, col(Run.id))
        .limit(MOST_LOOKED_AT)
    )
    found = list(db.exec(query).all())
    if spec.folds_from is not None:
        wanted = {_sha256(Path(spec.folds_from))}
    else:
        wanted = {run.folds_sha256 for run in found if makes_the_same_folds(run.spec, spec)}
    return next((run for run in found if run.folds_sha256 in wanted), None)


def makes_the_same_folds(spec_json: str, spec: RunSpec) -> bool:
    """Whether a run's stored spec makes its folds from the same data in the same way; the engine compares the folds themselves."""
    try:
        other = RunSpec.model_validate(stored_spec(spec_json))
    except (ValueError, ValidationError):  # written by an Onehour with other keys
        return False
    return other.folds_from is None and _folds_depend_on(other) == _folds_depend_on(spec)


def _folds_depend_on(spec: RunSpec) -> tuple[object, ...]:
    data = spec.data
    places = (str(Path(data.dir).expanduser().absolute()), data.labels, data.train_images)
    columns = (data.image_col, data.label_col, data.sightings_col)
    return (*places, *columns, spec.folds, spec.fold_seed, spec.head == "number")


def _sha256(path: Path) -> str | None:
    file = RunFolder(path).folds_csv if path.is_dir() else path
    return file_sha256(file) if file.is_file() else None

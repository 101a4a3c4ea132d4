"""Blends as runs: which finished runs can be made into one, and asking for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlmodel import Session

from app.jobs import orders
from app.jobs.orders import Queued
from app.jobs.specs import Blend
from app.journal import challenges
from app.journal.home import Home
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Challenge, Run
from engine.contract import OnehourError, blend_preset_path, parse_overrides, read_blend_spec
from engine.run_folder import RunFolder

PRESET = "blend"


def queue(
    journal: Journal,
    keys: Sequence[str],
    hypothesis: str,
    *,
    preset: str = PRESET,
    overrides: Iterable[str] = (),
    experiment_key: str | None = None,
) -> Queued:
    """Queue the blend of the runs `keys` on this computer, where their folders lie. Raises as `asked` and `orders.queue_run` do."""
    with journal.reading() as db:
        spec = asked(db, journal.home, challenges.active(db), keys, preset, overrides)
    return orders.queue_run(journal, source_of(spec), spec, hypothesis, experiment_key=experiment_key)


def asked(
    db: Session,
    home: Home,
    challenge: Challenge,
    keys: Sequence[str],
    preset: str = PRESET,
    overrides: Iterable[str] = (),
) -> Blend:
    """The blend of the runs `keys`. Raises OnehourError for runs that cannot be held together."""
    runs = [run_named(db, key, challenge) for key in keys]
    refuse_unlike(home, runs)
    how = read_blend_spec(blend_preset_path(preset), parse_overrides(overrides))
    folders = tuple(str(home.run_dir(run.key)) for run in runs)
    return Blend(runs=tuple(run.key for run in runs), folders=folders, how=how, metric=runs[0].metric)


def source_of(spec: Blend) -> str:
    """As a page names it: `blend of humpback_001-r01 and humpback_002-r01`."""
    return f"blend of {', '.join(spec.runs[:-1])} and {spec.runs[-1]}"


def refuse_unlike(home: Home, runs: Sequence[Run]) -> None:
    """What can be told before the engine looks at the predictions."""
    if len({run.key for run in runs}) < max(2, len(runs)):
        raise OnehourError("a blend needs two different runs or more", where=" ".join(run.key for run in runs))
    first = runs[0]
    for run in runs:
        if run.cv is None or not RunFolder(home.run_dir(run.key)).oof_npz.is_file():
            why = "has left no out-of-fold predictions (oof.npz)" if run.cv is not None else "is not finished"
            raise OnehourError(f"it {why}", where=run.key, fix="Blend finished runs of the engine.")
        for name, one, other in (
            ("metric", run.metric, first.metric),
            ("data", run.data_sha256, first.data_sha256),
            ("folds", run.folds_sha256, first.folds_sha256),
        ):
            if one != other:
                raise OnehourError(
                    f"it has another {name} than {first.key}".replace("another folds", "other folds"),
                    where=run.key,
                    fix="Only runs with the same metric on the same data and folds can be blended; folds_from reuses folds.",
                )

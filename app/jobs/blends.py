"""Blends as jobs: finished runs made into one by the engine, on their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from app.jobs.programme import CODE, ENGINE_FILES, Input, Places
from app.jobs.specs import Blend
from app.journal.home import CHECKOUT, Home
from app.journal.tables import Challenge, Run
from engine.contract import OnehourError, blend_preset_path, nearest, parse_overrides, read_blend_spec
from engine.run_folder import RunFolder

PRESET = "blend"
# What the engine reads of a run that it blends.
READ = ("result.json", "spec.json", "oof.npz", "test.npz", "folds.csv", "submission.csv")


@dataclass(frozen=True)
class Blending:
    """The engine blends the runs whose folders `spec` names; `code_dir` holds the engine."""

    spec: Blend
    code_dir: Path = CHECKOUT

    def prepare(self, folder: RunFolder) -> None:
        """The engine writes everything itself, spec.json at last: what stands there is taken for a finished blend's."""
        folder.path.mkdir(parents=True, exist_ok=True)

    def inputs(self) -> Mapping[str, Input]:
        runs = {_named(place): Input(Path(path), READ) for place, path in enumerate(self.spec.folders)}
        return {CODE: Input(self.code_dir, ENGINE_FILES), **runs}

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]:
        runs = [at.inputs[_named(place)] for place in range(len(self.spec.folders))]
        how = [f"{key}={value}" for key, value in self.spec.how.model_dump().items()]
        command = [at.python, "-m", "engine", "blend", *runs, "--out", at.run_dir]
        return command + [word for one in how for word in ("--set", one)]

    def cwd(self, at: Places) -> str:
        return at.inputs[CODE]


def asked(
    db: Session,
    home: Home,
    challenge: Challenge,
    keys: Sequence[str],
    preset: str = PRESET,
    overrides: Iterable[str] = (),
) -> Blend:
    """The blend of the runs `keys`. Raises OnehourError for runs that cannot be held together."""
    mine = select(Run).where(Run.challenge_id == challenge.id)
    found = {run.key: run for run in db.exec(mine.where(col(Run.key).in_(keys))).all()}
    for key in keys:
        if key not in found:
            newest = db.exec(mine.where(col(Run.cv).is_not(None)).order_by(col(Run.id).desc()).limit(100)).all()
            raise OnehourError(f"there is no run {key!r}", fix=nearest(key, [run.key for run in newest]))
    runs = [found[key] for key in keys]
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


def _named(place: int) -> str:
    return f"run{place}"

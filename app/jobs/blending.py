"""The engine's blend as the programme of an attempt, on the folders of finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.jobs.programme import CODE, ENGINE_FILES, Input, Places
from app.jobs.specs import Blend
from app.journal.home import CHECKOUT
from engine.run_folder import RunFolder

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


def _named(place: int) -> str:
    return f"run{place}"

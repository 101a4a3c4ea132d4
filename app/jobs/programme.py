"""What an attempt runs, said without a place: a backend puts in where things lie on its machine."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import yaml

from app.journal.home import CHECKOUT
from engine.contract import RunSpec
from engine.run_folder import RunFolder, write_json, write_text

CODE, DATA, BOXES, WEIGHTS, FOLDS = "code", "data", "boxes", "weights", "folds"
ENGINE_FILES = ("engine/**/*.py", "engine/presets/*.yaml")
# What the engine cannot do without; the versions that were tested stand in requirements.lock.
ENGINE_PACKAGES = (
    "torch",
    "torchvision",
    "fastai",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "pydantic",
    "pyyaml",
    "typer",
)
RUN_DIR = "ONEHOUR_RUN_DIR"  # tells every programme, a person's own too, where its results belong


@dataclass(frozen=True)
class Input:
    """A folder or file on this computer that the programme reads. `only`: patterns below a folder; empty: all of it."""

    path: Path
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where things lie on the machine of an attempt: its Python, the run's folder, and each input by its name.

    `gpus`: how many of it a process of the attempt uses together; 0 means the processor.
    """

    python: str
    run_dir: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0


class Programme(Protocol):
    def prepare(self, folder: RunFolder) -> None:
        """Write into the run's folder what the programme reads there, unless it lies there already."""

    def inputs(self) -> Mapping[str, Input]: ...

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]: ...

    def cwd(self, at: Places) -> str: ...


@runtime_checkable
class InFolds(Protocol):
    """A programme whose folds can be trained by processes of their own; run as a whole afterwards, it merges them."""

    def open_folds(self, folder: RunFolder) -> list[int]:
        """Those that are still to be trained."""

    def argv_of_fold(self, fold: int, at: Places, time_limit_s: float | None = None) -> list[str]: ...


@dataclass(frozen=True)
class EngineTraining:
    """The engine trains `spec`, whose files lie on this computer; `code_dir` holds the engine."""

    spec: RunSpec
    code_dir: Path = CHECKOUT

    def prepare(self, folder: RunFolder) -> None:
        """Only the keys that the spec was given: an older engine, built from a record, would not know those added since."""
        asked = self.spec.model_dump(mode="json", exclude_unset=True)
        if not folder.spec_yaml.exists():
            write_text(folder.spec_yaml, yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
        if not folder.spec_json.exists():
            write_json(folder.spec_json, asked)

    def inputs(self) -> Mapping[str, Input]:
        data, named = self.spec.data, {CODE: Input(self.code_dir, ENGINE_FILES)}
        files = [name for name in (data.labels, data.sample_submission, data.boxes) if name and not _is_elsewhere(name)]
        folders = [f"{glob.escape(name)}/**/*" for name in (data.train_images, data.test_images)]
        named[DATA] = Input(Path(data.dir), (*map(glob.escape, files), *folders))
        if data.boxes is not None and _is_elsewhere(data.boxes):
            named[BOXES] = Input(Path(data.boxes))
        if self.spec.weights_path is not None:
            named[WEIGHTS] = Input(Path(self.spec.weights_path))
        if self.spec.folds_from is not None:
            folds = Path(self.spec.folds_from)
            named[FOLDS] = Input(RunFolder(folds).folds_csv if folds.is_dir() else folds)
        return named

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]:
        command = [at.python, "-m", "engine", "train", f"{at.run_dir}/spec.yaml", "--out", at.run_dir]
        named = {
            DATA: ("data.dir", self.spec.data.dir),
            BOXES: ("data.boxes", self.spec.data.boxes),
            WEIGHTS: ("weights_path", self.spec.weights_path),
            FOLDS: ("folds_from", self.spec.folds_from),
        }
        for name, (key, asked) in named.items():
            if at.inputs.get(name, asked) != asked:  # it lies elsewhere there
                command += ["--set", f"{key}={json.dumps(at.inputs[name])}"]
        command += ["--gpus", str(at.gpus)] if at.gpus else []
        return command + ([] if time_limit_s is None else ["--time-limit", f"{time_limit_s:g}"])

    def open_folds(self, folder: RunFolder) -> list[int]:
        """The folds that are still to be trained; each can be, by a process of its own."""
        return [fold for fold in range(self.spec.folds) if not folder.fold_predictions(fold).exists()]

    def argv_of_fold(self, fold: int, at: Places, time_limit_s: float | None = None) -> list[str]:
        return [*self.argv(at, time_limit_s), "--fold", str(fold)]

    def cwd(self, at: Places) -> str:
        return at.inputs[CODE]


def places_here(programme: Programme, python: str, run_dir: Path, gpus: int = 0) -> Places:
    """On this computer everything lies where it was named."""
    return Places(python, str(run_dir), {name: str(one.path) for name, one in programme.inputs().items()}, gpus)


def _is_elsewhere(name: str) -> bool:
    return Path(name).is_absolute()

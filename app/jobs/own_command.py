"""A person's own code as the programme of an attempt: a command or a notebook, told by its environment where it stands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePath

import yaml

from app.jobs import repository
from app.jobs.programme import CODE, DATA, RUN_DIR, Input, Places
from engine.contract import CommandSpec, OnehourError
from engine.run_folder import RunFolder, write_text

RUN_ID, DATA_DIR, TIME_LIMIT_S = "ONEHOUR_RUN_ID", "ONEHOUR_DATA_DIR", "ONEHOUR_TIME_LIMIT_S"
WANDB_MODES = {"offline": "offline", "online": "online", "off": "disabled"}
PYTHONS = ("python", "python3")
# More than this is sent to another machine only by patterns that a person has named.
MOST_BYTES = 200_000_000
MOST_CHARACTERS = 2_000  # of one value in the environment


@dataclass(frozen=True)
class OwnCommand:
    """`code_dir`: the folder that it is started in; `built`: it was built from a record, its links lead to what is no code."""

    spec: CommandSpec
    run_key: str
    code_dir: Path
    built: bool = False

    def prepare(self, folder: RunFolder) -> None:
        """spec.json is left to an engine that the command may call with --out."""
        if not folder.spec_yaml.exists():
            asked = self.spec.model_dump(mode="json")
            write_text(folder.spec_yaml, yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))

    def inputs(self) -> Mapping[str, Input]:
        named = {CODE: Input(self.code_dir, code_patterns(self.code_dir, self.spec.inputs, self.built))}
        if self.spec.data_dir is not None:
            named[DATA] = Input(Path(self.spec.data_dir))
        return named

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]:
        """The command behind `env`, so that its environment goes wherever it goes."""
        here = at.inputs[CODE] == str(self.code_dir)
        environment = self._environment(at, time_limit_s)
        if here and self.spec.search_path:
            environment["PATH"] = self.spec.search_path
        if not here and self.spec.tracking.wandb == "online":  # no key travels
            environment["WANDB_MODE"] = "offline"
        return ["env", *(f"{name}={_value(value)}" for name, value in environment.items()), *self._words(at, here)]

    def cwd(self, at: Places) -> str:
        return at.inputs[CODE]

    def _environment(self, at: Places, time_limit_s: float | None) -> dict[str, str]:
        tracking = self.spec.tracking
        environment = {
            RUN_DIR: at.run_dir,
            RUN_ID: self.run_key,
            "WANDB_DIR": at.run_dir,
            "WANDB_MODE": WANDB_MODES[tracking.wandb],
            "WANDB_PROJECT": tracking.project,
            "WANDB_RUN_GROUP": self.run_key,
            "WANDB_TAGS": ",".join(tracking.tags),
            "WANDB_NOTES": tracking.notes,
            "WANDB_ERROR_REPORTING": "false",
        }
        if self.spec.data_dir is not None:
            environment[DATA_DIR] = at.inputs[DATA]
        if time_limit_s is not None:
            environment[TIME_LIMIT_S] = f"{time_limit_s:g}"
        return environment

    def _words(self, at: Places, here: bool) -> list[str]:
        """What is run. Elsewhere Python is that machine's own, and so is its nbconvert."""
        if self.spec.notebook is None:
            first, *rest = self.spec.argv
            return [at.python if first in PYTHONS and not here else first, *rest]
        convert = [NBCONVERT] if here else [at.python, "-m", "nbconvert"]
        into = ["--output-dir", at.run_dir, "--output", PurePath(self.spec.notebook).stem]
        # A slow cell is no fault. The name stands behind ./ and escaped: it is neither an option nor a pattern.
        return [*convert, *EXECUTE, *into, f"./{escape(self.spec.notebook)}"]


NBCONVERT = "jupyter-nbconvert"
EXECUTE = ("--to", "notebook", "--execute", "--ExecutePreprocessor.timeout=-1")


def code_patterns(folder: Path, named: tuple[str, ...] | None, built: bool = False) -> tuple[str, ...]:
    """What of a folder goes to another machine: `named`, else what git keeps there; outside a repository all but hidden files and keys."""
    if named is not None:
        return named
    try:
        names = _files(folder) if built else repository.kept_files(folder)
    except repository.NoRecord:
        names = [name for name in _files(folder) if not any(part.startswith(".") for part in Path(name).parts)]
    return tuple(escape(name) for name in names if built or not repository.is_secret(name))


def refuse_too_large(spec: CommandSpec) -> None:
    """Raise OnehourError where the code that would be sent to another machine is rather data."""
    folder = Path(spec.cwd)
    patterns = code_patterns(folder, spec.inputs)
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    sizes = sorted(((path.stat().st_size, path) for path in found), reverse=True)
    whole = sum(size for size, _ in sizes)
    if whole > MOST_BYTES:
        size, largest = sizes[0]
        raise OnehourError(
            f"{len(sizes)} files of {whole / 1e6:,.0f} MB would be sent to another machine (at most {MOST_BYTES / 1e6:.0f} MB);"
            f" the largest is {largest.relative_to(folder)} with {size / 1e6:,.0f} MB",
            where=spec.cwd,
            fix='Let git ignore data, or name what is needed: --input "*.py" --input "configs/*".',
        )


def _files(folder: Path) -> list[str]:
    """All files below a folder but what lies behind links that lead out of it."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not (path.is_symlink() and Path(os.readlink(path)).is_absolute()):
                found.append(str(path.relative_to(folder)))
    return sorted(found)


def _value(text: str) -> str:
    """A value as an environment can hold it."""
    return text.replace("\0", "")[:MOST_CHARACTERS]

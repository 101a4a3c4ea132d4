"""What a person asks of their own code, resolved: a command line or a notebook, in its folder, on the challenge's data."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.jobs.own_command import NBCONVERT
from app.journal.tables import Challenge
from engine.contract import CommandSpec, OnehourError, laid_over, parse_overrides, validated


def command(
    challenge: Challenge, line: str, cwd: Path, inputs: Sequence[str] = (), overrides: Iterable[str] = ()
) -> CommandSpec:
    """The command `line`, split once as a shell would; no shell ever reads it. `inputs`: patterns of what travels with it.

    Raises OnehourError for a line that cannot be split and a program that is not there.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise OnehourError(f"the command cannot be read ({error})", where=line) from None
    if not words:
        raise OnehourError("the command is empty", fix='Example: --command "python train.py --lr 0.1".')
    folder = _folder(cwd)
    _require_program(words[0], folder)
    return _spec(challenge, folder, {"argv": words}, inputs, overrides)


def notebook(
    challenge: Challenge, path: Path, cwd: Path | None, inputs: Sequence[str] = (), overrides: Iterable[str] = ()
) -> CommandSpec:
    """The notebook at `path`, executed in `cwd` (else in its own folder) by the nbconvert that is installed.

    Raises OnehourError where there is no notebook, or no nbconvert.
    """
    file = path.expanduser().resolve()
    if not file.is_file():
        raise OnehourError("there is no such notebook", where=str(path))
    if file.suffix != ".ipynb":
        raise OnehourError("this is no notebook", where=str(path), fix="Name a file that ends with .ipynb.")
    folder = _folder(cwd or file.parent)
    if not file.is_relative_to(folder):
        raise OnehourError("the notebook does not lie below the folder that it is to run in", where=str(folder))
    if shutil.which(NBCONVERT) is None:
        raise OnehourError(
            "a notebook is executed by Jupyter's nbconvert, which is not installed where you are",
            where=str(path),
            fix="Install it beside your own packages (pip install nbconvert ipykernel), or turn the notebook into a script.",
        )
    return _spec(challenge, folder, {"notebook": str(file.relative_to(folder))}, inputs, overrides)


def _spec(
    challenge: Challenge, folder: Path, run: Mapping[str, Any], inputs: Sequence[str], overrides: Iterable[str]
) -> CommandSpec:
    mapping = {
        "cwd": str(folder),
        "metric": challenge.metric,
        "data_dir": str(Path(challenge.data_dir).expanduser().absolute()),
        "search_path": os.environ.get("PATH", ""),
        "inputs": list(inputs) or None,
        **run,
    }
    asked = parse_overrides(overrides)
    return validated(CommandSpec, laid_over(mapping, asked), "your own code", asked)


def _folder(cwd: Path) -> Path:
    folder = cwd.expanduser().resolve()
    if not folder.is_dir():
        raise OnehourError("there is no such folder", where=str(cwd), fix="Set --cwd.")
    return folder


def _require_program(name: str, folder: Path) -> None:
    """A word with a slash is a file, seen from the folder; any other is looked for as a shell would."""
    found = os.access(folder / name, os.X_OK) and (folder / name).is_file() if "/" in name else shutil.which(name)
    if not found:
        raise OnehourError(
            f"there is no program {name!r} to be started",
            where=str(folder),
            fix="The first word of a command is a program: python train.py, ./train.sh. A file must be executable.",
        )

"""What a kernel is told about its attempt, and the sources that it needs for it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.jobs import kaggle_origin
from app.jobs.backends import kaggle_parcels, kaggle_script
from app.jobs.backends.interface import Attempt
from app.jobs.backends.kaggle_parcels import Parcel
from app.jobs.programme import CODE, DATA, ENGINE_FILES, ENGINE_PACKAGES, RUN_DIR, Input, Places
from app.journal.home import Home, this_host
from engine.run_folder import TRAVELS, travels

LONGEST_SLUG = 50  # of a kernel's title, which its slug repeats
MODULES = {"opencv-python-headless": "cv2", "pyyaml": "yaml"}
MARK = 'REQUEST = "{}"'


@dataclass
class Sources:
    """What has to be at Kaggle: parcels by the name of the input they are for, `left` for what the run has left so far."""

    parcels: dict[str, Parcel] = field(default_factory=dict)
    competitions: dict[str, str] = field(default_factory=dict)
    left: Parcel | None = None


def slug_of(home: Home, attempt: Attempt) -> str:
    """The attempt's kernel: the same whoever asks, and another one for the same run of another home."""
    run = attempt.run_dir.name
    tag = hashlib.sha256(f"{this_host()}:{home.path}:{run}".encode()).hexdigest()[:8]
    room = LONGEST_SLUG - len(f"onehour--{attempt.name}-{tag}")
    said = re.sub(r"[^a-z0-9]+", "-", run.lower())[:room].strip("-")
    return f"onehour-{said}-{attempt.name}-{tag}"


def sources(attempt: Attempt, brought: Mapping[str, Any]) -> Sources:
    """`brought`: what of the run's folder was brought home from the kernel of its last attempt, where that can be attached."""
    found = Sources()
    for name, one in attempt.programme.inputs().items():
        what = "engine" if name == CODE else name
        parcel = kaggle_parcels.of_input(what, one)
        origin = kaggle_origin.of(one.path) if name == DATA else None
        if origin is not None:
            changed = origin.changed(parcel.files)
            # A file inside a folder that Kaggle mounts cannot be replaced: then all of the data is sent.
            if not any("/" in changed_name for changed_name, _ in changed):
                found.competitions[name] = origin.competition
                parcel = Parcel(what, tuple(changed))
        if parcel.files:
            found.parcels[name] = parcel
    left = [(name, path) for name, path in _left(attempt.run_dir) if brought.get(name) != [*kaggle_origin.look(path)]]
    if left:
        found.left = Parcel("run", tuple(left))
    return found


def still_there(attempt: Attempt, brought: Mapping[str, Any]) -> bool:
    """Whether anything in the run's folder is still as it was brought home."""
    return any(brought.get(name) == [*kaggle_origin.look(path)] for name, path in _left(attempt.run_dir))


def script(
    attempt: Attempt,
    needed: Sources,
    datasets: Mapping[str, str],
    left: str,
    previous: str,
    time_limit_s: float,
    stop_after_s: float,
    gpus: int = 0,
) -> str:
    """The kernel's text. `datasets`: the slug of each parcel, `left` that of the run's own, `previous` the last attempt's kernel."""
    inputs = attempt.programme.inputs()
    places = {name: f"{kaggle_script.INPUTS}/{name}{_file_of(one)}" for name, one in inputs.items()}
    at = Places(kaggle_script.PYTHON, kaggle_script.RUN, places, gpus)
    request = {
        "attempt": attempt.name,
        "run": attempt.run_dir.name,
        "inputs": [
            {
                "name": name,
                "dataset": datasets.get(name, ""),
                "competition": needed.competitions.get(name, ""),
                "folders": _folders(one),
            }
            for name, one in inputs.items()
        ],
        "left": left,
        "previous": previous,
        "files": dict(_specs(attempt.run_dir)),
        "argv": attempt.programme.argv(at, time_limit_s),
        "cwd": attempt.programme.cwd(at),
        "environment": {"WANDB_MODE": "offline"},
        "run_dir_is": RUN_DIR,
        "needs": _modules(inputs),
        "travels": list(TRAVELS),
        "stop_after_s": stop_after_s,
    }
    text = Path(kaggle_script.__file__).read_text(encoding="utf-8")
    assert text.count(f"\n{MARK}\n") == 1
    # JSON in ASCII inside a literal of Python's: whatever a person typed, it stays text.
    return text.replace(f"\n{MARK}\n", f"\nREQUEST = {json.dumps(json.dumps(request))}\n")


def _left(run_dir: Path) -> list[tuple[str, Path]]:
    """What earlier attempts left that goes from machine to machine."""
    every = [path for path in sorted(run_dir.rglob("*")) if path.is_file() and not path.is_symlink()]
    named = [(str(path.relative_to(run_dir)), path) for path in every]
    return [(name, path) for name, path in named if travels(name)]


def _specs(run_dir: Path) -> Iterator[tuple[str, str]]:
    """The spec as it was asked for; how it is resolved there, with the places there, the engine writes itself."""
    path = run_dir / "spec.yaml"
    if path.is_file():
        yield path.name, path.read_text(encoding="utf-8")


def _file_of(one: Input) -> str:
    return f"/{one.path.name}" if one.path.is_file() else ""


def _folders(one: Input) -> list[str]:
    """The folders that its patterns name: `train` of `train/**/*`."""
    return sorted({pattern.partition("/")[0] for pattern in one.only if "/" in pattern})


def _modules(inputs: Mapping[str, Input]) -> Sequence[str]:
    """What must be importable there: of our engine known, of a person's own code their affair."""
    if CODE not in inputs or ENGINE_FILES[0] not in inputs[CODE].only:
        return []
    return [MODULES.get(name, name) for name in ENGINE_PACKAGES]

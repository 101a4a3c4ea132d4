"""The checks of a challenge's data and the sheet of an augmentation: asked of the engine in processes of their own, read from files.

Before its first run a crop or geometric augmentation must have been looked at, and again when it invents more than it did then:
padding that nobody had looked at cost the author of the article behind this project two weeks.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session

from app.jobs import specs
from app.journal import challenges, looks
from app.journal.home import CHECKOUT, Home
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.check_folder import GEOMETRIC, AugmentedSheet, CheckFolder, augmentation_key, data_stamp
from engine.contract import OnehourError, RunSpec, spec_as_json
from engine.run_folder import write_text

# A share that is measured again on other pictures differs by chance; beyond this it has risen.
RISEN_BY = 0.01
SHEET_WAIT_S = 180


@dataclass(frozen=True)
class Look:
    """Whether the sheet of a spec must be looked at, and why; `reason` is empty where it need not be."""

    key: str
    reason: str
    sheet: AugmentedSheet | None  # as it lies there, when it is this spec's
    other_data: bool = (
        False  # the data was changed since the sheet was drawn: nobody knows what share it would have now
    )


def folder(home: Home, challenge: Challenge) -> CheckFolder:
    """Where the checks of the challenge's data lie."""
    return CheckFolder.of_data(Path(challenge.data_dir), home.runs_dir)


@dataclass(frozen=True)
class Augmented:
    """What the files tell of a spec's augmentation: its key, what moves or cuts in words, and its sheet where it lies there."""

    key: str
    changes: str
    sheet: AugmentedSheet | None
    other_data: bool = False


def augmented(home: Home, challenge: Challenge, spec: RunSpec) -> Augmented:
    """Reads files: to be asked before a transaction, not in it."""
    key = augmentation_key(spec)
    sheet = folder(home, challenge).read_augmented()
    if sheet is None or sheet.key != key:
        return Augmented(key, _changes(spec), None)
    return Augmented(key, _changes(spec), sheet, sheet.data not in ("", data_stamp(spec.data)))


def look(db: Session, challenge: Challenge, found: Augmented) -> Look:
    """What is known of a spec's crop and geometry: new, risen, or looked at already."""
    key, changes, sheet = found.key, found.changes, found.sheet
    if not changes:
        return Look(key, "", sheet, found.other_data)
    known = looks.of(db, challenge, key)
    if known is None:
        reason = f"its crop and geometry ({changes}) are new and nobody has looked at what they make"
        return Look(key, reason, sheet, found.other_data)
    before = known.border_share_max
    if sheet is not None and before is not None and sheet.border_share_max > before + RISEN_BY:
        reason = f"it invents up to {sheet.border_share_max:.0%} of a picture now, {before:.0%} when looked at"
        return Look(key, reason, sheet, found.other_data)
    return Look(key, "", sheet, found.other_data)


def looked_at(journal: Journal, spec: RunSpec) -> None:
    """The person looked at the sheet of the spec's augmentation (or says so: then no share is known)."""
    with journal.reading() as db:
        found = augmented(journal.home, challenges.active(db), spec)
    shares = (None, None) if found.sheet is None else (found.sheet.border_share_mean, found.sheet.border_share_max)
    looks.record(journal, found.key, *shares)


def make_sheet(journal: Journal, spec: RunSpec) -> CheckFolder:
    """Draw the augmented sample sheet of a spec and measure what it invents; some seconds. Raises the engine's refusal."""
    with journal.reading() as db:
        place = folder(journal.home, challenges.active(db))
    asked = place.path / "sheet-spec.yaml"
    write_text(asked, spec_as_json(spec))
    _draw_sheet(asked, place)
    return place


def begin(journal: Journal) -> None:
    """Let the engine check the data, minutes for tens of thousands of pictures; what it has read before is not read again."""
    with journal.reading() as db:
        challenge = challenges.active(db)
    place = folder(journal.home, challenge)
    place.path.mkdir(parents=True, exist_ok=True)
    handle = os.open(place.path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (place.path / "check.log").open("wb") as log:
            # The child inherits the lock and holds it as long as it lives.
            subprocess.Popen(
                check_command(challenge, place),
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(handle,),
            )
    except BlockingIOError:
        raise OnehourError("this data is being checked just now", where=challenge.data_dir) from None
    finally:
        os.close(handle)


def check_command(challenge: Challenge, place: CheckFolder) -> list[str]:
    command = [sys.executable, "-m", "engine", "check", challenge.data_dir, "--out", str(place.path)]
    for key, value in specs.data_keys(challenge).items():
        command += ["--set", f"{key}={json.dumps(value)}"]  # as YAML reads it: a label may be -1, no or null
    return command


def is_checking(place: CheckFolder) -> bool:
    """Whether a check begun here runs just now: it holds the folder as long as it lives."""
    try:
        handle = os.open(place.path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def progress(place: CheckFolder) -> str:
    """How far a running check is: `1,200 pictures read`; empty before the first."""
    with suppress(OSError):
        with place.facts_csv.open("rb") as facts:
            read = sum(1 for _ in facts) - 1
        return f"{read:,} pictures read" if read > 0 else ""
    return ""


def refusal(place: CheckFolder) -> str:
    """The last words of a check that ended without a result; empty while none was begun."""
    with suppress(OSError):
        lines = (place.path / "check.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def _changes(spec: RunSpec) -> str:
    """What moves or cuts the pictures of a spec, in words; empty where nothing does."""
    cut = ["boxes"] if spec.data.boxes else []
    return ", ".join([*cut, *(one.name for one in spec.augment if one.name in GEOMETRIC)])


def _draw_sheet(asked: Path, place: CheckFolder) -> None:
    """Let the engine draw the sheet of the spec in the file `asked`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "engine", "sheet", str(asked), "--out", str(place.path)],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=SHEET_WAIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OnehourError(f"the sheet took longer than {SHEET_WAIT_S} s", where=str(asked)) from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise OnehourError(said[-1]) if said else OnehourError("the sheet ended without a reason", where=str(asked))

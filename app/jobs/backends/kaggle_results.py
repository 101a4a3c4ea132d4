"""What a kernel that has ended left at Kaggle, and how it comes home: nothing under a name of its own choosing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from app.jobs import kaggle_origin
from app.jobs.backends.interface import Attempt, Refused
from app.jobs.backends.kaggle_notes import Notes
from app.jobs.backends.kaggle_script import EXIT_FILE
from app.jobs.backends.kaggle_sessions import Sessions
from app.jobs.kaggle_account import Account, Forbidden
from engine.run_folder import RunFolder, travels

MOST_OF_EXIT_FILE = 65_536
MOST_OF_LOG = 100_000


def exit_file(account: Account, attempt: Attempt, slug: str) -> dict[str, object]:
    """What the kernel's script left of how it ended; empty when it did not come so far."""
    try:
        outputs = Sessions(account).outputs(slug)[0]
    except Forbidden:
        return {}
    address = next((one.address for one in outputs if one.name == EXIT_FILE), "")
    if not address:
        return {}
    try:
        told = json.loads(account.read(address, 0, MOST_OF_EXIT_FILE))
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.get("attempt") == attempt.name else {}


def bring(account: Account, notes: Notes, attempt: Attempt) -> None:
    """Download what goes home to a folder of ours under names of ours; only then is it put under its own."""
    note = notes.of(attempt.name)
    outputs, said = Sessions(account).outputs(note.slug)
    prefix = f"{attempt.run_dir.name}/"
    wanted = {
        one.name.removeprefix(prefix): one.address
        for one in outputs
        if one.name.startswith(prefix) and travels(one.name.removeprefix(prefix))
    }
    waiting = notes.folder(attempt.name) / "output"
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir(parents=True)
    for number, address in enumerate(wanted.values()):
        account.download(address, waiting / str(number))
    folder = RunFolder(attempt.run_dir)
    inside = attempt.run_dir.resolve()
    # The result comes last: a run that has one is finished.
    order = sorted(enumerate(wanted), key=lambda item: item[1] == folder.result_json.name)
    for number, name in order:
        target = attempt.run_dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if inside not in target.parent.resolve().parents and target.parent.resolve() != inside:
            raise Refused("a result would lie outside the run's folder", str(target))
        (waiting / str(number)).replace(target)
    shutil.rmtree(waiting)
    if note.exit_code is None:
        _add_to_log(folder, attempt.name, said or note.reason)
    brought = {name: list(kaggle_origin.look(attempt.run_dir / name)) for name in wanted}
    notes.keep(attempt.name, replace(note, is_home=True, brought=brought))


def _add_to_log(folder: RunFolder, attempt: str, said: str) -> None:
    """Of a lost attempt only Kaggle's own log is left; added once."""
    head = f"--- attempt {attempt}, as Kaggle logged it\n"
    if said and head not in folder.log_tail(2 * MOST_OF_LOG):
        with folder.log_txt.open("a", encoding="utf-8") as file:
            file.write(head + said[-MOST_OF_LOG:].rstrip("\n") + "\n")

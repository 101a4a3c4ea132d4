"""onehour backup | restore: the journal kept safe"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import opened_journal
from app.jobs import presence
from app.journal import backups, restore
from app.journal.home import Home, find_home

app = typer.Typer()


@app.command()
def backup(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="a new file; without it, one in backups/")] = None,
) -> None:
    """Copy the journal into one file, also while it is in use."""
    with opened_journal() as journal:
        target = file or backups.named(journal.home, "by-hand", journal.now())
        print(backups.copy(journal.home, target))


@app.command("restore")
def restore_(file: Annotated[Path, typer.Argument(metavar="FILE", help="a backup")]) -> None:
    """Set the journal back to a backup; what it holds now is kept."""
    home = find_home()
    done = restore.restore(home, file, held_by=_holder(home))
    print(
        f"restored: {_counted(done.contents.challenges, 'challenge')}, {_counted(done.contents.hours, 'hour')}, from {file}"
    )
    if done.before is not None:
        print(f"{'The damaged journal' if done.was_damaged else 'The journal as it was'} is kept: {done.before}")


def _holder(home: Home) -> str:
    """Who has the home open: "the worker (process 7)"; empty when nobody does."""
    for name, lock in (("the server", presence.server_lock(home)), ("the worker", presence.worker_lock(home))):
        told = presence.who_holds(lock)
        if told is not None:
            return f"{name} (process {told.get('pid', 'unknown')})"
    return ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

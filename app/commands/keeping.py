"""onehour backup | restore | export | import: the record kept safe, taken along, brought in"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import opened_journal
from app.exchange import foreign_records, intake, journal_folder
from app.jobs import presence
from app.journal import backups, challenges, restore
from app.journal.home import Home, find_home
from engine.contract import OnehourError

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
    print(f"restored: {_in_words(done.contents)}")
    if done.before is not None:
        print(f"{'The damaged journal' if done.was_damaged else 'The journal as it was'} is kept: {done.before}")


@app.command()
def export(folder: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")]) -> None:
    """Write the whole record into a folder of Markdown, CSV and JSON."""
    with opened_journal() as journal:
        print(journal_folder.export(journal, folder))


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="an export's folder, a diary, a Notion export, a list of submissions")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave out the lines that cannot be read")] = False,
) -> None:
    """Bring in a record kept elsewhere, or an export into an empty home."""
    if journal_folder.is_export(path):
        home = find_home()
        held = journal_folder.import_into(home, path, held_by=_holder(home), dry_run=dry_run)
        print(f"{'would be imported' if dry_run else 'imported'}: {_in_words(held)}")
        return
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
        found = foreign_records.read(path, challenge.starts_on)
        done = intake.take_in(journal, found, dry_run=dry_run, skip_bad=skip_bad)
    refused = bool(found.problems) and not skip_bad
    for line in done.said:
        print(line)
    would = "would be " if dry_run or refused else ""
    others = f", {_counted(found.others, 'other file')} left out" if found.others else ""
    print(f"{len(done.said)} {would}imported, {done.there} there already{others}", flush=True)
    for problem in found.problems:
        print(f"{problem.where}: {problem.reason}", file=sys.stderr)
    if refused:
        raise OnehourError(
            f"{_counted(len(found.problems), 'line')} cannot be read, so nothing was imported",
            where=str(path),
            fix="Mend what is named above, or leave it out: --skip-bad",
        )


def _holder(home: Home) -> str:
    """Who has the home open: "the worker (process 7)"; empty when nobody does."""
    for name, lock in (("the server", presence.server_lock(home)), ("the worker", presence.worker_lock(home))):
        told = presence.who_holds(lock)
        if told is not None:
            return f"{name} (process {told.get('pid', 'unknown')})"
    return ""


def _in_words(held: backups.Contents) -> str:
    return f"{_counted(held.challenges, 'challenge')}, {_counted(held.hours, 'hour')}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

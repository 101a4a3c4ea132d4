"""onehour note … and onehour ref …: the pages of the journal and what was learnt from."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated

import typer
from sqlmodel import Session

from app.commands.terminal import AsJson, body_of, date_of, iso, opened_journal
from app.journal import challenges, crediting, links, notes, references, revisions, sittings
from app.journal.store import Journal
from app.journal.tables import Challenge, Note
from app.reports import credits, record
from engine.contract import OnehourError

app = typer.Typer()
note_app = typer.Typer(no_args_is_help=True, help="The pages of the days, and notes outside them.")
ref_app = typer.Typer(no_args_is_help=True, help="References: what was learnt from, with author and licence.")
app.add_typer(note_app, name="note")
app.add_typer(ref_app, name="ref")

Day = Annotated[str | None, typer.Option("--day", metavar="DATE", help="another day than today")]
Number = Annotated[int | None, typer.Option("--note", help="a note outside the days, by its number")]
Body = Annotated[str, typer.Argument(help="Markdown; - reads it from standard input")]


@note_app.command("show")
def note_show(day: Day = None, note: Number = None) -> None:
    """Print a note as Markdown."""
    with opened_journal() as journal, journal.reading() as db:
        found = _found(db, journal, day, note)
        if found is None:
            raise OnehourError("nothing was written on this day")
        print(found.body)


@note_app.command("add")
def note_add(body: Body, day: Day = None, note: Number = None) -> None:
    """Add a paragraph at the end of a note."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
            found = _found(db, journal, day, note)
            on = _day(db, journal, challenge, day)
        before = found.body if found else notes.template(challenge)
        _say(_save(journal, found, on, f"{before.rstrip()}\n\n{body_of(body).strip()}\n"))


@note_app.command("write")
def note_write(body: Body, day: Day = None, note: Number = None) -> None:
    """Write a note anew; what stood there is kept as a revision."""
    with opened_journal() as journal:
        with journal.reading() as db:
            found = _found(db, journal, day, note)
            on = _day(db, journal, challenges.active(db), day)
        _say(_save(journal, found, on, body_of(body)))


@note_app.command("new")
def note_new(
    title: Annotated[str, typer.Argument(help="what it is about")],
    kind: Annotated[str, typer.Option(help="idea or data")] = "idea",
    body: Annotated[str, typer.Option(help="Markdown; - reads it from standard input")] = "",
) -> None:
    """Begin a note outside the days; outside the hour it is flagged."""
    with opened_journal() as journal:
        made = notes.create(journal, title, kind, body_of(body))
        print(f"{made.id}  {made.title}" + (", flagged: outside the hour" if made.late else ""))


@note_app.command("rename")
def note_rename(
    note: Annotated[int, typer.Argument(metavar="N", help="its number, as onehour note list tells it")],
    title: Annotated[str, typer.Argument(help="the new title")],
) -> None:
    """Give a note outside the days another title. Links to the old one lead nowhere then: it prints where they stand."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
            before = notes.outside(db, challenge, note).title or ""
            linked_from = record.backlinks(db, challenge, links.LinkKind.NOTE, before)
        renamed = notes.rename(journal, note, title)
        print(f"{renamed.id}  {renamed.title}" + (", flagged: outside the hour" if renamed.late else ""))
        if before.casefold() != (renamed.title or "").casefold():
            for link in linked_from:
                print(f"[[{before}]] in {link.words} leads nowhere now")


@note_app.command("list")
def note_list() -> None:
    """The notes outside the days."""
    with opened_journal() as journal, journal.reading() as db:
        for row in notes.outside_days(db, challenges.active(db)):
            print(f"{row.id}  {row.kind}  {row.title}")


@note_app.command("revisions")
def note_revisions(day: Day = None, note: Number = None) -> None:
    """The kept revisions of a note, newest first."""
    with opened_journal() as journal, journal.reading() as db:
        found = _found(db, journal, day, note)
        for row in revisions.history(db, found) if found else ():
            print(f"{row.revision}  {iso(row.saved_at)}{'  late' if row.late else ''}  {len(row.body)} characters")


@note_app.command("restore")
def note_restore(
    revision: Annotated[int, typer.Argument(help="its number")], day: Day = None, note: Number = None
) -> None:
    """Let a note read as it did at a revision."""
    with opened_journal() as journal:
        with journal.reading() as db:
            found = _found(db, journal, day, note)
        if found is None:
            raise OnehourError("nothing was written on this day")
        _say(notes.restore(journal, found.id, revision))


@ref_app.command("add")
def ref_add(
    url: Annotated[str, typer.Argument(help="its address")],
    key: Annotated[str, typer.Option(help="as it stands behind & in a note")] = "",
    title: Annotated[str, typer.Option()] = "",
    author: Annotated[str, typer.Option()] = "",
    licence: Annotated[str, typer.Option()] = "",
    kind: Annotated[str, typer.Option(help=" | ".join(references.KINDS))] = "",
    taken: Annotated[str, typer.Option(help="what was taken from it")] = "",
) -> None:
    """Take a reference on; what is not given is guessed from the address."""
    with opened_journal() as journal:
        row = references.add(journal, url, key=key, title=title, author=author, licence=licence, kind=kind, taken=taken)
        print(f"&{row.key}  {row.kind}  {row.title}" + (f" by {row.author}" if row.author else ""))


@ref_app.command("edit")
def ref_edit(
    key: Annotated[str, typer.Argument(help="as it stands behind &")],
    title: Annotated[str | None, typer.Option()] = None,
    author: Annotated[str | None, typer.Option()] = None,
    licence: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[str | None, typer.Option(help=" | ".join(references.KINDS))] = None,
    taken: Annotated[str | None, typer.Option(help="what was taken from it")] = None,
) -> None:
    """Correct a reference."""
    given = {"title": title, "author": author, "licence": licence, "kind": kind, "taken": taken}
    with opened_journal() as journal:
        row = references.change(journal, key, **{name: value for name, value in given.items() if value is not None})
        print(f"&{row.key}  {row.kind}  {row.title}")


@ref_app.command("remove")
def ref_remove(
    key: Annotated[str, typer.Argument(help="as it stands behind &")],
    force: Annotated[bool, typer.Option("--force", help="also when runs, todos or notes name it")] = False,
) -> None:
    """Take a reference off the list for good. Refused while runs, todos or notes name it: it prints which."""
    with opened_journal() as journal:
        row = references.remove(journal, key, force=force)
        print(f"&{row.key} is removed: {row.title}, {row.url}")


@ref_app.command("list")
def ref_list(as_json: AsJson = False) -> None:
    """All references with the runs that used them, newest first."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        rows, used = references.every(db, challenge), references.users(db, challenge)
    if as_json:
        print(json.dumps([{**row.model_dump(), "runs": used.get(row.id, [])} for row in rows], ensure_ascii=False))
        return
    for row in rows:
        print("  ".join([f"&{row.key}", row.kind, row.title, *used.get(row.id, [])]))


@ref_app.command("link")
def ref_link(
    run_key: Annotated[str, typer.Argument(help="the run")],
    key: Annotated[str, typer.Argument(help="the reference")],
    undo: Annotated[bool, typer.Option("--undo", help="take it back")] = False,
) -> None:
    """Say that a run used a reference."""
    with opened_journal() as journal:
        (crediting.disuse if undo else crediting.use)(journal, run_key, key)
        print(f"{run_key} {'no longer uses' if undo else 'uses'} &{key.removeprefix('&')}")


@ref_app.command("credits")
def ref_credits() -> None:
    """The credits as a Markdown page."""
    with opened_journal() as journal, journal.reading() as db:
        print(credits.page(db, challenges.active(db)))


def _day(db: Session, journal: Journal, challenge: Challenge, day: str | None) -> date:
    return date_of(day) if day else sittings.sitting(db, challenge, journal.now()).local_date


def _found(db: Session, journal: Journal, day: str | None, number: int | None) -> Note | None:
    """The note that the options name; None when the day has none yet."""
    challenge = challenges.active(db)
    if number is not None:
        return notes.outside(db, challenge, number)
    return notes.of_day(db, challenge, _day(db, journal, challenge, day))


def _save(journal: Journal, found: Note | None, on: date, body: str) -> notes.Saved:
    if found is not None and found.local_date is None:
        return notes.save_outside(journal, found.id, body, found.revision)
    return notes.save(journal, on, body, found.revision if found else 0)


def _say(saved: notes.Saved) -> None:
    print(f"revision {saved.revision}{', flagged late' if saved.late else ''}")

"""onehour story show | write | export | template: the whole challenge as an article"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import body_of, opened_journal
from app.journal import challenges, notes, reviews, sittings
from app.journal.store import Journal
from app.reports import story_page
from engine.contract import OnehourError

app = typer.Typer(no_args_is_help=True, help="The whole challenge as an article.")


@app.command("show")
def show() -> None:
    """The article as Markdown."""
    with opened_journal() as journal, journal.reading() as db:
        print(story_page.markdown(db, journal.home, _now(journal))[0])


@app.command("write")
def write(
    body: Annotated[
        str, typer.Argument(help="Markdown with two headings, for before and after the story; - reads standard input")
    ],
) -> None:
    """Your own words for it; what stood there is kept as a revision."""
    said = body_of(body)
    with opened_journal() as journal:
        note = reviews.begin_story(journal)
        saved = notes.save_outside(journal, note.id, said, note.revision)
        print(f"revision {saved.revision}{', flagged late' if saved.late else ''}")


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a new file: .html, or .md with its drawings beside it")],
) -> None:
    """Write the article into a file."""
    if not file.absolute().parent.is_dir():
        raise OnehourError("there is no such folder", where=str(file.absolute().parent))
    with opened_journal() as journal, journal.reading() as db:
        for path in story_page.write(db, journal.home, _now(journal), file):
            print(path)


@app.command("template")
def template() -> None:
    """Put the article's template where you can change it."""
    with opened_journal() as journal:
        print(story_page.begin_template(journal.home))


def _now(journal: Journal) -> sittings.Sitting:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now())

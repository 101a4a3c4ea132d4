"""onehour todo add | done | list, onehour inbox add | list, onehour day"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.terminal import AsJson, date_of, opened_journal
from app.journal import challenges, inbox, sessions, todos
from app.reports import day as day_report

app = typer.Typer()
todo_app = typer.Typer(no_args_is_help=True, help="The todo list.")
inbox_app = typer.Typer(no_args_is_help=True, help="Thoughts for later, at any time.")
app.add_typer(todo_app, name="todo")
app.add_typer(inbox_app, name="inbox")


@todo_app.command("add")
def todo_add(
    title: Annotated[str, typer.Argument(help="what to do")],
    minutes: Annotated[float | None, typer.Option(help="estimate")] = None,
    tomorrow: Annotated[bool, typer.Option("--tomorrow", help="for the next day")] = False,
) -> None:
    """Add a todo at the end of the list."""
    with opened_journal() as journal:
        todo = todos.add(journal, title, minutes, tomorrow=tomorrow)
        print(f"{todo.id}  {todo.title}")


@todo_app.command("done")
def todo_done(number: Annotated[int, typer.Argument(help="the todo's number")]) -> None:
    """Tick a todo off."""
    with opened_journal() as journal:
        print(f"done: {todos.done(journal, number).title}")


@todo_app.command("list")
def todo_list(as_json: AsJson = False) -> None:
    """The open todos, in order."""
    with opened_journal() as journal, journal.reading() as db:
        rows = todos.open_ones(db, challenges.active(db))
    if as_json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], ensure_ascii=False))
        return
    for row in rows:
        print(f"{row.id}  {row.title}" + (f"  ({row.minutes:g} min)" if row.minutes else ""))


@inbox_app.command("add")
def inbox_add(body: Annotated[str, typer.Argument(help="a thought, link or todo")]) -> None:
    """Drop a thought; outside the hour it is flagged."""
    with opened_journal() as journal:
        item = inbox.add(journal, body)
        print("kept" + (", flagged: outside the hour" if item.outside_hour else ""))


@inbox_app.command("list")
def inbox_list() -> None:
    """The newest thoughts."""
    with opened_journal() as journal, journal.reading() as db:
        for item in inbox.latest(db, challenges.active(db)):
            print(f"{item.local_date}{' (outside the hour)' if item.outside_hour else ''}  {item.body}")


@app.command()
def day(on: Annotated[str | None, typer.Option(metavar="DATE", help="another day than today")] = None) -> None:
    """The page of a day as Markdown."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        chosen = date_of(on) if on else sessions.sitting(db, challenge, journal.now()).local_date
        print(day_report.page(db, challenge, chosen, journal.now()))

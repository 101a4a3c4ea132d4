"""onehour todo add | done | list, onehour inbox add | list, onehour day"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.terminal import AsJson, date_of, opened_journal
from app.journal import challenges, inbox, sittings, todos
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
    on: Annotated[str | None, typer.Option(metavar="DATE", help="for a later day")] = None,
    important: Annotated[bool, typer.Option("--important", help="before the usual ones")] = False,
) -> None:
    """Add a todo at the end of the list."""
    with opened_journal() as journal:
        todo = todos.add(
            journal,
            title,
            minutes,
            tomorrow=tomorrow,
            on=date_of(on) if on else None,
            priority=todos.IMPORTANT if important else todos.USUAL,
        )
        with journal.reading() as db:
            at = sittings.sitting(db, challenges.active(db), journal.now())
        print(f"{todo.id}  {todo.title}" + (", flagged: overtime" if at.is_overtime(todo.created_at) else ""))


@todo_app.command("edit")
def todo_edit(
    number: Annotated[int, typer.Argument(help="the todo's number")],
    title: Annotated[str | None, typer.Option(help="another title")] = None,
    minutes: Annotated[float | None, typer.Option(help="another estimate; 0 takes it away")] = None,
    on: Annotated[str | None, typer.Option(metavar="DATE", help="another day")] = None,
    important: Annotated[bool | None, typer.Option("--important/--usual", help="its priority")] = None,
) -> None:
    """Change a todo."""
    priority = None if important is None else todos.IMPORTANT if important else todos.USUAL
    with opened_journal() as journal:
        changed = todos.change(
            journal, number, title=title, minutes=minutes, on=date_of(on) if on else None, priority=priority
        )
        print(f"{changed.id}  {changed.title}")


@todo_app.command("move")
def todo_move(
    number: Annotated[int, typer.Argument(help="the todo's number")],
    steps: Annotated[int, typer.Argument(help="places down; with a minus up, after --")],
) -> None:
    """Move a todo up or down the list: onehour todo move 3 -- -1."""
    with opened_journal() as journal:
        todos.move(journal, number, steps)
    todo_list()


@todo_app.command("remove")
def todo_remove(number: Annotated[int, typer.Argument(help="the todo's number")]) -> None:
    """Take a todo off the list for good."""
    with opened_journal() as journal:
        print(f"removed: {todos.remove(journal, number).title}")


@todo_app.command("link")
def todo_link(
    number: Annotated[int, typer.Argument(help="the todo's number")],
    target: Annotated[str, typer.Argument(help="@run or &reference")],
) -> None:
    """Link a todo to a run or a reference."""
    with opened_journal() as journal:
        todos.link(journal, number, target)
        print(f"linked to {target}")


@todo_app.command("done")
def todo_done(number: Annotated[int, typer.Argument(help="the todo's number")]) -> None:
    """Tick a todo off."""
    with opened_journal() as journal:
        print(f"done: {todos.done(journal, number).title}")


@todo_app.command("list")
def todo_list(as_json: AsJson = False) -> None:
    """The open todos, in order."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        rows = todos.open_ones(db, challenge)
        linked = todos.links_of(db, rows)
        at = sittings.sitting(db, challenge, journal.now())
        today = at.local_date
    if as_json:
        listed = [{**row.model_dump(mode="json"), "links": linked.get(row.id, [])} for row in rows]
        print(json.dumps(listed, ensure_ascii=False))
        return
    for row in rows:
        said = [f"{row.id}  {row.title}", *linked.get(row.id, [])]
        said += [f"({row.minutes:g} min)"] if row.minutes else []
        said += ["important"] if row.priority else []
        said += ["overtime"] if at.is_overtime(row.created_at) else []
        left_over = todos.left_over_from(row, challenge, today)
        said += [f"from {left_over}"] if left_over is not None else []
        said += [f"for {row.planned_on}"] if row.planned_on > today else []
        print("  ".join(said))


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
        chosen = date_of(on) if on else sittings.sitting(db, challenge, journal.now()).local_date
        print(day_report.page(db, challenge, chosen, journal.now()))

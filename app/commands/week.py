"""onehour week show | write | export: the week's review"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import Session

from app.commands.terminal import AsJson, body_of, opened_journal
from app.journal import challenges, notes, reviews, sittings
from app.journal.days import DAY
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.reports import week as week_report
from app.reports import week_page
from engine.contract import OnehourError
from engine.run_folder import write_text

app = typer.Typer(no_args_is_help=True, help="The week's review.")
Number = Annotated[int | None, typer.Option("--week", help="its number, counted from 1; without it, the present one")]


@app.command("show")
def week_show(week: Number = None, as_json: AsJson = False) -> None:
    """The week as Markdown: hours, gain, runs with verdicts, machines, what stayed open."""
    with opened_journal() as journal, journal.reading() as db:
        challenge, found = _found(db, journal, week)
    print(json.dumps(_figures(found), ensure_ascii=False) if as_json else week_page.page(challenge, found))


@app.command("write")
def week_write(
    body: Annotated[str, typer.Argument(help="Markdown; - reads it from standard input")], week: Number = None
) -> None:
    """Answer the week's questions; what stood there is kept as a revision."""
    said = body_of(body)
    with opened_journal() as journal:
        with journal.reading() as db:
            _, found = _found(db, journal, week)
        note = reviews.begin_week(journal, found.number)
        saved = notes.save_outside(journal, note.id, said, note.revision)
        print(f"week {found.number}, revision {saved.revision}{', flagged late' if saved.late else ''}")


@app.command("export")
def week_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a new file: .md, or .html with figures")],
    week: Number = None,
) -> None:
    """Write the week into a file."""
    if file.suffix not in (".md", ".html"):
        raise OnehourError(f"{file.name!r} ends neither in .md nor in .html", fix="The ending says which is written.")
    with _refusals_told(file):
        if file.exists():
            raise OnehourError("this file is there already", where=str(file), fix="Name a new one.")
        if not file.absolute().parent.is_dir():
            raise OnehourError("there is no such folder", where=str(file.absolute().parent))
    with opened_journal() as journal, journal.reading() as db:
        challenge, found = _found(db, journal, week)
        is_html = file.suffix == ".html"
        text = week_page.html(db, journal.home, challenge, found) if is_html else week_page.page(challenge, found)
    with _refusals_told(file):
        write_text(file, text)
    print(file)


@contextmanager
def _refusals_told(file: Path) -> Iterator[None]:
    """What the machine refuses becomes one sentence that names the file."""
    try:
        yield
    except OSError as error:
        raise OnehourError(f"the file cannot be written ({error.strerror or error})", where=str(file)) from None


def _found(db: Session, journal: Journal, number: int | None) -> tuple[Challenge, week_report.Week]:
    """The week with this number, or the present one. Raises OnehourError for one that has not begun."""
    challenge = challenges.active(db)
    now = journal.now()
    today = min(sittings.sitting(db, challenge, now).local_date, challenges.last_day(challenge))
    if today < challenge.starts_on:
        raise OnehourError(f"the challenge starts on {challenge.starts_on}", fix="Its first week begins then.")
    present = week_report.week_number(challenge, today)
    chosen = present if number is None else number
    if not 1 <= chosen <= present:
        raise OnehourError(f"there is no week {chosen} yet", fix=f"Weeks 1 to {present} can be seen.")
    on: date = challenge.starts_on + 7 * (chosen - 1) * DAY
    return challenge, week_report.of_day(db, challenge, on, now)


def _figures(week: week_report.Week) -> dict[str, object]:
    hours = 3_600_000
    return {
        "week": week.number,
        "first": str(week.first),
        "last": str(week.last),
        "used_h": week.used_ms / hours,
        "planned_h": week.planned_ms / hours,
        "lost_h": week.lost_ms / hours,
        "lost_days": week.lost_days,
        "split_min": {each.value: ms / 60_000 for each, ms in week.split.items()},
        "cv": week.cv.score,
        "cv_gain": week.cv.gain,
        "cv_gain_an_hour": week.gain_an_hour(week.cv),
        "lb_public": week.public.score,
        "lb_public_gain": week.public.gain,
        "runs": [
            {
                "run": run.row.run_key,
                "cv": run.row.cv,
                "verdict": verdict and verdict.word,
                "gain": verdict and verdict.gain,
            }
            for run in week.runs
            for verdict in [week.verdicts.get(run.row.run_id)]
        ],
        "machines": {
            each.backend: {"trained_h": each.held_s / 3600, "gpu_h": each.gpu_s / 3600} for each in week.machines
        },
        "open_todos": [todo.title for todo in week.open_todos],
        "review": week.note.body if week.note else None,
    }

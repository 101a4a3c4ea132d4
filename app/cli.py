"""The `onehour` command: what the pages do, from a terminal. It holds no rules; it calls the same functions as the views.

Exit codes: 0 fine, 1 our bug, 2 bad input, 3 against the rules of the hour, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from tzlocal import get_localzone_name

from app.journal import challenges, days, inbox, sessions, todos
from app.journal.home import find_home
from app.journal.store import Journal, open_journal
from engine.contract import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, OnehourError

HELP = "One hour a day on one competition: the hour, the record, the runs and the score."
SAMPLE = "sample"
Answer = TypeVar("Answer")

app = typer.Typer(add_completion=False, no_args_is_help=True, help=HELP)
session_app = typer.Typer(no_args_is_help=True, help="The hour of today.")
todo_app = typer.Typer(no_args_is_help=True, help="The todo list.")
inbox_app = typer.Typer(no_args_is_help=True, help="Thoughts for later, at any time.")
lb_app = typer.Typer(no_args_is_help=True, help="Leaderboard scores.")
for name, group in (("session", session_app), ("todo", todo_app), ("inbox", inbox_app), ("lb", lb_app)):
    app.add_typer(group, name=name)

AsJson = Annotated[bool, typer.Option("--json", help="one JSON object")]


@contextmanager
def _journal() -> Iterator[Journal]:
    journal = open_journal(find_home())
    try:
        yield journal
    finally:
        journal.close()


@app.command()
def init(
    competition: Annotated[
        str | None, typer.Option(metavar="SLUG", help=f"competition; {SAMPLE!r} draws the sample data")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of the competition's data")] = None,
    starts_on: Annotated[str | None, typer.Option(metavar="DATE", help="first day, YYYY-MM-DD")] = None,
    number_of_days: Annotated[int | None, typer.Option("--days", metavar="N", help="length in days")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="active minutes a day")] = None,
    reflection_minutes: Annotated[float | None, typer.Option(metavar="R", help="minutes for the note after it")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="for example Europe/Berlin")] = None,
    mode: Annotated[
        str | None, typer.Option(help="daily: a missed day is lost; weekly: seven times as much a week")
    ] = None,
    day_starts_at: Annotated[str, typer.Option(metavar="HH:MM", help="when a day begins")] = "04:00",
    truth: Annotated[Path | None, typer.Option(metavar="CSV", help="labels of the test part, where known")] = None,
) -> None:
    """Take on a challenge. In a terminal it asks for what is not given; elsewhere the defaults hold."""
    from app.jobs import sample_challenge

    with _journal() as journal:
        with journal.reading() as db:
            running = challenges.find_active(db)
        if running is not None:
            raise OnehourError(
                f"the challenge {running.slug!r} is still running until {challenges.last_day(running)}",
                fix="One challenge at a time.",
            )
        zone_name = _asked(time_zone, "Time zone", get_localzone_name() or "UTC", str)
        today = days.logical_date(journal.now(), days.zone(zone_name).key, day_starts_at)
        slug = _asked(competition, f"Competition (slug, or {SAMPLE!r} to try it out)", SAMPLE, str)
        if slug != SAMPLE and data is None and not _in_terminal():
            raise OnehourError("the folder of the competition's data is missing", fix="Add --data DIR.")
        rules = challenges.Rules(
            competition=slug,
            data_dir=journal.home.path if slug == SAMPLE else _asked(data, "Folder of its data", Path("data"), Path),
            starts_on=_date(_asked(starts_on, "First day", str(today), str)),
            days=_asked(number_of_days, "Days", 60, int),
            minutes_per_day=_asked(minutes, "Active minutes a day", 60.0, float),
            reflection_minutes=_asked(reflection_minutes, "Minutes of reflection after it", 10.0, float),
            time_zone=zone_name,
            mode=_asked(mode, f"daily or weekly? {challenges.MODE_ADVICE}", "daily", str),
            day_starts_at=day_starts_at,
            truth_path=truth,
        )
        rules.check(today)
        if slug == SAMPLE:
            drawn = sample_challenge.draw(journal.home)
            rules = replace(rules, data_dir=drawn.dir, truth_path=drawn.truth_path)
        challenge = challenges.found(journal, rules, today)
        print(
            f"{challenge.competition}: {challenge.days} days of {challenge.minutes_per_day:g} minutes from {challenge.starts_on}"
            f" ({challenge.mode}, {challenge.time_zone}). Data: {challenge.data_dir}"
        )


@app.command()
def end_challenge() -> None:
    """End the challenge for good; its record stays."""
    with _journal() as journal:
        print(f"{challenges.archive(journal).slug} is archived")


@session_app.command("start")
def session_start(as_json: AsJson = False) -> None:
    """Start today's hour."""
    _transition(sessions.start, as_json)


@session_app.command("status")
def session_status(as_json: AsJson = False) -> None:
    """Where today's hour stands."""

    def read(journal: Journal) -> sessions.Sitting:
        with journal.reading() as db:
            return sessions.sitting(db, challenges.active(db), journal.now())

    _transition(read, as_json)


@session_app.command("pause")
def session_pause(reason: Annotated[str, typer.Argument(help="why")] = "", as_json: AsJson = False) -> None:
    """Stop the clock; what is left can be used later today."""
    _transition(lambda journal: sessions.pause(journal, reason), as_json)


@session_app.command("resume")
def session_resume(as_json: AsJson = False) -> None:
    """Let the clock run again."""
    _transition(sessions.resume, as_json)


@session_app.command("end")
def session_end(as_json: AsJson = False) -> None:
    """End the focus time early; the reflection begins."""
    _transition(sessions.end, as_json)


@session_app.command("close")
def session_close(as_json: AsJson = False) -> None:
    """Close the day."""
    _transition(sessions.close, as_json)


@todo_app.command("add")
def todo_add(
    title: Annotated[str, typer.Argument(help="what to do")],
    minutes: Annotated[float | None, typer.Option(help="estimate")] = None,
    tomorrow: Annotated[bool, typer.Option("--tomorrow", help="for the next day")] = False,
) -> None:
    """Add a todo at the end of the list."""
    with _journal() as journal:
        todo = todos.add(journal, title, minutes, tomorrow=tomorrow)
        print(f"{todo.id}  {todo.title}")


@todo_app.command("done")
def todo_done(number: Annotated[int, typer.Argument(help="the todo's number")]) -> None:
    """Tick a todo off."""
    with _journal() as journal:
        print(f"done: {todos.done(journal, number).title}")


@todo_app.command("list")
def todo_list(as_json: AsJson = False) -> None:
    """The open todos, in order."""
    with _journal() as journal, journal.reading() as db:
        rows = todos.open_ones(db, challenges.active(db))
    if as_json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], ensure_ascii=False))
        return
    for row in rows:
        print(f"{row.id}  {row.title}" + (f"  ({row.minutes:g} min)" if row.minutes else ""))


@inbox_app.command("add")
def inbox_add(body: Annotated[str, typer.Argument(help="a thought, link or todo")]) -> None:
    """Drop a thought; outside the hour it is flagged."""
    with _journal() as journal:
        item = inbox.add(journal, body)
        print("kept" + (", flagged: outside the hour" if item.outside_hour else ""))


@inbox_app.command("list")
def inbox_list() -> None:
    """The newest thoughts."""
    with _journal() as journal, journal.reading() as db:
        for item in inbox.latest(db, challenges.active(db)):
            print(f"{item.local_date}{' (outside the hour)' if item.outside_hour else ''}  {item.body}")


@app.command()
def queue(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="a spec file or the name of a preset")],
    hypothesis: Annotated[str, typer.Option(help="what you expect, in one sentence")] = "",
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
    experiment: Annotated[str | None, typer.Option(metavar="KEY", help="another run of this experiment")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue a training run; the worker starts it."""
    from app.jobs import orders, presence, specs

    with _journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
        asked = specs.resolve(challenge, spec, overrides or ())
        queued = orders.queue_run(journal, spec, asked, hypothesis, experiment_key=experiment)
        if as_json:
            print(
                json.dumps(
                    {"run": queued.run_key, "experiment": queued.experiment_key, "ends_at": _iso(queued.ends_at_ms)}
                )
            )
            return
        print(f"{queued.run_key} queued, ends about {days.clock_text(queued.ends_at_ms, challenge.time_zone)}", end="")
        print({True: ", before your next hour", False: ", after your next hour has begun", None: ""}[queued.fits])
        if presence.worker_slots(journal.home) is None:
            print("No worker is running: start it with `onehour up` or `onehour worker`.")


@app.command()
def jobs(as_json: AsJson = False) -> None:
    """The queue and what became of it, newest first."""
    from app.jobs import backlog

    with _journal() as journal, journal.reading() as db:
        rows = backlog.list_jobs(db, challenges.active(db).id)
    if as_json:
        print(json.dumps([vars(row) for row in rows], ensure_ascii=False))
        return
    for row in rows:
        print(f"{row.run_key}  {row.state:<10} {row.hypothesis}" + (f"  ({row.message})" if row.message else ""))


@app.command()
def cancel(run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")]) -> None:
    """Cancel a run that waits or is running."""
    from app.jobs import backlog

    with _journal() as journal:
        state = backlog.cancel(journal, run)
        print(f"{run}: {'cancelled' if state == backlog.CANCELLED else 'asked to stop'}")


@app.command()
def worker() -> int:
    """Run the worker: it starts queued runs and takes in their results."""
    from app.jobs import worker as worker_process

    return worker_process.main()


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    host: Annotated[str, typer.Option(help="where to listen; a container needs 0.0.0.0")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="open the dashboard in a browser")] = True,
) -> int:
    """Run the dashboard and its worker until Ctrl-C."""
    from app import keeper

    return keeper.up(find_home(), host=host, port=port, browser=browser)


@app.command()
def day(on: Annotated[str | None, typer.Option(metavar="DATE", help="another day than today")] = None) -> None:
    """The page of a day as Markdown."""
    from app.reports import day as day_report

    with _journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        chosen = _date(on) if on else sessions.sitting(db, challenge, journal.now()).local_date
        print(day_report.page(db, challenge, chosen, journal.now()))


@lb_app.command("local")
def lb_local(truth: Annotated[Path, typer.Argument(metavar="TRUTH.csv", help="labels of the test part")]) -> None:
    """Score every submission against a truth file: a leaderboard at home."""
    from app.scores import leaderboard

    with _journal() as journal:
        for scored in leaderboard.use_truth(journal, truth):
            print(f"{scored.run_key}  public {_score(scored.public)}  private {_score(scored.private)}")


@lb_app.command("enter")
def lb_enter(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")],
    public: Annotated[float | None, typer.Option(help="public score")] = None,
    private: Annotated[float | None, typer.Option(help="private score")] = None,
) -> None:
    """Type in the scores that the competition's leaderboard shows for a run."""
    from app.scores import leaderboard

    with _journal() as journal:
        leaderboard.enter_by_hand(journal, run, public, private)
        print(f"{run}  public {_score(public)}  private {_score(private)}")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. What a person can mend is one sentence on stderr."""
    command = typer.main.get_command(app)
    try:
        return command.main(arguments, prog_name="onehour", standalone_mode=False) or EXIT_OK
    except OnehourError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:  # a wrong option or argument
        print(error.format_message(), file=sys.stderr)
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED


def _transition(act: Callable[[Journal], sessions.Sitting], as_json: bool) -> None:
    with _journal() as journal:
        at = act(journal)
    print(json.dumps(_status(at), ensure_ascii=False) if as_json else _sentence(at))


def _status(at: sessions.Sitting) -> dict[str, Any]:
    return {
        "challenge": at.challenge.slug,
        "day": at.day_number,
        "days": at.challenge.days,
        "local_date": str(at.local_date),
        "state": at.state.value,
        "now": _iso(at.now),
        "left_s": at.left_ms / 1000,
        "pauses": at.hour.pauses,
        "focus_ends_at": _iso(at.hour.focus_ends_at),
        "reflection_ends_at": _iso(at.hour.reflection_ends_at),
        "next_hour": at.next_hour or None,
    }


def _sentence(at: sessions.Sitting) -> str:
    day_text = f"Day {at.day_number} of {at.challenge.days} · {at.challenge.slug}: "
    left, zone_name = at.left_ms / 1000, at.challenge.time_zone
    minutes = f"{int(left // 60)}:{int(left % 60):02d}"
    if at.state is sessions.State.FOCUS and at.hour.focus_ends_at is not None:
        return f"{day_text}{minutes} left, until {days.clock_text(at.hour.focus_ends_at, zone_name)}"
    if at.state is sessions.State.PAUSED:
        return f"{day_text}paused, {minutes} left"
    if at.state is sessions.State.REFLECTION and at.hour.reflection_ends_at is not None:
        return f"{day_text}hour used. Reflection until {days.clock_text(at.hour.reflection_ends_at, zone_name)}"
    if at.state is sessions.State.CLOSED:
        return f"{day_text}hour used. {sessions.next_hour_sentence(at)}"
    return f"{day_text}not started. {sessions.next_hour_sentence(at)}"


def _in_terminal() -> bool:
    return sys.stdin.isatty()


def _asked(given: Answer | None, question: str, default: Answer, kind: Callable[[Any], Answer]) -> Answer:
    """What was given, else the answer to a question in a terminal, else the default."""
    if given is not None:
        return given
    return typer.prompt(question, default=default, type=kind) if _in_terminal() else default


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OnehourError(f"{text!r} is no date", fix="Write it as YYYY-MM-DD.") from None


def _iso(at: int | None) -> str | None:
    return None if at is None else datetime.isoformat(days.from_ms(at), timespec="milliseconds")


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"

"""onehour session start | status | pause | resume | end | close | activity | away | split | rest"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from app.commands.terminal import AsJson, date_of, iso, opened_journal
from app.journal import activities, challenges, corrections, days, rest_days, sessions, sittings
from app.journal.store import Journal

app = typer.Typer(no_args_is_help=True, help="The hour of today.")


@app.command("start")
def session_start(as_json: AsJson = False) -> None:
    """Start today's hour."""
    _transition(sessions.start, as_json)


@app.command("status")
def session_status(as_json: AsJson = False) -> None:
    """Where today's hour stands."""

    def read(journal: Journal) -> sittings.Sitting:
        with journal.reading() as db:
            return sittings.sitting(db, challenges.active(db), journal.now())

    _transition(read, as_json)


@app.command("pause")
def session_pause(reason: Annotated[str, typer.Argument(help="why")] = "", as_json: AsJson = False) -> None:
    """Stop the clock; what is left can be used later today."""
    _transition(lambda journal: sessions.pause(journal, reason), as_json)


@app.command("resume")
def session_resume(as_json: AsJson = False) -> None:
    """Let the clock run again."""
    _transition(sessions.resume, as_json)


@app.command("end")
def session_end(as_json: AsJson = False) -> None:
    """End the focus time early; the reflection begins."""
    _transition(sessions.end, as_json)


@app.command("close")
def session_close(as_json: AsJson = False) -> None:
    """Close the day."""
    _transition(sessions.close, as_json)


@app.command("activity")
def session_activity(
    name: Annotated[str, typer.Argument(help="read, plan, code or analyse")], as_json: AsJson = False
) -> None:
    """What the minutes from now on are spent on."""
    _transition(lambda journal: corrections.switch(journal, name), as_json)


@app.command("away")
def session_away(
    minutes: Annotated[float, typer.Argument(help="minutes of the hour that were none")],
    reason: Annotated[str, typer.Argument(help="why")] = "",
    on: Annotated[str | None, typer.Option(metavar="DATE", help="another day than today")] = None,
    as_json: AsJson = False,
) -> None:
    """Correct the hour: you were away. While it runs the minutes are given back."""
    day = date_of(on) if on else None
    _transition(lambda journal: corrections.away(journal, minutes, reason, day), as_json)


@app.command("split")
def session_split(
    minutes: Annotated[list[str], typer.Argument(metavar="ACTIVITY=MINUTES...", help="for example code=40 read=20")],
    on: Annotated[str | None, typer.Option(metavar="DATE", help="another day than today")] = None,
    as_json: AsJson = False,
) -> None:
    """Correct how the hour was divided."""
    divided, day = activities.parse_minutes(minutes), date_of(on) if on else None
    _transition(lambda journal: corrections.divide(journal, divided, day), as_json)


@app.command("rest")
def session_rest(
    on: Annotated[str | None, typer.Argument(metavar="DATE", help="a day of rest; without it they are listed")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="take it back")] = False,
) -> None:
    """Plan a day of rest."""
    with opened_journal() as journal:
        if on is not None:
            (rest_days.cancel if cancel else rest_days.plan)(journal, date_of(on))
        with journal.reading() as db:
            print(*rest_days.of(db, challenges.active(db)), sep="\n")


def _transition(act: Callable[[Journal], sittings.Sitting], as_json: bool) -> None:
    with opened_journal() as journal:
        at = act(journal)
    print(json.dumps(_status(at), ensure_ascii=False) if as_json else _sentence(at))


def _status(at: sittings.Sitting) -> dict[str, Any]:
    return {
        "challenge": at.challenge.slug,
        "day": at.day_number,
        "days": at.challenge.days,
        "local_date": str(at.local_date),
        "state": at.state.value,
        "now": iso(at.now),
        "left_s": at.left_ms / 1000,
        "pauses": at.hour.pauses,
        "pause_reasons": at.pause_reasons,
        "activity": at.activity.value,
        "split_s": {each.value: ms / 1000 for each, ms in at.split.items()},
        "clock_moved_s": 0 if at.session is None else at.session.clock_moved_ms / 1000,
        "focus_ends_at": iso(at.hour.focus_ends_at),
        "reflection_ends_at": iso(at.hour.reflection_ends_at),
        "next_hour": at.next_hour or None,
    }


def _sentence(at: sittings.Sitting) -> str:
    day_text = f"Day {at.day_number} of {at.challenge.days} · {at.challenge.slug}: "
    left, zone_name = at.left_ms / 1000, at.challenge.time_zone
    minutes = f"{int(left // 60)}:{int(left % 60):02d}"
    if at.state is sittings.State.FOCUS and at.hour.focus_ends_at is not None:
        return f"{day_text}{minutes} left, until {days.clock_text(at.hour.focus_ends_at, zone_name)}"
    if at.state is sittings.State.PAUSED:
        because = at.pause_reasons[-1] if at.pause_reasons else ""
        return f"{day_text}paused, {minutes} left" + (f" ({because})" if because else "")
    if at.state is sittings.State.REFLECTION and at.hour.reflection_ends_at is not None:
        return f"{day_text}hour used. Reflection until {days.clock_text(at.hour.reflection_ends_at, zone_name)}"
    if at.state is sittings.State.CLOSED:
        return f"{day_text}hour used. {sittings.next_hour_sentence(at)}"
    return f"{day_text}not started. {sittings.next_hour_sentence(at)}"

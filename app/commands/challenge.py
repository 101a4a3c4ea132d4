"""onehour init | end-challenge"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from tzlocal import get_localzone_name

from app.commands.terminal import asked, date_of, in_terminal, opened_journal
from app.jobs import sample_challenge
from app.journal import challenges, days
from engine.contract import OnehourError

app = typer.Typer()


@app.command()
def init(
    competition: Annotated[
        str | None, typer.Option(metavar="SLUG", help=f"competition; {sample_challenge.SLUG!r} draws the sample data")
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
    habit_at: Annotated[str | None, typer.Option(metavar="HH:MM", help="when you usually begin")] = None,
    strictness: Annotated[
        str, typer.Option(help="strict, or honour: lets overtime through, flagged and outside the count")
    ] = "strict",
    truth: Annotated[Path | None, typer.Option(metavar="CSV", help="labels of the test part, where known")] = None,
) -> None:
    """Take on a challenge. In a terminal it asks for what is not given; elsewhere the defaults hold."""
    with opened_journal() as journal:
        with journal.reading() as db:
            running = challenges.find_active(db)
        if running is not None:
            raise OnehourError(
                f"the challenge {running.slug!r} is still running until {challenges.last_day(running)}",
                fix="One challenge at a time.",
            )
        zone_name = asked(time_zone, "Time zone", get_localzone_name() or "UTC", str)
        today = days.logical_date(journal.now(), days.zone(zone_name).key, day_starts_at)
        slug = asked(
            competition, f"Competition (slug, or {sample_challenge.SLUG!r} to try it out)", sample_challenge.SLUG, str
        )
        if slug != sample_challenge.SLUG and data is None and not in_terminal():
            raise OnehourError("the folder of the competition's data is missing", fix="Add --data DIR.")
        rules = challenges.Rules(
            competition=slug,
            data_dir=journal.home.path
            if slug == sample_challenge.SLUG
            else asked(data, "Folder of its data", Path("data"), Path),
            starts_on=date_of(asked(starts_on, "First day", str(today), str)),
            days=asked(number_of_days, "Days", 60, int),
            minutes_per_day=asked(minutes, "Active minutes a day", 60.0, float),
            reflection_minutes=asked(reflection_minutes, "Minutes of reflection after it", 10.0, float),
            time_zone=zone_name,
            mode=asked(mode, f"daily or weekly? {challenges.MODE_ADVICE}", "daily", str),
            day_starts_at=day_starts_at,
            truth_path=truth,
            strictness=strictness,
            habit_at=habit_at,
        )
        rules.check(today)
        if slug == sample_challenge.SLUG:
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
    with opened_journal() as journal:
        print(f"{challenges.archive(journal).slug} is archived")

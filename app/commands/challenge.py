"""onehour init | settings | end-challenge"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from tzlocal import get_localzone_name

from app.commands.terminal import AsJson, asked, date_of, in_terminal, opened_journal
from app.jobs import backlog, configured, installed, sample_challenge, signals
from app.journal import challenge_settings, challenges, checklist, days, notes, rest_days
from app.journal.data_layout import layout_of
from app.journal.home import COMMAND
from app.journal.store import Journal
from engine.contract import METRIC_DIRECTIONS, OnehourError

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
    day_starts_at: Annotated[str, typer.Option(metavar="HH:MM", help="when a day begins")] = challenges.DAY_STARTS_AT,
    habit_at: Annotated[str | None, typer.Option(metavar="HH:MM", help="when you usually begin")] = None,
    strictness: Annotated[
        str, typer.Option(help="strict, or honour: lets overtime through, flagged and outside the count")
    ] = "strict",
    truth: Annotated[Path | None, typer.Option(metavar="CSV", help="labels of the test part, where known")] = None,
    metric: Annotated[str, typer.Option(help=", ".join(METRIC_DIRECTIONS))] = "map5",
    image_col: Annotated[str, typer.Option(metavar="NAME", help="column of the image's file name")] = "Image",
    label_col: Annotated[str, typer.Option(metavar="NAME", help="column of the label")] = "Id",
    unknown_label: Annotated[
        str, typer.Option(metavar="LABEL", help="label that means: none of the known ones; '' where there is none")
    ] = "new_whale",
    rest_day: Annotated[
        list[str] | None, typer.Option(metavar="DATE", help="a planned day of rest; once for each")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="a rule of the competition, beside the three it begins with; once for each"),
    ] = None,
) -> None:
    """Take on a challenge. In a terminal it asks for what is not given; elsewhere the defaults hold."""
    with opened_journal() as journal:
        with journal.reading() as db:
            running = challenges.find_active(db)
        if running is not None:
            raise OnehourError(
                f"the challenge {running.slug!r} is still running until {challenges.last_day(running)}",
                fix=f"One challenge at a time. End it with: {COMMAND} end-challenge",
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
            metric=metric,
            image_col=image_col,
            label_col=label_col,
            unknown_label=unknown_label or None,
            strictness=strictness,
            habit_at=habit_at,
            rest_days=rest_days.dates(" ".join(_several(rest_day, REST_DAYS, ","))),
            checklist=[*checklist.DEFAULTS, *checklist.lines("\n".join(_several(rule, OWN_RULES, ";")))],
        )
        rules.check(today)
        if slug != sample_challenge.SLUG:
            rules = replace(rules, layout=layout_of(rules.data_dir, image_col, label_col))
        if slug == sample_challenge.SLUG:
            drawn = sample_challenge.draw(journal.home)
            rules = replace(rules, data_dir=drawn.dir, truth_path=drawn.truth_path)
        challenge = challenges.found(journal, rules, today)
        print(
            f"{challenge.competition}: {challenge.days} day{'s' * (challenge.days != 1)} of {challenge.minutes_per_day:g} min "
            f"from {challenge.starts_on} ({challenge.mode}, {challenge.time_zone}). Data: {challenge.data_dir}"
        )


REST_DAYS = "Planned days of rest, YYYY-MM-DD with commas between"
OWN_RULES = "Rules of the competition with semicolons between, beside " + "; ".join(
    f"“{rule.text}”" for rule in checklist.DEFAULTS
)
NONE = "none"


def _several(given: list[str] | None, question: str, separator: str) -> list[str]:
    """What was given as often as wanted, else the answer in a terminal, divided; empty for none."""
    if given is not None:
        return given
    answer = asked(None, question, NONE, str)
    return [] if answer == NONE else answer.split(separator)


@app.command()
def settings(
    habit_at: Annotated[str | None, typer.Option(metavar="HH:MM", help="when you usually begin; '' for none")] = None,
    strictness: Annotated[str | None, typer.Option(help="strict, or honour")] = None,
    reflection_minutes: Annotated[float | None, typer.Option(metavar="R", help="of the hours to come")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="never moves a day that is past")] = None,
    note_template: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Markdown a new day begins with; an empty file: the built-in one"),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="'read=10 plan=15 code=50 analyse=25'; '' for none")
    ] = None,
    add_rule: Annotated[str | None, typer.Option(metavar="TEXT", help="a rule of the competition")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="another folder of its data, for the runs to come")
    ] = None,
    submissions_per_day: Annotated[
        int | None, typer.Option(metavar="N", help="how many the competition takes a UTC day; 0: not known")
    ] = None,
    backends: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="the only ones that runs to come may use, 'kaggle colab'; '' for all"),
    ] = None,
    drop_rule: Annotated[int | None, typer.Option(metavar="N", help="take rule N off the checklist")] = None,
    kept: Annotated[int | None, typer.Option(metavar="N", help="rule N is kept")] = None,
    not_kept: Annotated[int | None, typer.Option(metavar="N", help="rule N is not kept, or not yet")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the challenge's settings, or change those that are named. Days of rest: onehour session rest."""
    with opened_journal() as journal:
        values = {
            "habit_at": habit_at,
            "strictness": strictness,
            "reflection_minutes": reflection_minutes,
            "time_zone": time_zone,
            "note_template": None if note_template is None else _text_of(note_template),
            "target_split": target,
            "data_dir": data,
            "submissions_per_day": submissions_per_day,
            "backends": backends,
        }
        changed: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        rules = _rules(journal)
        if not_kept is not None:
            rules = checklist.marked(rules, not_kept, False)
        if kept is not None:
            rules = checklist.marked(rules, kept, True)
        if drop_rule is not None:
            rules = checklist.dropped(rules, drop_rule)
        if add_rule is not None:
            rules = checklist.added(rules, add_rule)
        if rules != _rules(journal):
            changed["checklist"] = rules
        if changed:
            challenge = challenge_settings.change(journal, **changed)
            for name in challenges.allowed_backends(challenge) or () if "backends" in changed else ():
                if name not in configured.names(journal.home):
                    print(f"{name} is not set up yet: {COMMAND} backend setup {name}", file=sys.stderr)
        found = _settings(journal)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for name, value in found.items():
        if name == "note_template":
            value = "built in" if value == notes.TEMPLATE else f"{len(value.splitlines())} lines of your own"
        elif name == "allowed_backends":
            value = "all" if value is None else ", ".join(value)
        elif isinstance(value, list):
            value = ", ".join(value) if name == "rest_days" else _checklist_lines(value)
        elif isinstance(value, dict):
            value = _pairs(name, value)
        print(f"{name.replace('_', ' '):<20}{value if value not in (None, '') else '–'}")
    print(f"{'cannot be changed':<20}{', '.join(name.replace('_', ' ') for name in challenge_settings.FIXED)}")


def _pairs(name: str, value: dict[str, Any]) -> str:
    match name:
        case "backends":
            return "; ".join(f"{backend}: {', '.join(slots)}" for backend, slots in value.items())
        case "keys":
            return f"\n{'':<20}".join(f"{key}: {words}" for key, words in value.items())
    return " ".join(f"{key}={share:.0%}" for key, share in value.items())


def _rules(journal: Journal) -> list[checklist.CompetitionRule]:
    with journal.reading() as db:
        return checklist.of(challenges.active(db))


def _settings(journal: Journal) -> dict[str, Any]:
    with journal.reading() as db:
        challenge = challenges.active(db)
        rests = rest_days.of(db, challenge)
    return {
        "challenge": challenge.slug,
        "starts_on": str(challenge.starts_on),
        "days": challenge.days,
        "minutes_per_day": challenge.minutes_per_day,
        "mode": challenge.mode,
        "habit_at": challenge.habit_at,
        "strictness": challenge.strictness,
        "reflection_minutes": challenge.reflection_minutes,
        "time_zone": challenge.time_zone,
        "target_split": json.loads(challenge.target_split or "{}"),
        "note_template": notes.template(challenge),
        "rest_days": [str(on) for on in rests],
        "checklist": [asdict(rule) for rule in checklist.of(challenge)],
        "notifications": "on" if os.environ.get(signals.ADDRESSES) else f"off ({signals.ADDRESSES} is not set)",
        "backends": installed.backends(journal.home),
        "allowed_backends": challenges.allowed_backends(challenge),
        "keys": {key.name: key.words for key in installed.known_keys()},
        "data_dir": challenge.data_dir,
        "submissions_per_day": challenge.submissions_per_day,
        "home": str(journal.home.path),
    }


def _checklist_lines(rules: list[dict[str, Any]]) -> str:
    return f"\n{'':<20}".join(
        f"{number} [{'x' if rule['kept'] else ' '}] {rule['text']}" for number, rule in enumerate(rules, start=1)
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OnehourError(f"the template cannot be read ({error})", where=str(path)) from None


@app.command()
def end_challenge(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """End the challenge for good, to begin another; its record stays in the journal and in an export."""
    with opened_journal() as journal:
        with journal.reading() as db:
            running = challenges.active(db)
            at_work = [row.run_key for row in backlog.list_jobs(db, open_only=True)]
        if at_work:
            raise OnehourError(
                f"still waiting or under way: {', '.join(at_work)}",
                fix=f"Let that end, or cancel it first: {COMMAND} cancel RUN",
            )
        if not yes and not in_terminal():
            raise OnehourError(f"this ends the challenge {running.slug!r} for good", fix="Add --yes.")
        if not yes:
            typer.confirm(f"End the challenge {running.slug!r} for good?", abort=True)
        print(f"{challenges.archive(journal).slug} is archived; its record stays")

"""What of a challenge may be changed after it has begun, how each value is checked, and why the rest may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.journal import activities, challenges, checklist
from app.journal.data_layout import layout_of
from app.journal.days import clock_time, logical_date, zone
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import OnehourError, nearest

MAX_TEMPLATE = 20_000  # characters


def change(journal: Journal, **values: Any) -> Challenge:
    """Change settings of the active challenge: all of `values` (keys of CHANGEABLE) or, when one cannot be, none.

    What cannot be empty is checked as at the start; an empty habit time, template or target split clears it.
    Raises OnehourError naming the setting: with the reason for one that is FIXED, with the nearest for an unknown one.
    """
    for name in values:
        if name in FIXED:
            raise OnehourError(f"{name.replace('_', ' ')} cannot be changed", fix=FIXED[name])
        if name not in CHANGEABLE:
            raise OnehourError(f"there is no setting {name!r}", fix=nearest(name, [*CHANGEABLE, *FIXED]))
    checked = {name: CHANGEABLE[name](value) for name, value in values.items()}
    if "data_dir" in checked:
        with journal.reading() as db:
            of = challenges.active(db)
        checked |= asdict(layout_of(Path(checked["data_dir"]), of.image_col, of.label_col))
    with journal.writing() as db:
        challenge = challenges.active(db)
        if "time_zone" in checked:
            _require_no_day_comes_back(challenge, checked["time_zone"], journal.now())
        for name, value in checked.items():
            setattr(challenge, name, value)
        db.add(challenge)
    return challenge


def _require_no_day_comes_back(challenge: Challenge, zone_name: str, now: int) -> None:
    """Where it is still yesterday, a day that is over would begin again, lost hour and all."""
    here = logical_date(now, challenge.time_zone, challenge.day_starts_at)
    there = logical_date(now, zone_name, challenge.day_starts_at)
    if challenge.starts_on <= there < here:
        raise OnehourError(
            f"in {zone_name} it is still {there}, a day that is over",
            fix=f"Change the zone when {here} has begun there, at {challenge.day_starts_at}; until then the old one holds.",
        )


def _habit_at(text: str | None) -> str | None:
    return clock_time(text.strip()).strftime("%H:%M") if text and text.strip() else None


def _note_template(text: str | None) -> str | None:
    if text and len(text) > MAX_TEMPLATE:
        raise OnehourError(f"a note template of {len(text)} characters is too long", fix=f"At most {MAX_TEMPLATE}.")
    return text if text and text.strip() else None


def _data_dir(path: str | Path) -> str:
    folder = Path(str(path).strip()).expanduser()
    if not str(path).strip() or not folder.is_dir():
        raise OnehourError("there is no such data folder", where=str(path))
    return str(folder.resolve())


def _target_split(percent: str | None) -> str | None:
    if not percent or not percent.strip():
        return None
    return json.dumps({each.value: share for each, share in activities.parse_target(percent).items()})


def _submissions_per_day(number: int) -> int | None:
    """0 says that the number is not known."""
    if not 0 <= number <= 100:
        raise OnehourError(
            f"{number} submissions a day are not possible", fix="Use 1 to 100, or 0 where it is not known."
        )
    return number or None


def _backends(named: str | Sequence[str] | None) -> str | None:
    """Names with spaces or commas between them; empty: all that are configured."""
    words = named.replace(",", " ").split() if isinstance(named, str) else list(named or ())
    return json.dumps(list(dict.fromkeys(words))) if words else None


def _run_columns(names: Sequence[str] | None) -> str | None:
    return json.dumps(list(dict.fromkeys(names)), ensure_ascii=False) if names else None


# What may be changed at any time, and how a value is checked and stored.
CHANGEABLE: Mapping[str, Callable[[Any], Any]] = {
    "habit_at": _habit_at,  # HH:MM
    "strictness": challenges.strictness_of,
    "reflection_minutes": challenges.minutes_of_reflection,  # of the hours to come: a begun one keeps its own
    "time_zone": lambda name: zone(name.strip()).key,
    "note_template": _note_template,
    "target_split": _target_split,  # percent: "read=10 plan=15 code=50 analyse=25"
    "checklist": checklist.as_json,  # a list of CompetitionRule
    "data_dir": _data_dir,  # of the runs to come: a queued one has its own in its spec
    "submissions_per_day": _submissions_per_day,
    "backends": _backends,  # that runs to come may use
    "run_columns": _run_columns,  # that Runs shows, by their titles
}
JUDGED = "Past days were counted by it and would be judged anew. End the challenge and begin another."
# What may not, and why.
FIXED: Mapping[str, str] = {
    "starts_on": "Day numbers, weeks and links such as [[day-12]] are counted from it.",
    "days": "A challenge that grows when time runs out, or shrinks, is none. End it early, or begin another after it.",
    "minutes_per_day": JUDGED,
    "mode": JUDGED,
    "day_starts_at": "It decides which day an hour belongs to: past hours would move.",
    "competition": "Runs, notes and scores belong to it. Begin another challenge.",
    "metric": "Scores of two metrics cannot be compared. Begin another challenge.",
}

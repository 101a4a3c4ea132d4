"""How the hour is divided: each minute has an activity, switched while working and corrected at reflection. Pure; milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from app.journal.hour import EventKind
from engine.contract import OnehourError, nearest


class Activity(StrEnum):
    READ = "read"
    PLAN = "plan"
    CODE = "code"
    ANALYSE = "analyse"


# An hour begins with a look at the plan.
FIRST = Activity.PLAN

Split = Mapping[Activity, int]


@dataclass(frozen=True)
class Mark:
    """An event as far as the division of the hour goes."""

    kind: EventKind
    at: int
    detail: str


def activity(name: str) -> Activity:
    """Raises OnehourError naming the nearest activity."""
    try:
        return Activity(name)
    except ValueError:
        raise OnehourError(
            f"there is no activity {name!r}", fix=nearest(name, [each.value for each in Activity])
        ) from None


def current(marks: Sequence[Mark]) -> Activity:
    """What the running minutes are spent on."""
    switched = [Activity(mark.detail) for mark in marks if mark.kind is EventKind.ACTIVITY]
    return switched[-1] if switched else FIRST


def split(marks: Sequence[Mark], until: int, allowance_ms: int) -> dict[Activity, int]:
    """Focus time up to `until` by activity, at most `allowance_ms` together.

    A correction (the last one) replaces what was counted before it; time away is taken from the activity it fell into, and what is
    more than that from the largest of the others.
    """
    counted = dict.fromkeys(Activity, 0)
    doing, since = FIRST, None
    for mark in marks:
        if since is not None:
            since = _spend(counted, doing, since, min(mark.at, until), allowance_ms)
        match mark.kind:
            case EventKind.START | EventKind.RESUME:
                since = min(mark.at, until)
            case EventKind.PAUSE | EventKind.END | EventKind.CLOSE:
                since = None
            case EventKind.ACTIVITY:
                doing = Activity(mark.detail)
            case EventKind.AWAY:
                _take(counted, doing, int(json.loads(mark.detail)["away_ms"]))
            case EventKind.SPLIT:
                counted = {Activity(name): int(ms) for name, ms in json.loads(mark.detail)["new"].items()}
    if since is not None:
        _spend(counted, doing, since, until, allowance_ms)
    return counted


def _spend(counted: dict[Activity, int], doing: Activity, since: int, at: int, allowance_ms: int) -> int | None:
    """Count the stretch from `since` to `at`; returns where the next one begins, None when the hour was over before."""
    room = allowance_ms - sum(counted.values())
    counted[doing] += max(0, min(at - since, room))
    return at if at - since < room else None


def _take(counted: dict[Activity, int], first: Activity, away_ms: int) -> None:
    for each in (first, *sorted(Activity, key=lambda other: -counted[other])):
        taken = min(counted[each], away_ms)
        counted[each] -= taken
        away_ms -= taken


def shares(of: Split) -> dict[Activity, float]:
    """Shares of the whole, 0…1; zeros when nothing was counted."""
    total = sum(of.values())
    return {each: of.get(each, 0) / total if total else 0.0 for each in Activity}


def parse_minutes(parts: Sequence[str]) -> dict[Activity, float]:
    """`["code=40", "read=20"]` → minutes of each activity. Raises OnehourError naming the part that is none."""
    found: dict[Activity, float] = {}
    for part in parts:
        name, _, number = part.partition("=")
        try:
            found[activity(name)] = float(number)
            if not isfinite(found[activity(name)]):
                raise ValueError(number)
        except ValueError:
            raise OnehourError(f"{part!r} is no activity=number", fix="Example: code=40 read=20") from None
    return found


def parse_target(text: str) -> dict[Activity, float]:
    """`"read=10 plan=15 code=50 analyse=25"` (percent) → shares. Raises OnehourError unless they are 100 together."""
    percent = parse_minutes(text.replace(",", " ").split())
    if abs(sum(percent.values()) - 100) > 0.1 or min(percent.values(), default=-1) < 0:
        raise OnehourError(f"the shares add up to {sum(percent.values()):g} %", fix="They must be 100 % together.")
    return {each: percent.get(each, 0.0) / 100 for each in Activity}

"""The hour as a pure function: events in, state and deadlines out.

idle → focus → reflection → closed, with pauses inside focus. Nothing needs to be alive for an hour to end: the deadlines
follow from the events, and every reader derives the same state from them. Moments and durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    IDLE = "idle"
    FOCUS = "focus"
    PAUSED = "paused"
    REFLECTION = "reflection"
    CLOSED = "closed"


class EventKind(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"  # the focus time is over early; reflection begins
    CLOSE = "close"  # the day is over
    ACTIVITY = "activity"  # what the minutes from here on are spent on
    AWAY = "away"  # a correction: some of the focus time was none
    SPLIT = "split"  # a correction: how the focus time was really divided


@dataclass(frozen=True)
class Event:
    kind: EventKind
    at: int
    away_ms: int = 0


@dataclass(frozen=True)
class Hour:
    """What the events of one session amount to. Deadlines are exclusive; None while the clock is stopped by a pause."""

    used_ms: int = 0  # focus time before `running_since`
    running_since: int | None = None
    paused_at: int | None = None
    pauses: int = 0
    focus_ends_at: int | None = None
    reflection_ends_at: int | None = None
    day_ends_at: int = 0
    started: bool = False

    def state(self, now: int) -> State:
        if not self.started:
            return State.IDLE
        if self.paused_at is not None:
            return State.PAUSED if now < self.day_ends_at else State.CLOSED
        assert self.focus_ends_at is not None
        assert self.reflection_ends_at is not None
        if now < self.focus_ends_at:
            return State.FOCUS
        return State.REFLECTION if now < self.reflection_ends_at else State.CLOSED

    def closes_at(self) -> int:
        """When the session is over if nothing more happens: a forgotten pause ends with the day."""
        if self.paused_at is not None or self.reflection_ends_at is None:
            return self.day_ends_at
        return self.reflection_ends_at

    def used_at(self, now: int) -> int:
        """Focus time used up to `now`."""
        if self.running_since is None or self.focus_ends_at is None:
            return self.used_ms
        return self.used_ms + max(0, min(now, self.focus_ends_at) - self.running_since)


def fold(events: Iterable[Event], allowance_ms: int, reflection_ms: int, day_ends_at: int) -> Hour:
    """Fold a session's events, in order of time, into its hour.

    An event after the deadline changes nothing, but for a close in reflection and for corrections.
    """
    hour = Hour(day_ends_at=day_ends_at)
    for event in events:
        hour = _after(hour, event, allowance_ms, reflection_ms)
    return hour


def _after(hour: Hour, event: Event, allowance_ms: int, reflection_ms: int) -> Hour:
    at, state = event.at, hour.state(event.at)

    def running(used_ms: int, pauses: int) -> Hour:
        ends_at = at + max(0, allowance_ms - used_ms)
        return Hour(used_ms, at, None, pauses, ends_at, ends_at + reflection_ms, hour.day_ends_at, True)

    def stopped(reflection: int) -> Hour:
        return Hour(hour.used_at(at), None, None, hour.pauses, at, at + reflection, hour.day_ends_at, True)

    match event.kind, state:
        case EventKind.START, State.IDLE:
            return running(0, 0)
        case EventKind.PAUSE, State.FOCUS if at < hour.day_ends_at:
            return Hour(hour.used_at(at), None, at, hour.pauses + 1, None, None, hour.day_ends_at, True)
        case EventKind.RESUME, (State.PAUSED | State.REFLECTION | State.CLOSED) if at < hour.day_ends_at:
            # After the hour only a weekly budget is taken up again (sessions.start).
            return running(hour.used_at(at), hour.pauses)
        case EventKind.END, (State.FOCUS | State.PAUSED):
            return stopped(reflection_ms)
        case EventKind.CLOSE, (State.FOCUS | State.PAUSED):
            return stopped(0)
        case EventKind.CLOSE, State.REFLECTION:
            return replace(hour, paused_at=None, reflection_ends_at=at)
        case EventKind.AWAY, State.FOCUS:
            # While the hour runs, the time away is given back: the deadline moves.
            return running(max(0, hour.used_at(at) - event.away_ms), hour.pauses)
        case EventKind.AWAY, (State.PAUSED | State.REFLECTION | State.CLOSED):
            # Afterwards only the count is put right; an hour that is over is not opened again.
            return replace(hour, used_ms=max(0, hour.used_at(at) - event.away_ms), running_since=None)
    return hour

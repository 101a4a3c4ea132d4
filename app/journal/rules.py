"""What is allowed when: the action × state table, and the sentence a person reads when something is not.

The same table is held at three levels: pages grey out by `permit`, commands refuse by `require`, triggers in guard.sql
refuse rows. Tests walk it cell by cell at each level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.journal.days import clock_text
from app.journal.hour import State
from engine.contract import EXIT_AGAINST_RULES, OnehourError

# The one part of the work that reflection leaves open, for tomorrow.
PLANNING = "Planning"
# Keystrokes typed before a deadline may arrive this much after it.
NOTE_GRACE_MS = 5_000


class Action(StrEnum):
    READ = "read"
    MANAGE = "manage"  # cancel, reorder or move a job; link a submission; settings; export
    INBOX = "inbox"
    DAY_NOTE = "day note"
    PAST_NOTE = "past note"
    WORK = "work"  # todos, references, experiments, queueing a run, submitting
    STANDING_ORDER = "standing order"  # what the person allowed during the hour: requeue, resume


class Permit(StrEnum):
    YES = "yes"
    FLAGGED = "flagged"  # kept, marked as written outside the hour
    LATE = "late"  # kept, marked as written after its day was closed
    PLAN = "plan"  # tomorrow's plan only
    OVERTIME = "overtime"  # let through in honour mode, flagged, outside the count
    NO = "no"


def _row(idle: Permit, focus: Permit, paused: Permit, reflection: Permit, closed: Permit) -> Mapping[State, Permit]:
    return dict(zip(State, (idle, focus, paused, reflection, closed), strict=True))


TABLE: Mapping[Action, Mapping[State, Permit]] = {
    Action.READ: _row(Permit.YES, Permit.YES, Permit.YES, Permit.YES, Permit.YES),
    Action.MANAGE: _row(Permit.YES, Permit.YES, Permit.YES, Permit.YES, Permit.YES),
    Action.INBOX: _row(Permit.FLAGGED, Permit.YES, Permit.FLAGGED, Permit.FLAGGED, Permit.FLAGGED),
    Action.DAY_NOTE: _row(Permit.NO, Permit.YES, Permit.NO, Permit.YES, Permit.LATE),
    Action.PAST_NOTE: _row(Permit.LATE, Permit.LATE, Permit.LATE, Permit.LATE, Permit.LATE),
    Action.WORK: _row(Permit.NO, Permit.YES, Permit.NO, Permit.PLAN, Permit.NO),
    Action.STANDING_ORDER: _row(Permit.YES, Permit.YES, Permit.YES, Permit.YES, Permit.YES),
}


# Honour mode trusts the person after the hour: the work is let through, but it is seen and does not count.
HONOUR: Mapping[tuple[Action, State], Permit] = {
    (Action.WORK, State.REFLECTION): Permit.OVERTIME,
    (Action.WORK, State.CLOSED): Permit.OVERTIME,
}
STRICTNESSES = ("strict", "honour")


@dataclass(frozen=True)
class Moment:
    """The state of the hour now, with what a refusal needs to say when the thing will be possible."""

    state: State
    time_zone: str
    reflection_ends_at: int | None = None
    next_hour: str = ""  # "today", "tomorrow at 20:00", "on 2026-12-01"; empty when the challenge is over
    strictness: str = "strict"


class AgainstTheRules(OnehourError):
    exit_code = EXIT_AGAINST_RULES


def permit(action: Action, moment: Moment) -> Permit:
    """What the table says, softened where the challenge trusts the person."""
    if moment.strictness == "honour" and (action, moment.state) in HONOUR:
        return HONOUR[action, moment.state]
    return TABLE[action][moment.state]


def require(action: Action, moment: Moment, doing: str, *, for_tomorrow: bool = False) -> Permit:
    """The permit for `doing` (a gerund: "Queueing a run"), or AgainstTheRules with the reason and when it will be possible."""
    found = permit(action, moment)
    if found is Permit.NO or (found is Permit.PLAN and not for_tomorrow):
        raise AgainstTheRules(refusal(action, moment, doing))
    return found


def refusal(action: Action, moment: Moment, doing: str) -> str:
    """One sentence or two: why not now, and when."""
    subject = f"{doing} is part of the hour"
    if moment.state is State.PAUSED:
        return f"{subject}, and the hour is paused. Resume it first."
    if moment.state is State.IDLE:
        if moment.next_hour == "today":
            return f"{subject}. Start the hour first."
        return f"{subject}. {_next_hour(moment)}"
    if moment.state is State.REFLECTION and action is Action.WORK:
        until = "" if moment.reflection_ends_at is None else clock_text(moment.reflection_ends_at, moment.time_zone)
        tomorrow = "; todos can still be planned for tomorrow" if doing == PLANNING else ""
        return f"The hour is over. Your note stays open until {until}{tomorrow}. {_next_hour(moment)}"
    return f"{subject}, and today's hour is used. {_next_hour(moment)}"


def _next_hour(moment: Moment) -> str:
    if not moment.next_hour:
        return "The challenge has no further day."
    return f"Next hour: {moment.next_hour}. Until then the inbox takes it."

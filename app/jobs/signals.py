"""Signals to desktop or phone, sent once each: the habit's time, five minutes left, time is up; a run finished, failed, goes on.

The addresses (apprise's, they hold tokens) stand in the environment variable ONEHOUR_NOTIFY, separated by spaces. A short-lived
child talks to the network; what it cannot deliver is logged and not tried again: a signal that comes late is none.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import col, select

from app.jobs.backlog import CANCELLED, QUEUED
from app.journal import challenges, days, sessions, sittings
from app.journal.days import MINUTE_MS
from app.journal.hour import State
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Challenge, Job, Run, SentSignal

log = logging.getLogger("onehour.signals")

ADDRESSES = "ONEHOUR_NOTIFY"
LAST_CALL_MS = 5 * MINUTE_MS
# A reminder that comes later than this after its time is noise.
FRESH_MS = 15 * MINUTE_MS

SEND = """
import json, sys
import apprise
asked = json.load(sys.stdin)
sender = apprise.Apprise()
known = [sender.add(address) for address in asked["addresses"]]
sys.exit(0 if all(known) and sender.notify(title=asked["title"], body=asked["body"]) else 1)
"""


@dataclass(frozen=True)
class Signal:
    kind: str
    title: str
    body: str


def due(at: Sitting, sent: Collection[str]) -> list[Signal]:
    """What should be sent now, given the kinds that were sent for this day already. Pure."""
    return [signal for signal in (_habit(at), _five_minutes(at), _time_is_up(at)) if signal and signal.kind not in sent]


def send_due(journal: Journal) -> list[Signal]:
    """Write down what is due as sent, then hand it to a child. Without addresses nothing is due."""
    addresses = os.environ.get(ADDRESSES, "").split()
    if not addresses:
        return []
    with journal.reading() as db:
        challenge = challenges.find_active(db)
        if challenge is None or not due(sittings.sitting(db, challenge, journal.now()), ()):
            return []
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        sent = db.exec(
            select(col(SentSignal.kind)).where(
                SentSignal.challenge_id == at.challenge.id, SentSignal.local_date == at.local_date
            )
        ).all()
        signals = due(at, sent)
        for signal in signals:
            db.add(SentSignal(challenge_id=at.challenge.id, local_date=at.local_date, kind=signal.kind, sent_at=at.now))
    for signal in signals:
        _hand_over(signal, addresses)
    return signals


def send_job(journal: Journal, job: Job, run: Run, state: str, message: str) -> Signal | None:
    """Tell that the job's present attempt ended in `state`; queued: it goes on in another one. Nothing without addresses, or twice."""
    addresses = os.environ.get(ADDRESSES, "").split()
    if not addresses or state == CANCELLED:  # whoever cancelled it knows
        return None
    words = "goes on in another attempt" if state == QUEUED else state
    with journal.writing() as db:
        fresh, challenge = db.get(Run, run.id), db.get(Challenge, run.challenge_id)
        assert fresh is not None
        assert challenge is not None
        kind = f"job {job.id}-{job.attempt} {state}"
        if db.exec(select(SentSignal).where(SentSignal.challenge_id == challenge.id, SentSignal.kind == kind)).first():
            return None
        now = journal.now()
        on = days.logical_date(now, challenge.time_zone, challenge.day_starts_at)
        db.add(SentSignal(challenge_id=challenge.id, local_date=on, kind=kind, sent_at=now))
        cv = "" if fresh.cv is None else f"CV {fresh.cv:.4f}"
    signal = Signal(kind, f"{run.key} {words}", ". ".join(part for part in (cv, message) if part) or f"On {job.slot}.")
    _hand_over(signal, addresses)
    return signal


def _hand_over(signal: Signal, addresses: list[str]) -> None:
    # On stdin, never in argv: the addresses hold tokens. Not waited for: the worker has other things to do.
    child = subprocess.Popen(
        [sys.executable, "-c", SEND], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert child.stdin is not None
    asked = {"addresses": addresses, "title": signal.title, "body": signal.body}
    with child.stdin as pipe:
        pipe.write(json.dumps(asked).encode())
    log.info("signal: %s", signal.kind)


def _habit(at: Sitting) -> Signal | None:
    if at.challenge.habit_at is None or at.state is not State.IDLE or sessions.why_not_start(at):
        return None
    zone_name, starts_at = at.challenge.time_zone, at.challenge.day_starts_at
    habit = days.clock_time(at.challenge.habit_at)
    # A habit time before the day's start on the clock belongs to the end of the logical day.
    on = at.local_date if habit >= days.clock_time(starts_at) else at.local_date + days.DAY
    late_ms = at.now - days.to_ms(days.combine(on, habit, zone_name))
    if not 0 <= late_ms < FRESH_MS:
        return None
    return Signal(
        "habit", f"Day {at.day_number} of {at.challenge.days}", f"Your hour on {at.challenge.slug} can begin."
    )


def _five_minutes(at: Sitting) -> Signal | None:
    if at.state is not State.FOCUS or at.left_ms > LAST_CALL_MS or at.allowance_ms <= 2 * LAST_CALL_MS:
        return None
    return Signal("five minutes", "Five minutes left", "Queue the night's runs and write tomorrow's first step.")


def _time_is_up(at: Sitting) -> Signal | None:
    ended_at = at.hour.focus_ends_at
    if at.state not in (State.REFLECTION, State.CLOSED) or ended_at is None or at.now - ended_at > FRESH_MS:
        return None
    if at.left_ms > 0:
        return None  # ended by hand: the person knows
    until = days.clock_text(at.hour.closes_at(), at.challenge.time_zone)
    return Signal("time is up", "The hour is over", f"Your note stays open until {until}.")

"""What holds of days and sessions whatever a person, the machine's clock and time do."""

from __future__ import annotations

import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlmodel import col, select

from app.journal import challenge_settings, challenges, corrections, days, sessions, sittings, usage
from app.journal.activities import Activity
from app.journal.days import MINUTE_MS
from app.journal.home import Home
from app.journal.hour import EventKind, State
from app.journal.rules import AgainstTheRules
from app.journal.steady import SteadyClock
from app.journal.store import Journal, open_journal
from app.journal.tables import DailySession, SessionEvent
from engine.contract import OnehourError
from tests.conftest import ms

DAY_MS = 86_400_000
EVERY_ZONE = st.sampled_from(sorted(available_timezones()))
STARTS = st.times().map(lambda at: at.strftime("%H:%M"))


@cache
def clock_changes(zone: str, year: int) -> list[int]:
    """The moments of a year at which the wall clock of a zone is set, to the minute."""

    def offset(minute: int) -> timedelta | None:
        return days.local(minute * MINUTE_MS, zone).utcoffset()

    first = days.to_ms(datetime(year, 1, 1, tzinfo=UTC)) // MINUTE_MS
    found = []
    for before, after in pairwise(range(first, first + 367 * 1440, 1440)):
        if offset(before) != (changed := offset(after)):
            step = bisect_left(range(before, after), True, key=lambda minute, to=changed: offset(minute) == to)
            found.append((before + step) * MINUTE_MS)
    return found


@st.composite
def turns(draw: st.DrawFn) -> tuple[int, str, str]:
    """A moment near something awkward: a clock change, a day's turn, midnight or the 29th of February; with zone and start."""
    zone, starts_at, year = draw(EVERY_ZONE), draw(STARTS), draw(st.integers(1990, 2036))
    leap = date(year - year % 4, 2, 29)
    on = draw(
        st.sampled_from([leap, date(year, 1, 1), date(2011, 12, 30)]) | st.dates(date(year, 1, 1), date(year, 12, 31))
    )
    awkward = [
        days.day_starts(on, zone, starts_at),
        days.day_starts(on, zone, "00:00"),
        *clock_changes(zone, year),
    ]
    near = st.sampled_from([-1, 0, 1]) | st.integers(-DAY_MS, DAY_MS)
    return draw(st.sampled_from(awkward)) + draw(near), zone, starts_at


@settings(max_examples=300, deadline=None)
@given(turns())
@example((ms("2011-12-30 12:00"), "Pacific/Apia", "04:00"))  # the day that Samoa left out
def test_near_clock_changes_leap_days_and_midnight_every_moment_of_every_zone_has_one_day(
    turn: tuple[int, str, str],
) -> None:
    moment, zone, starts_at = turn
    on = days.logical_date(moment, zone, starts_at)
    assert days.day_starts(on, zone, starts_at) <= moment < days.day_ends(on, zone, starts_at)


@settings(max_examples=300, deadline=None)
@given(turns(), st.integers(0, 2 * DAY_MS))
def test_near_clock_changes_no_later_moment_falls_on_an_earlier_day(turn: tuple[int, str, str], more: int) -> None:
    moment, zone, starts_at = turn
    assert days.logical_date(moment, zone, starts_at) <= days.logical_date(moment + more, zone, starts_at)


@given(st.dates(date(1990, 1, 1), date(2036, 1, 1)), st.integers(0, 1_000))
def test_day_numbers_and_weeks_count_on_over_leap_days_and_years(starts_on: date, more: int) -> None:
    on = starts_on + timedelta(days=more)
    week = days.week_starts(on, starts_on)
    assert days.day_number(on, starts_on) == more + 1
    assert 0 <= (on - week).days < 7
    assert (days.day_number(week, starts_on) - 1) % 7 == 0


class Hours(RuleBasedStateMachine):
    """A person with a computer: hours are begun, interrupted and corrected, time passes, the clock is set, the zone changes."""

    def __init__(self, blank_journal_db: Path) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="onehour-hours-")
        self.home = Home(Path(self.folder.name))
        shutil.copy(blank_journal_db, self.home.journal_db)
        self.wall, self.up = ms("2026-03-26 19:00"), 5_000_000  # three days before Europe's clocks go forward
        self.journal = self.opened()
        self.beside = self.opened()
        self.settled: dict[int, tuple[Any, ...]] = {}
        self.over: set[int] = set()  # sessions that were seen closed

    def opened(self) -> Journal:
        return open_journal(self.home, SteadyClock(lambda: self.wall, lambda: self.up, "boot"))

    def teardown(self) -> None:
        self.journal.close()
        self.beside.close()
        self.folder.cleanup()

    @initialize(mode=st.sampled_from(challenges.MODES), starts_at=st.sampled_from(["00:00", "04:00", "21:30"]))
    def take_on(self, mode: str, starts_at: str) -> None:
        on = days.logical_date(self.wall, "Europe/Berlin", starts_at)
        rules = challenges.Rules("humpback", self.home.path, on, 20, 60, 10, "Europe/Berlin", mode, starts_at)
        challenges.found(self.journal, rules, on)

    def acted(self, act: Callable[[], object], ends: bool = False) -> None:
        """Do it. What is refused changes nothing; what is not never brings a deadline nearer, unless it `ends` the hour."""
        before, events = self.rows(), len(self.events())
        try:
            act()
        except (AgainstTheRules, OnehourError):
            assert (self.rows(), len(self.events())) == (before, events)
            return
        ended = {row.id: row.focus_ends_at for row in before if row.focus_ends_at is not None}
        for row in self.rows():
            if not ends and row.id in ended and row.focus_ends_at is not None:
                assert row.focus_ends_at >= ended[row.id]

    def rows(self) -> list[DailySession]:
        with self.journal.reading() as db:
            return list(db.exec(select(DailySession).order_by(col(DailySession.id))).all())

    def events(self) -> list[SessionEvent]:
        with self.journal.reading() as db:
            return list(db.exec(select(SessionEvent).order_by(col(SessionEvent.id))).all())

    def seen_by(self, journal: Journal) -> tuple[Any, ...]:
        with journal.reading() as db:
            at = sittings.sitting(db, challenges.active(db), journal.now())
        return at.now, at.local_date, at.state, at.hour, at.left_ms, at.split, at.next_hour, sessions.why_not_start(at)

    def used(self) -> int:
        with self.journal.reading() as db:
            at = sittings.sitting(db, challenges.active(db), self.journal.now())
        return at.hour.used_at(at.now)

    @rule()
    def start(self) -> None:
        self.acted(lambda: sessions.start(self.journal))

    @rule()
    def pause(self) -> None:
        self.acted(lambda: sessions.pause(self.journal, "the door"))

    @rule()
    def resume(self) -> None:
        self.acted(lambda: sessions.resume(self.journal))

    @rule(stop=st.sampled_from([sessions.end, sessions.close]))
    def stop(self, stop: Callable[[Journal], object]) -> None:
        self.acted(lambda: stop(self.journal), ends=True)

    @rule(stretches=st.lists(st.tuples(st.sampled_from(Activity), st.integers(1, 25)), min_size=1, max_size=4))
    def work(self, stretches: list[tuple[Activity, int]]) -> None:
        for activity, minutes in stretches:
            self.acted(partial(corrections.switch, self.journal, activity))
            self.time_passes(60 * minutes)

    @rule(share=st.sampled_from([0.1, 0.5, 0.9, 1.0, 1.1]))
    def away(self, share: float) -> None:
        minutes = share * self.used() / MINUTE_MS
        self.acted(lambda: corrections.away(self.journal, minutes))

    @rule(shares=st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(any))
    def divide(self, shares: list[float]) -> None:
        used = self.used() / MINUTE_MS
        minutes = {each: used * share / sum(shares) for each, share in zip(Activity, shares, strict=True)}
        self.acted(lambda: corrections.divide(self.journal, minutes))

    @rule(seconds=st.integers(1, 5_400))
    def time_passes(self, seconds: int) -> None:
        self.wall += 1_000 * seconds
        self.up += 1_000 * seconds

    @rule(hours=st.integers(8, 50))
    def sleep(self, hours: int) -> None:
        self.time_passes(3_600 * hours)

    @rule(minutes=st.sampled_from([-1, 1]) | st.integers(-600, 600))
    def set_the_clock(self, minutes: int) -> None:
        self.wall += minutes * MINUTE_MS

    @rule(zone=st.sampled_from(["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"]))
    def fly(self, zone: str) -> None:
        self.acted(lambda: challenge_settings.change(self.journal, time_zone=zone))

    @rule()
    def start_everything_anew(self) -> None:
        self.journal.close()
        self.journal = self.opened()
        self.acted(lambda: sessions.sweep(self.journal))

    @invariant()
    def every_reader_derives_the_same(self) -> None:
        with self.journal.reading() as db:
            if challenges.find_active(db) is None:
                return
        first = self.seen_by(self.journal)
        assert self.seen_by(self.journal) == first
        assert self.seen_by(self.beside) == first

    @invariant()
    def no_session_uses_more_than_it_may_and_its_parts_add_up(self) -> None:
        with self.journal.reading() as db:
            now = self.journal.now()
            for row in db.exec(select(DailySession)).all():
                events = [event for event in sittings.events_of(db, row) if event.at <= now]
                hour = sittings.hour_of(row, events)
                used, kinds = hour.used_at(now), [event.kind for event in events]
                assert 0 <= used <= row.allowance_ms
                assert hour.pauses == kinds.count(EventKind.PAUSE)
                challenge = challenges.active(db)
                split = sum(sittings.split_between(db, challenge, row.local_date, row.local_date, now).values())
                # A person says it in minutes, and may miss the sum by one.
                assert abs(split - used) <= (MINUTE_MS if EventKind.SPLIT in kinds else 0), (kinds, split, used)
                if hour.focus_ends_at is not None and hour.reflection_ends_at is not None:
                    assert row.started_at <= hour.focus_ends_at <= hour.reflection_ends_at
                if row.closed_at is not None:
                    assert hour.state(now) is State.CLOSED

    @invariant()
    def what_is_written_down_is_what_the_events_say(self) -> None:
        with self.journal.reading() as db:
            now = self.journal.now()
            for row in db.exec(select(DailySession)).all():
                hour = sittings.hour_of(row, sittings.events_of(db, row))
                assert usage.used_of(row, now) == hour.used_at(now)
                assert (row.focus_ends_at, row.reflection_ends_at) == (hour.focus_ends_at, hour.reflection_ends_at)

    @invariant()
    def a_week_holds_no_more_than_its_budget(self) -> None:
        with self.journal.reading() as db:
            challenge = challenges.find_active(db)
            if challenge is None:
                return
            for week in range(3):
                first = challenge.starts_on + timedelta(days=7 * week)
                used = usage.used_ms(db, challenge, first, first + timedelta(days=6), self.journal.now())
                assert sum(used.values()) <= usage.week_allowance_ms(challenge, first)

    @invariant()
    def no_day_that_was_begun_ever_moves(self) -> None:
        for row in self.rows():
            identity = (
                row.local_date,
                row.time_zone,
                row.day_number,
                row.day_ends_at,
                row.allowance_ms,
                row.started_at,
            )
            assert self.settled.setdefault(row.id, identity) == identity

    @invariant()
    def what_is_over_stays_over_whatever_the_clock_says(self) -> None:
        with self.journal.reading() as db:
            now = self.journal.now()
            for row in db.exec(select(DailySession)).all():
                hour = sittings.hour_of(row, sittings.events_of(db, row))
                goes_on = challenges.active(db).mode == "weekly" and now < row.day_ends_at
                if hour.state(now) is State.CLOSED and not goes_on:
                    self.over.add(row.id)
                assert row.id not in self.over or hour.state(now) is State.CLOSED

    @invariant()
    def events_are_written_in_the_order_of_their_moments(self) -> None:
        for earlier, later in pairwise(self.events()):
            assert earlier.at <= later.at, (earlier.kind, later.kind)


def test_whatever_a_person_and_the_clock_do_the_hour_keeps_its_count(blank_journal_db: Path) -> None:
    run_state_machine_as_test(
        lambda: Hours(blank_journal_db),
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            # Shrinking a failure takes minutes; the steps that are printed can be read as they are.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )

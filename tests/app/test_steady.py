"""A system clock that somebody moves, and a folder that another computer opens."""

from datetime import date

import pytest
from sqlmodel import select

from app.journal import challenges, sessions, sittings
from app.journal.home import Home
from app.journal.hour import State
from app.journal.steady import Instant, SteadyClock, this_boot
from app.journal.store import open_journal
from app.journal.tables import DailySession
from engine.contract import OnehourError
from tests.conftest import ms

pytestmark = pytest.mark.unit

NOON = ms("2026-03-02 12:00")
MINUTE = 60_000


class Machine:
    """A computer: time passes (`pass_`), and its owner may set the clock (`set_clock`). Milliseconds."""

    def __init__(self) -> None:
        self.wall, self.up = NOON, 5_000_000

    def pass_(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.up += milliseconds

    def clock(self, boot_id: str = "boot") -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.up, boot_id)


def test_without_an_anchor_it_is_the_system_clock() -> None:
    machine = Machine()
    assert machine.clock()() == NOON
    assert this_boot() != "", "on Linux the boot is known"


@pytest.mark.parametrize("moved", [-90 * MINUTE, -2 * MINUTE, 2 * MINUTE, 600 * MINUTE])
def test_a_moved_clock_is_noticed_and_time_goes_on_as_it_passed(moved: int) -> None:
    machine = Machine()
    clock = machine.clock()
    clock.hold(Instant(NOON, machine.up, "boot"), until=NOON + 1_000 * MINUTE)
    machine.pass_(10 * MINUTE)
    machine.wall += moved
    assert (clock(), clock.moved_ms()) == (NOON + 10 * MINUTE, moved)


def test_small_corrections_other_boots_and_past_days_are_left_to_the_system_clock() -> None:
    machine = Machine()
    anchor = Instant(NOON, machine.up, "boot")
    clock, other = machine.clock(), machine.clock("after a restart")
    clock.hold(anchor, until=NOON + 60 * MINUTE)
    other.hold(anchor, until=NOON + 60 * MINUTE)
    machine.wall += 20_000
    assert clock() == machine.wall
    machine.wall += 10 * MINUTE
    assert other() == machine.wall
    machine.pass_(61 * MINUTE)
    assert clock() == machine.wall


def test_setting_the_clock_back_gains_no_minute_and_is_flagged(home: Home, rules: challenges.Rules) -> None:
    machine = Machine()
    journal = open_journal(home, machine.clock())
    challenges.found(journal, rules, date(2026, 3, 2))
    sessions.start(journal)
    machine.pass_(50 * MINUTE)
    machine.wall -= 45 * MINUTE
    with journal.reading() as db:
        assert sittings.sitting(db, challenges.active(db), journal.now()).left_ms == 10 * MINUTE
    machine.pass_(11 * MINUTE)
    with journal.reading() as db:
        assert sittings.sitting(db, challenges.active(db), journal.now()).state is State.REFLECTION
    sessions.close(journal)
    with journal.reading() as db:
        assert db.exec(select(DailySession)).one().clock_moved_ms == -45 * MINUTE
    journal.close()


def test_a_second_computer_on_the_same_folder_is_refused_by_name(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEHOUR_HOST", "desk")
    open_journal(home).close()
    open_journal(home).close()
    monkeypatch.setenv("ONEHOUR_HOST", "laptop")
    with pytest.raises(OnehourError, match=r"belongs to the computer 'desk', this one is 'laptop'"):
        open_journal(home)


def test_a_clock_that_was_set_back_does_not_live_through_the_day_once_more() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.hold(Instant(NOON, machine.up, "boot"), until=NOON + 60 * MINUTE)
    machine.wall -= 120 * MINUTE
    machine.pass_(90 * MINUTE)
    assert clock() == NOON + 90 * MINUTE, "the day is over, and on the wall it is not"
    machine.pass_(90 * MINUTE)
    assert clock() == machine.wall, "from here on nothing is lived twice"


def test_a_small_correction_puts_no_event_into_the_future() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.hold(Instant(NOON, machine.up, "boot"), until=NOON + 1_000 * MINUTE)
    machine.wall -= 20_000
    assert (clock(), clock.moved_ms()) == (NOON, 0)

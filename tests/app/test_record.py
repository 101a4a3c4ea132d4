"""Challenges, notes, todos and the inbox."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from app.journal import challenges, inbox, notes, sessions, todos
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import OnehourError
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

TODAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_zone": "Europe/Berlinn"}, "Europe/Berlin"),
        ({"starts_on": date(2026, 3, 1)}, "in the past"),
        ({"minutes_per_day": -5.0}, "-5 minutes"),
        ({"reflection_minutes": -1.0}, "-1 minutes of reflection"),
        ({"days": 0}, "0 days"),
        ({"days": 10_000_000}, "10000000 days"),
        ({"starts_on": date(9999, 12, 31)}, "too far away"),
        ({"truth_path": Path("nowhere.csv")}, "no such truth file"),
        ({"habit_at": "8 pm"}, "HH:MM"),
        ({"strictness": "lax"}, "'lax'"),
        ({"mode": "dayly"}, "'daily'"),
        ({"competition": "///"}, "slug"),
        ({"data_dir": Path("nowhere")}, "no such data folder"),
        ({"day_starts_at": "25:00"}, "HH:MM"),
    ],
)
def test_rules_that_cannot_be_are_refused_by_name(
    journal: Journal, rules: challenges.Rules, change: dict[str, object], message: str
) -> None:
    with pytest.raises(OnehourError, match=message):
        challenges.found(journal, replace(rules, **change), TODAY)  # type: ignore[arg-type]
    with journal.reading() as db:
        assert challenges.find_active(db) is None


def test_one_challenge_at_a_time_and_a_slug_is_never_reused(journal: Journal, rules: challenges.Rules) -> None:
    assert challenges.found(journal, rules, TODAY).slug == "humpback"
    with pytest.raises(OnehourError, match="still running until 2026-04-30"):
        challenges.found(journal, rules, TODAY)
    challenges.archive(journal)
    assert challenges.found(journal, rules, TODAY).slug == "humpback-2"


def test_a_kaggle_address_gives_the_slug() -> None:
    assert (
        challenges.slug_of("https://www.kaggle.com/c/Humpback-Whale-Identification/") == "humpback-whale-identification"
    )


def test_a_note_is_saved_with_a_revision_and_an_older_one_never_overwrites_it(
    journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    assert notes.save(journal, TODAY, "first", 0).revision == 1
    assert notes.save(journal, TODAY, "second", 1).revision == 2
    with pytest.raises(notes.StaleNote) as stale:
        notes.save(journal, TODAY, "from another tab", 1)
    assert (stale.value.note.body, stale.value.note.revision) == ("second", 2)
    assert notes.save(journal, TODAY, "second", 1).revision == 2, "the same text is no conflict"


def test_keystrokes_typed_before_the_deadline_may_arrive_five_seconds_after_it(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(4_200 + 4.9)
    assert notes.save(journal, TODAY, "just in time", 0).late is False
    clock.move(0.2)
    assert notes.save(journal, TODAY, "too late", 1).late is True


def test_a_note_of_a_megabyte_or_of_tomorrow_is_refused(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    with pytest.raises(OnehourError, match="1000 KB"):
        notes.save(journal, TODAY, "ä" * 600_000, 0)
    with pytest.raises(OnehourError, match="no day of the challenge"):
        notes.save(journal, date(1, 1, 1), "long ago", 0)
    with pytest.raises(notes.StaleNote):
        notes.save(journal, TODAY, "written before a backup was restored", 7)
    with pytest.raises(OnehourError, match="has not come yet"):
        notes.save(journal, date(2026, 3, 3), "early", 0)


@pytest.mark.parametrize(
    ("body", "step"),
    [
        ("## Next\n\n- check crops of grey images\n- more", "check crops of grey images"),
        ("## Next\n\n## Other\ntext", ""),
        ("## Tried\nx\n# next\nrun it", "run it"),
        (notes.TEMPLATE, ""),
        ("", ""),
        ("## Next\n\n- **check** the crops\n", "**check** the crops"),
        ("## Next\n**check** the *crops*\n", "**check** the *crops*"),
        ("## Next\n1. [ ] check\n", "check"),
        ("## Next\n- \n---\n", ""),
    ],
)
def test_the_next_step_is_the_first_line_under_next(body: str, step: str) -> None:
    assert notes.next_step(body) == step


def test_todos_keep_their_order_and_roll_over_until_they_are_done(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    first, second = todos.add(journal, " look  at crops ", 15), todos.add(journal, "queue 384 px")
    assert (first.title, first.minutes) == ("look at crops", 15)
    todos.add(journal, "read write-up", tomorrow=True)
    todos.done(journal, first.id)
    clock.move(86_400)
    with journal.reading() as db:
        assert [t.title for t in todos.open_ones(db, challenge, TODAY)] == ["queue 384 px"]
        assert [t.title for t in todos.open_ones(db, challenge)] == ["queue 384 px", "read write-up"]
        assert [t.id for t in todos.done_between(db, challenge, first.created_at, clock.at)] == [first.id]
    assert second.done_at is None


@pytest.mark.parametrize(
    ("title", "minutes", "message"), [(" ", None, "title"), ("t", -3.0, "-3 minutes"), ("t" * 501, 1.0, "500")]
)
def test_an_impossible_todo_is_refused(
    journal: Journal, challenge: Challenge, title: str, minutes: float | None, message: str
) -> None:
    sessions.start(journal)
    with pytest.raises(OnehourError, match=message):
        todos.add(journal, title, minutes)


def test_ticking_off_a_todo_that_is_not_there_names_the_open_ones(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    todos.add(journal, "crops")
    with pytest.raises(OnehourError, match=r"no todo 7. Open: 1"):
        todos.done(journal, 7)


def test_a_todo_cannot_be_ticked_off_outside_the_hour(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    todo = todos.add(journal, "crops")
    clock.move(3_700)
    with pytest.raises(AgainstTheRules):
        todos.done(journal, todo.id)


def test_the_inbox_takes_a_thought_at_any_time_and_flags_it(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    assert inbox.add(journal, "on the train: mirror the flukes").outside_hour is True
    sessions.start(journal)
    clock.move(1)
    assert inbox.add(journal, "in the hour").outside_hour is False
    with journal.reading() as db:
        assert [item.body for item in inbox.latest(db, challenge)] == ["in the hour", "on the train: mirror the flukes"]
    with pytest.raises(OnehourError, match="nothing to put"):
        inbox.add(journal, "  \n")


def test_keystrokes_typed_before_a_pause_may_arrive_after_it(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(600)
    sessions.pause(journal)
    clock.move(4.9)
    assert notes.save(journal, TODAY, "just before", 0).late is False
    clock.move(5.1)
    with pytest.raises(AgainstTheRules, match="paused"):
        notes.save(journal, TODAY, "during it", 1)


def test_a_thought_that_is_sent_twice_by_one_key_is_kept_once(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    first = inbox.add(journal, "triplets")
    clock.move(0.2)
    assert inbox.add(journal, "triplets ").id == first.id
    clock.move(3)
    assert inbox.add(journal, "triplets").id != first.id

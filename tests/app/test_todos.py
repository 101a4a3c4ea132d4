"""The todo list: order, days, priority, links, what rolls over and what is taken off."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from app.journal import references, sessions, todos
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, TodoLink
from engine.contract import OnehourError
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

TODAY, TOMORROW = date(2026, 3, 2), date(2026, 3, 3)


def titles(journal: Journal, challenge: Challenge) -> list[str]:
    with journal.reading() as db:
        return [todo.title for todo in todos.open_ones(db, challenge)]


@given(ids=st.lists(st.integers(), min_size=1, max_size=8, unique=True), data=st.data())
def test_moving_keeps_the_others_in_order_and_stops_at_the_ends(ids: list[int], data: st.DataObject) -> None:
    moved, steps = data.draw(st.sampled_from(ids)), data.draw(st.integers(-10, 10))
    after = todos.reordered(ids, moved, steps)
    assert [each for each in after if each != moved] == [each for each in ids if each != moved]
    assert after.index(moved) == min(max(ids.index(moved) + steps, 0), len(ids) - 1)


def test_a_todo_is_moved_among_those_of_its_part_of_the_list(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    for title in ("a", "b"):
        todos.add(journal, title)
    todos.add(journal, "later", on=date(2026, 3, 9))
    last = todos.add(journal, "c")
    todos.move(journal, last.id, -5)
    assert titles(journal, challenge) == ["c", "a", "later", "b"]
    todos.move(journal, last.id, 1)
    assert titles(journal, challenge) == ["a", "c", "later", "b"]


def test_in_reflection_only_the_plan_of_later_days_is_changed(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    due = todos.add(journal, "today")
    clock.move(3_700)
    first, second = todos.add(journal, "first", tomorrow=True), todos.add(journal, "second", tomorrow=True)
    todos.move(journal, second.id, -1)
    assert titles(journal, challenge) == ["today", "second", "first"]
    assert todos.change(journal, first.id, title="changed", minutes=5, priority=1).minutes == 5
    todos.remove(journal, second.id)
    for act in (
        lambda: todos.move(journal, due.id, 1),
        lambda: todos.change(journal, due.id, title="x"),
        lambda: todos.change(journal, first.id, on=TODAY),
        lambda: todos.remove(journal, due.id),
        lambda: todos.done(journal, first.id),
    ):
        with pytest.raises(AgainstTheRules):
            act()
    assert titles(journal, challenge) == ["today", "changed"]


def test_what_is_given_is_changed_and_no_minutes_take_the_estimate_away(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    todo = todos.add(journal, "crops", 15, priority=todos.IMPORTANT)
    changed = todos.change(journal, todo.id, minutes=0, on=TOMORROW)
    assert (changed.title, changed.minutes, changed.priority, changed.planned_on) == ("crops", None, 1, TOMORROW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"on": date(2026, 3, 1)}, "cannot be planned for 2026-03-01. From today"),
        ({"on": date(2026, 5, 1)}, "the challenge's last day"),
        ({"priority": 7}, "no priority 7"),
        ({"minutes": -1.0}, "-1 minutes"),
        ({"title": " "}, "needs a title"),
    ],
)
def test_an_impossible_change_is_refused(
    journal: Journal, challenge: Challenge, change: dict[str, object], message: str
) -> None:
    sessions.start(journal)
    todo = todos.add(journal, "crops")
    with pytest.raises(OnehourError, match=message):
        todos.change(journal, todo.id, **change)  # type: ignore[arg-type]


def test_what_stays_open_says_from_which_day_it_is(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    sessions.start(journal)
    todo = todos.add(journal, "crops")
    assert todos.left_over_from(todo, challenge, TODAY) is None
    assert todos.left_over_from(todo, challenge, date(2026, 3, 5)) == "day 1"
    todo.planned_on = date(2026, 2, 27)
    assert todos.left_over_from(todo, challenge, TODAY) == "2026-02-27", "a day before the first has no number"
    todos.done(journal, todo.id)
    with journal.reading() as db:
        assert todos.left_over_from(todos.named(db, challenge, todo.id), challenge, TOMORROW) is None


def test_a_todo_is_linked_to_a_reference_and_taken_off_with_its_links(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    references.add(journal, "https://arxiv.org/abs/1708.02002", key="focal")
    todo = todos.add(journal, "read it")
    todos.link(journal, todo.id, "&focal")
    todos.link(journal, todo.id, "&focal")
    with journal.reading() as db:
        assert todos.links_of(db, [todo]) == {todo.id: ["&focal"]}
    with pytest.raises(OnehourError, match="Write @run or &reference"):
        todos.link(journal, todo.id, "focal")
    with pytest.raises(OnehourError, match="there is no run 'humpback_001-r01'"):
        todos.link(journal, todo.id, "@humpback_001-r01")
    todos.remove(journal, todo.id)
    with journal.reading() as db:
        assert db.exec(select(TodoLink)).all() == []

"""The action × state table, walked cell by cell: what it says, what commands do, what the database lets through."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from app.journal import challenges, inbox, notes, references, sessions, sittings, todos
from app.journal.hour import State
from app.journal.rules import TABLE, Action, AgainstTheRules, Permit
from app.journal.store import Journal
from app.journal.tables import (
    Challenge,
    Experiment,
    InboxItem,
    Job,
    Note,
    Reference,
    Run,
    RunReference,
    Submission,
    Todo,
    TodoLink,
)
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

TODAY = date(2026, 3, 2)

# The table of docs/architecture.md, written down a second time: idle, focus, paused, reflection, closed.
EXPECTED = {
    Action.READ: "yes yes yes yes yes",
    Action.MANAGE: "yes yes yes yes yes",
    Action.INBOX: "flagged yes flagged flagged flagged",
    Action.DAY_NOTE: "no yes no yes late",
    Action.PAST_NOTE: "late late late late late",
    Action.WORK: "no yes no plan no",
    Action.STANDING_ORDER: "yes yes yes yes yes",
}
CELLS = [(action, state) for action in Action for state in State]


@pytest.mark.parametrize(("action", "state"), CELLS)
def test_the_table_is_the_one_of_the_design(action: Action, state: State) -> None:
    assert TABLE[action][state].value == EXPECTED[action].split()[list(State).index(state)]


def bring_to(journal: Journal, clock: MovableClock, state: State) -> None:
    """Let the hour come to `state`, well away from any grace."""
    if state is State.IDLE:
        return
    sessions.start(journal)
    clock.move(60)
    if state is State.PAUSED:
        sessions.pause(journal, "door bell")
    elif state is State.REFLECTION:
        clock.move(3_600)
    elif state is State.CLOSED:
        clock.move(3_600 + 660)
    clock.move(30)
    with journal.reading() as db:
        assert sittings.sitting(db, challenges.active(db), journal.now()).state is state


def outcome(act: Callable[[], object]) -> bool:
    try:
        act()
    except AgainstTheRules:
        return False
    return True


@pytest.mark.parametrize("state", list(State))
def test_commands_hold_every_cell(journal: Journal, challenge: Challenge, clock: MovableClock, state: State) -> None:
    clock.move(86_400)  # so that there is a past day
    bring_to(journal, clock, state)
    on = TODAY + timedelta(days=1)

    work, day, past = (TABLE[action][state] for action in (Action.WORK, Action.DAY_NOTE, Action.PAST_NOTE))
    assert outcome(lambda: todos.add(journal, "crops")) == (work is Permit.YES)
    assert outcome(lambda: todos.add(journal, "crops", tomorrow=True)) == (work in (Permit.YES, Permit.PLAN))
    assert outcome(lambda: notes.save(journal, on, "tried", 0)) == (day is not Permit.NO)
    assert outcome(lambda: notes.save(journal, TODAY, "tried", 0)) == (past is not Permit.NO)
    assert outcome(lambda: references.add(journal, "https://arxiv.org/abs/1708.02002")) == (work is Permit.YES)
    assert notes.create(journal, "mirrored flukes").late == (TABLE[Action.INBOX][state] is Permit.FLAGGED)
    assert inbox.add(journal, "idea").outside_hour == (TABLE[Action.INBOX][state] is Permit.FLAGGED)
    with journal.reading() as db:
        note, past_note = notes.of_day(db, challenge, on), notes.of_day(db, challenge, TODAY)
    assert past_note is not None
    assert past_note.late
    assert (note is not None and note.late) == (day is Permit.LATE)


def _changed(row: Any, **values: object) -> Any:
    for name, value in values.items():
        setattr(row, name, value)
    return row


def _note(challenge: Challenge, on: date) -> Note:
    return Note(
        challenge_id=challenge.id, local_date=on, body="b", revision=1, origin="system", created_at=0, updated_at=0
    )


def _write(journal: Journal, make: Callable[[Session], object]) -> bool:
    def act() -> None:
        with journal.writing() as db:
            db.add(make(db))

    return outcome(act)


def _experiment(challenge: Challenge, key: str, origin: str) -> Experiment:
    return Experiment(challenge_id=challenge.id, key=key, hypothesis="h", origin=origin, created_at=0)


def _run(challenge: Challenge, key: str, origin: str) -> Run:
    return Run(
        challenge_id=challenge.id, experiment_id=1, key=key, local_date=TODAY, spec="{}", spec_source="x", origin=origin,
        created_at=0, metric="map5", direction="max",
    )  # fmt: skip


@pytest.mark.parametrize("state", list(State))
def test_the_database_refuses_a_persons_rows_where_the_table_does(
    journal: Journal, challenge: Challenge, clock: MovableClock, state: State
) -> None:
    with journal.writing() as db:
        db.add(_experiment(challenge, "x_001", "system"))
        db.flush()
        db.add(_run(challenge, "x_001-r01", "system"))
    clock.move(86_400)
    bring_to(journal, clock, state)
    on = TODAY + timedelta(days=1)
    work, day, past = (TABLE[action][state] for action in (Action.WORK, Action.DAY_NOTE, Action.PAST_NOTE))
    in_focus = work is Permit.YES

    def todo(planned_on: date) -> Todo:
        return Todo(
            challenge_id=challenge.id, title="t", planned_on=planned_on, position=1, origin="person", created_at=0
        )

    def note(local_date: date, late: bool) -> Note:
        return Note(
            challenge_id=challenge.id, local_date=local_date, body="b", revision=1, late=late, origin="person",
            created_at=0, updated_at=0,
        )  # fmt: skip

    def item(outside_hour: bool) -> InboxItem:
        return InboxItem(
            challenge_id=challenge.id, body="i", local_date=on, outside_hour=outside_hour, origin="person", created_at=0
        )

    assert _write(journal, lambda db: todo(on)) == in_focus
    assert _write(journal, lambda db: todo(on + timedelta(days=1))) == (in_focus or work is Permit.PLAN)
    assert _write(journal, lambda db: _experiment(challenge, "x_002", "person")) == in_focus
    assert _write(journal, lambda db: _run(challenge, "x_001-r02", "person")) == in_focus
    job = Job(run_id=1, state="queued", backend="local", origin="person", queued_at=0)
    assert _write(journal, lambda db: job) == in_focus
    submission = Submission(challenge_id=challenge.id, run_id=1, sha256="0", path="x", origin="person", created_at=0)
    assert _write(journal, lambda db: submission) == in_focus
    assert _write(journal, lambda db: item(False)) == (TABLE[Action.INBOX][state] is Permit.YES)
    assert _write(journal, lambda db: item(True))
    assert _write(journal, lambda db: note(on, False)) == (day is Permit.YES)
    assert _write(journal, lambda db: note(TODAY, False)) is False
    assert _write(journal, lambda db: note(TODAY, True)) == (past is not Permit.NO)
    if day is not Permit.YES:
        assert _write(journal, lambda db: note(on, True)) == (day is Permit.LATE)


@pytest.mark.parametrize("state", list(State))
def test_references_links_and_notes_outside_days_are_held_by_the_database_too(
    journal: Journal, challenge: Challenge, clock: MovableClock, state: State
) -> None:
    def reference(number: int, origin: str) -> Reference:
        return Reference(
            id=number, challenge_id=challenge.id, key=f"r{number}", url="https://x.org", title="t", kind="post",
            origin=origin, created_at=0,
        )  # fmt: skip

    def todo(number: int, planned_on: date) -> Todo:
        return Todo(
            id=number, challenge_id=challenge.id, title="t", planned_on=planned_on, position=number, origin="person",
            created_at=0,
        )  # fmt: skip

    def thought(late: bool) -> Note:
        return Note(
            challenge_id=challenge.id, title="t", kind="idea", body="b", revision=1, late=late, origin="person",
            created_at=0, updated_at=0,
        )  # fmt: skip

    # What a person made in an earlier hour, and what was measured or taken in by the system.
    sessions.start(journal)
    with journal.writing() as db:
        db.add(_experiment(challenge, "x_001", "person"))
        db.flush()
        for number, origin in ((1, "person"), (2, "system")):
            db.add(_run(challenge, f"x_001-r0{number}", origin))
            db.add(reference(number, origin))
        db.add(todo(1, TODAY))
        db.add(todo(2, TODAY + timedelta(days=5)))
        db.flush()
        db.add(RunReference(run_id=1, reference_id=1))
        db.add(TodoLink(id=1, todo_id=1, run_id=1))
    clock.move(86_400)
    bring_to(journal, clock, state)
    work = TABLE[Action.WORK][state]
    in_focus, may_plan = work is Permit.YES, work in (Permit.YES, Permit.PLAN)

    def deleted(row: type, key: object) -> bool:
        def act() -> None:
            with journal.writing() as db:
                db.delete(db.get(row, key))
                db.flush()
                db.rollback()

        return outcome(act)

    def renamed(db: Session) -> Reference:
        kept = db.get(Reference, 1)
        assert kept is not None
        kept.title = f"in {state}"
        return kept

    def noted(key: str, note: str, cv: float | None = None) -> Callable[[Session], Run]:
        return lambda db: _changed(db.exec(select(Run).where(Run.key == key)).one(), note=note, cv=cv)

    assert _write(journal, noted("x_001-r01", "seen")) == in_focus
    assert _write(journal, noted("x_001-r01", "seen" if in_focus else "", cv=0.5))
    assert _write(journal, noted("x_001-r02", "seen"))
    assert _write(journal, lambda db: reference(3, "person")) == in_focus
    assert _write(journal, lambda db: reference(4, "system"))
    assert _write(journal, renamed) == in_focus
    assert deleted(Todo, 2) == may_plan
    assert deleted(RunReference, (1, 1)) == in_focus
    assert deleted(TodoLink, 1) == in_focus
    # A link is a person's where both ends are.
    assert _write(journal, lambda db: RunReference(run_id=2, reference_id=1))
    assert _write(journal, lambda db: RunReference(run_id=1, reference_id=2))
    assert deleted(RunReference, (2, 1))
    assert _write(journal, lambda db: TodoLink(todo_id=1, reference_id=1)) == in_focus
    assert _write(journal, lambda db: TodoLink(todo_id=2, reference_id=1)) == may_plan
    assert _write(journal, lambda db: thought(late=False)) == in_focus
    assert _write(journal, lambda db: thought(late=True))


@pytest.mark.parametrize("state", [State.IDLE, State.PAUSED, State.REFLECTION, State.CLOSED])
def test_updates_are_held_like_inserts_and_the_worker_is_not(
    journal: Journal, challenge: Challenge, clock: MovableClock, state: State
) -> None:
    with journal.writing() as db:
        db.add(
            Todo(
                id=1, challenge_id=challenge.id, title="t", planned_on=TODAY, position=1, origin="system", created_at=0
            )
        )
        db.add(_experiment(challenge, "x_001", "system"))
        db.flush()
        db.add(_run(challenge, "x_001-r01", "system"))
    bring_to(journal, clock, state)

    def change(**values: object) -> Callable[[Session], object]:
        def make(db: Session) -> object:
            todo = db.get(Todo, 1)
            assert todo is not None
            for name, value in values.items():
                setattr(todo, name, value)
            return todo

        return make

    assert _write(journal, change(done_at=5))
    assert not _write(journal, change(origin="person", title="other"))
    assert not _write(journal, lambda db: _changed(db.get(Experiment, 1), origin="person", hypothesis="other"))
    if state is not State.REFLECTION:  # then the day's note is open
        with journal.writing() as db:
            db.add(_note(challenge, TODAY))
        assert not _write(journal, lambda db: _changed(db.exec(select(Note)).one(), origin="person", body="other"))
    assert _write(journal, lambda db: Job(run_id=1, state="queued", backend="local", origin="system", queued_at=0))


def test_a_connection_without_our_clock_cannot_write_past_the_guard(journal: Journal, challenge: Challenge) -> None:
    import sqlite3

    foreign = sqlite3.connect(journal.home.journal_db)
    with pytest.raises(sqlite3.OperationalError, match=r"now_ms|logical_date"):
        foreign.execute(
            "INSERT INTO todo (challenge_id, title, planned_on, position, origin, created_at)"
            " VALUES (1, 't', '2026-03-02', 1, 'person', 0)"
        )
    foreign.close()


def test_a_refusal_says_why_and_when_it_will_be_possible(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    bring_to(journal, clock, State.REFLECTION)
    with pytest.raises(AgainstTheRules, match=r"note stays open until 21:10.*Next hour: tomorrow"):
        todos.add(journal, "crops")
    with pytest.raises(AgainstTheRules, match=r"already started.*Next hour: tomorrow") as refused:
        sessions.start(journal)
    assert refused.value.exit_code == 3

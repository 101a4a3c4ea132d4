"""The todo list: what to do with the hour, in order, with estimates in minutes. What stays open rolls over by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from sqlmodel import Session, col, func, or_, select

from app.journal import challenges, references, sittings
from app.journal.days import DAY, day_name
from app.journal.rules import PLANNING, Action, require
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Challenge, Reference, Run, Todo, TodoLink
from engine.contract import OnehourError

MAX_TITLE = 500
USUAL, IMPORTANT = 0, 1


def add(
    journal: Journal,
    title: str,
    minutes: float | None = None,
    *,
    tomorrow: bool = False,
    on: date | None = None,
    priority: int = USUAL,
) -> Todo:
    """Put a todo at the end of the list, for today, tomorrow or the day `on`. In reflection only for a later day.

    `minutes` is the estimate.
    """
    title = _title(title)
    _check_minutes(minutes)
    _check_priority(priority)
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sittings.sitting(db, challenge, now)
        planned_on = on or (at.local_date + DAY if tomorrow else at.local_date)
        _check_day(planned_on, at)
        require(Action.WORK, at.moment, PLANNING, for_tomorrow=planned_on > at.local_date)
        last = db.exec(select(func.max(Todo.position)).where(Todo.challenge_id == challenge.id)).one()
        todo = Todo(
            challenge_id=challenge.id,
            title=title,
            minutes=minutes,
            priority=priority,
            planned_on=planned_on,
            position=(last or 0) + 1,
            origin="person",
            created_at=now,
        )
        db.add(todo)
    return todo


def done(journal: Journal, todo_id: int) -> Todo:
    """Tick a todo off. Ticking twice changes nothing."""
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        todo = named(db, at.challenge, todo_id)
        require(Action.WORK, at.moment, "Ticking off a todo")
        if todo.done_at is None:
            todo.done_at = at.now
            db.add(todo)
    return todo


def change(
    journal: Journal,
    todo_id: int,
    *,
    title: str | None = None,
    minutes: float | None = None,
    priority: int | None = None,
    on: date | None = None,
) -> Todo:
    """Change what is given; the rest stays. 0 minutes take the estimate away."""
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        todo = _changeable(db, at, todo_id, "Changing a todo")
        if title is not None:
            todo.title = _title(title)
        if minutes is not None:
            _check_minutes(minutes or None)
            todo.minutes = minutes or None
        if priority is not None:
            _check_priority(priority)
            todo.priority = priority
        if on is not None:
            _check_day(on, at)
            require(Action.WORK, at.moment, PLANNING, for_tomorrow=on > at.local_date)
            todo.planned_on = on
        db.add(todo)
    return todo


def remove(journal: Journal, todo_id: int) -> Todo:
    """Take a todo off the list for good, with its links."""
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        todo = _changeable(db, at, todo_id, "Removing a todo")
        for link in db.exec(select(TodoLink).where(TodoLink.todo_id == todo.id)).all():
            db.delete(link)
        db.flush()
        db.delete(todo)
    return todo


def move(journal: Journal, todo_id: int, steps: int) -> None:
    """Move an open todo up (negative) or down among those of its part of the list: due by today, or later."""
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        moved = _changeable(db, at, todo_id, "Ordering the todos")
        later = moved.planned_on > at.local_date
        part = [todo for todo in open_ones(db, at.challenge) if (todo.planned_on > at.local_date) is later]
        if moved.done_at is not None:
            raise OnehourError(f"todo {todo_id} is done", fix="Only open todos have an order.")
        positions = sorted(todo.position for todo in part)
        by_id = {todo.id: todo for todo in part}
        for position, ordered_id in zip(positions, reordered([todo.id for todo in part], todo_id, steps), strict=True):
            if by_id[ordered_id].position != position:
                by_id[ordered_id].position = position
                db.add(by_id[ordered_id])


def reordered(ids: Sequence[int], moved: int, steps: int) -> list[int]:
    """`ids` with `moved` that many steps further down, at most to either end."""
    rest = [each for each in ids if each != moved]
    place = min(max(ids.index(moved) + steps, 0), len(rest))
    return [*rest[:place], moved, *rest[place:]]


def link(journal: Journal, todo_id: int, target: str) -> None:
    """Link a todo to `@run` or `&reference`. Linking twice changes nothing."""
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        todo = _changeable(db, at, todo_id, "Linking a todo")
        if target.startswith("@"):
            wanted = TodoLink(todo_id=todo.id, run_id=run_named(db, target, at.challenge).id)
        elif target.startswith("&"):
            wanted = TodoLink(todo_id=todo.id, reference_id=references.named(db, at.challenge, target).id)
        else:
            raise OnehourError(f"{target!r} is no link", fix="Write @run or &reference.")
        known = db.exec(select(TodoLink).where(TodoLink.todo_id == todo.id)).all()
        if not any((each.run_id, each.reference_id) == (wanted.run_id, wanted.reference_id) for each in known):
            db.add(wanted)


def links_of(db: Session, todos: Sequence[Todo]) -> dict[int, list[str]]:
    """`@run` and `&reference` of each of the todos that has any, by the todo's id."""
    rows = db.exec(
        select(TodoLink.todo_id, Run.key, Reference.key)
        .outerjoin(Run, col(Run.id) == col(TodoLink.run_id))
        .outerjoin(Reference, col(Reference.id) == col(TodoLink.reference_id))
        .where(col(TodoLink.todo_id).in_([todo.id for todo in todos]))
        .order_by(col(TodoLink.id))
    ).all()
    found: dict[int, list[str]] = defaultdict(list)
    for todo_id, run_key, reference_key in rows:
        found[todo_id].append(f"@{run_key}" if run_key else f"&{reference_key}")
    return found


def named(db: Session, challenge: Challenge, todo_id: int) -> Todo:
    """The todo with this number. Raises OnehourError naming the open ones."""
    todo = db.get(Todo, todo_id)
    if todo is None or todo.challenge_id != challenge.id:
        known = ", ".join(str(row.id) for row in open_ones(db, challenge)) or "none"
        raise OnehourError(f"there is no todo {todo_id}", fix=f"Open: {known}.")
    return todo


def open_ones(db: Session, challenge: Challenge, until: date | None = None) -> list[Todo]:
    """Open todos in order; with `until`, those planned for that day or before (what was left over stays on the list)."""
    query = select(Todo).where(Todo.challenge_id == challenge.id, Todo.done_at == None)  # noqa: E711
    if until is not None:
        query = query.where(Todo.planned_on <= until)
    return list(db.exec(query.order_by(col(Todo.position))).all())


def open_at(db: Session, challenge: Challenge, at: int) -> list[Todo]:
    """The todos that were open when the moment `at` (milliseconds UTC) came, in the order and with the day they have now."""
    still = or_(col(Todo.done_at).is_(None), col(Todo.done_at) >= at)
    query = select(Todo).where(Todo.challenge_id == challenge.id, Todo.created_at < at, still)
    return list(db.exec(query.order_by(col(Todo.position))).all())


def planned_for(db: Session, challenge: Challenge, on: date) -> list[Todo]:
    """The todos that were planned for the day `on`, done or not, in order."""
    return list(
        db.exec(
            select(Todo).where(Todo.challenge_id == challenge.id, Todo.planned_on == on).order_by(col(Todo.position))
        ).all()
    )


def left_over_from(todo: Todo, challenge: Challenge, today: date) -> str | None:
    """The day from which an open todo rolled over, as `day 3` or its date; None for one of today or later."""
    if todo.done_at is not None or todo.planned_on >= today:
        return None
    return day_name(todo.planned_on, challenge.starts_on).lower()


def done_between(db: Session, challenge: Challenge, first_at: int, end_at: int) -> list[Todo]:
    """Todos ticked off from `first_at` to `end_at` (exclusive), in that order."""
    return list(
        db.exec(
            select(Todo)
            .where(Todo.challenge_id == challenge.id, col(Todo.done_at) >= first_at, col(Todo.done_at) < end_at)
            .order_by(col(Todo.done_at))
        ).all()
    )


def _changeable(db: Session, at: sittings.Sitting, todo_id: int, doing: str) -> Todo:
    todo = named(db, at.challenge, todo_id)
    require(Action.WORK, at.moment, doing, for_tomorrow=todo.planned_on > at.local_date)
    return todo


def _title(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise OnehourError("a todo needs a title")
    if len(title) > MAX_TITLE:
        raise OnehourError(f"a todo's title holds at most {MAX_TITLE} characters", fix="The day's note takes more.")
    return title


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and not 0 < minutes <= 24 * 60:
        raise OnehourError(f"an estimate of {minutes:g} minutes is not possible", fix="Use more than 0, at most 1440.")


def _check_priority(priority: int) -> None:
    if priority not in (USUAL, IMPORTANT):
        raise OnehourError(f"there is no priority {priority}", fix="0 is usual, 1 is important.")


def _check_day(planned_on: date, at: sittings.Sitting) -> None:
    if not at.local_date <= planned_on <= challenges.last_day(at.challenge):
        raise OnehourError(
            f"a todo cannot be planned for {planned_on}",
            fix=f"From today ({at.local_date}) to the challenge's last day ({challenges.last_day(at.challenge)}).",
        )

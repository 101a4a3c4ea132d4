"""The todo list: what to do with the hour, in order, with estimates in minutes. What stays open rolls over by itself."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session, col, func, select

from app.journal import challenges, sessions
from app.journal.days import DAY
from app.journal.rules import Action, require
from app.journal.store import Journal
from app.journal.tables import Challenge, Todo
from engine.contract import OnehourError


def add(journal: Journal, title: str, minutes: float | None = None, *, tomorrow: bool = False) -> Todo:
    """Put a todo at the end of the list. In reflection only for tomorrow; `minutes` is the estimate."""
    title = " ".join(title.split())
    if not title:
        raise OnehourError("a todo needs a title")
    if len(title) > 500:
        raise OnehourError("a todo's title holds at most 500 characters", fix="The day's note takes more.")
    if minutes is not None and not 0 < minutes <= 24 * 60:
        raise OnehourError(f"an estimate of {minutes:g} minutes is not possible", fix="Use more than 0, at most 1440.")
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sessions.sitting(db, challenge, now)
        require(Action.WORK, at.moment, "Planning", for_tomorrow=tomorrow)
        last = db.exec(select(func.max(Todo.position)).where(Todo.challenge_id == challenge.id)).one()
        todo = Todo(
            challenge_id=challenge.id,
            title=title,
            minutes=minutes,
            planned_on=at.local_date + DAY if tomorrow else at.local_date,
            position=(last or 0) + 1,
            origin="person",
            created_at=now,
        )
        db.add(todo)
    return todo


def done(journal: Journal, todo_id: int) -> Todo:
    """Tick a todo off. Ticking twice changes nothing."""
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        todo = db.get(Todo, todo_id)
        if todo is None or todo.challenge_id != challenge.id:
            known = ", ".join(str(row.id) for row in open_ones(db, challenge)) or "none"
            raise OnehourError(f"there is no todo {todo_id}", fix=f"Open: {known}.")
        require(Action.WORK, sessions.moment(db, challenge, now), "Ticking off a todo")
        if todo.done_at is None:
            todo.done_at = now
            db.add(todo)
    return todo


def open_ones(db: Session, challenge: Challenge, until: date | None = None) -> list[Todo]:
    """Open todos in order; with `until`, those planned for that day or before (what was left over stays on the list)."""
    query = select(Todo).where(Todo.challenge_id == challenge.id, Todo.done_at == None)  # noqa: E711
    if until is not None:
        query = query.where(Todo.planned_on <= until)
    return list(db.exec(query.order_by(col(Todo.position))).all())


def done_between(db: Session, challenge: Challenge, first_at: int, end_at: int) -> list[Todo]:
    """Todos ticked off from `first_at` to `end_at` (exclusive), in that order."""
    return list(
        db.exec(
            select(Todo)
            .where(Todo.challenge_id == challenge.id, col(Todo.done_at) >= first_at, col(Todo.done_at) < end_at)
            .order_by(col(Todo.done_at))
        ).all()
    )

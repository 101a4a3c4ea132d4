"""What an export holds for a person and a spreadsheet: days and notes as Markdown, lists as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from sqlmodel import Session, col, select

from app.journal import usage
from app.journal.days import from_ms
from app.journal.tables import (
    Challenge,
    DailySession,
    Experiment,
    LeaderboardScore,
    Note,
    Reference,
    Run,
    Submission,
    Todo,
)

Slugs = dict[int, str]


def readable_files(db: Session, now: int) -> Iterator[tuple[str, str]]:
    """Name (relative) and text of each file."""
    challenges = list(db.exec(select(Challenge).order_by(col(Challenge.id))).all())
    slugs = {challenge.id: challenge.slug for challenge in challenges}
    for challenge in challenges:
        yield from _days(db, challenge, now)
        outside = select(Note).where(Note.challenge_id == challenge.id, col(Note.local_date).is_(None))
        for note in db.exec(outside.order_by(col(Note.id))).all():
            front = {"title": note.title or "", "kind": note.kind, "late": note.late}
            yield f"notes/{challenge.slug}/{note.id:04d}.md", _page(front, note.body)
    yield "todos.csv", _todos(db, slugs)
    yield "references.csv", _references(db, slugs)
    yield "runs.csv", _runs(db, slugs)
    yield "scores.csv", _scores(db, slugs)


def _todos(db: Session, slugs: Slugs) -> str:
    columns = ("challenge", "title", "minutes", "priority", "planned_on", "done_at", "origin")
    found = db.exec(select(Todo).order_by(col(Todo.challenge_id), col(Todo.position), col(Todo.id))).all()
    values = ((row.title, row.minutes, row.priority, row.planned_on, _iso(row.done_at), row.origin) for row in found)
    return _table(columns, ((slugs[row.challenge_id], *cells) for row, cells in zip(found, values, strict=True)))


def _references(db: Session, slugs: Slugs) -> str:
    columns = ("key", "url", "title", "author", "licence", "kind", "taken")
    found = db.exec(select(Reference).order_by(col(Reference.id))).all()
    rows = ((slugs[row.challenge_id], *(getattr(row, name) for name in columns)) for row in found)
    return _table(("challenge", *columns), rows)


def _runs(db: Session, slugs: Slugs) -> str:
    columns = ("key", "local_date", "spec_source", "metric", "cv", "threshold", "gpu_s", "device")
    query = select(Run, Experiment.hypothesis).join(Experiment, col(Experiment.id) == col(Run.experiment_id))
    rows = (
        (slugs[run.challenge_id], hypothesis, _iso(run.finished_at), *(getattr(run, name) for name in columns))
        for run, hypothesis in db.exec(query.order_by(col(Run.id))).all()
    )
    return _table(("challenge", "hypothesis", "finished_at", *columns), rows)


def _scores(db: Session, slugs: Slugs) -> str:
    columns = ("challenge", "submission", "description", "sent_at", "run", "cv", "source", "public", "private")
    query = (
        select(Submission, Run, LeaderboardScore)
        .outerjoin(Run, col(Run.id) == col(Submission.run_id))
        .outerjoin(LeaderboardScore, col(LeaderboardScore.submission_id) == col(Submission.id))
        .order_by(col(Submission.id), col(LeaderboardScore.id))
    )
    rows = (
        (slugs[sent.challenge_id], sent.path, sent.description, _iso(sent.sent_at))
        + ((run.key, run.cv) if run else ("", None))
        + ((lb.source, lb.public, lb.private) if lb else ("", None, None))
        for sent, run, lb in db.exec(query).all()
    )
    return _table(columns, rows)


def _days(db: Session, challenge: Challenge, now: int) -> Iterator[tuple[str, str]]:
    """The page of each day that has an hour or a note."""
    hours = {
        row.local_date: row for row in db.exec(select(DailySession).where(DailySession.challenge_id == challenge.id))
    }
    notes: dict[date, Note] = {}
    for note in db.exec(select(Note).where(Note.challenge_id == challenge.id, col(Note.local_date).is_not(None))):
        assert note.local_date is not None
        notes[note.local_date] = note
    days = sorted({*hours, *notes})
    used = usage.used_ms(db, challenge, days[0], days[-1], now) if days else {}
    for on in days:
        front = {
            "date": str(on),
            "zone": hours[on].time_zone if on in hours else challenge.time_zone,
            "minutes": round(used.get(on, 0) / 60_000, 1),
            "late": on in notes and notes[on].late,
        }
        yield f"days/{challenge.slug}/{on}.md", _page(front, notes[on].body if on in notes else "")


def _page(front: dict[str, Any], body: str) -> str:
    lines = [
        f"{key}: {value if key in ('date', 'zone') else json.dumps(value, ensure_ascii=False)}"
        for key, value in front.items()
    ]
    return "\n".join(["---", *lines, "---", "", body.rstrip("\n"), ""])


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _iso(at: int | None) -> str:
    return "" if at is None else from_ms(at).isoformat(timespec="milliseconds")

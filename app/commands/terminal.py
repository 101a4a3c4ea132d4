"""What every command stands on: the open journal, questions in a terminal, dates in and moments out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

import typer

from app.journal import days
from app.journal.home import find_home
from app.journal.store import Journal, open_journal
from engine.contract import OnehourError

Answer = TypeVar("Answer")
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object")]


@contextmanager
def opened_journal() -> Iterator[Journal]:
    journal = open_journal(find_home())
    try:
        yield journal
    finally:
        journal.close()


def in_terminal() -> bool:
    return sys.stdin.isatty()


def asked(given: Answer | None, question: str, default: Answer, kind: Callable[[Any], Answer]) -> Answer:
    """What was given, else the answer to a question in a terminal, else the default."""
    if given is not None:
        return given
    return typer.prompt(question, default=default, type=kind) if in_terminal() else default


def body_of(given: str) -> str:
    """What was given, or what stands on standard input for `-`. Raises OnehourError for what is no UTF-8 text."""
    try:
        body = sys.stdin.read() if given == "-" else given
        body.encode()  # in a terminal without a language Python lets other bytes through
    except UnicodeError:
        raise OnehourError("what came in is no UTF-8 text") from None
    return body


def date_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OnehourError(f"{text!r} is no date", fix="Write it as YYYY-MM-DD.") from None


def moment_of(text: str) -> int:
    """A moment as a person types it, in UTC where no zone is said; milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OnehourError(f"{text!r} is no moment", fix="Write it as YYYY-MM-DD HH:MM, in UTC.") from None
    return days.to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def iso(at: int | None) -> str | None:
    return None if at is None else datetime.isoformat(days.from_ms(at), timespec="milliseconds")

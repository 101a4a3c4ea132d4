"""What a foreign file was found to hold, before anything of it is in the journal, and the lines that could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Problem:
    """A line that cannot be taken, and why. `where` is file:line."""

    where: str
    reason: str


@dataclass(frozen=True)
class FoundRecord:
    where: str  # file:line


@dataclass(frozen=True)
class FoundNote(FoundRecord):
    """The page of the day `on`, or a page outside any day with a title.

    A day's page may have a title too: it is needed where the day has a note already.
    """

    on: date | None
    title: str
    body: str


@dataclass(frozen=True)
class FoundTodo(FoundRecord):
    on: date | None  # None: no day is known, it is planned for today
    title: str
    done: bool


@dataclass(frozen=True)
class FoundReference(FoundRecord):
    url: str
    title: str = ""
    author: str = ""
    licence: str = ""
    kind: str = ""
    taken: str = ""


@dataclass(frozen=True)
class FoundSubmission(FoundRecord):
    """A file that was sent. `at` in milliseconds UTC where the moment is known, else `on`."""

    file_name: str
    description: str
    on: date | None = None
    at: int | None = None
    public: float | None = None
    private: float | None = None


@dataclass
class Found:
    notes: list[FoundNote] = field(default_factory=list)
    todos: list[FoundTodo] = field(default_factory=list)
    references: list[FoundReference] = field(default_factory=list)
    submissions: list[FoundSubmission] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    others: int = 0  # files that are neither Markdown nor CSV, left out

    def add(self, other: Found) -> None:
        self.notes += other.notes
        self.todos += other.todos
        self.references += other.references
        self.submissions += other.submissions
        self.problems += other.problems

    def cannot(self, where: str, reason: str) -> None:
        self.problems.append(Problem(where, reason))

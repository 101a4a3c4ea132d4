"""What is known of an attempt at Kaggle, kept on this computer so that the next driver need not ask for it again."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.run_folder import write_json


@dataclass(frozen=True)
class Note:
    """`asked_at`: when its kernel was pushed, seconds of the system's clock, written before Kaggle had answered."""

    slug: str = ""
    asked_at: float = 0.0
    pushed: bool = False  # Kaggle has answered
    ended_at: float = 0.0  # when it was first seen to have ended, while how it ended is not known yet
    is_over: bool = False
    exit_code: int | None = None  # of an attempt that is over; None: lost
    reason: str = ""
    session_s: float | None = None
    is_home: bool = False  # what it left was brought here
    brought: Mapping[str, Any] = field(default_factory=dict)  # size and date of each file then, by its name


class Notes:
    def __init__(self, root: Path) -> None:
        self.root = root

    def of(self, attempt: str) -> Note:
        try:
            return Note(**json.loads(self._path(attempt).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Note()

    def keep(self, attempt: str, note: Note) -> None:
        write_json(self._path(attempt), asdict(note))

    def folder(self, attempt: str) -> Path:
        return self.root / attempt

    @contextmanager
    def held(self, attempt: str) -> Iterator[None]:
        """One process and thread at a time sends an attempt."""
        self.folder(attempt).mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder(attempt) / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _path(self, attempt: str) -> Path:
        return self.root / attempt / "note.json"

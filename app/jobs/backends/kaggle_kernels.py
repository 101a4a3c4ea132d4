"""Kaggle as a backend: each attempt is a private kernel of its own, named after it, which is looked up before one is pushed.

A kernel's output can be had only when it has ended, and no one but a person can stop it. What its script ended with stands in a
file among its output; a kernel that ended without that file is lost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from app.jobs.backends import kaggle_request, kaggle_results
from app.jobs.backends.behind import Work
from app.jobs.backends.interface import Abilities, Attempt, Condition, Probe, Status
from app.jobs.backends.kaggle_notes import Note, Notes
from app.jobs.backends.kaggle_sending import LOST_ANSWER_S, Sending
from app.jobs.backends.kaggle_sessions import Sessions, SessionStatus
from app.jobs.backends.settings import KaggleSettings
from app.jobs.kaggle_account import Account, Busy
from app.journal.home import Home
from engine.contract import OnehourError
from engine.run_folder import RunFolder

Answer = TypeVar("Answer")

SEND, FETCH = "send", "fetch"
# A kernel that has ended without a word of how is lost, but not before this: its output may be shown a little later.
OUTPUT_WAIT_S = 180.0


class KaggleBackend:
    def __init__(self, name: str, settings: KaggleSettings, home: Home, account: Account | None = None) -> None:
        self.home, self.name, self.settings = home, name, settings
        self.account = account or Account()
        self.sessions = Sessions(self.account)
        self.notes = Notes(home.jobs_dir / "kaggle")
        self.sending = Sending(home, settings, self.account, self.notes)
        self.abilities = Abilities(
            cancel=False,
            live_log=False,
            time_limit_s=settings.time_limit - settings.margin,
            quota=True,
            how_to_cancel="Kaggle lets nobody stop a kernel from here: stop the one that is named after the run on its own "
            "page; https://www.kaggle.com/work/code lists it.",
        )
        self.working: dict[tuple[str, str], Work] = {}
        self.seen: dict[str, tuple[float, Status]] = {}
        self.quiet_until = 0.0  # seconds of a steady clock: Kaggle asked not to be asked before

    def slots(self) -> tuple[str, ...]:
        return self.settings.slot_names(self.name)

    def gpus_of(self, slot: str) -> int:
        return self.settings.gpus_of(slot)

    def probe(self) -> Probe:
        quota = self.sessions.quota()
        problems = []
        if quota is None:
            problems.append("Kaggle tells of no GPU quota for this account. Is its phone number verified?")
        elif self.gpus_of("") and quota.used_s >= quota.allowed_s:
            problems.append("The week's GPU quota is used up.")
        gpus = (self.settings.accelerator,) if self.gpus_of("") else ()
        return Probe(gpus=gpus, quota=quota, problems=tuple(problems))

    def submit(self, attempt: Attempt) -> None:
        self.seen.pop(attempt.name, None)
        if not self.notes.of(attempt.name).is_over:
            self._behind(SEND, attempt, lambda work: self.sending.send(attempt, work))

    def status(self, attempt: Attempt) -> Status:
        note = self.notes.of(attempt.name)
        if note.is_over:
            return self._over(attempt, note)
        work = self.working.get((SEND, attempt.name))
        if work is not None:
            if work.is_alive():
                return Status(Condition.WAITING, reason=work.words)
            self._done(SEND, attempt)
        at, seen = self.seen.get(attempt.name, (-math.inf, Status(Condition.ABSENT)))
        if time.monotonic() - at < self.settings.poll:
            return seen
        found = self._gently(lambda: self._look(attempt))
        self.seen[attempt.name] = time.monotonic(), found
        return found

    def log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        """What lies here; of a kernel that has ended the file at Kaggle, before it is brought home."""
        here = RunFolder(attempt.run_dir).log_piece(offset, most)
        note = self.notes.of(attempt.name)
        if here or note.is_home or note.exit_code is None:
            return here
        wanted = f"{attempt.run_dir.name}/{RunFolder(attempt.run_dir).log_txt.name}"
        outputs = self._gently(lambda: self.sessions.outputs(note.slug))[0]
        address = next((one.address for one in outputs if one.name == wanted), "")
        return self._gently(lambda: self.account.read(address, offset, most)) if address else b""

    def fetch(self, attempt: Attempt) -> bool:
        note = self.notes.of(attempt.name)
        if note.is_home:
            return True
        if not note.is_over:
            return False
        work = self._behind(FETCH, attempt, lambda work: kaggle_results.bring(self.account, self.notes, attempt))
        if work.is_alive():
            return False
        self._done(FETCH, attempt)
        return self.notes.of(attempt.name).is_home

    def cancel(self, attempt: Attempt) -> None:
        """Only what has not been pushed yet can be stopped."""
        work = self.working.get((SEND, attempt.name))
        if work is not None:
            work.stop.set()

    def clear(self, attempt: Attempt) -> None:
        """Kaggle itself said that it is over."""

    def close(self) -> None:
        for work in self.working.values():
            work.stop.set()

    # What is seen of a kernel

    def _look(self, attempt: Attempt) -> Status:
        note = self.notes.of(attempt.name)
        slug = note.slug or kaggle_request.slug_of(self.home, attempt)
        found = self.sessions.status(slug)
        if found is None:
            if note.asked_at and time.time() - note.asked_at < LOST_ANSWER_S:
                return Status(Condition.WAITING, reason="Kaggle has not said yet whether its kernel began")
            if not note.pushed:
                return Status(Condition.ABSENT)
            self.notes.keep(attempt.name, replace(note, is_over=True, is_home=True))  # somebody deleted it there
            return Status(Condition.LOST)
        if found.state in ("QUEUED", "NEW_SCRIPT"):
            return Status(Condition.WAITING, reason="in Kaggle's queue")
        if found.state in ("RUNNING", "CANCEL_REQUESTED"):
            return Status(Condition.RUNNING)
        return self._ended(attempt, replace(note, slug=slug, ended_at=note.ended_at or time.time()), found)

    def _ended(self, attempt: Attempt, note: Note, found: SessionStatus) -> Status:
        """Kaggle says that it has ended: how, its own file tells, if it came so far."""
        told = kaggle_results.exit_file(self.account, attempt, note.slug) if found.state == "COMPLETE" else {}
        if found.state == "COMPLETE" and not told and time.time() - note.ended_at < OUTPUT_WAIT_S:
            self.notes.keep(attempt.name, note)
            return Status(Condition.WAITING, reason="it has ended; Kaggle does not show its output yet")
        code, seconds = told.get("exit_code"), told.get("session_s")
        note = replace(
            note,
            pushed=True,
            is_over=True,
            exit_code=code if isinstance(code, int) else None,
            reason=str(told.get("reason", "")) or found.failure,
            session_s=float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else None,
        )
        self.notes.keep(attempt.name, note)
        return self._over(attempt, note)

    def _over(self, attempt: Attempt, note: Note) -> Status:
        if note.exit_code is None:
            return Status(Condition.LOST)
        gpu_s = None if note.session_s is None else note.session_s * self.gpus_of(attempt.slot)
        return Status(Condition.EXITED, note.exit_code, reason=note.reason, gpu_s=gpu_s)

    # What goes on behind the calls

    def _behind(self, what: str, attempt: Attempt, act: Callable[[Work], None]) -> Work:
        key = what, attempt.name
        if key not in self.working:
            self.working[key] = Work(act)
        return self.working[key]

    def _done(self, what: str, attempt: Attempt) -> None:
        """Forget work that has ended; raise what ended it."""
        error = self.working.pop((what, attempt.name)).error
        if error is not None:
            self._wait_as_asked(error)
            raise error

    def _gently(self, call: Callable[[], Answer]) -> Answer:
        """Ask, but not before Kaggle wants to be asked again."""
        left_s = self.quiet_until - time.monotonic()
        if left_s > 0:
            raise Busy(f"it asked to wait for another {left_s:.0f} s", left_s, answered=True)
        try:
            return call()
        except Busy as error:
            self._wait_as_asked(error)
            raise

    def _wait_as_asked(self, error: OnehourError) -> None:
        if isinstance(error, Busy) and error.answered:
            self.quiet_until = time.monotonic() + error.after_s

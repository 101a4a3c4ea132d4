"""An attempt on its way to Kaggle: what it needs is sent, then its kernel is pushed, once."""

from __future__ import annotations

import time
from dataclasses import replace

from app.jobs.backends import kaggle_request
from app.jobs.backends.behind import Work
from app.jobs.backends.interface import Attempt
from app.jobs.backends.kaggle_notes import Notes
from app.jobs.backends.kaggle_parcels import Parcels
from app.jobs.backends.kaggle_sessions import Kernel, Sessions
from app.jobs.backends.settings import KaggleSettings
from app.jobs.kaggle_account import Account, Busy
from app.journal.home import Home
from engine.contract import EXIT_REQUEUE

# A push whose answer was lost is not repeated before this: the kernel may appear a little later.
LOST_ANSWER_S = 120.0


class Sending:
    def __init__(self, home: Home, settings: KaggleSettings, account: Account, notes: Notes) -> None:
        self.home, self.settings, self.notes = home, settings, notes
        self.sessions = Sessions(account)
        self.parcels = Parcels(account, notes.root / "parcels", min(settings.poll, 5.0))

    def send(self, attempt: Attempt, work: Work) -> None:
        """Send what the attempt needs, and push its kernel unless it is there."""
        with self.notes.held(attempt.name):
            note = self.notes.of(attempt.name)
            if note.is_over:
                return
            note = replace(note, slug=kaggle_request.slug_of(self.home, attempt))
            if self.sessions.status(note.slug) is not None:
                self.notes.keep(attempt.name, replace(note, pushed=True))
                return
            if note.asked_at and time.time() - note.asked_at < LOST_ANSWER_S:
                raise Busy("it has not said yet whether the kernel began")
            kernel = self._kernel(attempt, note.slug, work)
            if work.stop.is_set():  # as good as stopped in good order: nothing has begun
                self.notes.keep(
                    attempt.name, replace(note, is_over=True, is_home=True, exit_code=EXIT_REQUEUE, session_s=0.0)
                )
                return
            self.notes.keep(attempt.name, replace(note, asked_at=time.time()))
            try:
                self.sessions.push(kernel)
            except Busy as error:
                if error.answered:
                    self.notes.keep(attempt.name, note)
                raise
            self.notes.keep(attempt.name, replace(note, asked_at=time.time(), pushed=True))

    def _kernel(self, attempt: Attempt, slug: str, work: Work) -> Kernel:
        """Everything that it needs is at Kaggle when this returns, or the work was stopped."""
        previous, brought = self._previous(attempt)
        needed = kaggle_request.sources(attempt, brought)
        datasets = {}
        for name, parcel in needed.parcels.items():
            if not work.stop.is_set():
                datasets[name] = self.parcels.send(parcel, work.say, work.stop)
        left = ""
        if needed.left is not None and not work.stop.is_set():
            left = self.parcels.send(needed.left, work.say, work.stop)
        work.say("its kernel is being pushed")
        limit_s = self.settings.time_limit - self.settings.margin
        stop_after_s = self.settings.time_limit - self.settings.margin / 2
        return Kernel(
            slug,
            kaggle_request.script(
                attempt, needed, datasets, left, previous, limit_s, stop_after_s, self.settings.gpus_of(attempt.slot)
            ),
            self.settings.time_limit,
            self.settings.accelerator,
            self.settings.internet,
            tuple(dict.fromkeys([*datasets.values(), *([left] if left else [])])),
            tuple(dict.fromkeys(needed.competitions.values())),
            (previous,) if previous else (),
        )

    def _previous(self, attempt: Attempt) -> tuple[str, dict[str, object]]:
        """The kernel of the job's last attempt here, and what was brought home from it, as far as it is of use now."""
        job = attempt.name.rpartition("-")[0]
        for number in range(attempt.number - 1, 0, -1):
            note = self.notes.of(f"{job}-{number}")
            if note.brought and kaggle_request.still_there(attempt, note.brought):
                found = self.sessions.status(note.slug)
                if found is not None and found.state == "COMPLETE":
                    return note.slug, dict(note.brought)
        return "", {}

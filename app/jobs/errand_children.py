"""The children of one worker: short-lived processes that do the errands that are due."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Sequence

from sqlmodel import col, select

from app.jobs.errand_locks import is_held
from app.jobs.errands import LONGEST_OF, LONGEST_S, OPEN, RUNNING, settle_ended, start, take_up
from app.journal.store import Journal
from app.journal.tables import Errand

log = logging.getLogger("onehour.errands")

AT_ONCE = 2


class Children:
    """At most AT_ONCE, one of a kind."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.running: dict[int, tuple[str, subprocess.Popen[bytes], float]] = {}
        self.is_first = True

    def tick(self) -> bool:
        """Start what is due; returns whether a child is at work."""
        for errand_id, (kind, child, started_at) in list(self.running.items()):
            if child.poll() is None and time.monotonic() - started_at > LONGEST_OF.get(kind, LONGEST_S):
                child.kill()
                child.wait()
            if child.poll() is not None:
                del self.running[errand_id]
                settle_ended(self.journal, errand_id)
        if self.is_first:
            self.is_first = False
            self._take_up()
        room = AT_ONCE - len(self.running)
        if room > 0:
            for errand in self._due({kind for kind, _, _ in self.running.values()})[:room]:
                log.info("errand %d: %s %s", errand.id, errand.kind, errand.subject)
                self.running[errand.id] = errand.kind, start(self.journal, errand.id), time.monotonic()
        return bool(self.running)

    def end(self) -> None:
        for _, child, _ in self.running.values():
            child.terminate()
        for _, child, _ in self.running.values():
            child.wait()
        self.running.clear()

    def _take_up(self) -> None:
        """What ran under a worker that died is open again, unless somebody's child is still at it."""
        with self.journal.reading() as db:
            running = db.exec(select(Errand.id).where(Errand.state == RUNNING)).all()
        for errand_id in running:
            if not is_held(self.journal.home, errand_id):
                take_up(self.journal, errand_id)

    def _due(self, busy: set[str]) -> Sequence[Errand]:
        query = select(Errand).where(Errand.state == OPEN, Errand.due_at <= self.journal.now())
        with self.journal.reading() as db:
            found = db.exec(query.order_by(col(Errand.due_at), col(Errand.id)).limit(50)).all()
        first: dict[str, Errand] = {}
        for errand in found:
            if errand.kind not in busy:
                first.setdefault(errand.kind, errand)
        return list(first.values())

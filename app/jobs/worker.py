"""The worker: a lean process of its own that starts what waits, watches what runs and takes in what is done.

    python -m app.jobs.worker

It works through the jobs of this computer itself. Each other backend that has something to do gets a driver: a process that does
the same for its jobs, holds its connections, and ends when there is nothing left. What else needs the network is an errand, done by a
child. Ending the worker leaves the attempts running; the next one takes them over.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

from app.jobs import configured, signals, standing_orders, wandb_watching
from app.jobs.drivers import Drivers
from app.jobs.errand_children import Children
from app.jobs.kaggle_looks import Looks
from app.jobs.lookout import as_process, look_again_and_again
from app.jobs.presence import present, worker_lock
from app.jobs.reconciler import Reconciler
from app.jobs.wakefulness import Wakefulness
from app.journal import backups, sessions
from app.journal.store import Journal
from engine.contract import OnehourError

log = logging.getLogger("onehour.worker")

HOUR_MS = 3_600_000


class Chores:
    """What is to be done whether or not a job runs: the sweep of hours, signals, the daily backup, drivers, standing orders, what
    Kaggle is asked each hour, and errands."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.drivers, self.children, self.looks = Drivers(journal), Children(journal), Looks(journal)
        self.backup_tried = -1

    def tick(self) -> bool:
        """Returns whether a driver or an errand is at work. A chore that fails keeps none of the others from being done."""
        for chore in (
            lambda: sessions.sweep(self.journal),
            lambda: signals.send_due(self.journal),
            self._daily_backup,
            lambda: wandb_watching.ask_due(self.journal),
            self.drivers.tick,
            lambda: standing_orders.decide_due(self.journal),
            self.looks.tick,
        ):
            _tried(chore)
        return _tried(self.children.tick)

    def _daily_backup(self) -> None:
        """Tried once an hour: one that fails (a full disk) must not fill the log, nor stop the jobs."""
        hour = self.journal.now() // HOUR_MS
        if hour != self.backup_tried:
            self.backup_tried = hour
            try:
                backups.daily(self.journal.home, self.journal.now())
            except OnehourError as error:
                log.error("no daily backup: %s", error)

    def end(self) -> None:
        """End drivers and errands; the next worker starts them anew."""
        self.drivers.end()
        self.children.end()


def _tried(chore: Callable[[], object]) -> bool:
    """Whether it is at work; one that failed counts as at work, and is tried again at the next look."""
    try:
        return bool(chore())
    except Exception:  # a journal that is locked or a full disk now may be fine a moment later
        log.exception("a chore failed; the others go on")
        return True


def run_worker(journal: Journal, stop: threading.Event, jobs: Reconciler | None = None) -> None:
    """Work until `stop` is set. Raises OnehourError when another worker works for this home."""
    jobs = jobs or Reconciler(journal, configured.local(journal.home))
    chores, awake = Chores(journal), Wakefulness()

    def look() -> bool:
        at_work, at_errands = _tried(jobs.tick), chores.tick()
        awake.keep(at_work)
        return at_work or at_errands

    with present(worker_lock(journal.home), "a worker", {"slots": jobs.slots}):
        log.info("working with %s", ", ".join(jobs.slots))
        try:
            look_again_and_again(journal, stop, look)
        finally:
            chores.end()
            awake.end()
        log.info("ends; attempts go on without it")


def main() -> int:
    return as_process("worker.log", run_worker)


if __name__ == "__main__":
    sys.exit(main())

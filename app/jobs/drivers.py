"""The drivers: for each backend but this computer a process that works through its jobs, as long as it has any.

python -m app.jobs.drivers NAME
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial

from app.jobs import backlog, configured
from app.jobs.backends.local import LOCAL
from app.jobs.dependants import end_with_parent
from app.jobs.lookout import as_process, look_again_and_again
from app.jobs.presence import driver_lock, present, who_holds
from app.jobs.reconciler import Reconciler
from app.journal.home import CHECKOUT
from app.journal.store import Journal
from engine.contract import OnehourError

log = logging.getLogger("onehour.jobs")

# A driver without a job keeps its connection for this long: the next job would have to make it again.
LINGER_S = 30.0
# One that ended is started again no sooner than this after its start, doubled each time up to the longest wait.
SHORTEST_WAIT_S, LONGEST_WAIT_S = 2.0, 120.0
END_WAIT_S = 10.0


@dataclass
class _Driver:
    process: subprocess.Popen[bytes]
    started_at: float  # seconds of a steady clock
    wait_s: float


class Drivers:
    """Those of one worker. A driver ends with its worker; attempts go on."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.running: dict[str, _Driver] = {}

    def tick(self) -> None:
        """Start what is needed and is not there."""
        with self.journal.reading() as db:
            wanted = backlog.backends_in_use(db) - {LOCAL}
        for name in sorted(wanted):
            try:
                configured.settings_of(self.journal.home, name)
            except OnehourError as error:
                self._without_backend(name, str(error))
            else:
                self._keep(name)

    def end(self) -> None:
        for driver in self.running.values():
            driver.process.terminate()
        for driver in self.running.values():
            try:
                driver.process.wait(END_WAIT_S)
            except subprocess.TimeoutExpired:
                driver.process.kill()
                driver.process.wait()
        self.running.clear()

    def _keep(self, name: str) -> None:
        known, now = self.running.get(name), time.monotonic()
        if known is not None and known.process.poll() is None:
            return
        if known is not None and now < known.started_at + known.wait_s:
            return
        if who_holds(driver_lock(self.journal.home, name)) is not None:
            return  # that of a worker that was killed has not ended yet
        fell = known is not None and known.process.returncode != 0
        wait_s = min(LONGEST_WAIT_S, known.wait_s * 2) if known is not None and fell else SHORTEST_WAIT_S
        process = subprocess.Popen(
            [sys.executable, "-m", "app.jobs.drivers", name],
            cwd=CHECKOUT,
            env=self.journal.home.environment(),
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        self.running[name] = _Driver(process, now, wait_s)
        log.info("driver of %s: process %d", name, process.pid)

    def _without_backend(self, name: str, why: str) -> None:
        """Jobs of a backend that is not (or no longer) configured wait; one that is cancelled is over."""
        with self.journal.writing() as db:
            for row in backlog.jobs_on(db, name):
                if row.cancel_asked_at is not None:
                    backlog.finish(
                        db, row, backlog.CANCELLED, self.journal.now(), f"what may run there was not ended: {why}"
                    )
                elif row.message != why:
                    backlog.say(db, row, why)


def drive(name: str, journal: Journal, stop: threading.Event) -> None:
    """Work through the jobs of the backend `name` until `stop` is set or it has had none for a while."""
    backend = configured.open_backend(journal.home, name)
    try:
        with present(driver_lock(journal.home, name), f"a driver of {name}", {"slots": backend.slots()}):
            jobs, used_at = Reconciler(journal, backend), time.monotonic()

            def look() -> bool:
                nonlocal used_at
                busy = jobs.tick()
                if busy:
                    used_at = time.monotonic()
                elif time.monotonic() - used_at > LINGER_S:
                    stop.set()
                return busy

            look_again_and_again(journal, stop, look)
    finally:
        backend.close()


def main(arguments: list[str]) -> int:
    (name,) = arguments
    return as_process(f"driver-{name}.log", partial(drive, name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

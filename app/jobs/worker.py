"""The worker: a lean process of its own that starts what waits, watches what runs and takes in what is done.

    python -m app.jobs.worker

Each tick looks first at what holds a slot (also after the worker's own death: attempts go on without it), then starts what waits.
Ending the worker leaves the attempts running; the next one takes them over.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
import threading
from logging.handlers import RotatingFileHandler

import yaml

from app.jobs import backlog, signals
from app.jobs.backends.interface import Attempt, Backend, Condition, Status
from app.jobs.backends.local import LocalBackend
from app.jobs.presence import present, worker_lock
from app.journal import backups, sessions
from app.journal.home import Home, find_home
from app.journal.store import Journal, open_journal
from app.journal.tables import Job, Run
from app.scores import leaderboard, runs
from engine.contract import EXIT_OK, EXIT_REQUEUE, OnehourError
from engine.run_folder import RunFolder, write_text

log = logging.getLogger("onehour.worker")

# A job is started again after this many attempts that were lost before they finished an epoch; one more and something is wrong
# with it, not with the machine.
FORGIVEN_LOSSES = 3
POLL_S = 0.25
# Full looks at the table, although nothing was written to the journal: while attempts run, and while nothing does.
WATCH_S, IDLE_S = 1.0, 5.0
HOUR_MS = 3_600_000


class Worker:
    """One look at a time: `tick` does everything that can be done now and returns whether attempts are running."""

    def __init__(self, journal: Journal, backend: Backend) -> None:
        self.journal, self.backend = journal, backend
        self.slots = backend.slots()
        self.backup_tried = -1

    def tick(self) -> bool:
        sessions.sweep(self.journal)
        signals.send_due(self.journal)
        self._daily_backup()
        with self.journal.reading() as db:
            active = backlog.active_jobs(db, self.backend.name)
        for job, run in active:
            try:
                self._reconcile(job, run)
            except Exception:
                log.exception("job %s of %s", job.id, run.key)
        with self.journal.reading() as db:
            free = backlog.free_slots(db, self.backend.name, self.slots)
        for slot in free:
            self._start_next(slot)
        return bool(active or free)

    def _daily_backup(self) -> None:
        """Tried once an hour: one that fails (a full disk) must not fill the log, nor stop the jobs."""
        hour = self.journal.now() // HOUR_MS
        if hour != self.backup_tried:
            self.backup_tried = hour
            try:
                backups.daily(self.journal.home, self.journal.now())
            except OnehourError as error:
                log.error("no daily backup: %s", error)

    def _start_next(self, slot: str) -> None:
        with self.journal.writing() as db:
            job = backlog.claim(db, self.backend.name, slot, self.journal.now())
            run = None if job is None else db.get(Run, job.run_id)
        if job is not None and run is not None:
            log.info("%s: attempt %d on %s", run.key, job.attempt, slot)
            self._launch(job, run)

    def _launch(self, job: Job, run: Run) -> None:
        """Make the run's folder and start the attempt; what cannot be started, for whatever reason, has failed.

        It must not keep its slot: nothing else would run until somebody noticed.
        """
        folder = self._folder(run)
        try:
            if not folder.spec_yaml.exists():
                asked = json.loads(run.spec)
                write_text(folder.spec_yaml, yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
            self.backend.submit(self._attempt(job, run))
        except Exception as error:
            log.exception("%s: attempt %d cannot be started", run.key, job.attempt)
            self._finish(job, backlog.FAILED, str(error) or type(error).__name__)

    def _reconcile(self, job: Job, run: Run) -> None:
        attempt = self._attempt(job, run)
        found = self.backend.status(attempt)
        if found.condition is Condition.RUNNING:
            self._watch(job, attempt)
        elif found.condition is Condition.EXITED:
            self._settle(job, run, found)
        elif job.cancel_asked_at is not None:
            self.backend.clear(attempt)
            self._finish(job, backlog.CANCELLED)
        elif found.condition is Condition.LOST:
            self.backend.clear(attempt)
            self._lost(job, run, "the machine was started anew" if found.rebooted else "it was killed", found)
        else:
            self._launch(job, run)

    def _watch(self, job: Job, attempt: Attempt) -> None:
        if job.cancel_asked_at is not None and job.state != backlog.STOPPING:
            self.backend.cancel(attempt)
            with self.journal.writing() as db:
                if fresh := backlog.held(db, job):
                    backlog.stop_on(db, fresh)
        elif job.state == backlog.STARTING:
            with self.journal.writing() as db:
                if fresh := backlog.held(db, job):
                    backlog.run_on(db, fresh)

    def _settle(self, job: Job, run: Run, found: Status) -> None:
        """What the exit code of an ended attempt means."""
        folder, code = self._folder(run), found.exit_code
        if code == EXIT_OK:
            self._take_in(job, run, folder)
        elif job.cancel_asked_at is not None:
            self._finish(job, backlog.CANCELLED, code=code)
        elif code == EXIT_REQUEUE:
            if _finished_epoch(folder, job.started_at):
                self._requeue(job, run, "stopped in good order, goes on from its checkpoint", code, lost=False)
            else:
                self._lost(job, run, "it stopped before its first epoch", found)
        elif code is not None and code < 0:
            self._lost(job, run, f"it was killed by {_signal_name(-code)}", found)
        else:
            words = found.reason or last_words(folder.log_tail())
            self._finish(job, backlog.FAILED, words or f"ended with exit code {code}", code)

    def _take_in(self, job: Job, run: Run, folder: RunFolder) -> None:
        try:
            result = runs.read_result(run, folder)
        except OnehourError as error:
            self._finish(job, backlog.FAILED, str(error), EXIT_OK)
            return
        runs.take_in(self.journal, run, folder)  # a journal that cannot be written now is tried again at the next look
        try:
            leaderboard.score_locally(self.journal, run.key)
        except Exception as error:  # whatever it is, the run has succeeded
            log.warning("%s is not scored at home: %s", run.key, error)
        # Last: a worker that dies before it does all of this again, and who sees it finished sees all of it.
        self._finish(job, backlog.SUCCEEDED, code=EXIT_OK)
        log.info("%s: %s %.4f", run.key, result.metric, result.cv)

    def _lost(self, job: Job, run: Run, why: str, found: Status) -> None:
        excused = found.rebooted or _finished_epoch(self._folder(run), job.started_at)
        if job.lost >= FORGIVEN_LOSSES and not excused:
            message = f"given up after {job.lost + 1} attempts without a finished epoch: {why}"
            self._finish(job, backlog.FAILED, message, found.exit_code)
        else:
            message = f"{why}, goes on from its checkpoint"
            self._requeue(job, run, message, found.exit_code, lost=not excused)

    def _requeue(self, job: Job, run: Run, message: str, code: int | None, *, lost: bool) -> None:
        log.info("%s: %s", run.key, message)
        with self.journal.writing() as db:
            if fresh := backlog.held(db, job):
                backlog.requeue(db, fresh, message, code, self.journal.now(), counts_as_lost=lost)

    def _finish(self, job: Job, state: str, message: str = "", code: int | None = None) -> None:
        log.info("job %s %s", job.id, f"{state}: {message}" if message else state)
        with self.journal.writing() as db:
            if fresh := backlog.held(db, job):
                backlog.finish(db, fresh, state, self.journal.now(), message, code)

    def _folder(self, run: Run) -> RunFolder:
        return RunFolder(self.journal.home.run_dir(run.key))

    def _attempt(self, job: Job, run: Run) -> Attempt:
        assert job.id is not None
        return Attempt(job.id, job.attempt, self.journal.home.run_dir(run.key), job.slot or "")


def run_worker(journal: Journal, stop: threading.Event, backend: Backend | None = None) -> None:
    """Work until `stop` is set. Raises OnehourError when another worker works for this home."""
    worker = Worker(journal, backend or LocalBackend(journal.home))
    with (
        present(worker_lock(journal.home), "a worker", {"slots": worker.slots}),
        journal.engine.connect() as connection,
    ):
        log.info("working with %s", ", ".join(worker.slots))
        seen, quiet_s, busy = -1, 0.0, True
        while not stop.is_set():
            # Changes with every commit of another connection, the worker's own included; costs next to nothing.
            version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
            if version != seen or quiet_s >= (WATCH_S if busy else IDLE_S):
                seen, quiet_s = version, 0.0
                try:
                    busy = worker.tick()
                except Exception:  # a journal that is locked or a full disk now may be fine a moment later
                    log.exception("this look at the jobs failed")
            stop.wait(POLL_S)
            quiet_s += POLL_S
        log.info("ends; attempts go on without it")


def last_words(log_text: str) -> str:
    """The last line of the newest attempt that says something: the engine's one sentence, or a traceback's last line."""
    newest = log_text.rpartition("--- attempt ")[2].partition("\n")[2]
    for line in reversed(newest.splitlines()):
        words = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.rpartition("\r")[2]).strip()
        if words and not words.startswith("wandb:"):
            return words[:500]
    return ""


def main() -> int:
    """The process: logs into the home, ends in good order on SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        home = find_home()
        _log_into(home)
        journal = open_journal(home)
        try:
            run_worker(journal, stop)
        finally:
            journal.close()
    except OnehourError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return EXIT_OK


def _log_into(home: Home) -> None:
    home.logs_dir.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(home.logs_dir / "worker.log", maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _finished_epoch(folder: RunFolder, since: int | None) -> bool:
    """Whether an epoch was finished, or one under way saved, at `since` or later (milliseconds UTC).

    Rows of batches are no progress that is kept.
    """
    return any(
        row.get("kind") in ("epoch", "checkpoint") and row.get("at", 0) >= (since or 0) for row in folder.metrics()
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":
    sys.exit(main())

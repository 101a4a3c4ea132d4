"""The jobs of one backend, held against what its machine says: what runs is watched, what ended is settled, what waits is started.

Nothing is remembered between two looks but when to ask a machine again that did not answer: whoever died is followed by another
one that finds the same.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from app.jobs import as_queued, attempts, backlog, home_scoring, signals
from app.jobs.backends.interface import Attempt, Backend, Condition, Refused, Status, Unreachable, words_of
from app.jobs.last_words import last_words
from app.jobs.programme import Programme
from app.journal.store import Journal
from app.journal.tables import Job, Run
from app.scores import runs
from engine.contract import EXIT_OK, EXIT_REQUEUE, OnehourError
from engine.run_folder import RunFolder

log = logging.getLogger("onehour.jobs")

# A job is started again after this many attempts that were lost before they finished an epoch; one more and something is wrong
# with it, not with the machine.
FORGIVEN_LOSSES = 3
# A machine that does not answer is asked again after this long, doubled each time up to the longest wait.
SHORTEST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
# What was never started has used no GPU, however long it was sent or waited.
NEVER_BEGAN = Status(Condition.ABSENT, gpu_s=0.0)


class Reconciler:
    """One look at a time: `tick` does everything that can be done now and returns whether attempts are running."""

    def __init__(
        self, journal: Journal, backend: Backend, programme_of: Callable[[Run], Programme] | None = None
    ) -> None:
        self.journal, self.backend = journal, backend
        self.programme_of = programme_of or partial(as_queued.programme_of, journal)
        self.bring_code = partial(as_queued.bring_back, journal) if programme_of is None else lambda _: None
        self.slots = backend.slots()
        self.wait_s, self.ask_again_at = 0.0, 0.0  # seconds of a steady clock

    def tick(self) -> bool:
        with self.journal.reading() as db:
            active = backlog.active_jobs(db, self.backend.name)
            free = backlog.free_slots(db, self.backend.name, self.slots)
        if time.monotonic() < self.ask_again_at:
            return True
        for job, run in active:
            if not self._done(job, run, self._reconcile):
                return True
        self.wait_s = 0.0
        for slot in free:
            if not self._start_next(slot):
                break
        return bool(active or free)

    def _done(self, job: Job, run: Run, act: Callable[[Job, Run, Attempt], None]) -> bool:
        """Do `act` for a job. False when the machine does not answer: none of its other jobs would do better now."""
        try:
            act(job, run, self.attempt_of(job, run))
        except Unreachable as error:
            self._say(job, f"{error} It is asked again by itself.")
            self.wait_s = min(LONGEST_WAIT_S, self.wait_s * 2) or SHORTEST_WAIT_S
            self.ask_again_at = time.monotonic() + self.wait_s
            log.warning("%s does not answer, asked again in %.0f s: %s", self.backend.name, self.wait_s, error)
            return False
        except Refused as error:
            log.error("%s: attempt %d: %s", run.key, job.attempt, error)
            self._finish(job, run, backlog.FAILED, str(error), NEVER_BEGAN if job.state == backlog.STARTING else None)
        except Exception as error:  # a journal that is locked or a full disk now may be fine a moment later
            log.exception("job %s of %s", job.id, run.key)
            if isinstance(error, OnehourError | OSError):
                with suppress(OnehourError):  # the journal itself may be what is in the way
                    self._say(job, words_of(error))
        return True

    def _start_next(self, slot: str) -> bool:
        with self.journal.writing() as db:
            gpus = self.backend.gpus_of(slot)
            job = backlog.claim(db, self.backend.name, slot, self.journal.now(), gpus)
            run = None if job is None else db.get(Run, job.run_id)
        if job is None or run is None:
            return True
        log.info("%s: attempt %d on %s", run.key, job.attempt, slot)
        return self._done(job, run, self._launch)

    def _launch(self, job: Job, run: Run, attempt: Attempt) -> None:
        """Make the run's folder and start the attempt; what cannot be started, for whatever reason, has failed.

        It must not keep its slot: nothing else would run until somebody noticed.
        """
        folder = RunFolder(attempt.run_dir)
        try:
            self.bring_code(run)
            attempt = self.attempt_of(job, run)  # its code may have found another place
            attempt.programme.prepare(folder)
            kept = folder.kept()
        except (OSError, OnehourError) as error:
            raise Refused(words_of(error)) from error
        with self.journal.writing() as db:
            if fresh := backlog.held(db, job):
                attempts.found(db, fresh, kept)
        try:
            self.backend.submit(attempt)
        except Unreachable:
            raise
        except Exception as error:
            log.exception("%s: attempt %d cannot be started", run.key, job.attempt)
            raise Refused(words_of(error)) from error

    def _reconcile(self, job: Job, run: Run, attempt: Attempt) -> None:
        found = self.backend.status(attempt)
        if found.condition is Condition.ABSENT:
            found = NEVER_BEGAN
        if found.condition is Condition.WAITING:
            self._watch(job, attempt, found.reason)
        elif found.condition is Condition.RUNNING:
            self.backend.fetch(attempt)
            self._watch(job, attempt)
        elif found.condition is Condition.EXITED:
            if self.backend.fetch(attempt):
                self._settle(job, run, attempt, found)
            elif job.cancel_asked_at is None:
                self._say(job, "its results are on their way")
        elif job.cancel_asked_at is not None:
            self.backend.clear(attempt)
            self._finish(job, run, backlog.CANCELLED, found=found)
        elif job.moves_to is not None and found.condition is Condition.ABSENT:
            self._requeue(job, run, "moved before it began", found, lost=False)
        elif found.condition is Condition.LOST:
            self.backend.clear(attempt)
            if self.backend.fetch(attempt):
                why = found.reason or ("the machine was started anew" if found.rebooted else "it was killed")
                self._lost(job, run, why, found)
        else:
            self._launch(job, run, attempt)

    def _watch(self, job: Job, attempt: Attempt, waits_for: str | None = None) -> None:
        """`waits_for`: why it does not run yet; None when it runs."""
        asked_to_end = job.cancel_asked_at is not None or job.moves_to is not None
        if asked_to_end and job.state != backlog.STOPPING:
            self.backend.cancel(attempt)
            with self.journal.writing() as db:
                if fresh := backlog.held(db, job):
                    backlog.stop_on(
                        db, fresh, "" if self.backend.abilities.cancel else self.backend.abilities.how_to_cancel
                    )
        elif waits_for is not None:
            if not asked_to_end:
                self._say(job, waits_for)
        elif job.state == backlog.STARTING:
            with self.journal.writing() as db:
                if fresh := backlog.held(db, job):
                    backlog.run_on(db, fresh, self.journal.now())
        elif not asked_to_end:
            self._say(job, "")  # it answers again

    def _settle(self, job: Job, run: Run, attempt: Attempt, found: Status) -> None:
        """What the exit code of an ended attempt means."""
        folder, code = RunFolder(attempt.run_dir), found.exit_code
        if code == EXIT_OK:
            self._take_in(job, run, folder, found)
        elif job.cancel_asked_at is not None:
            self._finish(job, run, backlog.CANCELLED, found=found)
        elif code == EXIT_REQUEUE:
            if job.moves_to is not None or self._got_further(job, folder):
                self._requeue(job, run, "stopped in good order, goes on from its checkpoint", found, lost=False)
            else:
                self._lost(job, run, "it stopped before its first epoch", found)
        elif code is not None and code < 0:
            self._lost(job, run, f"it was killed by {_signal_name(-code)}", found)
        else:
            words = found.reason or last_words(folder.log_tail())
            self._finish(job, run, backlog.FAILED, words or f"ended with exit code {code}", found)

    def _take_in(self, job: Job, run: Run, folder: RunFolder, found: Status) -> None:
        if folder.stopped() and not folder.result_json.exists():
            self._finish(job, run, backlog.STOPPED, folder.stopped(), found)
            return
        try:
            runs.read_finished(run, folder)
        except OnehourError as error:
            self._finish(job, run, backlog.FAILED, str(error), found)
            return
        runs.take_in(self.journal, run, folder)  # a journal that cannot be written now is tried again at the next look
        home_scoring.ask(self.journal, run)
        # Last: a worker that dies before it does all of this again, and who sees it finished sees all of it.
        self._finish(job, run, backlog.SUCCEEDED, found=found)

    def _lost(self, job: Job, run: Run, why: str, found: Status) -> None:
        excused = found.rebooted or job.moves_to is not None
        excused = excused or self._got_further(job, RunFolder(self.journal.home.run_dir(run.key)))
        if job.lost >= FORGIVEN_LOSSES and not excused:
            message = f"given up after {job.lost + 1} attempts without a finished epoch: {why}"
            self._finish(job, run, backlog.FAILED, message, found)
        else:
            self._requeue(job, run, f"{why}, goes on from its checkpoint", found, lost=not excused)

    def _got_further(self, job: Job, folder: RunFolder) -> bool:
        kept = folder.kept()
        with self.journal.reading() as db:
            return attempts.got_further(db, job, kept)

    def _requeue(self, job: Job, run: Run, message: str, found: Status, *, lost: bool) -> None:
        with self.journal.writing() as db:
            fresh = backlog.held(db, job)
            if fresh is not None:
                now, code = self.journal.now(), found.exit_code
                backlog.requeue(db, fresh, message, code, now, counts_as_lost=lost, gpu_s=found.gpu_s)
        self._tell(fresh, run)

    def _finish(self, job: Job, run: Run, state: str, message: str = "", found: Status | None = None) -> None:
        code, gpu_s = (None, None) if found is None else (found.exit_code, found.gpu_s)
        if state != backlog.SUCCEEDED:  # what it measured until then is what tells why
            runs.take_in_curves(self.journal, run, RunFolder(self.journal.home.run_dir(run.key)))
        with self.journal.writing() as db:
            fresh = backlog.held(db, job)
            if fresh is not None:
                backlog.finish(db, fresh, state, self.journal.now(), message, code, gpu_s)
        self._tell(fresh, run)

    def _tell(self, job: Job | None, run: Run) -> None:
        """What became of an attempt, to the log and to whoever wants to be told; None: another worker did."""
        if job is not None:
            log.info("%s %s", run.key, f"{job.state}: {job.message}" if job.message else job.state)
            try:
                signals.send_job(self.journal, job, run, job.state, job.message)
            except OnehourError as error:  # the run is what counts
                log.warning("%s: nobody could be told: %s", run.key, error)

    def _say(self, job: Job, words: str) -> None:
        """What a person should know of a job that goes on; written only when it is news."""
        if job.message != words:
            with self.journal.writing() as db:
                if fresh := backlog.held(db, job):
                    backlog.say(db, fresh, words)

    def attempt_of(self, job: Job, run: Run) -> Attempt:
        """What the backend is asked about the job's present attempt. Raises Refused for a spec of another version."""
        assert job.id is not None
        run_dir = self.journal.home.run_dir(run.key)
        try:
            asked = self.programme_of(run)
        except OnehourError as error:  # an Onehour with other keys wrote it
            raise Refused(str(error)) from error
        return Attempt(job.id, job.attempt, run_dir, job.slot or "", asked)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""The job table, its worker and real processes: nothing is lost when any of them is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import select

from app.jobs import attempts, backlog, orders, presence, supervisor
from app.jobs.backends import local
from app.jobs.backends.interface import Attempt
from app.jobs.backends.local import LocalBackend
from app.jobs.last_words import last_words
from app.jobs.reconciler import FORGIVEN_LOSSES, Reconciler
from app.jobs.worker import run_worker
from app.journal import sessions, store
from app.journal.home import CHECKOUT, Home
from app.journal.store import Journal
from app.journal.tables import AttemptRow, Challenge, Job, Run
from app.scores import run_curves
from engine.contract import OnehourError, RunSpec, read_spec
from engine.run_folder import RunFolder
from tests.app.trainings import alive, small_spec, training, until, words

WORKER = """
import sys, threading
from app.jobs.backends.local import LocalBackend
from app.jobs.reconciler import Reconciler
from app.jobs.worker import run_worker
from app.journal.home import find_home
from app.journal.store import open_journal
from tests.app.trainings import training
journal = open_journal(find_home())
run_worker(journal, threading.Event(), Reconciler(journal, LocalBackend(journal.home), training(sys.argv[1])))
"""


@pytest.fixture
def data_dir(tmp_path: Path, challenge: Challenge, journal: Journal) -> Path:
    sessions.start(journal)
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def nothing_left(home: Home) -> Iterator[None]:
    """Whatever a test started is ended, also when it fails."""
    yield
    for attempt in home.jobs_dir.glob("*-*"):
        supervisor.clear(str(attempt.resolve()))


def queue(journal: Journal, data_dir: Path, hypothesis: str = "it works") -> str:
    return orders.queue_run(journal, "cpu-transfer", small_spec(data_dir), hypothesis).run_key


def job(journal: Journal, run_key: str) -> Job:
    with journal.reading() as db:
        return backlog.job_of(db, run_key)


def worker(journal: Journal, mode: str, grace_s: float = 5) -> Reconciler:
    made = Reconciler(journal, LocalBackend(journal.home, grace_s), training(mode))
    made.slots = ("cpu:0",)  # also on a machine with CUDA devices
    return made


def folder(journal: Journal, run_key: str) -> RunFolder:
    return RunFolder(journal.home.run_dir(run_key))


def starts(journal: Journal, run_key: str) -> list[int]:
    """The pids of the attempts that have begun."""
    path = folder(journal, run_key).path / "starts"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def is_over(journal: Journal, run_key: str) -> bool:
    return job(journal, run_key).finished_at is not None


def test_a_queued_run_is_trained_and_its_result_taken_in(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "finish")
    until(lambda: is_over(journal, key), works.tick)
    done = job(journal, key)
    assert (done.state, done.exit_code, done.slot, done.attempt) == ("succeeded", 0, works.slots[0], 1)
    with journal.reading() as db:
        run = db.get(Run, done.run_id)
    assert run is not None
    assert run.cv == 0.625
    assert folder(journal, key).spec_yaml.read_text().startswith("data:\n  dir: ")
    assert "--- attempt 1-1" in folder(journal, key).log_tail()


def test_a_run_stopped_before_its_time_limit_goes_on(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "requeue")
    until(lambda: is_over(journal, key), works.tick)
    done = job(journal, key)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)


def test_a_run_that_stops_again_and_again_without_an_epoch_fails(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "stall")
    until(lambda: is_over(journal, key), works.tick)
    done = job(journal, key)
    assert (done.state, done.attempt) == ("failed", FORGIVEN_LOSSES + 1)
    assert "it stopped before its first epoch" in done.message


def test_a_refused_run_fails_with_the_engines_sentence(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "refuse")
    until(lambda: is_over(journal, key), works.tick)
    done = job(journal, key)
    assert (done.state, done.exit_code) == ("failed", 2)
    assert done.message == "train.csv, row 3: there is no image 'x.jpg'. Did you mean 'y.jpg'?"


def test_a_training_killed_without_warning_is_started_again(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "wait")
    until(lambda: starts(journal, key), works.tick)
    os.killpg(starts(journal, key)[0], signal.SIGKILL)
    until(lambda: len(starts(journal, key)) == 2, works.tick)
    assert job(journal, key).lost == 1
    (folder(journal, key).path / "go").touch()
    until(lambda: is_over(journal, key), works.tick)
    assert job(journal, key).state == "succeeded"


def test_a_training_that_lost_its_supervisor_is_ended_before_the_next_attempt(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "wait")
    until(lambda: starts(journal, key), works.tick)
    attempt = supervisor.attempt_dir(str(journal.home.jobs_dir), "1-1")
    os.kill(supervisor.status(attempt)["pid"], signal.SIGKILL)
    until(lambda: len(starts(journal, key)) == 2, works.tick)
    assert not alive(starts(journal, key)[0])


def test_a_job_is_given_up_after_too_many_losses(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "wait")
    for attempt in range(FORGIVEN_LOSSES + 1):
        until(lambda attempt=attempt: len(starts(journal, key)) == attempt + 1, works.tick)
        os.kill(starts(journal, key)[-1], signal.SIGKILL)
    until(lambda: is_over(journal, key), works.tick)
    assert job(journal, key).state == "failed"
    assert job(journal, key).message == "given up after 4 attempts without a finished epoch: it was killed by SIGKILL"


@pytest.mark.parametrize("mode", ["epochs", "saves"])
def test_losses_after_a_finished_epoch_or_a_checkpoint_inside_one_do_not_add_up(
    mode: str, journal: Journal, data_dir: Path
) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, mode)
    until(lambda: is_over(journal, key), works.tick)
    done = job(journal, key)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 6, 0)


def test_batches_alone_are_no_progress(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "batches")
    until(lambda: is_over(journal, key), works.tick)
    done = job(journal, key)
    assert (done.state, done.attempt, done.lost) == ("failed", FORGIVEN_LOSSES + 1, FORGIVEN_LOSSES)


def test_any_character_and_any_number_reaches_the_engine(journal: Journal, data_dir: Path) -> None:
    said = "larger \x7f images \x9b help: \ufffe 'rare' whales"
    spec = small_spec(data_dir)
    spec = spec.model_copy(update={"stages": (spec.stages[0].model_copy(update={"lr": 1e-7}),)})
    key = orders.queue_run(journal, "cpu-transfer", spec, said).run_key
    works = worker(journal, "finish")
    until(lambda: is_over(journal, key), works.tick)
    assert job(journal, key).state == "succeeded"
    with journal.reading() as db:
        run = db.get(Run, job(journal, key).run_id)
    assert run is not None
    assert read_spec(folder(journal, key).spec_yaml) == RunSpec.model_validate_json(run.spec)


class Unwilling(LocalBackend):
    """Cannot be asked to start anything."""

    def submit(self, attempt: Attempt) -> None:
        raise RuntimeError("no wish to")


def test_whatever_keeps_a_run_from_starting_frees_the_slot(journal: Journal, data_dir: Path) -> None:
    keys = [queue(journal, data_dir, said) for said in ("a", "b")]
    works = Reconciler(journal, Unwilling(journal.home))
    works.slots = ("cpu:0",)
    until(lambda: all(is_over(journal, key) for key in keys), works.tick)
    assert {(job(journal, key).state, job(journal, key).message) for key in keys} == {("failed", "no wish to.")}


def test_a_run_that_ends_while_the_journal_is_locked_is_taken_in_afterwards(
    journal: Journal, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "wait")
    until(lambda: job(journal, key).state == "running", works.tick)
    monkeypatch.setattr(store, "BUSY_TIMEOUT_MS", 50)
    journal.engine.dispose()
    with closing(sqlite3.connect(journal.home.journal_db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (folder(journal, key).path / "go").touch()
        attempt = supervisor.attempt_dir(str(journal.home.jobs_dir), "1-1")
        until(lambda: supervisor.status(attempt)["state"] == "exited", works.tick)
        works.tick()
        with pytest.raises(
            OnehourError, match=r"\(database is locked\). Nothing was changed. Another program holds it"
        ):
            backlog.cancel(journal, key)
        assert job(journal, key).state == "running"
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).attempt) == ("succeeded", 1)


def test_room_for_the_exit_code_is_kept_while_a_program_may_fill_the_disk(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    show = "import os, sys; print(os.path.getsize(os.environ['ONEHOUR_ATTEMPT'] + '/spare')); sys.exit(2)"
    works = Reconciler(journal, LocalBackend(journal.home), words(lambda python, _: [python, "-c", show]))
    until(lambda: is_over(journal, key), works.tick)
    assert int(job(journal, key).message) >= 4096
    assert {path.name for path in (journal.home.jobs_dir / "1-1").iterdir()} == {"exit", "lock", "pid"}


def test_a_full_disk_is_said_in_the_row_and_the_run_is_taken_in_once_there_is_room(
    journal: Journal, data_dir: Path
) -> None:
    class Full(LocalBackend):
        def fetch(self, attempt: Attempt) -> bool:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "log.txt")

    key = queue(journal, data_dir)
    works = Reconciler(journal, Full(journal.home), training("finish"))
    until(lambda: job(journal, key).message == "log.txt: No space left on device", works.tick)
    works = worker(journal, "finish")
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).message) == ("succeeded", "")


def test_a_start_that_takes_too_long_has_failed_and_leaves_nothing(
    journal: Journal, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "START_WAIT_S", 0.3)
    key = queue(journal, data_dir)
    attempt = journal.home.jobs_dir / "1-1"
    attempt.mkdir(parents=True)
    with (attempt / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a start that hangs
        worker(journal, "finish").tick()
    assert job(journal, key).state == "failed"
    assert "did not start within 0.3 s" in job(journal, key).message


def test_a_supervisor_that_dies_before_its_pid_is_written_has_not_started_the_run(
    journal: Journal, data_dir: Path
) -> None:
    key = queue(journal, data_dir)
    (journal.home.jobs_dir / "1-1" / ".pid.part").mkdir(parents=True)  # nothing can be written there
    works = worker(journal, "finish")
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).attempt) == ("failed", 1)
    assert "ended before it had written its pid" in job(journal, key).message
    assert starts(journal, key) == []


def test_a_log_that_cannot_be_written_is_why_the_run_failed(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    folder(journal, key).log_txt.mkdir(parents=True)
    works = worker(journal, "finish")
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).attempt) == ("failed", 1)
    assert "the log cannot be written: " in job(journal, key).message


def test_cancelling_ends_the_training_and_its_descendants(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "family", grace_s=0.2)
    family = folder(journal, key).path / "family"
    until(family.exists, works.tick)
    pids = [int(pid) for pid in family.read_text().split()]
    assert all(alive(pid) for pid in pids)
    assert backlog.cancel(journal, key) in ("starting", "running")
    until(lambda: is_over(journal, key), works.tick)
    assert job(journal, key).state == "cancelled"
    assert not any(alive(pid) for pid in pids)


def test_a_waiting_run_is_cancelled_at_once_and_only_once(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    assert backlog.cancel(journal, key) == "cancelled"
    with pytest.raises(OnehourError, match="nothing to cancel: it was cancelled"):
        backlog.cancel(journal, key)
    worker(journal, "finish").tick()
    assert starts(journal, key) == []


def test_a_killed_worker_leaves_the_run_going_and_the_next_one_takes_it_over(
    journal: Journal, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    key = queue(journal, data_dir)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", WORKER, "wait"])
        try:
            until(lambda: starts(journal, key) and job(journal, key).state == "running")
            until(lambda: presence.worker_slots(journal.home) is not None)
        finally:
            process.kill()
            process.wait()
    assert presence.worker_slots(journal.home) is None
    assert alive(starts(journal, key)[0])
    (folder(journal, key).path / "go").touch()
    works = worker(journal, "wait")
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).attempt) == ("succeeded", 1)
    assert len(starts(journal, key)) == 1


def test_a_worker_killed_between_claim_and_start_loses_nothing(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    with journal.writing() as db:
        assert backlog.claim(db, "local", "cpu:0", journal.now()) is not None
    works = worker(journal, "finish")
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).attempt) == ("succeeded", 1)


def test_two_workers_never_run_one_slot_twice(journal: Journal, data_dir: Path) -> None:
    keys = [queue(journal, data_dir, f"idea {number}") for number in range(4)]
    together = threading.Barrier(2)
    most = []

    def work(one: Reconciler) -> None:
        together.wait()
        while not all(is_over(journal, key) for key in keys):
            one.tick()
            with journal.reading() as db:
                most.append(len(backlog.active_jobs(db, "local")))

    threads = [threading.Thread(target=work, args=(worker(journal, "finish"),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert [len(starts(journal, key)) for key in keys] == [1, 1, 1, 1]


def test_a_second_worker_for_the_same_home_is_refused(journal: Journal, data_dir: Path) -> None:
    stop = threading.Event()
    first = threading.Thread(target=run_worker, args=(journal, stop, worker(journal, "finish")))
    first.start()
    try:
        until(lambda: presence.worker_slots(journal.home))
        with pytest.raises(OnehourError, match=f"a worker is already running .process {os.getpid()}."):
            run_worker(journal, threading.Event(), worker(journal, "finish"))
    finally:
        stop.set()
        first.join()


def test_the_running_worker_notices_a_new_run_by_itself(journal: Journal, data_dir: Path) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(journal, stop, worker(journal, "finish")))
    thread.start()
    try:
        until(lambda: presence.worker_slots(journal.home))
        key = queue(journal, data_dir)
        until(lambda: is_over(journal, key))
    finally:
        stop.set()
        thread.join()
    assert job(journal, key).state == "succeeded"


def test_the_worker_process_ends_in_good_order_and_stays_lean(home: Home) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "app.jobs.worker"], stderr=subprocess.PIPE, text=True
    )
    until(lambda: presence.worker_slots(home) is not None)
    process.terminate()
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "sqlmodel" in imported
    assert not imported & {"streamlit", "pandas", "numpy", "torch", "typer"}
    assert "attempts go on without it" in (home.logs_dir / "worker.log").read_text()


def test_each_cuda_device_is_a_slot_and_an_attempt_sees_its_own(
    journal: Journal, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    keys = [queue(journal, data_dir, said) for said in ("a", "b", "c")]
    niceness = min(19, os.nice(0) + 10)
    show = "import os, sys; print('sees', os.environ['CUDA_VISIBLE_DEVICES'], os.nice(0)); sys.exit(2)"
    works = Reconciler(journal, LocalBackend(journal.home), words(lambda python, _: [python, "-c", show]))
    assert works.slots == ("cuda:0", "cuda:1")
    works.tick()
    assert [job(journal, key).slot for key in keys] == ["cuda:0", "cuda:1", None]
    until(lambda: all(is_over(journal, key) for key in keys), works.tick)
    assert {job(journal, key).message for key in keys[:2]} == {f"sees 0 {niceness}", f"sees 1 {niceness}"}


def test_a_machine_without_cuda_has_one_slot(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert LocalBackend(home).slots() == ("cpu:0",)


def test_a_run_that_ended_itself_says_why(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "hopeless")
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).message) == ("stopped", "behind r09 after fold 0")
    with pytest.raises(OnehourError, match="it stopped by itself"):
        backlog.cancel(journal, key)


def test_a_running_run_moves_to_another_backend_and_goes_on_from_its_checkpoint(
    journal: Journal, data_dir: Path
) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "leave")
    until((folder(journal, key).path / "ready").exists, works.tick)
    assert backlog.move_to(journal, key, "gpu-box") in ("starting", "running")
    until(lambda: job(journal, key).state == "queued", works.tick)
    moved = job(journal, key)
    assert (moved.backend, moved.attempt, moved.lost) == ("gpu-box", 1, 0)
    assert moved.message == "stopped in good order, goes on from its checkpoint"
    assert not works.tick()  # it is no longer this computer's
    assert backlog.move_to(journal, key, "local") == "queued"
    until(lambda: is_over(journal, key), works.tick)
    assert (job(journal, key).state, job(journal, key).attempt) == ("succeeded", 2)
    with pytest.raises(OnehourError, match="nothing to move: it succeeded"):
        backlog.move_to(journal, key, "gpu-box")


def test_each_attempt_is_written_down_with_its_slot_and_its_end(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "requeue")
    until(lambda: is_over(journal, key), works.tick)
    with journal.reading() as db:
        rows = db.exec(select(AttemptRow).order_by(AttemptRow.number)).all()
    told = [(row.number, row.backend, row.slot, row.gpus, row.kept_before, row.exit_code) for row in rows]
    assert told == [(1, "local", "cpu:0", 0, 0, 75), (2, "local", "cpu:0", 0, 2, 0)]
    assert all(row.ended_at is not None for row in rows)


def test_a_run_that_is_cancelled_keeps_the_curves_it_had(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = worker(journal, "leave")
    until((folder(journal, key).path / "ready").exists, works.tick)
    backlog.cancel(journal, key)
    until(lambda: is_over(journal, key), works.tick)
    assert job(journal, key).state == "cancelled"
    with journal.reading() as db:
        curves = run_curves.of_runs(db, [1], "valid/map5")
    assert [(one.fold, one.epochs, one.values) for one in curves[1]] == [(0, (1.0,), (0.25,)), (1, (1.0,), (0.375,))]


def test_what_all_attempts_took_of_gpus_stands_in_the_run(journal: Journal, data_dir: Path) -> None:
    queue(journal, data_dir)
    with journal.writing() as db:
        running = db.exec(select(Job)).one()
        for number, counted in ((1, None), (2, 7.0)):
            running.attempt = number
            attempts.begin(db, running.id, number, "box", "gpu:0", 2, 1_000)
            attempts.end(db, running, 11_000, 75, counted)
            attempts.end(db, running, 99_000, 75, counted)  # it is over already
    with journal.reading() as db:
        assert db.exec(select(Run.gpu_s)).one() == 27.0


def test_a_run_without_a_result_has_failed(journal: Journal, data_dir: Path) -> None:
    key = queue(journal, data_dir)
    works = Reconciler(journal, LocalBackend(journal.home), words(lambda *_: ["true"]))
    until(lambda: is_over(journal, key), works.tick)
    assert job(journal, key).state == "failed"
    assert job(journal, key).message.endswith("the run ended without a result.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--- attempt 1-1\nold\n--- attempt 1-2\na\nValueError: b\n\nwandb: sync\n", "ValueError: b"),
        ("--- attempt 1-1\n 10%\r100%\x1b[0m\n", "100%"),
        ("--- attempt 1-1\n", ""),
    ],
)
def test_the_last_words_are_the_newest_attempts_own(text: str, words: str) -> None:
    assert last_words(text) == words

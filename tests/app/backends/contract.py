"""What the worker may rely on, whatever machine runs the attempts. Every backend has a test class of its own that passes this one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest
from sqlmodel import select

from app.jobs import backlog, orders
from app.jobs.backends.interface import Attempt, Backend, Condition, Status
from app.jobs.programme import EngineTraining
from app.jobs.reconciler import FORGIVEN_LOSSES, Reconciler
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Job, Run
from engine.run_folder import RunFolder
from tests.app.trainings import LINES, Training, alive, look_at, small_spec, training, until

SECRET = "s3cret-that-must-not-be-seen-anywhere"
ODD_NAMES = (
    "a b.jpg",
    "it's.jpg",
    'say "x".jpg',
    "$(touch hacked).jpg",
    "`touch hacked`.jpg",
    "two\nlines.jpg",
    "-rf.jpg",
)


class Machine(Protocol):
    """A backend's machine as a test reaches into it; for the tests it is on this computer."""

    def client(self) -> Backend:
        """A client of its own each time, as a new worker makes it."""

    def run_dir(self, attempt: Attempt) -> Path:
        """The run's folder as the machine sees it."""

    def kill(self, attempt: Attempt) -> None:
        """End all processes of the attempt without warning, its supervisor too."""

    def places(self) -> list[Path]:
        """The folders in which the machine keeps anything."""


class BackendContract:
    """Subclasses have a fixture `machine`."""

    @pytest.fixture
    def backend(self, machine: Machine) -> Iterator[Backend]:
        made = machine.client()
        yield made
        made.close()

    @pytest.fixture
    def data_dir(self, challenge: Challenge, journal: Journal) -> Path:
        sessions.start(journal)
        data = Path(challenge.data_dir)
        (data / "train").mkdir()
        (data / "test").mkdir()
        (data / "train.csv").write_text("Image,Id\na.jpg,w_1\n")
        (data / "sample_submission.csv").write_text("Image,Id\nb.jpg,new_whale\n")
        (data / "train" / "a.jpg").write_bytes(b"a" * 3000)
        (data / "test" / "b.jpg").write_bytes(b"b")
        return data

    @pytest.fixture
    def attempt_of(self, backend: Backend, data_dir: Path, journal: Journal) -> Callable[..., Attempt]:
        def made(mode: str, number: int = 1) -> Attempt:
            run_dir = journal.home.run_dir("humpback_001-r01")
            attempt = Attempt(
                7, number, run_dir, backend.slots()[0], Training(EngineTraining(small_spec(data_dir)), mode)
            )
            attempt.programme.prepare(RunFolder(run_dir))
            return attempt

        return made

    def over(self, backend: Backend, attempt: Attempt) -> Status:
        """Wait for the attempt's end, and for all that it left."""
        until(lambda: backend.status(attempt).condition is Condition.EXITED)
        until(lambda: backend.fetch(attempt))
        return backend.status(attempt)

    def starts(self, machine: Machine, attempt: Attempt) -> str:
        """A line with a pid for each start of the run so far. A machine that keeps no folder of a run has its own way to tell."""
        path = machine.run_dir(attempt) / "starts"
        return path.read_text() if path.exists() else ""

    def begun(self, backend: Backend, machine: Machine, attempt: Attempt) -> list[int]:
        """Wait until it has begun. The pids of all attempts of the run so far."""
        until(lambda: self.starts(machine, attempt).endswith("\n"), lambda: backend.status(attempt))
        return [int(pid) for pid in self.starts(machine, attempt).split()]

    def test_an_attempt_runs_to_its_end_and_its_results_come_home(
        self, backend: Backend, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt = attempt_of("finish")
        assert backend.status(attempt).condition is Condition.ABSENT
        backend.submit(attempt)
        assert self.over(backend, attempt).exit_code == 0
        folder = RunFolder(attempt.run_dir)
        result = folder.read_result()
        assert result is not None
        assert result.cv == 0.625
        assert folder.kept() == 4
        assert folder.submission_csv.is_file()

    def test_a_refusal_comes_home_with_its_exit_code_and_its_words(
        self, backend: Backend, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt = attempt_of("refuse")
        backend.submit(attempt)
        assert self.over(backend, attempt).exit_code == 2
        assert "Did you mean 'y.jpg'?" in RunFolder(attempt.run_dir).log_tail()

    def test_asking_twice_also_at_once_and_from_two_clients_starts_one(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt, other = attempt_of("wait"), machine.client()
        try:
            with ThreadPoolExecutor(2) as both:
                for one in [both.submit(client.submit, attempt) for client in (backend, other)]:
                    one.result()
            self.begun(backend, machine, attempt)
            until(lambda: backend.status(attempt).condition is Condition.RUNNING)
            until(lambda: other.status(attempt).condition is Condition.RUNNING)
            backend.submit(attempt)
            (machine.run_dir(attempt) / "go").touch()
            assert self.over(backend, attempt).exit_code == 0
        finally:
            other.close()
        assert len(self.begun(backend, machine, attempt)) == 1

    def test_a_client_that_comes_after_one_that_died_finds_the_attempt(
        self, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt, first = attempt_of("wait"), machine.client()
        first.submit(attempt)
        self.begun(first, machine, attempt)
        first.close()
        second = machine.client()
        try:
            until(lambda: second.status(attempt).condition is Condition.RUNNING)
            (machine.run_dir(attempt) / "go").touch()
            assert self.over(second, attempt).exit_code == 0
        finally:
            second.close()

    def test_the_log_is_read_from_an_offset_without_gaps(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt = attempt_of("speak")
        backend.submit(attempt)
        read = b""

        def more() -> bytes:
            nonlocal read
            part = backend.log(attempt, len(read), 1000)
            assert len(part) <= 1000
            read += part
            return part

        until(lambda: backend.status(attempt).condition is Condition.EXITED, more)
        while more():
            pass
        said = [line for line in read.decode().splitlines() if line.startswith("line ")]
        assert said == [f"line {number}" for number in range(LINES)]
        assert self.over(backend, attempt).exit_code == 0
        assert f"line {LINES - 1}" in RunFolder(attempt.run_dir).log_tail()

    def test_log_and_metrics_arrive_while_it_runs_exactly_where_the_backend_says_so(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt = attempt_of("leave")
        backend.submit(attempt)
        until((machine.run_dir(attempt) / "ready").exists, lambda: backend.status(attempt))
        folder = RunFolder(attempt.run_dir)
        if backend.abilities.live_log:
            until(lambda: folder.kept() == 2, lambda: backend.fetch(attempt))
            assert backend.status(attempt).condition is Condition.RUNNING
        else:
            backend.fetch(attempt)
            assert folder.kept() == 0

    def test_cancelling_asks_first_and_ends_every_process_exactly_where_the_backend_can(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt = attempt_of("family")
        backend.submit(attempt)
        family = machine.run_dir(attempt) / "family"
        until(family.exists, lambda: backend.status(attempt))
        pids = [int(pid) for pid in family.read_text().split()]
        assert all(alive(pid) for pid in pids)
        backend.cancel(attempt)
        if backend.abilities.cancel:
            until(lambda: backend.status(attempt).condition is Condition.EXITED)
            until(lambda: not any(alive(pid) for pid in pids))
        else:
            assert backend.abilities.how_to_cancel
            assert backend.status(attempt).condition is Condition.RUNNING

    def test_an_attempt_may_use_the_grace_time_to_stop_in_good_order(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        if not backend.abilities.cancel:
            assert backend.abilities.how_to_cancel
            return
        attempt = attempt_of("leave")
        backend.submit(attempt)
        until((machine.run_dir(attempt) / "ready").exists, lambda: backend.status(attempt))
        backend.cancel(attempt)
        assert self.over(backend, attempt).exit_code == 75

    def test_a_second_attempt_goes_on_with_what_the_first_one_left(
        self, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        key, jobs = self.queued(journal, data_dir, backend, "requeue")
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        done = self.job(journal, key)
        assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)

    def test_a_lost_attempt_is_started_again_to_a_limit(
        self, journal: Journal, data_dir: Path, backend: Backend, machine: Machine
    ) -> None:
        key, jobs = self.queued(journal, data_dir, backend, "wait")
        for number in range(1, FORGIVEN_LOSSES + 2):
            attempt = jobs.attempt_of(*self.held(journal, key))
            until(lambda at=attempt, number=number: len(self.starts(machine, at).split()) == number, jobs.tick)
            machine.kill(jobs.attempt_of(*self.held(journal, key)))
            until(
                lambda number=number: self.job(journal, key).attempt != number or self.job(journal, key).finished_at,
                jobs.tick,
            )
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        done = self.job(journal, key)
        assert (done.state, done.attempt) == ("failed", FORGIVEN_LOSSES + 1)
        assert "given up after 4 attempts without a finished epoch" in done.message

    def test_the_time_limit_reaches_the_programme(self, backend: Backend, attempt_of: Callable[..., Attempt]) -> None:
        attempt = attempt_of("look")
        backend.submit(attempt)
        self.over(backend, attempt)
        told = self.looked(attempt)["time_limit_s"]
        limit_s = backend.abilities.time_limit_s
        assert (told is None) == (limit_s is None)
        assert limit_s is None or 0 < float(told) <= limit_s

    def test_data_with_odd_names_arrives_whole_and_nothing_in_a_name_is_executed(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt], data_dir: Path
    ) -> None:
        for number, name in enumerate(ODD_NAMES):
            (data_dir / "train" / name).write_bytes(os.urandom(100 + number))
        attempt = attempt_of("look")
        backend.submit(attempt)
        self.over(backend, attempt)
        assert self.looked(attempt)["files"] == {name: list(told) for name, told in look_at(data_dir).items()}
        for place in (*machine.places(), Path.cwd(), data_dir, attempt.run_dir):
            assert not list(place.rglob("hacked"))

    def test_only_what_was_asked_for_comes_home(
        self, backend: Backend, machine: Machine, attempt_of: Callable[..., Attempt]
    ) -> None:
        attempt = attempt_of("untidy")
        backend.submit(attempt)
        assert self.over(backend, attempt).exit_code == 0
        if machine.run_dir(attempt) == attempt.run_dir:
            return  # nothing has to come home
        assert RunFolder(attempt.run_dir).result_json.is_file()
        names = {path.name for path in attempt.run_dir.rglob("*")}
        assert not names & {"link.json", "hostname", "unasked.bin", ".hidden.json", "passwd"}
        assert not any(path.is_symlink() for path in attempt.run_dir.rglob("*"))

    def test_no_secret_is_seen_in_arguments_files_logs_or_the_journal(
        self, journal: Journal, data_dir: Path, backend: Backend, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("WANDB_API_KEY", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "ONEHOUR_NOTIFY"):
            monkeypatch.setenv(name, SECRET)
        seen: list[str] = []
        over = threading.Event()
        watcher = threading.Thread(target=self.watch_arguments, args=(over, seen))
        watcher.start()
        try:
            client = machine.client()
            key, jobs = self.queued(journal, data_dir, client, "requeue")
            until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
            client.close()
        finally:
            over.set()
            watcher.join()
        assert self.job(journal, key).state == "succeeded"
        assert seen == []
        for place in (journal.home.path, *machine.places()):
            for path in place.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    assert SECRET.encode() not in path.read_bytes(), path

    def test_a_look_at_the_machine_tells_what_it_can_and_its_quota_exactly_where_it_has_one(
        self, backend: Backend
    ) -> None:
        found = backend.probe()
        assert (found.quota is not None) == backend.abilities.quota
        assert found.python or backend.abilities.quota
        assert not any(SECRET in problem for problem in found.problems)

    def test_slots_are_the_backends_own(self, backend: Backend) -> None:
        slots = backend.slots()
        assert slots
        assert len(set(slots)) == len(slots)
        assert all(backend.gpus_of(slot) >= 0 for slot in slots)

    def queued(self, journal: Journal, data_dir: Path, backend: Backend, mode: str) -> tuple[str, Reconciler]:
        key = orders.queue_run(journal, "cpu-transfer", small_spec(data_dir), "it works", backend=backend.name).run_key
        return key, Reconciler(journal, backend, training(mode))

    def job(self, journal: Journal, key: str) -> Job:
        with journal.reading() as db:
            return backlog.job_of(db, key)

    def held(self, journal: Journal, key: str) -> tuple[Job, Run]:
        with journal.reading() as db:
            job = backlog.job_of(db, key)
            return job, db.exec(select(Run).where(Run.key == key)).one()

    def looked(self, attempt: Attempt) -> dict[str, object]:
        lines = RunFolder(attempt.run_dir).log_tail(1_000_000).splitlines()
        return dict(json.loads(next(line for line in lines if line.startswith("{"))))

    def watch_arguments(self, over: threading.Event, seen: list[str]) -> None:
        while not over.wait(0.005):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    if SECRET.encode() in path.read_bytes():
                        seen.append(str(path))
                except OSError:
                    continue

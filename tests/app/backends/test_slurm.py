"""A cluster under Slurm as a backend: a real one, of one node."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.jobs import backlog, orders, supervisor
from app.jobs.as_queued import of_run
from app.jobs.backends import slurm as slurm_backend
from app.jobs.backends.interface import Attempt, Backend, Condition, Status, Unreachable
from app.jobs.backends.settings import SlurmSettings
from app.jobs.backends.slurm import SlurmBackend
from app.jobs.cluster import BATCH
from app.jobs.programme import EngineTraining, Programme
from app.jobs.reconciler import Reconciler
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Job, Run
from engine.contract import RunSpec
from engine.run_folder import RunFolder
from tests.app.backends.contract import BackendContract
from tests.app.backends.fold_trainings import FoldTraining
from tests.app.backends.one_node import GPUS, OneNode
from tests.app.trainings import Training, small_spec, training, until


class Cluster:
    def __init__(self, home: Home, slurm: OneNode, **settings: object) -> None:
        self.home, self.slurm = home, slurm
        home.path.mkdir(exist_ok=True)
        home.config_toml.write_text('[backends.cluster]\nkind = "slurm"\n')  # for who queues a run
        self.settings = SlurmSettings.model_validate({"gres": "gpu:1", "time_limit": "1h", **settings})

    def client(self) -> Backend:
        return SlurmBackend("cluster", self.settings, self.home, grace_s=1.0, ask_every_s=0.1, lag_s=0.2)

    def run_dir(self, attempt: Attempt) -> Path:
        return attempt.run_dir

    def kill(self, attempt: Attempt) -> None:
        folder = supervisor.attempt_dir(str(self.home.jobs_dir / attempt.name), "whole")
        os.kill(supervisor.status(folder)["pid"], signal.SIGKILL)
        supervisor.clear(folder)

    def places(self) -> list[Path]:
        return [self.home.path, self.slurm.folder]


class TestSlurm(BackendContract):
    @pytest.fixture
    def machine(self, home: Home, slurm: OneNode) -> Iterator[Cluster]:
        yield Cluster(home, slurm)
        slurm.end_jobs()


@pytest.fixture
def spec(journal: Journal, challenge: Challenge) -> RunSpec:
    sessions.start(journal)
    return small_spec(Path(challenge.data_dir))


@pytest.fixture
def cluster(home: Home, slurm: OneNode) -> Iterator[Cluster]:
    yield Cluster(home, slurm)
    slurm.end_jobs()


@pytest.fixture
def array(home: Home, slurm: OneNode) -> Iterator[Cluster]:
    yield Cluster(home, slurm, folds_as_array=True)
    slurm.end_jobs()


def attempt_of(home: Home, programme: Programme, number: int = 1) -> Attempt:
    attempt = Attempt(7, number, home.run_dir("humpback_001-r01"), "cluster/1", programme)
    programme.prepare(RunFolder(attempt.run_dir))
    return attempt


def one(home: Home, spec: RunSpec, mode: str) -> Attempt:
    return attempt_of(home, Training(EngineTraining(spec), mode))


def folds(home: Home, spec: RunSpec, mode: str, number: int = 1) -> Attempt:
    return attempt_of(home, FoldTraining(EngineTraining(spec), mode), number)


def starts(attempt: Attempt) -> list[str]:
    path = attempt.run_dir / "starts"
    return path.read_text().splitlines() if path.exists() else []


def condition(backend: Backend, attempt: Attempt, wanted: Condition) -> Status:
    until(lambda: backend.status(attempt).condition is wanted)
    return backend.status(attempt)


def queued(journal: Journal, spec: RunSpec, backend: Backend, programme_of: Callable[[Run], Programme]) -> Reconciler:
    orders.queue_run(journal, "cpu-transfer", spec, "it works", backend="cluster")
    return Reconciler(journal, backend, programme_of)


def job(journal: Journal) -> Job:
    with journal.reading() as db:
        return backlog.job_of(db, "humpback_001-r01")


def test_folds_train_side_by_side_on_a_gpu_each_and_one_job_merges_them(
    home: Home, spec: RunSpec, array: Cluster
) -> None:
    backend, attempt = array.client(), folds(home, spec, "wait")
    backend.submit(attempt)
    until(lambda: len(starts(attempt)) == 2)
    assert backend.status(attempt).condition is Condition.RUNNING
    (attempt.run_dir / "go").touch()
    ended = condition(backend, attempt, Condition.EXITED)
    assert ended.exit_code == 0
    assert ended.gpu_s is not None
    seconds = [float(path.read_text()) for path in (home.jobs_dir / attempt.name).glob("*/seconds")]
    assert len(seconds) == 3
    assert ended.gpu_s == pytest.approx(sum(seconds))
    told = dict(line.split() for line in starts(attempt))
    assert told.keys() == {"0", "1", "merge"}
    assert told["0"] != told["1"]
    folder = RunFolder(attempt.run_dir)
    assert folder.read_result() is not None
    assert folder.kept() == 2
    assert folder.log_tail().count("--- attempt 7-1") == 3


def test_the_engine_is_given_its_fold_its_gpus_and_its_time(home: Home, spec: RunSpec, slurm: OneNode) -> None:
    machine = Cluster(home, slurm, folds_as_array=True, gres="gpu:2", options=["--hold"])
    backend, attempt = machine.client(), attempt_of(home, EngineTraining(spec))
    (attempt.run_dir / "fold0").mkdir()
    RunFolder(attempt.run_dir).fold_predictions(0).touch()
    backend.submit(attempt)
    assert "held by its user" in condition(backend, attempt, Condition.WAITING).reason
    parts = {path.parent.name: json.loads(path.read_text()) for path in (home.jobs_dir / "7-1").glob("*/start.json")}
    engine = [
        "train",
        f"{attempt.run_dir}/spec.yaml",
        "--out",
        str(attempt.run_dir),
        "--gpus",
        "2",
        "--time-limit",
        "3480",
    ]
    assert {name: part["argv"][3:] for name, part in parts.items()} == {
        "fold1": [*engine, "--fold", "1"],
        "merge": engine,
    }
    assert (parts["fold1"]["log"], parts["merge"]["after"]) == (f"{attempt.run_dir}/fold1/log.txt", ["fold1"])
    backend.cancel(attempt)
    assert condition(backend, attempt, Condition.EXITED).reason == "it was cancelled before it began"


def test_only_folds_that_are_not_done_are_trained_again(journal: Journal, spec: RunSpec, array: Cluster) -> None:
    jobs = queued(journal, spec, array.client(), lambda run: FoldTraining(of_run(run), "requeue"))
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    done = job(journal)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)
    trained = [
        line.split()[0] for line in (journal.home.run_dir("humpback_001-r01") / "starts").read_text().splitlines()
    ]
    assert sorted(trained) == ["0", "1", "1", "merge"]


def test_a_fold_that_fails_ends_the_others_and_fails_the_run_with_its_words(
    journal: Journal, spec: RunSpec, array: Cluster
) -> None:
    jobs = queued(journal, spec, array.client(), lambda run: FoldTraining(of_run(run), "refuse"))
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    done = job(journal)
    assert (done.state, done.message) == ("failed", "fold 1: train.csv, row 3: there is no image 'x.jpg'")
    assert done.exit_code == 2


def test_cancelling_ends_all_folds_and_what_waits_for_them(home: Home, spec: RunSpec, array: Cluster) -> None:
    backend, attempt = array.client(), folds(home, spec, "wait")
    backend.submit(attempt)
    until(lambda: len(starts(attempt)) == 2)
    backend.cancel(attempt)
    assert condition(backend, attempt, Condition.EXITED).exit_code == 75
    until(lambda: not array.slurm.ask("squeue", "--noheader"))
    assert len(starts(attempt)) == 2


def test_a_run_that_waits_for_the_node_says_so_and_is_cancelled_before_it_begins(
    journal: Journal, spec: RunSpec, cluster: Cluster
) -> None:
    cluster.slurm.ask("sbatch", f"--gres=gpu:{len(GPUS)}", "--output=/dev/null", "--wrap=sleep 1000")
    jobs = queued(journal, spec, cluster.client(), training("finish"))
    until(lambda: "waits for resources" in job(journal).message, jobs.tick)
    assert job(journal).state == "starting"
    backlog.cancel(journal, "humpback_001-r01")
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    assert job(journal).state == "cancelled"
    assert not (journal.home.run_dir("humpback_001-r01") / "starts").exists()


def test_slurms_warning_before_the_limit_lets_a_run_stop_in_good_order_and_go_on(
    journal: Journal, spec: RunSpec, cluster: Cluster
) -> None:
    jobs = queued(journal, spec, cluster.client(), training("leave"))
    until((journal.home.run_dir("humpback_001-r01") / "ready").exists, jobs.tick)
    cluster.slurm.ask("scancel", "--batch", "--signal=USR1", "--user=root")
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    done = job(journal)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)


def test_a_run_whose_node_fails_is_started_again_without_blame(
    journal: Journal, spec: RunSpec, cluster: Cluster
) -> None:
    node = socket.gethostname().partition(".")[0]
    jobs = queued(journal, spec, cluster.client(), training("wait"))
    until((journal.home.run_dir("humpback_001-r01") / "starts").exists, jobs.tick)
    cluster.slurm.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        until(lambda: job(journal).attempt == 2 or "its node failed" in job(journal).message, jobs.tick)
    finally:
        cluster.slurm.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    (journal.home.run_dir("humpback_001-r01") / "go").touch()
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    done = job(journal)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)


def test_a_controller_that_is_down_is_waited_for(journal: Journal, spec: RunSpec, cluster: Cluster) -> None:
    jobs = queued(journal, spec, cluster.client(), training("wait"))
    run_dir = journal.home.run_dir("humpback_001-r01")
    until((run_dir / "starts").exists, jobs.tick)
    cluster.slurm.stop_controller()
    try:
        until(lambda: "Slurm does not answer: Unable to contact slurm controller" in job(journal).message, jobs.tick)
        assert job(journal).state == "running"
    finally:
        cluster.slurm.start_controller()
    (run_dir / "go").touch()
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    done = job(journal)
    assert (done.state, done.attempt, done.lost, done.message) == ("succeeded", 1, 0, "")


def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, after: str = "") -> Path:
    """An sbatch that says what Slurm does not say on demand, as long as the returned file is there."""
    real, folder = shutil.which("sbatch"), tmp_path / "bin"
    folder.mkdir()
    once = folder / "once"
    once.touch()
    script = (
        f'#!/bin/sh\nif [ -e {once} ]; then {after}\necho "sbatch: error: {says}" >&2; exit 1; fi\nexec {real} "$@"\n'
    )
    (folder / "sbatch").write_text(script)
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return once


def test_a_lost_answer_of_sbatch_starts_one(
    home: Home, spec: RunSpec, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "Batch job submission failed: Socket timed out on send/recv operation"
    once = shim(tmp_path, monkeypatch, lost, after=f'{shutil.which("sbatch")} "$@" >/dev/null')
    backend, attempt = cluster.client(), one(home, spec, "wait")
    with pytest.raises(Unreachable, match="Slurm does not answer: Socket timed out"):
        backend.submit(attempt)
    assert backend.status(attempt).condition is Condition.ABSENT
    once.unlink()
    backend.submit(attempt)
    until(lambda: len(starts(attempt)) == 1)
    assert len(cluster.slurm.ask("squeue", "--noheader").splitlines()) == 1
    (attempt.run_dir / "go").touch()
    assert condition(backend, attempt, Condition.EXITED).exit_code == 0


def test_a_job_that_slurm_starts_a_second_time_does_nothing(home: Home, spec: RunSpec, cluster: Cluster) -> None:
    backend, attempt = cluster.client(), one(home, spec, "finish")
    backend.submit(attempt)
    assert condition(backend, attempt, Condition.EXITED).exit_code == 0
    name = cluster.slurm.ask("squeue", "--noheader", "--states=all", "--sort=-i", "--format=%j").splitlines()[0]
    assert name.startswith("humpback_001-r01.7-1.")
    folder = home.jobs_dir / attempt.name / "whole"
    twice = ["--wait", f"--job-name={name}", f"--chdir={folder}", "--output=/dev/null", "--gres=gpu:1"]
    script = folder / "again.sh"
    script.write_text(BATCH)
    cluster.slurm.ask("sbatch", *twice, str(script))
    assert len(starts(attempt)) == 1


def test_what_slurm_does_not_take_yet_waits_with_its_words(
    journal: Journal, spec: RunSpec, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_backend, "ASK_SBATCH_AGAIN_S", 0.1)
    once = shim(tmp_path, monkeypatch, "Batch job submission failed: Job violates accounting/QOS policy")
    jobs = queued(journal, spec, cluster.client(), training("finish"))
    until(lambda: "does not take the job yet: Job violates accounting/QOS policy" in job(journal).message, jobs.tick)
    once.unlink()
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    assert (job(journal).state, job(journal).attempt) == ("succeeded", 1)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"partition": "nope"}, "Slurm does not do it: invalid partition specified: nope"),
        ({"gres": "gpu:9"}, "Requested node configuration is not available"),
        ({"options": ["--nonsense=1"]}, "unrecognized option '--nonsense=1'"),
        ({"python": "/no such/python"}, "/no such/python"),
    ],
)
def test_what_slurm_refuses_fails_with_its_words_here_and_in_a_look_at_it(
    journal: Journal, spec: RunSpec, home: Home, slurm: OneNode, settings: dict[str, object], sentence: str
) -> None:
    backend = Cluster(home, slurm, **settings).client()
    jobs = queued(journal, spec, backend, training("finish"))
    until(lambda: job(journal).finished_at is not None, jobs.tick)
    assert job(journal).state == "failed"
    assert sentence in job(journal).message
    assert sentence in " ".join(backend.probe().problems)


def test_odd_characters_in_paths_and_options_reach_nobody_who_would_execute_them(
    spec: RunSpec, slurm: OneNode, tmp_path: Path
) -> None:
    odd = 'o d\'d "q" $(touch hacked) `touch hacked` %j;touch hacked, \\ \n x'
    home, comment = Home(tmp_path / odd), "$(touch hacked); `touch hacked` 'y' \"z\" %j"
    backend, attempt = Cluster(home, slurm, options=[f"--comment={comment}"]).client(), one(home, spec, "finish")
    backend.submit(attempt)
    assert condition(backend, attempt, Condition.EXITED).exit_code == 0
    told = slurm.ask("squeue", "--noheader", "--states=all", "--sort=-i", "--format=%k").splitlines()
    assert told[0] == comment
    for place in (tmp_path, slurm.folder, Path.cwd(), Path.home()):
        assert not list(place.glob("**/hacked") if place == tmp_path else place.glob("hacked"))


def test_a_look_at_the_cluster_names_its_gpus(cluster: Cluster) -> None:
    found = cluster.client().probe()
    assert found.gpus == ("1 × gpu:4 in gpu, idle",)
    assert found.problems == ()
    assert found.versions["torch"]

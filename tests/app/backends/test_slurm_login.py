"""A cluster whose commands are on a login node behind ssh: a real sshd, which leads to a real Slurm."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import cli
from app.jobs import configured, supervisor
from app.jobs.backends.interface import Attempt, Backend, Condition, Unreachable
from app.jobs.backends.settings import SlurmSettings
from app.jobs.backends.slurm import SlurmBackend
from app.jobs.programme import EngineTraining, Programme
from app.journal.home import Home
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from engine.run_folder import RunFolder
from tests.app.backends import sshd as daemon
from tests.app.backends.contract import BackendContract
from tests.app.backends.fold_trainings import FoldTraining
from tests.app.backends.one_node import OneNode
from tests.app.backends.sshd import Sshd
from tests.app.trainings import Training, small_spec, until
from tests.conftest import competition_folder


class Login:
    def __init__(self, home: Home, slurm: OneNode, folder: Path) -> None:
        self.home, self.slurm, self.root = home, slurm, folder / "it's $(touch hacked) %j"
        self.own = self.root / "homes" / "tester"
        home.machines_dir.mkdir()
        (home.machines_dir / "called").write_text("tester")
        home.config_toml.write_text('[backends.cluster]\nkind = "slurm"\n')  # for who queues a run

    def client(self, **settings: object) -> Backend:
        asked = SlurmSettings.model_validate(
            {"host": "login", "dir": str(self.root), "python": sys.executable, "gres": "gpu:1", **settings}
        )
        return SlurmBackend("cluster", asked, self.home, grace_s=1.0, ask_every_s=0.1, lag_s=0.2)

    def run_dir(self, attempt: Attempt) -> Path:
        return self.own / "runs" / attempt.run_dir.name

    def kill(self, attempt: Attempt) -> None:
        folder = supervisor.attempt_dir(str(self.own / "jobs" / attempt.name), "whole")
        os.kill(supervisor.status(folder)["pid"], signal.SIGKILL)
        supervisor.clear(folder)

    def places(self) -> list[Path]:
        return [self.home.path, self.root, self.slurm.folder]


@pytest.fixture(scope="module")
def bin_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the login node finds first: an sbatch that waits as long as there is a file `hold`, and says so."""
    folder = tmp_path_factory.mktemp("bin")
    script = f'#!/bin/sh\nwhile [ -e {folder}/hold ]; do touch {folder}/held; sleep 0.02; done\nexec {shutil.which("sbatch")} "$@"\n'
    (folder / "sbatch").write_text(script)
    (folder / "sbatch").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def login_sshd(slurm: OneNode, bin_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    path, env = f"{bin_dir}:/usr/local/bin:/usr/bin:/bin", f"SLURM_CONF={slurm.conf}"
    with daemon.running(tmp_path_factory.mktemp("login"), path=path, env=env) as started:
        yield started


@pytest.fixture
def login(
    home: Home, slurm: OneNode, login_sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Login]:
    login_sshd.write_config(tmp_path / "user", "login")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("SLURM_CONF")  # on this computer nobody knows of the cluster
    yield Login(home, slurm, tmp_path)
    slurm.end_jobs()


class TestSlurmThroughSsh(BackendContract):
    test_a_lost_attempt_is_started_again_to_a_limit = None  # the way there does not matter, and it takes long

    @pytest.fixture
    def machine(self, login: Login) -> Login:
        return login


def attempt_of(home: Home, folder: Path, programme: type[Training], mode: str) -> Attempt:
    asked: Programme = programme(EngineTraining(small_spec(competition_folder(folder / "data", rows=1))), mode)
    attempt = Attempt(7, 1, home.run_dir("humpback_001-r01"), "cluster/1", asked)
    asked.prepare(RunFolder(attempt.run_dir))
    return attempt


def test_folds_train_there_at_once_and_their_rows_and_logs_come_home(home: Home, login: Login, tmp_path: Path) -> None:
    backend = login.client(folds_as_array=True)
    attempt = attempt_of(home, tmp_path, FoldTraining, "wait")
    backend.submit(attempt)
    folder = RunFolder(attempt.run_dir)
    until(lambda: backend.status(attempt).condition is Condition.RUNNING)
    until(lambda: folder.kept() == 2, lambda: backend.fetch(attempt))
    assert folder.fold_metrics_jsonl(1).exists()
    (login.run_dir(attempt) / "go").touch()
    until(lambda: backend.status(attempt).condition is Condition.EXITED)
    until(lambda: backend.fetch(attempt))
    assert backend.status(attempt).exit_code == 0
    assert folder.read_result() is not None
    assert folder.log_tail().count("--- attempt 7-1") == 3
    backend.close()


def test_a_connection_that_is_cut_while_slurm_takes_the_job_starts_one(
    home: Home, login: Login, login_sshd: Sshd, bin_dir: Path, tmp_path: Path
) -> None:
    backend, attempt = login.client(), attempt_of(home, tmp_path, Training, "finish")
    (bin_dir / "hold").touch()
    backend.submit(attempt)
    until((bin_dir / "held").exists)
    assert backend.status(attempt).reason == "starting"
    assert login_sshd.cut() >= 1
    with pytest.raises(Unreachable):
        until(lambda: backend.status(attempt).condition is not Condition.WAITING)
    (bin_dir / "hold").unlink()
    backend.submit(attempt)
    until(lambda: backend.status(attempt).condition is Condition.EXITED)
    until(lambda: backend.fetch(attempt))
    assert backend.status(attempt).exit_code == 0
    assert len((login.run_dir(attempt) / "starts").read_text().split()) == 1
    backend.close()


@pytest.mark.usefixtures("migrated_home")
def test_a_login_node_is_set_up_as_any_machine_and_the_cluster_is_asked_through_it(
    home: Home, login: Login, capsys: pytest.CaptureFixture[str]
) -> None:
    home.config_toml.write_text('[backends.cluster]\nkind = "slurm"\ngres = "gpu:9"\n')
    words = ["backend", "setup", "cluster", "--dir", str(login.root), "--python", sys.executable]
    assert cli.main(words) == EXIT_BAD_INPUT
    assert "of kind 'slurm': there is nothing to set up by ssh" in capsys.readouterr().err
    assert cli.main([*words, "--host", "login"]) == EXIT_OK
    told = capsys.readouterr()
    assert "cluster: asking Slurm" in told.err
    assert "1 × gpu:4 in gpu, idle" in told.out
    assert "! Slurm does not do it: Requested node configuration is not available" in told.out
    settings = configured.settings_of(home, "cluster")
    assert isinstance(settings, SlurmSettings)
    assert (settings.host, settings.gres, settings.slots) == ("login", "gpu:9", 4)

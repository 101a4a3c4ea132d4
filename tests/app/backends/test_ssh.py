"""A machine behind ssh: a real sshd on loopback, and everything that can go wrong on the way to it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs import supervisor
from app.jobs.backends.interface import Attempt
from app.jobs.backends.settings import SshSettings
from app.jobs.backends.ssh import SshBackend
from app.journal.home import Home
from tests.app.backends.contract import BackendContract


class Box:
    """What the sshd leads to: this computer, in a folder of its own."""

    def __init__(self, home: Home, root: Path) -> None:
        self.home, self.root = home, root
        self.own = root / "homes" / "tester"
        home.machines_dir.mkdir()
        (home.machines_dir / "called").write_text("tester")

    def client(self, **settings: object) -> SshBackend:
        table = {"kind": "ssh", "host": "box", "dir": str(self.root), "python": sys.executable, "slots": 2, "grace": 1}
        return SshBackend("box", SshSettings.model_validate({**table, **settings}), self.home)

    def run_dir(self, attempt: Attempt) -> Path:
        return self.own / "runs" / attempt.run_dir.name

    def kill(self, attempt: Attempt) -> None:
        folder = supervisor.attempt_dir(str(self.own / "jobs"), attempt.name)
        os.kill(supervisor.status(folder)["pid"], signal.SIGKILL)
        supervisor.clear(folder)

    def places(self) -> list[Path]:
        return [self.home.path, self.root]


@pytest.fixture
def box(home: Home, tmp_path: Path, user_home: Path) -> Iterator[Box]:
    made = Box(home, tmp_path / "there")
    yield made
    for attempt in made.root.glob("homes/*/jobs/*-*"):
        supervisor.clear(str(attempt))


class TestSsh(BackendContract):
    @pytest.fixture
    def machine(self, box: Box) -> Box:
        return box

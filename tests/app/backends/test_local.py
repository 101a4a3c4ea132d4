"""This computer as a backend."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs import supervisor
from app.jobs.backends.interface import Attempt, Backend
from app.jobs.backends.local import LocalBackend
from app.journal.home import Home
from tests.app.backends.contract import BackendContract


class ThisComputer:
    def __init__(self, home: Home) -> None:
        self.home = home

    def client(self) -> Backend:
        return LocalBackend(self.home, grace_s=1.0)

    def run_dir(self, attempt: Attempt) -> Path:
        return attempt.run_dir

    def kill(self, attempt: Attempt) -> None:
        folder = supervisor.attempt_dir(str(self.home.jobs_dir), attempt.name)
        os.kill(supervisor.status(folder)["pid"], signal.SIGKILL)
        supervisor.clear(folder)

    def places(self) -> list[Path]:
        return [self.home.path]


class TestLocal(BackendContract):
    @pytest.fixture
    def machine(self, home: Home) -> Iterator[ThisComputer]:
        yield ThisComputer(home)
        for attempt in home.jobs_dir.glob("*-*"):
            supervisor.clear(str(attempt.resolve()))

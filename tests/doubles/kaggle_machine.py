"""The Kaggle double as a backend's machine, as the contract's tests reach into it."""

from __future__ import annotations

from pathlib import Path

from app.jobs.backends import kaggle_request
from app.jobs.backends.interface import Attempt
from app.jobs.backends.kaggle_kernels import KaggleBackend
from app.jobs.backends.settings import KaggleSettings
from app.jobs.kaggle_account import Account
from app.journal.home import Home
from tests.doubles.kaggle_kernels import Session
from tests.doubles.kaggle_server import KaggleServer

SETTINGS = KaggleSettings(kind="kaggle", time_limit=7_200, margin=600, accelerator="NvidiaTeslaT4", kernels=2, poll=0.1)


class Kernels:
    def __init__(self, home: Home, server: KaggleServer) -> None:
        self.home, self.server = home, server
        home.config_toml.write_text('[backends.kaggle]\nkind = "kaggle"\ntime_limit = "2h"\n', encoding="utf-8")

    def client(self, settings: KaggleSettings = SETTINGS) -> KaggleBackend:
        return KaggleBackend("kaggle", settings, self.home, Account(waits_s=(0.01, 0.01)))

    def session(self, attempt: Attempt) -> Session | None:
        every = self.server.sessions(kaggle_request.slug_of(self.home, attempt))
        return every[-1] if every else None

    def run_dir(self, attempt: Attempt) -> Path:
        """Of its last session, or of the first one that is to come."""
        slug = kaggle_request.slug_of(self.home, attempt)
        version = max(1, len(self.server.sessions(slug)))
        return self.server.root / "sessions" / f"{slug}-v{version}" / "working" / attempt.run_dir.name

    def kill(self, attempt: Attempt) -> None:
        session = self.session(attempt)
        assert session is not None
        session.kill()

    def places(self) -> list[Path]:
        return [self.home.path, self.server.root]

    def starts(self, attempt: Attempt) -> str:
        """Of every session of every kernel of the run: each has a folder of its own."""
        run = attempt.run_dir.name
        every = [session for kernel in self.server.kernels.values() for session in kernel.sessions]
        paths = [session.working / run / "starts" for session in every]
        return "".join(path.read_text() for path in paths if path.exists())

"""The real server on a loopback port, and Debian's Chromium. Tests await what the page shows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from app.jobs import supervisor
from app.journal.home import CHECKOUT, Home
from app.journal.store import Journal, open_journal
from app.keeper import HOST, server_command
from tests.conftest import competition_folder

PATIENCE_MS = 20_000
StartServer = Callable[..., "Server"]


class Server:
    """`streamlit run app/server.py` on a home folder of its own. `start` returns when it answers."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.url = f"http://{HOST}:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # PYTHONPATH: the code beside these tests, whichever checkout is the installed one.
        environment = {**os.environ, "ONEHOUR_HOME": str(self.home), "PYTHONPATH": str(CHECKOUT)}
        with (self.home / "server.txt").open("ab") as output:
            # Started from a folder of no meaning: the theme and the settings must be found all the same.
            self.process = subprocess.Popen(
                server_command(self.port), cwd=self.home, env=environment, stdout=output, stderr=output
            )
        ends_at = time.monotonic() + PATIENCE_MS / 1000
        while not self.answers():
            assert self.process.poll() is None, (self.home / "server.txt").read_text()
            assert time.monotonic() < ends_at, "the server does not answer"
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/_stcore/health", timeout=1):
                return True
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def own(home: Home) -> Iterator[Journal]:
    """The journal as the server opens it, read beside it, by the real clock."""
    journal = open_journal(home)
    yield journal
    journal.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return competition_folder(tmp_path / "data")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start_server(free_port: int) -> Iterator[StartServer]:
    """`start_server(home, port=free_port) -> Server`; every server is ended with the test."""
    started: list[Server] = []

    def start(home: Home | Path, port: int = free_port) -> Server:
        server = Server(home.path if isinstance(home, Home) else home, port)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


# The real worker and supervisor; the training is one of tests/app/trainings.py.
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
def start_worker(home: Home) -> Iterator[Callable[[str], None]]:
    """`start_worker(mode)`: a worker on the test's home whose trainings go as `mode` says; all of it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> None:
        started.append(subprocess.Popen([sys.executable, "-c", WORKER, mode], cwd=CHECKOUT))

    yield start
    for worker in started:
        worker.kill()
        worker.wait()
    for attempt in home.jobs_dir.glob("*-*"):
        supervisor.clear(str(attempt.resolve()))


def chromium() -> str | None:
    """Debian's Chromium, or the one that `playwright install chromium` brings."""
    for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser"):
        if Path(path).exists():
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Said once and before the first test, instead of by every browser test after minutes of others."""
    wanted = any(Path(__file__).parent in item.path.parents for item in session.items)
    if wanted and not session.config.option.collectonly and chromium() is None:
        pytest.exit(
            "The browser tests need Chromium: apt-get install chromium, or .venv/bin/playwright install chromium.", 2
        )


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    return {"args": arguments, "executable_path": chromium()}


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 800}, "timezone_id": "UTC", "locale": "en-GB"}


@pytest.fixture(autouse=True)
def patience() -> None:
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser's console complained about."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found

"""`onehour up` with the real server and the real worker: either may be killed alone, both end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from app import keeper
from app.jobs import presence
from app.jobs.presence import present, server_lock
from app.journal.home import CHECKOUT, Home
from engine.contract import OnehourError
from tests.app.trainings import alive, until

UP = "import sys; from app import keeper; from app.journal.home import find_home; "
UP += "sys.exit(keeper.up(find_home(), port=int(sys.argv[1]), browser=False))"


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind((keeper.HOST, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def kept(home: Home, port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", UP, str(port)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://{keeper.HOST}:{port}/_stcore/health", timeout=1):
            return True
    except (URLError, OSError):
        return False


def children(pid: int) -> dict[str, int]:
    """The keeper's children: worker and server."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        arguments = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if len(arguments) > 2:
            found[arguments[2]] = int(child)
    return found


def test_server_and_worker_come_back_alone_and_end_with_the_keeper(
    home: Home, port: int, kept: subprocess.Popen[str]
) -> None:
    until(lambda: answers(port) and presence.worker_slots(home))
    before = children(kept.pid)
    assert set(before) == {"streamlit", "app.jobs.worker"}

    os.kill(before["app.jobs.worker"], signal.SIGKILL)
    os.kill(before["streamlit"], signal.SIGKILL)
    until(lambda: not alive(before["app.jobs.worker"]) and not alive(before["streamlit"]))
    until(lambda: answers(port) and presence.worker_slots(home))
    after = children(kept.pid)
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())

    with pytest.raises(OnehourError, match=f"Onehour is already running .process {kept.pid}.. It is at http://127"):
        keeper.up(home, port=port, browser=False)

    kept.terminate()
    said, _ = kept.communicate(timeout=20)
    assert kept.returncode == 0
    assert f"Onehour: http://127.0.0.1:{port}" in said
    assert not any(alive(pid) for pid in after.values())


def test_a_proxy_of_the_shell_is_not_asked_for_the_page(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("http_proxy", f"http://{keeper.HOST}:{port}")  # nobody listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer((keeper.HOST, 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert keeper._answers(f"http://{keeper.HOST}:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def test_a_killed_keeper_takes_both_along(home: Home, port: int, kept: subprocess.Popen[str]) -> None:
    until(lambda: answers(port) and presence.worker_slots(home))
    pids = children(kept.pid).values()
    kept.kill()
    until(lambda: not any(alive(pid) for pid in pids))
    # A killed process of several threads is told dead a moment before its last thread lets go of the lock.
    until(lambda: presence.who_holds(server_lock(home)) is None)


def test_a_port_in_use_is_said_in_one_sentence(home: Home, port: int) -> None:
    with socket.socket() as other:
        other.bind((keeper.HOST, port))
        other.listen()
        with pytest.raises(
            OnehourError, match=f"{port}: the port cannot be used .Address already in use.. Choose another"
        ):
            keeper.up(home, port=port, browser=False)


def test_a_lock_tells_who_holds_it_and_is_free_afterwards(home: Home) -> None:
    path = server_lock(home)
    assert presence.who_holds(path) is None
    with present(path, "Onehour", {"address": "http://here"}):
        assert presence.who_holds(path) == {"pid": os.getpid(), "address": "http://here"}
    assert presence.who_holds(path) is None

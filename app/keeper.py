"""`onehour up`: keeps the page's server and the worker running, each a process of its own; either may die alone and comes back.

Training is no child of theirs: ending the keeper, the server or the worker leaves what runs running.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from app.jobs.dependants import end_with_parent
from app.jobs.presence import present, server_lock, who_holds, worker_lock
from app.journal.home import CHECKOUT, COMMAND, Home
from app.journal.store import open_journal
from engine.contract import EXIT_OK, OnehourError

log = logging.getLogger("onehour.keeper")

HOST = "127.0.0.1"
LOOK_S = 0.2
# A child that dies at once is started again after this long, doubled each time up to the longest wait.
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
# A child that lived this long starts with the shortest wait again.
STEADY_S = 20.0
END_WAIT_S = 10.0
# The server is on this machine: a proxy of the surrounding shell would not find it.
NO_PROXY = build_opener(ProxyHandler({}))

Say = Callable[[str], None]


@dataclass
class Kept:
    """A child that is started again when it ends. `elsewhere` tells whether somebody else does its work already."""

    name: str
    command: Sequence[str]
    home: Home
    say: Say
    elsewhere: Callable[[], bool] = lambda: False
    keep_open: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    wait_s: float = SHORTEST_WAIT_S
    next_start_at: float = 0.0

    @property
    def output(self) -> Path:
        return self.home.logs_dir / f"{self.name}-output.log"

    def look(self, now: float) -> None:
        """Start the child if it is not there and it is time. `now` in seconds of a steady clock."""
        if self.process is not None and self.process.poll() is not None:
            lived_s = now - self.started_at
            self.wait_s = SHORTEST_WAIT_S if lived_s > STEADY_S else min(LONGEST_WAIT_S, self.wait_s * 2)
            log.warning("%s ended with %s, starts again in %.1f s", self.name, self.process.returncode, self.wait_s)
            self.say(
                f"The {self.name} ended; it starts again in {self.wait_s:g} s. Its last words are in {self.output}"
            )
            self.process, self.next_start_at = None, now + self.wait_s
        if self.process is None and now >= self.next_start_at and not self.elsewhere():
            self._start(now)

    def _start(self, now: float) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=CHECKOUT,
                env=self.home.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=self.keep_open,
                start_new_session=True,  # Ctrl-C reaches the keeper alone, which ends its children in order
                preexec_fn=end_with_parent,  # the next keeper finds port and locks free
            )
        self.started_at = now

    def end(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def up(home: Home, *, host: str = HOST, port: int = 8501, browser: bool = True, say: Say = print) -> int:
    """Run server and worker until SIGTERM or Ctrl-C; the server listens on `host`.

    Raises OnehourError when the port is in use or Onehour is already up.
    """
    address = f"http://{HOST}:{port}"
    with present(server_lock(home), "Onehour", {"address": address}) as lock:
        _require_free(host, port)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: stop.set())
        open_journal(home).close()  # migrated once, before two processes want to
        home.logs_dir.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(
            filename=home.logs_dir / "keeper.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
        )
        server = Kept("server", server_command(port, host), home, say, keep_open=(lock,))
        worker = Kept(
            "worker",
            [sys.executable, "-m", "app.jobs.worker"],
            home,
            say,
            elsewhere=lambda: who_holds(worker_lock(home)) is not None,
        )
        try:
            _keep(server, worker, stop, address, browser, say)
        finally:
            worker.end()
            server.end()
    say(f"Ended. Runs go on; `{COMMAND} up` shows them again.")
    return EXIT_OK


def server_command(port: int, host: str = HOST) -> list[str]:
    script = str(Path(__file__).with_name("server.py"))
    options = {"port": str(port), "headless": "true", "address": host}
    arguments = [part for name, value in options.items() for part in (f"--server.{name}", value)]
    return [sys.executable, "-m", "streamlit", "run", script, *arguments]


def _keep(server: Kept, worker: Kept, stop: threading.Event, address: str, browser: bool, say: Say) -> None:
    announced = False
    while not stop.is_set():
        now = time.monotonic()
        server.look(now)
        worker.look(now)
        if not announced and _answers(address):
            announced = True
            say(f"Onehour: {address}   (Ctrl-C ends it; runs go on)")
            if browser and has_display():
                webbrowser.open(address)
        stop.wait(LOOK_S)


def has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _answers(address: str) -> bool:
    try:
        with NO_PROXY.open(f"{address}/_stcore/health", timeout=1):
            return True
    except (URLError, OSError):
        return False


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OnehourError(
                f"the port cannot be used ({reason})",
                where=f"{host}:{port}",
                fix=f"Choose another: {COMMAND} up --port 8502",
            ) from None

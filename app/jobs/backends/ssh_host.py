"""A host that is reached by ssh: asked, sent what an attempt needs, fetched from. What starts attempts there is not its business.

Calls come from a thread that waits; the connection, what is being sent and what is being fetched go on in another one. All of it
may be lost at any moment: nothing is held here that the next one would not find again.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from app.jobs.agent import PAYLOAD
from app.jobs.backends.homecoming import FILE_MOST, LOG_MOST, Homecoming
from app.jobs.backends.host_keys import HostKeys
from app.jobs.backends.interface import Refused, Unreachable
from app.jobs.backends.manifest import Hashes
from app.jobs.backends.settings import HostSettings
from app.jobs.backends.shipping import Shipment, Shipped
from app.jobs.backends.ssh_line import ASK_S, FETCH, SEND, TALK, SshLine
from app.jobs.programme import Input
from app.journal.home import Home
from engine.contract import OnehourError

log = logging.getLogger("onehour.ssh")

CALL_OFF_S = 10.0
# What runs is fetched from no more often than this.
FETCH_S = 1.0
# On the host a run's folder stays so long after it came home, and other things so long after a run used them.
RUNS_KEPT_S, STORE_KEPT_S = 14 * 86_400.0, 30 * 86_400.0


@dataclass(frozen=True)
class Done:
    """A command that has ended. `said`: its standard error; `late`: it was killed when its time was over."""

    exit_code: int
    output: bytes
    said: str
    late: bool = False


@dataclass
class _Sending:
    shipment: Shipment
    task: Future[None]


@dataclass
class _Visit:
    """What is fetched of one run."""

    homecoming: Homecoming
    task: Future[bool] | None = None
    everything: bool = False
    ended_at: float = field(default=-FETCH_S)


class SshHost:
    """`accept`: fingerprints of host keys that the person says are right."""

    def __init__(
        self,
        name: str,
        settings: HostSettings,
        home: Home,
        *,
        accept: Collection[str] = (),
        log_most: int = LOG_MOST,
        file_most: int = FILE_MOST,
    ) -> None:
        self.name, self.settings, self.home = name, settings, home
        self.hashes = Hashes(home.machines_dir / "hashes.db")
        self.log_most, self.file_most = log_most, file_most
        self._line = SshLine(name, settings, HostKeys.of(home, accept))
        self._sendings: dict[str, _Sending] = {}
        self._visits: dict[Path, _Visit] = {}

    @property
    def root(self) -> str:
        """The folder on the host in which everything lies; connects when that is not known yet."""
        return self._line.root

    @property
    def python(self) -> str:
        """The interpreter on the host that runs the engine."""
        return self._line.python

    @property
    def store(self) -> str:
        return f"{self.root}/store"

    @property
    def jobs_dir(self) -> str:
        """The supervisors' own files on the host, as Home.jobs_dir here."""
        return f"{self._own_place}/jobs"

    def run_dir(self, run_dir: Path) -> str:
        """A run's folder on the host."""
        return f"{self._own_place}/runs/{run_dir.name}"

    @property
    def _own_place(self) -> str:
        """Two homes (of two persons, of two computers) have runs of one name: each has a place of its own there."""
        path = self.home.machines_dir / "called"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".called.{uuid.uuid4().hex}")
            part.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
            with suppress(FileExistsError):  # somebody else was first
                os.link(part, path)
            part.unlink()
        return f"{self.root}/homes/{path.read_text(encoding='utf-8').strip()}"

    def ask(self, op: str, payload: bytes = b"", *, limit_s: float | None = ASK_S, **asked: Any) -> dict[str, Any]:
        """What the agent answers (see app.jobs.agent). Raises Unreachable, and Refused for what the host cannot do."""
        return self._line.wait(self.aask(op, payload, limit_s=limit_s, **asked))

    def run(
        self,
        argv: Sequence[str],
        given: bytes = b"",
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        alone: str = "",
        limit_s: float = ASK_S,
    ) -> Done:
        """Run a command there, no shell in between; of those that name a file `alone` one runs at a time.

        Raises Refused when it cannot be started.
        """
        told = self.ask(
            "run",
            given,
            argv=list(argv),
            cwd=cwd,
            env=dict(env or {}),
            alone=alone,
            timeout_s=limit_s,
            limit_s=limit_s + ASK_S,
        )
        return Done(told["exit_code"], told[PAYLOAD], told["said"], told["late"])

    def read(self, run_dir: Path, name: str, offset: int, most: int) -> bytes:
        """At most `most` bytes of a file in a run's folder; empty where there is nothing (yet)."""
        told = self.ask("read", run_dir=self.run_dir(run_dir), name=name, offset=offset, most=most)
        return bytes(told[PAYLOAD])

    def send(
        self, key: str, run_dir: Path, inputs: Mapping[str, Input], then: Callable[[Shipped], Awaitable[int]]
    ) -> None:
        """Send what an attempt needs, behind this call, and then do `then` with it; asking twice for `key` sends once.

        `then` is a coroutine function and may use `aask`; it returns how many contents it found missing.
        """
        if key in self._sendings:
            return
        shipment = Shipment(self.name, self.store, self._homecoming(run_dir), inputs, self.hashes)
        self._sendings[key] = _Sending(shipment, self._line.start(self._ship(shipment, then)))

    def sending(self, key: str) -> str:
        """What is being done to send, in words; "" when nothing is. Raises what went wrong, once."""
        found = self._sendings.get(key)
        if found is None:
            return ""
        if not found.task.done():
            return found.shipment.words
        del self._sendings[key]
        found.task.result()
        return ""

    def call_off(self, key: str) -> None:
        """Send no more for `key`. Raises Unreachable while what was sent is being used just now."""
        found = self._sendings.get(key)
        if found is None:
            return
        found.shipment.call_off()
        if not found.shipment.is_used:
            found.task.cancel()
        with suppress(Exception):
            found.task.exception(CALL_OFF_S)
        if not found.task.done():
            raise Unreachable("it is being started just now", self.name)
        del self._sendings[key]

    async def aask(
        self, op: str, payload: bytes = b"", *, limit_s: float | None = ASK_S, **asked: Any
    ) -> dict[str, Any]:
        """As `ask`, for what runs in the other thread."""
        return await self._line.ask(TALK, op, payload, limit_s=limit_s, **asked)

    def fetch(self, run_dir: Path, *, everything: bool) -> bool:
        """Fetch what a run has written, behind this call. True when all is here, which only `everything` asks for."""
        visit = self._visits.get(run_dir)
        if visit is None:
            visit = self._visits[run_dir] = _Visit(self._homecoming(run_dir))
        if visit.task is not None and visit.task.done():
            task, visit.task, visit.ended_at = visit.task, None, time.monotonic()
            try:
                came = task.result()
            except OSError as error:
                raise Unreachable(
                    f"what it wrote cannot be kept on this computer ({error.strerror})", str(error.filename or run_dir)
                ) from None
            if came and everything and visit.everything:
                del self._visits[run_dir]
                return True
        if visit.task is None and (everything or time.monotonic() - visit.ended_at >= FETCH_S):
            visit.everything = everything
            visit.task = self._line.start(self._bring(visit.homecoming, everything))
        return False

    def sweep(self) -> None:
        """Let the host remove what is old, behind this call."""
        self._line.start(self.aask("sweep", dir=self.root, runs_s=RUNS_KEPT_S, store_s=STORE_KEPT_S, limit_s=None))

    def close(self) -> None:
        """Give the connection back. What is being sent goes on the next time."""
        for sending in self._sendings.values():
            sending.shipment.call_off()
        self._line.close()
        self._sendings.clear()
        self._visits.clear()

    def _homecoming(self, run_dir: Path) -> Homecoming:
        return Homecoming(run_dir, self.run_dir(run_dir), self.name, self.log_most, self.file_most)

    async def _ship(self, shipment: Shipment, then: Callable[[Shipped], Awaitable[int]]) -> None:
        try:
            if self._line.alone("shipping").locked():
                shipment.words = "waiting until another run's files have been sent"
            async with self._line.alone("shipping"):
                await shipment.run(partial(self._line.ask, SEND), then)
        except OnehourError:
            raise
        except Exception as error:  # a file that cannot be read, or our bug: either way it cannot be sent
            log.exception("sending to %s", self.name)
            raise Refused(str(error) or type(error).__name__, self.name) from error

    async def _bring(self, homecoming: Homecoming, everything: bool) -> bool:
        ask = partial(self._line.ask, FETCH)
        came = await homecoming.bring(ask, everything)
        if came and everything:
            await ask("fetched", run_dir=homecoming.there)
        return came

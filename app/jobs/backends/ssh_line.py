"""The open line to a host: one connection, a channel for each kind of work, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from app.jobs.backends.agent_channel import AgentChannel
from app.jobs.backends.host_keys import HostKeys
from app.jobs.backends.interface import Unreachable
from app.jobs.backends.settings import HostSettings
from app.jobs.backends.ssh_connection import Connection, connect

# Each has a channel of its own: what takes an hour keeps nobody waiting.
TALK, SEND, FETCH = "talk", "send", "fetch"
# An answer may wait behind what a slow line still has to send.
ASK_S = 60.0
CLOSE_S = 10.0

Result = TypeVar("Result")


class SshLine:
    """Made when it is needed, and again after it was cut: whoever asks then is told, and asks once more."""

    def __init__(self, name: str, settings: HostSettings, keys: HostKeys) -> None:
        self.name, self.settings, self.keys = name, settings, keys
        self._root = self._python = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._channels: dict[str, AgentChannel] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def root(self) -> str:
        """The folder on the host in which everything lies; connects when that is not known yet."""
        if not self._root:
            self.wait(self._channel(TALK))
        return self._root

    @property
    def python(self) -> str:
        """The interpreter on the host that runs the engine."""
        return self._python if self.root else ""

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` in the line's thread; its result."""
        return self.start(work).result()

    def start(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin `work` in the line's thread."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh {self.name}", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def ask(
        self, kind: str, op: str, payload: bytes = b"", *, limit_s: float | None = ASK_S, **asked: Any
    ) -> dict[str, Any]:
        """What the agent answers. In the line's thread."""
        channel = await self._channel(kind)
        try:
            return await channel.ask(op, payload, limit_s=limit_s, **asked)
        except Unreachable:
            if kind == TALK and self._connection is not None:
                self._connection.ssh.abort()
            raise

    def alone(self, name: str) -> asyncio.Lock:
        """The lock of that name, for the line's thread."""
        return self._locks[name]

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._connection = None
        self._channels.clear()
        self._locks.clear()

    async def _channel(self, kind: str) -> AgentChannel:
        async with self._locks[kind]:
            channel = self._channels.get(kind)
            if channel is None or not channel.is_open:
                connection = await self._connected()
                channel = await AgentChannel.start(connection.ssh, self.name, self.settings.python)
                asked: dict[str, Any] = {"dir": self.settings.dir, "python": self.settings.python}
                told = await channel.ask("hello", limit_s=ASK_S, **asked)
                self._root, self._python = told["dir"], told["python"]
                self._channels[kind] = channel
            return channel

    async def _connected(self) -> Connection:
        async with self._locks["connection"]:
            if self._connection is not None and self._connection.ssh.is_closed():
                await self._connection.close()
                self._connection = None
            if self._connection is None:
                proxy = self.settings.proxy_command
                self._connection = await connect(self.name, self.settings.host, self.keys, proxy)
                self._channels.clear()
            return self._connection

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for channel in self._channels.values():
            channel.close()
        if self._connection is not None:
            await self._connection.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

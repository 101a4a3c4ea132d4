"""A connection to a host as ~/.ssh/config describes it, with strict host keys; whatever goes wrong becomes one sentence.

Only drivers and the children that do errands import this: asyncssh is not for the worker, nor for pages and commands.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from app.jobs.backends.host_keys import Contact, HostKeys
from app.jobs.backends.interface import Unreachable

logging.getLogger("asyncssh").setLevel(logging.WARNING)

# Seconds until a host that does not let us in counts as down; a program in between may have to start a machine first.
CONNECT_S, PROGRAM_S = 15.0, 180.0
# A silent connection is asked for a sign of life this often, and given up after so many without an answer.
ALIVE_S, ALIVE_COUNT = 10, 3
MOST_JUMPS = 5
KNOWN_HOSTS, ALL_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"), ("/etc/ssh/ssh_known_hosts",)
# Asked for where the kinds that are known lead to no key that could be compared.
PLAIN_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
# How a meeting ends when the host's key is not one that is known; a host without a key of a known kind may just hang up.
KEY_TROUBLE = (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError)


class UnknownHostKey(Unreachable):
    """Nobody has accepted the host's key yet, or it is not the one that was. `contact` tells what was shown, and what is known."""

    def __init__(self, what: str, where: str, fix: str, contact: Contact) -> None:
        super().__init__(what, where, fix)
        self.contact = contact


@dataclass
class Connection:
    """An open one. `behind`: the connections and the program that it goes through."""

    ssh: asyncssh.SSHClientConnection
    behind: AsyncExitStack

    async def close(self) -> None:
        self.ssh.abort()
        await self.behind.aclose()


@dataclass(frozen=True)
class _Host:
    """One host on the way. `name`: the backend, for sentences."""

    name: str
    host: str
    user: Any  # as typed; () for what ssh config or asyncssh say
    port: Any
    options: asyncssh.SSHClientConnectionOptions

    @property
    def where(self) -> str:
        port = "" if self.options.port == 22 else f":{self.options.port}"
        return f"{self.name} ({self.options.username}@{self.options.host}{port})"


@dataclass
class _Program:
    """What stands between us and the host, and the last words that it said."""

    said: list[str] = field(default_factory=list)

    async def start(self, argv: Sequence[str], stack: AsyncExitStack) -> socket.socket:
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            theirs.close()
        listening = asyncio.ensure_future(self._listen(process))

        async def end() -> None:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            listening.cancel()

        stack.push_async_callback(end)
        return ours

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.said = [*self.said, line.decode("utf-8", "replace").strip()][-3:]


async def connect(name: str, host: str, keys: HostKeys, proxy_command: Sequence[str] = ()) -> Connection:
    """Connect the backend `name` with `host`, a Host of ssh config or [USER@]NAME[:PORT].

    Raises UnknownHostKey, and Unreachable with a sentence for whatever else stands in the way.
    """
    async with AsyncExitStack() as stack:
        ssh = await _reach(name, host, keys, stack, proxy_command)
        return Connection(ssh, stack.pop_all())


async def _reach(
    name: str,
    host: str,
    keys: HostKeys,
    stack: AsyncExitStack,
    proxy_command: Sequence[str] = (),
    tunnel: asyncssh.SSHClientConnection | None = None,
    jumps: int = MOST_JUMPS,
) -> asyncssh.SSHClientConnection:
    """Meet `host` through `tunnel`, or as ssh config says: through other hosts, or through a program."""
    to = _looked_up(name, host)
    program = _Program()
    if tunnel is None and not proxy_command and isinstance(to.options.tunnel, str):
        if jumps == 0:
            raise Unreachable("ssh's ProxyJump leads through too many hosts, or in a circle", to.where)
        for hop in to.options.tunnel.split(","):
            tunnel = await _reach(name, hop.strip(), keys, stack, tunnel=tunnel, jumps=jumps - 1)
    argv = proxy_command or (() if tunnel else to.options.proxy_command or ())

    async def way() -> dict[str, Any]:
        return {"sock": await program.start(argv, stack)} if argv else {"tunnel": tunnel}

    limit_s = to.options.connect_timeout or (PROGRAM_S if argv else CONNECT_S)
    try:
        ssh = await _meet(to, keys, way, limit_s)
    except Unreachable:
        raise
    except asyncssh.PermissionDenied:
        raise Unreachable(
            "it refuses our keys",
            to.where,
            f"`ssh {host}` must work without a question; a key with a passphrase needs ssh-agent.",
        ) from None
    except TimeoutError:
        raise Unreachable(f"no answer within {limit_s:g} s", to.where) from None
    except (asyncssh.Error, OSError, ValueError) as error:
        last = f"; {argv[0]} says: {' '.join(program.said)}" if program.said else ""
        raise Unreachable(f"no connection ({reason_of(error)}{last})", to.where) from None
    stack.push_async_callback(_close, ssh)
    return ssh


async def _meet(
    to: _Host, keys: HostKeys, way: Callable[[], Awaitable[dict[str, Any]]], limit_s: float
) -> asyncssh.SSHClientConnection:
    own: Any = to.options.config.get("UserKnownHostsFile", KNOWN_HOSTS)
    common: Any = to.options.config.get("GlobalKnownHostsFile", ALL_KNOWN_HOSTS)
    contact = Contact(keys, [*own, *common], to.options.host_key_alias)
    for kinds in ((), PLAIN_KEYS):
        try:
            ssh = await asyncssh.connect(
                to.host,
                to.port,
                username=to.user,
                known_hosts=contact.trusted,
                client_factory=lambda: contact,
                server_host_key_algs=kinds,
                connect_timeout=limit_s,
                login_timeout=limit_s,
                keepalive_interval=to.options.keepalive_interval or ALIVE_S,
                keepalive_count_max=ALIVE_COUNT,
                proxy_command=None,
                agent_forwarding=False,
                x11_forwarding=False,
                **await way(),
            )
        except KEY_TROUBLE as error:
            is_about_key = isinstance(error, asyncssh.HostKeyNotVerifiable)
            if contact.shown is None and not kinds and (is_about_key or contact.known):
                continue
            if not is_about_key and (contact.shown is None or contact.is_accepted):
                raise
            what, fix = contact.refusal(to.name, str(error))
            raise UnknownHostKey(what, to.where, fix, contact) from None
        contact.connected()
        return ssh
    raise AssertionError


def _looked_up(name: str, host: str) -> _Host:
    user, _, bare = host.rpartition("@")
    first, colon, last = bare.rpartition(":")
    port: Any = ()
    if colon and ":" not in first and last.isdigit():
        bare, port = first, int(last)
    try:
        options = asyncssh.SSHClientConnectionOptions(host=bare, username=user or (), port=port, config=())
    except (asyncssh.Error, ValueError, OSError) as error:
        raise Unreachable(f"ssh's configuration cannot be used ({error})", f"{name} ({host})") from None
    return _Host(name, bare, user or (), port, options)


def reason_of(error: Exception) -> str:
    """Why, in a person's words."""
    if isinstance(error, EOFError):
        return "the other end is gone"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # asyncio's own words are for developers
    return str(getattr(error, "reason", "") or getattr(error, "strerror", "") or error or type(error).__name__)


async def _close(ssh: asyncssh.SSHClientConnection) -> None:
    ssh.abort()
    with suppress(Exception):
        await ssh.wait_closed()

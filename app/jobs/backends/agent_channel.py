"""One channel to an `agent` on a host: started by a constant command, told its program, then asked and answering."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

from app.jobs import agent, cluster, host_contents, host_store, slurm_commands, supervisor
from app.jobs.backends.interface import Refused, Unreachable
from app.jobs.backends.ssh_connection import reason_of

START_S = 20.0
OLDEST = (3, 8)
# What a login shell says before the agent does is read over, up to so much.
MOST_NOISE = 100_000
MOST_ANSWER = 64 << 20

# The whole of what the host's shell sees. It reads the length of a program, and runs the program.
COMMAND = "exec python3 -I -X utf8 -c 'import sys; s = sys.stdin.buffer; exec(s.read(int(s.readline())).decode())'"

# The program: looks for a Python that is new enough, then takes in the modules and runs the last of them.
LOADER = f"""
import json, os, platform, shutil, sys
asked = json.loads(s.readline().decode())
if sys.version_info < {OLDEST!r}:
    others = [os.path.expanduser(name) for name in asked["others"]]
    others = [path for path in map(shutil.which, others) if path]
    print(json.dumps({{"onehour-old": platform.python_version(), "next": others[:1]}}), flush=True)
    if others:
        again = "import sys; s = sys.stdin.buffer; exec(s.read(int(s.readline())).decode())"
        os.execv(others[0], [others[0], "-I", "-X", "utf8", "-c", again])
    sys.exit(0)
print(json.dumps({{"onehour-loader": platform.python_version(), "system": sys.platform}}), flush=True)
import types
for name, source in json.loads(s.readline().decode()):
    module = types.ModuleType(name)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)
    exec(compile(source, "<" + name + ">", "exec"), module.__dict__)
module.main()
"""
MODULES = (supervisor, host_contents, host_store, slurm_commands, cluster, agent)
OTHERS = ("python3.11", "python3.12", "python3.13", "python3.10", "python3.9", "python3.8")


def program() -> bytes:
    """The modules that the loader takes in, the last of them the agent."""
    files = [(module.__name__, module.__file__ or "") for module in MODULES]
    packages = [("app", ""), ("app.jobs", "")]
    return json.dumps(packages + [(name, Path(path).read_text(encoding="utf-8")) for name, path in files]).encode()


class AgentChannel:
    """Asked one thing at a time. After anything but a whole answer it is of no use any more: `is_open` is False."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], where: str) -> None:
        self.process, self.where = process, where
        self.lock = asyncio.Lock()
        self.is_broken = False

    @property
    def is_open(self) -> bool:
        return not self.is_broken and not self.process.is_closing()

    @classmethod
    async def start(cls, ssh: asyncssh.SSHClientConnection, where: str, python: str = "") -> AgentChannel:
        """Raises Unreachable where no agent can run."""
        try:
            process = await asyncio.wait_for(
                ssh.create_process(COMMAND, encoding=None, request_pty=False, env={}, send_env=()), START_S
            )
            channel = cls(process, where)
            await asyncio.wait_for(channel._greet(python), START_S)
        except TimeoutError:
            raise Unreachable(f"its python3 did not begin within {START_S:g} s", where) from None
        except (asyncssh.Error, OSError) as error:
            raise Unreachable(f"no program can be started there ({reason_of(error)})", where) from None
        return channel

    async def ask(
        self,
        op: str,
        payload: bytes = b"",
        *,
        limit_s: float | None,
        body: Callable[[asyncssh.SSHWriter[bytes]], Awaitable[None]] | None = None,
        **asked: Any,
    ) -> dict[str, Any]:
        """The answer, its payload under "payload". `body` writes what follows the request.

        Raises Refused for what the host cannot do, with the host's own words, and Unreachable when there is no answer.
        """
        async with self.lock:
            message = {"op": op, **asked, **({"bytes": len(payload)} if payload else {})}
            try:
                told = await asyncio.wait_for(self._exchange(message, payload, body), limit_s)
            except TimeoutError:
                self.close()
                raise Unreachable(f"no answer within {limit_s:g} s", self.where) from None
            except (asyncssh.Error, OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.close()
                raise Unreachable(f"the connection was cut ({reason_of(error)})", self.where) from None
            except BaseException:  # who is called off leaves half a message behind
                self.close()
                raise
        if "error" in told:
            raise _refused(told, self.where)
        return told

    def close(self) -> None:
        self.is_broken = True
        self.process.close()

    async def _exchange(
        self,
        message: dict[str, Any],
        payload: bytes,
        body: Callable[[asyncssh.SSHWriter[bytes]], Awaitable[None]] | None,
    ) -> dict[str, Any]:
        self.process.stdin.write(json.dumps(message).encode() + b"\n" + payload)
        answering = asyncio.ensure_future(self.process.stdout.readline())
        try:
            await self.process.stdin.drain()
            if body is not None:
                await self._write_until_answered(body, answering)
            line = await answering
            if not line:
                raise asyncio.IncompleteReadError(b"", None)
            told = json.loads(line)
        finally:
            answering.cancel()
        size = int(told.pop("bytes", 0))
        if size > MOST_ANSWER:
            raise ValueError(f"an answer of {size} bytes")
        told[agent.PAYLOAD] = await self.process.stdout.readexactly(size) if size else b""
        return dict(told)

    async def _write_until_answered(
        self, body: Callable[[asyncssh.SSHWriter[bytes]], Awaitable[None]], answering: asyncio.Future[bytes]
    ) -> None:
        """An answer that comes early is a refusal (a full disk): nothing more is written then."""
        writing = asyncio.ensure_future(body(self.process.stdin))
        try:
            await asyncio.wait((writing, answering), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                await writing
            else:
                await asyncio.wait((answering,))
                self.is_broken = True
        finally:
            writing.cancel()

    async def _greet(self, python: str) -> None:
        loader = LOADER.encode()
        others = [*([python] if python else []), *OTHERS]
        for _ in range(2):
            asked = json.dumps({"others": others}).encode()
            self._say(b"%d\n" % len(loader) + loader + asked)
            told = await self._line("onehour-loader", "onehour-old")
            if "onehour-loader" in told:
                break
            if not told["next"]:
                raise Unreachable(
                    f"its python3 is {told['onehour-old']}, and no newer one was found",
                    self.where,
                    f"Onehour needs {OLDEST[0]}.{OLDEST[1]} there to start runs, and 3.11 for the engine.",
                )
            others = []
        if told["system"] != "linux":
            raise Unreachable(f"it is no Linux ({told['system']})", self.where)
        self._say(program())
        await self._line(agent.HELLO)

    def _say(self, words: bytes) -> None:
        """A line to whoever is being started. One that has ended already tells why where it is listened to."""
        with suppress(BrokenPipeError):
            self.process.stdin.write(words + b"\n")

    async def _line(self, *keys: str) -> dict[str, Any]:
        """The next line that is one of ours; a shell's greeting is read over."""
        noise = 0
        while noise < MOST_NOISE:
            line = await self.process.stdout.readline()
            if not line:
                break
            try:
                told = json.loads(line)
            except ValueError:
                told = None
            if isinstance(told, dict) and any(key in told for key in keys):
                return told
            noise += len(line)
        said = (await self.process.stderr.read(2_000)).decode("utf-8", "replace").strip().splitlines()
        self.process.close()
        raise Unreachable(
            f"python3 cannot be started there ({said[-1] if said else 'it says nothing'})",
            self.where,
            "Install Python 3.11 on it, or name one as `python` in the backend's settings.",
        )


def _refused(told: dict[str, Any], where: str) -> Refused:
    if told.get("errno") in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Refused(f"its disk is full ({told['error']})", where, "Free some room there, then queue the run again.")
    return Refused(told["error"], where)

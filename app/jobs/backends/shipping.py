"""Sends a host what an attempt needs: each content once, in one stream, the large part of it behind whoever asked.

What is there already is not sent: folders of inputs by the hash of all that is in them, contents by their own. A transfer that
is cut goes on where it was, the next time.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from app.jobs.agent import PAYLOAD
from app.jobs.backends import manifest
from app.jobs.backends.homecoming import FILE_MOST, Homecoming, is_welcome
from app.jobs.backends.interface import Refused, Unreachable
from app.jobs.backends.manifest import File, Hashes, Tree
from app.jobs.programme import Input
from engine.run_folder import RunFolder

log = logging.getLogger("onehour.ssh")

CHUNK = 256 << 10
# Room that is left on the host's disk beside what is sent.
RESERVE = 200_000_000
# Between asking what is missing and using it, somebody else may have used it up.
TRIES = 3

Ask = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Shipped:
    """What lies ready on the host: each input's place by its name, and how the run's folder is to be made there."""

    inputs: Mapping[str, str]
    files: bytes  # payload of `place` and `launch`
    remove: Sequence[str]


# Uses what lies ready; returns how many contents were not there after all.
Then = Callable[[Shipped], Awaitable[int]]


@dataclass
class Shipment:
    """One sending. `coming` knows the run's folder here and there; `where`: the host, for sentences."""

    where: str
    store: str
    coming: Homecoming
    inputs: Mapping[str, Input]
    hashes: Hashes
    words: str = "looking for what is to be sent"
    is_called_off: bool = False
    is_used: bool = False  # `then` has begun: it cannot be called off any more
    sent: int = field(default=0, init=False)

    async def run(self, ask: Ask, then: Then) -> None:
        """Raises Refused for what cannot be sent, and Unreachable."""
        for _ in range(TRIES):
            trees, listed = await asyncio.to_thread(self._listed)
            told = await ask("files", run_dir=self.coming.there)
            there = {str(name): int(size) for name, size, _ in json.loads(told[PAYLOAD])}
            files = [file for file in listed if not self.coming.is_whole_there(file.name, there.get(file.name, -1))]
            if not await self._send(ask, trees, files):
                continue
            shipped = Shipped(
                {name: _place(self.store, tree) for name, tree in trees.items()},
                json.dumps([(file.name, file.size, file.sha256, file.mtime_ns) for file in files]).encode(),
                _surplus(listed, there),
            )
            self.words, self.is_used = "starting", True
            if await then(shipped) == 0:
                return
            self.is_used = False
        raise Unreachable("what is sent there is gone or changed each time", self.where)

    def call_off(self) -> None:
        self.is_called_off = True

    def _listed(self) -> tuple[dict[str, Tree], tuple[File, ...]]:
        """What is to lie there, with hashes. In a thread of its own: to read 25,000 new images takes a while."""
        bare = {name: manifest.of_input(asked) for name, asked in self.inputs.items()}
        files = manifest.of_run(RunFolder(self.coming.run_dir))
        everything = [file for tree in bare.values() for file in tree.files] + list(files)

        def say(done: int) -> None:
            self.words = f"reading what is to be sent, {done:,} of {len(everything):,} files"

        filled = iter(self.hashes.filled(everything, say, lambda: not self.is_called_off))
        trees = {name: Tree(tuple(next(filled) for _ in tree.files), tree.below) for name, tree in bare.items()}
        return trees, tuple(filled)

    async def _send(self, ask: Ask, trees: Mapping[str, Tree], files: Sequence[File]) -> bool:
        """Returns False when something of it is to be sent once more."""
        keys = {tree.key: tree for tree in trees.values()}
        absent = (await ask("trees", store=self.store, trees=list(keys)))["missing"]
        payload = json.dumps([(file.name, file.size, file.sha256, file.mtime_ns) for file in files]).encode()
        stale = json.loads((await ask("stale", payload, run_dir=self.coming.there))[PAYLOAD])
        wanted = [file for key in absent for file in keys[key].files] + [files[number] for number in stale]
        contents = list({file.sha256: file for file in wanted}.values())
        if contents and not await self._send_contents(ask, contents):
            return False
        for key in absent:
            named = json.dumps([(file.name, file.sha256) for file in keys[key].files]).encode()
            if (await ask("tree", named, store=self.store, tree=key, limit_s=None))["missing"]:
                return False
        return True

    async def _send_contents(self, ask: Ask, contents: Sequence[File]) -> bool:
        payload = json.dumps([(file.sha256, file.size) for file in contents]).encode()
        told = await ask("want", payload, store=self.store)
        left = [(contents[number], here) for number, here in json.loads(told[PAYLOAD])]
        total = sum(file.size - here for file, here in left)
        if total + RESERVE > told["free"]:
            raise Refused(
                f"its disk has no room: {size_words(total)} are to be sent and {size_words(RESERVE)} to stay free, "
                f"{size_words(told['free'])} are free",
                self.where,
                "Free some room there, then queue the run again.",
            )
        if not left:
            return True
        self.sent = 0

        async def body(writer: asyncssh.SSHWriter[bytes]) -> None:
            for file, here in left:
                writer.write(json.dumps({"sha256": file.sha256, "size": file.size, "from": here}).encode() + b"\n")
                await self._write(writer, file, here, total)
            writer.write(b"{}\n")

        taken = await ask("take", store=self.store, body=body, limit_s=None)
        for sha256 in taken["damaged"]:  # changed while it was sent: it is read again
            self.hashes.forget(sha256)
        return not taken["damaged"] and not taken["again"]

    async def _write(self, writer: asyncssh.SSHWriter[bytes], file: File, here: int, total: int) -> None:
        with open(file.path, "rb") as source:
            source.seek(here)
            while here < file.size:
                chunk = source.read(min(CHUNK, file.size - here))
                if not chunk:
                    raise Refused("it was cut while it was sent", file.path, "Queue the run again.")
                writer.write(chunk)
                await writer.drain()
                here += len(chunk)
                self.sent += len(chunk)
                self.words = f"sending {size_words(self.sent, total)}"


def _surplus(files: Sequence[File], there: Mapping[str, int]) -> list[str]:
    """What lies in the run's folder there from before, and would be taken for this run's own."""
    ours = {file.name for file in files}
    return [name for name, size in there.items() if name not in ours and is_welcome(name) and size <= FILE_MOST]


def size_words(size: int, of: int | None = None) -> str:
    """`3.2 of 5.1 GB`, or `5.1 GB`."""
    most = size if of is None else of
    unit, name = next((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0, "")) if most >= unit)
    if not unit:
        return f"{size} bytes" if of is None else f"{size} of {of} bytes"
    return f"{size / unit:.1f} {name}" if of is None else f"{size / unit:.1f} of {of / unit:.1f} {name}"


def _place(store: str, tree: Tree) -> str:
    place = f"{store}/trees/{tree.key}"
    return f"{place}/{tree.below}" if tree.below else place

"""Brings what a run has written on a host into its folder here: what is on the allow-list, whole or behind what came before.

The host is not trusted: a name must be one that travels, a file must be a file, and nothing is written outside the run's folder.
What may not fill this disk: a file that is too large stays there, and of a log that is too long the beginning and the end come.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.jobs.agent import PAYLOAD
from engine.run_folder import RunFolder, atomic_file, travels

log = logging.getLogger("onehour.ssh")

PIECE = 4 << 20
# How much of what was fetched before must still be the same before more is put behind it.
OVERLAP = 4096
LOG_MOST, FILE_MOST = 64 << 20, 8 << 30
# Room that is left on this disk whatever comes.
RESERVE = 500 << 20
# While it runs, what cannot be put behind what came before (checkpoints, tables) is fetched no more often than this; nor is a
# log that has to be cut anew.
SELDOM_S = 60.0
GAP = re.compile(rb"\n--- left out: bytes (\d+) to (\d+) of this log; all of it lies on ([^\n]*)\n")

Ask = Callable[..., Awaitable[dict[str, Any]]]


@dataclass
class Homecoming:
    """Of one run. `ask` asks an agent on the host, `there` is the run's folder on it, `host` is what a person calls it."""

    run_dir: Path
    there: str
    host: str
    log_most: int = LOG_MOST
    file_most: int = FILE_MOST
    fetched_at: dict[str, float] = field(default_factory=dict)  # seconds of a steady clock
    left_there: set[str] = field(default_factory=set)

    async def bring(self, ask: Ask, everything: bool) -> bool:
        """One pass. Returns whether all is here; not so while something changes, or waits for its turn (not `everything`)."""
        told = await ask("files", run_dir=self.there)
        listed = [(str(name), int(size), int(at)) for name, size, at in json.loads(told[PAYLOAD])]
        # The result last: whoever sees it finds the rest.
        listed.sort(key=lambda one: (one[0] == RunFolder(self.run_dir).result_json.name, one[0]))
        complete = bool(told["all"])
        for name, size, mtime_ns in listed:
            if is_welcome(name) and self._may_be_written(name):
                complete &= await self._bring(ask, name, size, mtime_ns, everything)
        return complete

    async def _bring(self, ask: Ask, name: str, size: int, mtime_ns: int, everything: bool) -> bool:
        path = self.run_dir / name
        here = _facts(path)
        if here is not None and here.st_mtime_ns == mtime_ns and self._joint(name)[0] == size:
            return True
        if not self._is_cut(name, size) and size > self.file_most:
            if name not in self.left_there:
                self.left_there.add(name)
                log.warning("%s is left on %s: %d bytes are too many", name, self.host, size)
            return True
        waits = time.monotonic() - self.fetched_at.get(name, -SELDOM_S) < SELDOM_S and not everything
        _require_room(self.run_dir, min(size, self.log_most) if self._is_cut(name, size) else size)
        if not grows(name):
            if waits:
                return False
            done = await self._whole(ask, name, size, mtime_ns)
        else:
            done = await self._behind(ask, name, size, mtime_ns, waits)
        return done

    async def _behind(self, ask: Ask, name: str, size: int, mtime_ns: int, waits: bool) -> bool:
        """Put what is new behind what is here; fetch it anew where that is no beginning of it."""
        path, offset, overlap = self.run_dir / name, 0, b""
        if _facts(path) is not None:
            offset, overlap = self._joint(name)
        is_short = not self._is_cut(name, size) or _size(path) + size - offset <= self.log_most
        if offset <= size and is_short:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = {"before": hashlib.sha256(overlap).hexdigest(), "overlap": len(overlap)} if overlap else {}
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            with open(handle, "ab") as file:
                while True:
                    most = min(PIECE, size - offset)
                    told = await ask("read", run_dir=self.there, name=name, offset=offset, most=most, **before)
                    if told["anew"]:
                        break
                    file.write(told[PAYLOAD])
                    offset, before = offset + len(told[PAYLOAD]), {}
                    if offset >= size or not told[PAYLOAD]:
                        file.flush()
                        os.utime(handle, ns=(mtime_ns, mtime_ns))
                        return offset >= size
        if waits:
            return False
        if self._is_cut(name, size):
            return await self._cut(ask, name, size, mtime_ns)
        return await self._whole(ask, name, size, mtime_ns)

    async def _whole(self, ask: Ask, name: str, size: int, mtime_ns: int) -> bool:
        return await self._write(ask, name, size, mtime_ns, [(0, size)])

    async def _cut(self, ask: Ask, name: str, size: int, mtime_ns: int) -> bool:
        part = self.log_most // 4
        return await self._write(ask, name, size, mtime_ns, [(0, part), (size - part, size)])

    async def _write(self, ask: Ask, name: str, size: int, mtime_ns: int, parts: list[tuple[int, int]]) -> bool:
        """Write the file anew from the bytes of `parts`, with a line between two of them. False when it changed meanwhile."""
        path = self.run_dir / name
        self.fetched_at[name] = time.monotonic()
        try:
            with atomic_file(path) as file:
                for number, (first, end) in enumerate(parts):
                    if number:
                        words = f"bytes {parts[number - 1][1]} to {first} of this log; all of it lies on"
                        file.write(f"\n--- left out: {words} {self._place(name)}\n".encode())
                    while first < end:
                        most = min(PIECE, end - first)
                        told = await ask("read", run_dir=self.there, name=name, offset=first, most=most)
                        # A log only grows; anything else must be as it was listed.
                        if not told[PAYLOAD] or (
                            not grows(name) and (told["size"], told["mtime_ns"]) != (size, mtime_ns)
                        ):
                            raise _Changed
                        file.write(told[PAYLOAD])
                        first += len(told[PAYLOAD])
        except _Changed:
            return False
        os.utime(path, ns=(mtime_ns, mtime_ns))
        return True

    def is_whole_there(self, name: str, size: int) -> bool:
        """Whether the file there, of `size` bytes, is the one of which the file here is a cut copy: not to be replaced by it."""
        gap = self._gap(name)
        return gap is not None and gap[3] == self._place(name).encode() and self._joint(name)[0] <= size

    def _joint(self, name: str) -> tuple[int, bytes]:
        """Where in the file there the end of the file here lies, and the bytes before it."""
        gap = self._gap(name)
        first = 0 if gap is None else self.log_most // 4 + gap.end()
        shift = 0 if gap is None else int(gap[2]) - first
        with (self.run_dir / name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(first, size - OVERLAP) if grows(name) else size
            file.seek(start)
            return size + shift, file.read(size - start)

    def _gap(self, name: str) -> re.Match[bytes] | None:
        """The line in a log here that says what was left out of it."""
        if not is_log(name):
            return None
        part = self.log_most // 4
        with (self.run_dir / name).open("rb") as file:
            file.seek(part)
            gap = GAP.match(file.read(2_000))
        return gap if gap is not None and int(gap[1]) == part else None

    def _place(self, name: str) -> str:
        return f"{self.host} in {self.there}/{name}"

    def _is_cut(self, name: str, size: int) -> bool:
        return is_log(name) and size > self.log_most

    def _may_be_written(self, name: str) -> bool:
        """Not through a link that leads out of the run's folder."""
        path = self.run_dir / name
        leads_out = not path.parent.resolve().is_relative_to(self.run_dir.resolve())
        return not leads_out and not path.is_symlink() and not path.is_dir()


class _Changed(Exception):
    """The file was written while it was read."""


def is_welcome(name: str) -> bool:
    """Whether a name that a host tells is one of those that travel, and fit to stand on a screen."""
    return name.isprintable() and len(name) <= 400 and travels(name)


def is_log(name: str) -> bool:
    return name.endswith(".txt")


def grows(name: str) -> bool:
    """Whether the file is only ever written at its end."""
    return name.endswith((".jsonl", ".txt", ".wandb"))


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _size(path: Path) -> int:
    facts = _facts(path)
    return 0 if facts is None else facts.st_size


def _require_room(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

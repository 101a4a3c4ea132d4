"""Contents on a host, by their SHA-256: which are there, and how they come. Part of `agent`, with its limits.

STORE/blobs/ab/abcd…      whole contents, never changed
STORE/partial/abcd…       contents on their way: a transfer that was cut goes on there
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20
# Contents count as here once they are safe from a power cut, which is asked for after so much or so many of them.
SYNC_BYTES, SYNC_FILES = 256 << 20, 400


def missing(store: str, wanted: Sequence[Sequence[Any]]) -> list[list[int]]:
    """Of the contents [sha256, size] those that are not here: their numbers, and how many of their bytes are."""
    os.makedirs(os.path.join(store, "partial"), mode=0o700, exist_ok=True)
    found = []
    for number, (sha256, size) in enumerate(wanted):
        if not os.path.exists(blob(store, sha256)):
            try:
                here = os.stat(_partial(store, sha256)).st_size
            except FileNotFoundError:
                here = 0
            found.append([number, min(here, size)])
    return found


def take(store: str, reader: IO[bytes]) -> dict[str, Any]:
    """Keep contents as they come.

    Returns "damaged", those whose bytes were not what their name says, and "again", how many lack their beginning by now.
    """
    damaged, again, waiting = [], 0, 0
    ready: list[tuple[str, IO[bytes]]] = []
    try:
        while True:
            told = json.loads(reader.readline().decode() or "null")
            if told is None:
                raise EOFError("the connection ended")
            if told:
                sha256, left = told["sha256"], told["size"] - told["from"]
                file = _opened(_partial(store, sha256), told["from"])
                if os.path.exists(blob(store, sha256)):  # somebody else has sent it meanwhile
                    _read_over(reader, left)
                    _drop(file)
                elif os.fstat(file.fileno()).st_size < told["from"]:
                    again += 1
                    _read_over(reader, left)
                    _drop(file)
                elif _fill(file, told["from"], left, reader) == sha256:
                    ready.append((sha256, file))
                else:
                    damaged.append(sha256)
                    _drop(file)
                waiting += left
            if ready and (not told or waiting > SYNC_BYTES or len(ready) >= SYNC_FILES):
                os.sync()
                while ready:
                    _keep(store, *ready.pop())
                waiting = 0
            if not told:
                return {"damaged": damaged, "again": again}
    finally:
        for _, file in ready:
            file.close()


def blob(store: str, sha256: str) -> str:
    """Where the content lies when it is here."""
    return os.path.join(store, "blobs", checked(sha256)[:2], sha256)


def checked(sha256: str) -> str:
    """Raises ValueError for what would be no name of a file of ours."""
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return sha256


def _partial(store: str, sha256: str) -> str:
    return os.path.join(store, "partial", checked(sha256))


def _fill(file: IO[bytes], first: int, left: int, reader: IO[bytes]) -> str:
    """Write `left` bytes behind the `first` that are there. Returns the SHA-256 of all."""
    digest = hashlib.sha256()
    try:
        while first:
            chunk = file.read(min(first, CHUNK))
            digest.update(chunk)
            first -= len(chunk)
        for chunk in _chunks(reader, left):
            file.write(chunk)
            digest.update(chunk)
        file.flush()
    except BaseException:
        file.close()
        raise
    return digest.hexdigest()


def _read_over(reader: IO[bytes], left: int) -> None:
    for _ in _chunks(reader, left):
        pass


def _chunks(reader: IO[bytes], left: int) -> Iterator[bytes]:
    while left:
        chunk = reader.read(min(left, CHUNK))
        if not chunk:
            raise EOFError("the connection ended")
        yield chunk
        left -= len(chunk)


def _drop(file: IO[bytes]) -> None:
    os.remove(file.name)
    file.close()


def _opened(path: str, length: int) -> IO[bytes]:
    """The file of a content on its way, cut to `length` bytes or shorter, open at its start and locked.

    While somebody else fills it, a copy of its own.
    """
    while True:
        file = open(path, "a+b")  # noqa: SIM115 - it is given away
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            own = open(f"{path}.{os.getpid()}", "w+b")  # noqa: SIM115
            file.seek(0)
            own.write(file.read(length))
            own.flush()
            own.seek(0)
            file.close()
            return own
        try:
            if os.fstat(file.fileno()).st_ino == os.stat(path).st_ino:
                if os.fstat(file.fileno()).st_size > length:
                    file.truncate(length)
                file.seek(0)
                return file
        except FileNotFoundError:  # it has become a content meanwhile
            pass
        file.close()


def _keep(store: str, sha256: str, file: IO[bytes]) -> None:
    path = blob(store, sha256)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.chmod(file.name, 0o400)
    os.replace(file.name, path)
    file.close()

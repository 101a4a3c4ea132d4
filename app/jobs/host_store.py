"""What a host keeps of what was sent to it: contents by their SHA-256, and trees of them. Part of `agent`, with its limits.

    STORE/blobs/ab/abcd…      whole contents, never changed
    STORE/partial/abcd…       contents on their way: a transfer that was cut goes on there
    STORE/trees/<key>/…       a folder of an attempt's inputs: hard links to contents, so a thing lies here once

Runs lie in ROOT/homes/<home>/runs/, their attempts (see `supervisor`) in ROOT/homes/<home>/jobs/.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any

from app.jobs import supervisor

SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20
# In a run's folder: everything that is wanted of it has been fetched.
HOME_MARK = ".fetched"
# Contents count as here once they are safe from a power cut, which is asked for after so much or so many of them.
SYNC_BYTES, SYNC_FILES = 256 << 20, 400


def missing(store: str, wanted: Sequence[Sequence[Any]]) -> list[list[int]]:
    """Of the contents [sha256, size] those that are not here: their numbers, and how many of their bytes are."""
    os.makedirs(os.path.join(store, "partial"), mode=0o700, exist_ok=True)
    found = []
    for number, (sha256, size) in enumerate(wanted):
        if not os.path.exists(_blob(store, sha256)):
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
                if os.path.exists(_blob(store, sha256)):  # somebody else has sent it meanwhile
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


def missing_trees(store: str, keys: Sequence[str]) -> list[str]:
    """Those that are not here; the others count as used just now."""
    absent = []
    for key in keys:
        try:
            os.utime(_tree(store, key))
        except FileNotFoundError:
            absent.append(key)
    return absent


def make_tree(store: str, key: str, files: Sequence[Sequence[str]]) -> int:
    """Make the tree of the files [name, sha256], whole or not at all. Returns how many contents are not here."""
    target = _tree(store, key)
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    part = tempfile.mkdtemp(prefix=".", dir=os.path.dirname(target))
    try:
        absent = sum(not os.path.exists(_blob(store, sha256)) for _, sha256 in files)
        if absent:
            return absent
        made = set()
        for name, sha256 in files:
            path = _inside(part, name)
            if os.path.dirname(path) not in made:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                made.add(os.path.dirname(path))
            _link(_blob(store, sha256), path)
        try:
            os.rename(part, target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # somebody else has made it meanwhile
                raise
        return 0
    finally:
        shutil.rmtree(part, ignore_errors=True)


def stale(run_dir: str, files: Sequence[Sequence[Any]]) -> list[int]:
    """The numbers of those files [name, size, sha256, mtime_ns] that are not in the folder as they should be."""
    return [number for number, file in enumerate(files) if not _is_there(run_dir, *file)]


def place(store: str, run_dir: str, files: Sequence[Sequence[Any]], remove: Sequence[str]) -> int:
    """Make a run's folder hold `files` [name, size, sha256, mtime_ns], and nothing of `remove`.

    Returns how many contents are not here; the folder is then as it was.
    """
    os.makedirs(run_dir, mode=0o700, exist_ok=True)
    wanted = [files[number] for number in stale(run_dir, files)]
    absent = sum(not os.path.exists(_blob(store, sha256)) for _, _, sha256, _ in wanted)
    if absent:
        return absent
    for name in (*remove, HOME_MARK):
        with suppress(FileNotFoundError):
            os.remove(_inside(run_dir, name))
    for name, _, sha256, mtime_ns in wanted:
        path, blob = _inside(run_dir, name), _blob(store, sha256)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
        # A checkpoint is not needed twice; what is also part of a tree must not be changed through this name.
        if os.stat(blob).st_nlink == 1 and sum(one[2] == sha256 for one in wanted) == 1:
            os.rename(blob, part)
        else:
            shutil.copyfile(blob, part)
        os.chmod(part, 0o600)
        os.utime(part, ns=(mtime_ns, mtime_ns))
        os.replace(part, path)
    return 0


def sweep(root: str, runs_s: float, store_s: float) -> int:
    """Remove run folders that came home whole `runs_s` ago, and trees and contents that nothing has used for `store_s`.

    Returns how many were removed. Does nothing while an attempt runs here.
    """
    now_s = time.time()  # of the clock that dated the files
    homes, store = os.path.join(root, "homes"), os.path.join(root, "store")
    for home in _names(homes):
        jobs = os.path.join(homes, home, "jobs")
        if any(supervisor.status(os.path.join(jobs, attempt))["state"] == "running" for attempt in _names(jobs)):
            return 0
    old = []
    for home in _names(homes):
        for run in _names(os.path.join(homes, home, "runs")):
            path = os.path.join(homes, home, "runs", run)
            if _dated(os.path.join(path, HOME_MARK)) < now_s - runs_s:
                old.append(path)
    for key in _names(os.path.join(store, "trees"), hidden=True):  # also those whose making was cut off
        path = os.path.join(store, "trees", key)
        if _dated(path) < now_s - store_s:
            old.append(path)
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    count = len(old)
    for folder in ("partial", *(os.path.join("blobs", two) for two in _names(os.path.join(store, "blobs")))):
        for name in _names(os.path.join(store, folder)):
            path = os.path.join(store, folder, name)
            facts = os.stat(path)
            if facts.st_nlink == 1 and max(facts.st_mtime, facts.st_ctime) < now_s - store_s:
                os.remove(path)
                count += 1
    return count


def mark_home(run_dir: str) -> None:
    """All that was asked for of a run's folder has been fetched; `place` takes the mark away."""
    with open(os.path.join(run_dir, HOME_MARK), "w"):
        pass


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
    blob = _blob(store, sha256)
    os.makedirs(os.path.dirname(blob), mode=0o700, exist_ok=True)
    os.chmod(file.name, 0o400)
    os.replace(file.name, blob)
    file.close()


def _link(blob: str, path: str) -> None:
    try:
        os.link(blob, path)
    except OSError as error:  # a file system without hard links, or too many to one content
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV):
            raise
        shutil.copyfile(blob, path)


def _is_there(run_dir: str, name: str, size: int, sha256: str, mtime_ns: int) -> bool:
    path = _inside(run_dir, name)
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
        return False
    return facts.st_mtime_ns == mtime_ns or _sha256(path) == sha256


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _blob(store: str, sha256: str) -> str:
    return os.path.join(store, "blobs", _checked(sha256)[:2], sha256)


def _partial(store: str, sha256: str) -> str:
    return os.path.join(store, "partial", _checked(sha256))


def _tree(store: str, key: str) -> str:
    return os.path.join(store, "trees", _checked(key))


def _checked(sha256: str) -> str:
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return sha256


def _inside(folder: str, name: str) -> str:
    if name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"{name!r} is no name below a folder")
    return os.path.join(folder, name)


def _names(folder: str, hidden: bool = False) -> list[str]:
    """Those that begin with a dot are locks, and what is being made."""
    try:
        return sorted(name for name in os.listdir(folder) if hidden or not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _dated(path: str) -> float:
    """When it was last written, in seconds; what is not there is never old."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return math.inf

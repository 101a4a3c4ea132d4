"""What a host makes of the contents that were sent to it (see `host_contents`). Part of `agent`, with its limits.

    STORE/trees/<key>/…       a folder of an attempt's inputs: hard links to contents, so a thing lies here once

Runs lie in ROOT/homes/<home>/runs/, their attempts (see `supervisor`) in ROOT/homes/<home>/jobs/.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from app.jobs import supervisor
from app.jobs.host_contents import CHUNK, blob, checked

# In a run's folder: everything that is wanted of it has been fetched.
HOME_MARK = ".fetched"


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
        absent = sum(not os.path.exists(blob(store, sha256)) for _, sha256 in files)
        if absent:
            return absent
        made = set()
        for name, sha256 in files:
            path = _inside(part, name)
            if os.path.dirname(path) not in made:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                made.add(os.path.dirname(path))
            _link(blob(store, sha256), path)
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
    absent = sum(not os.path.exists(blob(store, sha256)) for _, _, sha256, _ in wanted)
    if absent:
        return absent
    for name in (*remove, HOME_MARK):
        with suppress(FileNotFoundError):
            os.remove(_inside(run_dir, name))
    for name, _, sha256, mtime_ns in wanted:
        path, content = _inside(run_dir, name), blob(store, sha256)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
        # A checkpoint is not needed twice; what is also part of a tree must not be changed through this name.
        if os.stat(content).st_nlink == 1 and sum(one[2] == sha256 for one in wanted) == 1:
            os.rename(content, part)
        else:
            shutil.copyfile(content, part)
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


def _link(content: str, path: str) -> None:
    try:
        os.link(content, path)
    except OSError as error:  # a file system without hard links, or too many to one content
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV):
            raise
        shutil.copyfile(content, path)


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


def _tree(store: str, key: str) -> str:
    return os.path.join(store, "trees", checked(key))


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

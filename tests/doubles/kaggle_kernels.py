"""The kernels of the Kaggle double: a pushed script really runs, in a sandbox laid out like Kaggle's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.jobs import supervisor

# Kaggle unpacks these by itself.
PACKED = {".zip": zipfile.ZipFile, ".tar": tarfile.open, ".gz": tarfile.open}


@dataclass
class Dataset:
    """A private dataset; READY after it was asked about `polls` times."""

    dir: Path
    files: dict[str, Path]
    is_private: bool
    polls: int = 0
    failed: bool = False


@dataclass
class Session:
    """One execution of a kernel's version."""

    dir: Path
    asked: Mapping[str, Any]
    may_start: threading.Event
    status: str = "QUEUED"
    failure: str = ""
    last_words: str = ""  # of Kaggle's own, behind what the kernel said
    log: str = ""
    more_outputs: dict[str, bytes] = field(default_factory=dict)  # what a hostile kernel could have left

    @property
    def working(self) -> Path:
        return self.dir / "working"

    def outputs(self) -> dict[str, Path]:
        """What the finished session left, by name: as Kaggle does, a failed one leaves nothing but its log."""
        if self.status != "COMPLETE":
            return {}
        return {str(path.relative_to(self.working)): path for path in sorted(self.working.rglob("*")) if path.is_file()}

    def kill(self) -> None:
        """End all of its processes without warning."""
        supervisor.clear(str(self.dir))


@dataclass
class Kernel:
    ref: str  # owner/slug
    sessions: list[Session] = field(default_factory=list)


def mounted(root: Path, kind: str, owner: str, slug: str, layout: str) -> Path:
    """Where a source lies below the input folder: Kaggle changed it in 2026, and both are met."""
    if layout == "old":
        return root / slug
    return root / kind / slug if kind == "competitions" else root / kind / owner / slug


def run(session: Session, script: str) -> None:
    """Execute the script to its end. The environment holds no key, as it holds none on Kaggle."""
    session.may_start.wait()
    scratch = session.dir / "tmp"
    scratch.mkdir()
    code = session.dir / "script.py"
    code.write_text(script, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "ONEHOUR_KAGGLE_ROOT": str(session.dir),
        "PYTHONDONTWRITEBYTECODE": "1",
        supervisor.MARK: str(session.dir),
    }
    with (session.dir / "stdout").open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(code)],
            cwd=session.working,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        session.status = "RUNNING"
        try:
            ended = child.wait(session.asked.get("sessionTimeoutSeconds"))
            failure = "" if ended == 0 else f"the process ended with {ended}"
        except subprocess.TimeoutExpired:
            session.kill()
            child.wait()
            failure = "Your notebook was stopped because it exceeded the max allowed execution duration."
    said = (session.dir / "stdout").read_text(encoding="utf-8", errors="replace")
    lines = [
        {"stream_name": "stdout", "time": 0.1, "data": line}
        for line in (said + session.last_words).splitlines(keepends=True)
    ]
    session.log, session.failure = json.dumps(lines), failure
    if session.status == "RUNNING":
        session.status = "ERROR" if failure else "COMPLETE"


def unpack(path: Path, target: Path) -> None:
    """Put an uploaded file where the kernels find it, unpacked where Kaggle would."""
    target.mkdir(parents=True, exist_ok=True)
    opened = PACKED.get(path.suffix)
    if opened is None:
        os.link(path, target / path.name)
        return
    with opened(path) as archive:
        archive.extractall(target / path.name.partition(".")[0])

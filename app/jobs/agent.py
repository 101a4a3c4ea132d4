"""What a host does for us, asked by messages on its standard input; the other end is app.jobs.backends.agent_channel.

It is sent to the host whenever a connection is made and leaves nothing behind but what it was asked to keep. It runs there on
nothing but Linux and Python 3.8: standard library only, and of ours only what is sent along, `supervisor`, `host_contents`,
`host_store`, and `cluster` with `slurm_commands`.

A message is a line of JSON; where it says "bytes": N, N raw bytes follow. Each is answered by one such message: what was asked
for, or "error" (a sentence) and "errno". Nothing in a message reaches a shell.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from app.jobs import cluster, host_contents, host_store, supervisor

HELLO = "onehour-agent"
PAYLOAD = "payload"  # in an answer: the bytes that follow it
# Where a run's folder is looked through: deep enough for wandb/<run>/files/<file>, and no deeper.
DEPTH, MOST_FILES = 4, 20_000
MOST_OUTPUT = 8_000_000


def hello(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """Make the folder in which all lies. Where that is, and the Python that runs the engine: the one asked for, or setup's."""
    root = os.path.realpath(os.path.expanduser(asked["dir"]))
    os.makedirs(root, mode=0o700, exist_ok=True)
    return {"dir": root, "python": os.path.expanduser(asked["python"]) or os.path.join(root, "venv", "bin", "python")}


def status(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """As `supervisor.status`; "placing" while somebody puts the run's folder in place, to start it or not."""
    found = supervisor.status(supervisor.attempt_dir(asked["root"], asked["attempt"]))
    if found["state"] == "absent" and _is_held(asked["run_dir"]):
        return {"state": "placing"}
    return found


def cancel(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    with _held(asked["run_dir"]):
        return supervisor.cancel(supervisor.attempt_dir(asked["root"], asked["attempt"]))


def clear(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    with _held(asked["run_dir"]):
        return {"killed": supervisor.clear(supervisor.attempt_dir(asked["root"], asked["attempt"]))}


def place(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Put a run's folder in place; the payload says of which files it is to consist, "remove" what must not be there."""
    files = _payload(asked, reader)
    with _held(asked["run_dir"]):
        return {"missing": host_store.place(asked["store"], asked["run_dir"], files, asked["remove"])}


def launch(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Put the run's folder in place and start the attempt, unless it was started before: then nothing is touched.

    Answers its status; "missing": how many contents are not here after all; "python": empty when there is none to run it.
    """
    files, start = _payload(asked, reader), asked["start"]
    folder = supervisor.attempt_dir(start["root"], start["attempt"])
    with _held(asked["run_dir"]) as lock:
        found = supervisor.status(folder)
        if found["state"] == "absent":
            if shutil.which(asked["python"]) is None:
                return {**found, "missing": 0, "python": ""}
            missing = host_store.place(asked["store"], asked["run_dir"], files, asked["remove"])
            if missing:
                return {"state": "absent", "missing": missing}
            found = supervisor.start(start, [lock])
    return {**found, "missing": 0}


def slurm(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """What `cluster` says to the request."""
    return {"told": cluster.answer(asked["request"])}


def hand_over(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Put the run's folder in place and let `cluster` submit the attempt; of one that it knows already nothing is touched.

    Answers "told", what cluster says; "missing": how many contents are not here after all.
    """
    files = _payload(asked, reader)
    with _held(asked["run_dir"]):
        if not cluster.look(asked["request"])["parts"]:
            missing = host_store.place(asked["store"], asked["run_dir"], files, asked["remove"])
            if missing:
                return {"missing": missing}
        return {"missing": 0, "told": cluster.answer(asked["request"])}


def files(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """The regular files of a run's folder: [name, bytes, mtime_ns]. Links are not followed."""
    found: list[tuple[str, int, int]] = []
    root = asked["run_dir"]

    def walk(folder: str, prefix: str, depth: int) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # gone meanwhile, or not there yet
            return
        for entry in entries:
            if len(found) >= MOST_FILES:
                return
            if entry.is_dir(follow_symlinks=False) and depth > 1:
                walk(entry.path, prefix + entry.name + "/", depth - 1)
            elif entry.is_file(follow_symlinks=False):
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                found.append((prefix + entry.name, facts.st_size, facts.st_mtime_ns))

    walk(root, "", DEPTH)
    return {"all": len(found) < MOST_FILES, PAYLOAD: json.dumps(found).encode()}


def read(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """At most "most" bytes of a file of a run's folder from "offset", and how long it is.

    "before": the SHA-256 of the "overlap" bytes that should stand just before the offset; "anew" when others do.
    """
    offset = asked["offset"]
    try:
        handle = os.open(os.path.join(asked["run_dir"], asked["name"]), os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {"size": 0, "mtime_ns": 0, "anew": offset > 0}
    with open(handle, "rb") as file:
        facts = os.fstat(handle)
        told = {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns}
        if asked.get("before"):
            file.seek(offset - asked["overlap"])
            if hashlib.sha256(file.read(asked["overlap"])).hexdigest() != asked["before"]:
                return {**told, "anew": True}
        file.seek(offset)
        return {**told, "anew": False, PAYLOAD: file.read(asked["most"])}


def trees(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """Which of the trees are not here."""
    return {"missing": host_store.missing_trees(asked["store"], asked["trees"])}


def stale(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Which of a run's files (see `host_store.place`) are not in its folder as they should be: their numbers."""
    wanted = _payload(asked, reader)
    return {PAYLOAD: json.dumps(host_store.stale(asked["run_dir"], wanted)).encode()}


def want(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Which contents are not here: [number, bytes that are], and how much room there is."""
    wanted = _payload(asked, reader)
    missing = host_contents.missing(asked["store"], wanted)
    return {"free": shutil.disk_usage(asked["store"]).free, PAYLOAD: json.dumps(missing).encode()}


def take(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Keep the contents that follow: each a line {"sha256", "size", "from"} and its bytes; a line {} ends them."""
    return host_contents.take(asked["store"], reader)


def tree(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Make a tree of contents that are here; the payload names its files: [name, sha256].

    "missing": how many contents are not here after all.
    """
    return {"missing": host_store.make_tree(asked["store"], asked["tree"], _payload(asked, reader))}


def sweep(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    return {"removed": host_store.sweep(asked["dir"], asked["runs_s"], asked["store_s"])}


def fetched(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    host_store.mark_home(asked["run_dir"])
    return {}


def look(asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    """The machine: room, GPUs, and the Python that is to run the engine with its packages."""
    told: dict[str, Any] = {
        "free": shutil.disk_usage(asked["dir"]).free,
        "gpus": _gpus(),
        "python": "",
        "versions": {},
    }
    program = (
        "import json, platform, sys\nfrom importlib import metadata\nfound = {}\nfor name in sys.argv[1:]:\n"
        "    try: found[name] = metadata.version(name)\n    except metadata.PackageNotFoundError: found[name] = ''\n"
        "print(json.dumps([platform.python_version(), found]))\n"
    )
    command = [asked["python"], "-I", "-c", program, *asked["packages"]]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
        told["python"], told["versions"] = json.loads(done.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        told["why"] = str(error)
    return told


def clock(_asked: dict[str, Any], _reader: IO[bytes]) -> dict[str, Any]:
    return {"at_ms": time.time() * 1000}


def run(asked: dict[str, Any], reader: IO[bytes]) -> dict[str, Any]:
    """Run a command, its input the payload: its exit code, what it said, and its output as payload.

    "alone": a file; of the commands that name it one runs at a time.
    """
    given = reader.read(asked.get("bytes", 0))
    alone = os.open(asked["alone"], os.O_CREAT | os.O_RDWR, 0o600) if asked.get("alone") else None
    try:
        if alone is not None:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _ran(asked, given)
    except BlockingIOError:
        raise RuntimeError("somebody else is at work there just now") from None
    finally:
        if alone is not None:
            os.close(alone)


def _ran(asked: dict[str, Any], given: bytes) -> dict[str, Any]:
    argv = [os.path.expanduser(word) for word in asked["argv"][:1]] + asked["argv"][1:]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=asked.get("cwd") or None,
        env={**os.environ, **asked.get("env", {})},
        start_new_session=True,
    )
    late = False
    try:
        out, said = process.communicate(given, timeout=asked["timeout_s"])
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)
        out, said = process.communicate()
    words = said[-20_000:].decode("utf-8", "replace")
    return {"exit_code": process.returncode, "late": late, "said": words, PAYLOAD: out[:MOST_OUTPUT]}


OPS = {
    one.__name__: one
    for one in (
        hello, status, cancel, clear, place, launch, slurm, hand_over, files, read, trees, stale, want, take, tree, sweep, fetched, look,
        clock, run,
    )
}  # fmt: skip


def serve(reader: IO[bytes], writer: IO[bytes]) -> None:
    """Answer one message after the other until the other end is gone."""
    while True:
        line = reader.readline()
        if not line.endswith(b"\n"):
            return
        _reap()
        asked = json.loads(line.decode())
        try:
            answer = OPS[asked["op"]](asked, reader)
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            answer = {"error": _words(error), "errno": getattr(error, "errno", None)}
        payload = answer.pop(PAYLOAD, b"")
        if payload:
            answer = {**answer, "bytes": len(payload)}
        writer.write(json.dumps(answer).encode() + b"\n" + payload)
        writer.flush()


def main() -> None:
    sys.stdout.write(json.dumps({HELLO: platform.python_version()}) + "\n")
    sys.stdout.flush()
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, EOFError):  # the other end is gone: what arrived is kept
        os._exit(0)


def _reap() -> None:
    """Supervisors that have ended are children of ours."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _payload(asked: dict[str, Any], reader: IO[bytes]) -> Any:
    return json.loads(reader.read(asked.get("bytes", 0)).decode())


@contextmanager
def _held(run_dir: str) -> Iterator[int]:
    """One at a time changes a run's folder. Yields the open lock, which a process forked meanwhile must close."""
    lock = _lock_of(run_dir)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _is_held(run_dir: str) -> bool:
    lock = _lock_of(run_dir)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_of(run_dir: str) -> int:
    folder, name = os.path.split(run_dir)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.open(os.path.join(folder, "." + name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)


def _gpus() -> list[str]:
    """`0: NVIDIA H100, 81559 MiB` for each GPU; none where there is no nvidia-smi, or one that finds nothing."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            timeout=20,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [line.replace(",", ":", 1).strip() for line in lines if line.split(",")[0].strip().isdigit()]


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, RuntimeError):
        return str(error)
    return f"{type(error).__name__}: {error}"

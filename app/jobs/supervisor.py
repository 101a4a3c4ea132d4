"""Starts one attempt of a job detached from whoever asked, in a session of its own, and writes down how it ended.

    echo '{"op": "start", "root": DIR, "attempt": "7-1", "argv": [...], "cwd": DIR, "log": FILE, "env": {}, "grace_s": 10}' \
        | python -I supervisor.py

Under a scheduler, which wants to watch the process that it started, the operation is `attend`: the same, and it stays.

Everything comes as JSON on stdin and leaves as JSON on stdout, so nothing that a person typed reaches a shell. Standard library
only and no import of ours: the file is complete in itself, for a host that has nothing but Python 3.8 and Linux.

The state of an attempt lies in ROOT/ATTEMPT/: `lock` (one start at a time), `pid` (the supervisor's pid, start time and boot id)
and at last `exit` (the exit code; negative: the signal that killed it; behind it the reason why nothing could be started); an
attended one also has `begun` (the first to come made it) and `seconds` (how long it took). `spare` keeps room on the disk for `exit`. Every
process of the attempt carries its folder in the environment as ONEHOUR_ATTEMPT, which finds grandchildren that went into a
session of their own. Those that have another environment are found by their descent: orphans become the supervisor's children.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from types import FrameType
from typing import Any

MARK = "ONEHOUR_ATTEMPT"
EXIT_NOT_STARTED = 127
EXIT_REQUEUE = 75
KILL_WAIT_S = 5.0
SPARE_BYTES = 8192
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def attempt_dir(root: str, attempt: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}", attempt):
        raise ValueError(f"{attempt!r} is no name of an attempt")
    return os.path.join(os.path.realpath(os.path.expanduser(root)), attempt)


def start(request: dict[str, Any], locks: Sequence[int] = ()) -> dict[str, Any]:
    """Start the attempt unless it was started before: asking twice, also at once, starts one process. Returns its status.

    `locks`: open files whose locks end with this call's process, not with the attempt.
    """
    folder = attempt_dir(request["root"], request["attempt"])
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = os.open(os.path.join(folder, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if status(folder)["state"] == "absent":
        written, writing = os.pipe()
        if os.fork() == 0:
            code = 1
            try:
                # The lock's copy in this process holds until the pid is written: whoever asks meanwhile waits for it.
                _supervise(folder, request, [lock, written, writing, *locks])
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        os.read(written, 1)  # returns when the supervisor has closed its end
        os.close(written)
    os.close(lock)
    return status(folder)


def attend(request: dict[str, Any]) -> int:
    """Run the attempt here and stay until it has ended; whoever comes second, on whatever node, does nothing.

    `after` names attempts below the same root: unless each of them has exited with 0 nothing is run, and the exit code is 75.
    `title` stands in the log for the attempt's name. A file `cleared` in the root says that nothing shall begin any more.
    Returns the exit code of this process: 1 for all that went wrong.
    """
    folder = attempt_dir(request["root"], request["attempt"])
    if os.path.exists(os.path.join(request["root"], "cleared")):
        return 0
    os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        os.close(os.open(os.path.join(folder, "begun"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return 0
    started = time.monotonic()
    missing = [name for name in request.get("after", []) if not _succeeded(attempt_dir(request["root"], name))]
    ended = f"{EXIT_REQUEUE} not done: {', '.join(missing)}" if missing else _run(folder, request, [])
    _use_spare(folder)
    write(folder, "seconds", f"{time.monotonic() - started:.3f}")
    write(folder, "exit", ended)
    return int(ended.partition(" ")[0] not in ("0", str(EXIT_REQUEUE)))


def status(folder: str) -> dict[str, Any]:
    """absent (never started) | running | exited with exit_code | lost (no process, no exit code), with `rebooted` for lost.

    An attempt that exited before its program could start has a `reason`.
    """
    ended = exit_of(folder)
    if ended is not None:
        return ended
    text = read(folder, "pid")
    if text is None:
        return {"state": "absent"}
    told = json.loads(text)
    rebooted = told["boot"] != _boot_id()
    if not rebooted and _start_ticks(told["pid"]) == told["start_ticks"]:
        return {"state": "running", "pid": told["pid"]}
    ended = exit_of(folder)  # it may have ended between the two looks; it writes the code before it goes
    return ended or {"state": "lost", "rebooted": rebooted}


def cancel(folder: str) -> dict[str, Any]:
    """Ask a running attempt to end. Its supervisor passes SIGTERM on and kills whatever is left after the grace time."""
    found = status(folder)
    if found["state"] == "running":
        with suppress(ProcessLookupError):
            os.kill(found["pid"], signal.SIGTERM)
    return found


def clear(folder: str, ancestor: int = 0) -> int:
    """Kill every process of the attempt that outlived its supervisor, or descends from `ancestor`. Returns how many there were."""
    killed: set[int] = set()
    ends_at = time.monotonic() + KILL_WAIT_S
    while True:
        left = {*_marked(folder), *(_descendants(ancestor) if ancestor else ())} - {os.getpid()}
        if not left or time.monotonic() > ends_at:
            return len(killed)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.01)


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The installed version of each package here, by its name; "" for one that is not installed."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _supervise(folder: str, request: dict[str, Any], inherited: list[int]) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    ended = _run(folder, request, inherited)
    _use_spare(folder)
    write(folder, "exit", ended)


def _run(folder: str, request: dict[str, Any], inherited: list[int]) -> str:
    """Write the pid, close what was inherited, run the program with all that it starts; returns what belongs into `exit`."""
    child: subprocess.Popen[bytes] | None = None
    asked_to_stop = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        if child is not None:
            _signal_group(child.pid, signal.SIGTERM)
            if not signal.getitimer(signal.ITIMER_REAL)[0]:  # who is asked twice gets no second grace
                signal.setitimer(signal.ITIMER_REAL, float(request.get("grace_s", 10)) or 0.001)

    def kill(_signal: int, _frame: FrameType | None) -> None:
        if child is not None:
            _signal_group(child.pid, signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGUSR1):  # the second: a scheduler's warning that time is nearly over
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, kill)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who started us may ignore it: no exit code would be kept
    pid = os.getpid()
    write(folder, "pid", json.dumps({"pid": pid, "start_ticks": _start_ticks(pid), "boot": _boot_id()}))
    write(folder, "spare", "\0" * SPARE_BYTES)
    for handle in inherited:
        os.close(handle)

    try:
        log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.write(log, f"--- attempt {request.get('title', request['attempt'])}\n".encode())
    except OSError as error:
        return f"{EXIT_NOT_STARTED} the log cannot be written: {error}"
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(
            request["argv"],
            cwd=request["cwd"],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **request.get("env", {}), MARK: folder},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # On another node nobody comes to clear what outlives its supervisor.
            preexec_fn=_end_with_parent if request.get("op") == "attend" else None,
        )
    except OSError as error:
        reason = f"{request['argv'][0]} cannot be started: {error}"
        with suppress(OSError):
            os.write(log, f"{reason}\n".encode())
        return f"{EXIT_NOT_STARTED} {reason}"
    if asked_to_stop:  # between the pid file and here there was no child to pass it on to
        stop(signal.SIGTERM, None)
    code = _wait_for(child.pid)
    signal.setitimer(signal.ITIMER_REAL, 0)
    clear(folder, pid)  # an attempt has ended when nothing of it is alive: its slot is free
    return str(code)


def _wait_for(child: int) -> int:
    """The exit code of `child`, negative for a signal; orphans that end before it are let go."""
    while True:
        pid, how = os.waitpid(-1, 0)
        if pid == child:
            return -os.WTERMSIG(how) if os.WIFSIGNALED(how) else os.WEXITSTATUS(how)


def _use_spare(folder: str) -> None:
    """A program that fills the disk has failed; without room for its exit code it would count as lost, and begin again."""
    with suppress(FileNotFoundError):
        os.remove(os.path.join(folder, "spare"))


def _succeeded(folder: str) -> bool:
    ended = exit_of(folder)
    return ended is not None and ended["exit_code"] == 0


def exit_of(folder: str) -> dict[str, Any] | None:
    text = read(folder, "exit")
    if text is None:
        return None
    code, _, reason = text.partition(" ")
    ended = {"state": "exited", "exit_code": int(code)}
    return {**ended, "reason": reason} if reason else ended


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _marked(folder: str) -> list[int]:
    wanted = f"{MARK}={folder}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0") and _start_ticks(int(name)) is not None:
                    found.append(int(name))
        except OSError:  # gone, or somebody else's
            continue
    return found


def _descendants(ancestor: int) -> list[int]:
    """Its children, their children and so on, as far as they are alive."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        fields = _stat(int(name)) if name.isdigit() else None
        if fields is not None:
            below.setdefault(int(fields[1]), []).append(int(name))
    found = list(below.get(ancestor, []))
    for pid in found:
        found += below.get(pid, [])
    return found


def _start_ticks(pid: int) -> str | None:
    """When the process started, in clock ticks since boot; None when it is gone."""
    fields = _stat(pid)
    return None if fields is None else fields[19]


def _stat(pid: int) -> list[str] | None:
    """/proc/PID/stat behind the name; None when the process is gone. A zombie is gone: it only waits to be counted."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def read(folder: str, name: str) -> str | None:
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(folder: str, name: str, text: str) -> None:
    """Whole or not at all: a reader sees no half-written exit code."""
    part = os.path.join(folder, f".{name}.part")
    with open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, os.path.join(folder, name))


def main() -> None:
    request = json.load(sys.stdin)
    if request["op"] == "attend":
        sys.exit(attend(request))
    if request["op"] == "start":
        answer = start(request)
    elif request["op"] == "versions":
        answer = {"python": platform.python_version(), "versions": versions(request["packages"])}
    else:
        answer = {"status": status, "cancel": cancel}[request["op"]](attempt_dir(request["root"], request["attempt"]))
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

"""What runs on Kaggle: one attempt, from its inputs to the files that come home.

This file is pushed as the kernel, with REQUEST filled in. Standard library only and no import of ours: Kaggle takes one file. It
ends with 0 whatever happened, since Kaggle keeps the output of a failed kernel from everybody; the real exit code stands in
EXIT_FILE, and a kernel without that file was killed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import zipfile
from typing import IO, Any

REQUEST = "{}"

EXIT_FILE = "onehour-exit.json"
PARCEL = "parcel.bin"  # a tar; by its real name Kaggle would unpack it, and refuse what some files are called
EXIT_NOT_STARTED = 127
PYTHON, INPUTS, RUN = "@onehour:python@", "@onehour:inputs@", "@onehour:run@"
OLDEST_PYTHON = (3, 11)
GRACE_S = 120.0  # between being asked to stop and being killed
LAST_WORDS_S = 5.0


class CannotStart(Exception):
    """A sentence: why the attempt's program was not started."""


def main() -> None:
    request = json.loads(REQUEST)
    began = time.monotonic()
    working = os.path.join(os.environ.get("ONEHOUR_KAGGLE_ROOT", "/kaggle"), "working")
    run_dir = os.path.join(working, request["run"])
    os.makedirs(run_dir, exist_ok=True)
    reason = ""
    try:
        code = attempt(request, run_dir, began)
    except CannotStart as error:
        code, reason = EXIT_NOT_STARTED, str(error)
    except Exception as error:
        traceback.print_exc()
        code, reason = EXIT_NOT_STARTED, f"the kernel's own script failed: {type(error).__name__}: {error}"
    if reason:
        with open(os.path.join(run_dir, "log.txt"), "a") as log:
            log.write(reason + "\n")
        print(reason, flush=True)  # noqa: T201 (Kaggle's log is its standard output)
    leave_no_link(run_dir)
    told = {"attempt": request["attempt"], "exit_code": code, "reason": reason, "session_s": time.monotonic() - began}
    part = os.path.join(working, EXIT_FILE + ".part")
    with open(part, "w") as file:
        json.dump(told, file)
    os.replace(part, os.path.join(working, EXIT_FILE))


def attempt(request: dict[str, Any], run_dir: str, began: float) -> int:
    """Lay everything out, start the program and wait for its end. Returns its exit code; negative: the signal that killed it."""
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        raise CannotStart(f"Kaggle's image has Python {sys.version.split()[0]}; {needed} or newer is needed.")
    missing = [name for name in request["needs"] if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotStart(f"Kaggle's image has no {', no '.join(missing)}, which the engine needs.")
    inputs = tempfile.mkdtemp(prefix="onehour-")
    for one in request["inputs"]:
        lay_out(one, os.path.join(inputs, one["name"]))
    if request["previous"]:
        take_over(request["previous"], request["run"], run_dir, request["travels"])
    if request["left"]:
        unpack(request["left"], run_dir)
    for name, text in request["files"].items():
        with open(os.path.join(run_dir, name), "w", encoding="utf-8") as file:
            file.write(text)
    places = {PYTHON: sys.executable, INPUTS: inputs, RUN: run_dir}
    argv = [put_in(word, places) for word in request["argv"]]
    with open(os.path.join(run_dir, "log.txt"), "ab") as log:
        log.write(f"--- attempt {request['attempt']}\n".encode())
        log.flush()
        return run(argv, put_in(request["cwd"], places), request, run_dir, log, began)


def run(argv: list[str], cwd: str, request: dict[str, Any], run_dir: str, log: IO[bytes], began: float) -> int:
    environment = {**os.environ, **request["environment"], "PYTHONUNBUFFERED": "1", request["run_dir_is"]: run_dir}
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CannotStart(f"{argv[0]} cannot be started: {error}") from None
    assert child.stdout is not None
    said = threading.Thread(target=copy, args=(child.stdout, log), daemon=True)
    said.start()
    # The program stops by itself before its limit; should it not, what it has kept must still come home.
    left_s = max(1.0, request["stop_after_s"] - (time.monotonic() - began))
    try:
        code = child.wait(left_s)
    except subprocess.TimeoutExpired:
        send(child.pid, signal.SIGTERM)
        try:
            code = child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            send(child.pid, signal.SIGKILL)
            code = child.wait()
    said.join(LAST_WORDS_S)  # a process that it left behind may hold the pipe for ever
    return code


def copy(output: IO[bytes], log: IO[bytes]) -> None:
    """To the run's log, and to Kaggle's own."""
    while True:
        part = os.read(output.fileno(), 65_536)
        if not part:
            return
        log.write(part)
        log.flush()
        sys.stdout.write(part.decode("utf-8", "replace"))
        sys.stdout.flush()


def lay_out(one: dict[str, Any], target: str) -> None:
    """Put an input where the program finds it: unpacked, or, of the competition's own data, as links to what Kaggle mounted."""
    os.makedirs(target)
    if one["competition"]:
        source = mounted(one["competition"])
        for name in os.listdir(source):
            os.symlink(os.path.join(source, name), os.path.join(target, name))
        for name in one["folders"]:
            packed = os.path.join(source, name + ".zip")
            if not os.path.isdir(os.path.join(target, name)) and os.path.isfile(packed):
                with zipfile.ZipFile(packed) as archive:
                    archive.extractall(os.path.join(target, name))
    if one["dataset"]:
        unpack(one["dataset"], target)


def unpack(dataset: str, target: str) -> None:
    with tarfile.open(os.path.join(mounted(dataset), PARCEL)) as archive:
        for member in archive:
            path = os.path.join(target, member.name)
            if os.path.islink(path):
                os.unlink(path)  # ours instead of the competition's
            archive.extract(member, target, filter="data")


def take_over(kernel: str, name: str, run_dir: str, travels: list[str]) -> None:
    """What the run's last attempt left: the output of its kernel."""
    left = os.path.join(mounted(kernel), name)
    for folder, _, files in os.walk(left):
        for one in files:
            path = os.path.join(folder, one)
            target = os.path.relpath(path, left)
            if goes_home(target, travels):
                os.makedirs(os.path.dirname(os.path.join(run_dir, target)), exist_ok=True)
                shutil.copyfile(path, os.path.join(run_dir, target))


def mounted(slug: str) -> str:
    """The folder of a source, found by its name: where Kaggle mounts it has changed before."""
    root = os.path.join(os.environ.get("ONEHOUR_KAGGLE_ROOT", "/kaggle"), "input")
    level = [root]
    for _ in range(3):  # input/SLUG, input/competitions/SLUG, input/datasets/OWNER/SLUG
        below = [os.path.join(folder, name) for folder in level for name in sorted(os.listdir(folder))]
        level = [path for path in below if os.path.isdir(path)]
        for path in level:
            if os.path.basename(path) == slug:
                return path
    raise CannotStart(f"Kaggle has not attached {slug} to the kernel. Are the rules of the competition accepted?")


def put_in(word: str, places: dict[str, str]) -> str:
    for mark, place in places.items():
        word = word.replace(mark, place)
    return word


def leave_no_link(run_dir: str) -> None:
    """Kaggle would follow it, and show what stands behind it as a result."""
    for folder, folders, files in os.walk(run_dir):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.unlink(path)


def goes_home(name: str, travels: list[str]) -> bool:
    parts = name.split(os.sep)
    for pattern in travels:
        wanted = pattern.split("/")
        if len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
            return not any(part.startswith(".") for part in parts)
    return False


def send(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    main()

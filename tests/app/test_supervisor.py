"""One attempt under its supervisor: started once, its end written down, nothing of it left alive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.jobs import supervisor
from tests.app.trainings import alive, until


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "attempts"
    yield path
    for attempt in path.glob("*"):
        supervisor.clear(str(attempt))


def ask(root: Path, op: str, **request: Any) -> dict[str, Any]:
    """As a worker does, here or over a channel to another host."""
    told = {"op": op, "root": str(root), "attempt": "7-1", "cwd": str(root.parent), "log": str(root.parent / "log.txt")}
    done = subprocess.run(
        [sys.executable, "-I", supervisor.__file__],
        input=json.dumps(told | request),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def state(root: Path) -> str:
    return str(supervisor.status(str(root / "7-1"))["state"])


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_the_exit_code_and_the_output_are_kept(root: Path) -> None:
    assert ask(root, "status") == {"state": "absent"}
    ask(root, "start", argv=python("import sys; print('hello', flush=True); sys.exit(75)"))
    until(lambda: state(root) == "exited")
    assert ask(root, "status") == {"state": "exited", "exit_code": 75}
    assert (root.parent / "log.txt").read_text() == "--- attempt 7-1\nhello\n"


def test_asking_twice_at_once_starts_one_process(root: Path) -> None:
    argv = python("open('starts', 'a').write('x'); import time; time.sleep(1000)")
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(root, "start", argv=argv))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["pid"] for answer in answers}) == 1
    until((root.parent / "starts").exists)
    ask(root, "cancel")
    until(lambda: state(root) == "exited")
    assert ask(root, "start", argv=argv) == {"state": "exited", "exit_code": -signal.SIGTERM}
    assert (root.parent / "starts").read_text() == "x"


def test_a_training_may_use_its_grace_for_a_checkpoint(root: Path) -> None:
    program = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\nopen('ready', 'w')\nsignal.pause()"
    )
    ask(root, "start", argv=python(program))
    until((root.parent / "ready").exists)
    ask(root, "cancel")
    until(lambda: state(root) == "exited")
    assert ask(root, "status")["exit_code"] == 75


def test_what_a_training_leaves_behind_ends_with_it(root: Path) -> None:
    program = "import subprocess; open('pid', 'w').write(str(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid))"
    ask(root, "start", argv=python(program))
    until(lambda: state(root) == "exited")
    assert ask(root, "status")["exit_code"] == 0
    assert not alive(int((root.parent / "pid").read_text()))


def test_an_attempt_without_process_and_exit_code_is_lost(root: Path) -> None:
    pid = ask(root, "start", argv=["sleep", "1000"])["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: state(root) == "lost")
    assert ask(root, "status") == {"state": "lost", "rebooted": False}
    assert supervisor.clear(str(root / "7-1")) == 1  # the training itself had gone on


def test_a_pid_given_to_another_process_is_not_taken_for_the_attempt(root: Path) -> None:
    ask(root, "start", argv=["sleep", "1000"])
    told = json.loads((root / "7-1" / "pid").read_text())
    (root / "7-1" / "pid").write_text(json.dumps(told | {"pid": os.getpid()}))
    assert state(root) == "lost"
    (root / "7-1" / "pid").write_text(json.dumps(told | {"boot": "before"}))
    assert ask(root, "status") == {"state": "lost", "rebooted": True}
    os.kill(told["pid"], signal.SIGKILL)


def test_a_program_that_is_not_there_is_said_in_the_log(root: Path) -> None:
    ask(root, "start", argv=["no-such-program"])
    until(lambda: state(root) == "exited")
    assert ask(root, "status")["exit_code"] == supervisor.EXIT_NOT_STARTED
    assert "no-such-program cannot be started" in (root.parent / "log.txt").read_text()


def test_a_log_that_cannot_be_written_is_the_reason_of_the_end(root: Path) -> None:
    (root.parent / "log.txt").mkdir()
    ask(root, "start", argv=["true"])
    until(lambda: state(root) not in ("absent", "running"))
    ended = ask(root, "status")
    assert (ended["state"], ended["exit_code"]) == ("exited", supervisor.EXIT_NOT_STARTED)
    assert "the log cannot be written: " in ended["reason"]
    assert "log.txt" in ended["reason"]


@pytest.mark.parametrize("attempt", ["../7", "", "7/1", ".hidden"])
def test_an_attempts_name_cannot_leave_its_folder(root: Path, attempt: str) -> None:
    with pytest.raises(ValueError, match="no name of an attempt"):
        supervisor.attempt_dir(str(root), attempt)

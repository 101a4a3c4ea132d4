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


def test_the_exit_code_is_kept_where_whoever_starts_it_ignores_the_end_of_children(root: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(ChildProcessError):  # it holds here, so that what is started below inherits it
            os.waitpid(subprocess.Popen(["true"]).pid, 0)
        ask(root, "start", argv=python("raise SystemExit(3)"))
        until(lambda: state(root) == "exited")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert ask(root, "status") == {"state": "exited", "exit_code": 3}


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


def attend(root: Path, argv: list[str], attempt: str = "fold0", **request: Any) -> subprocess.Popen[str]:
    """As a scheduler does it on a node: the process stays."""
    told = {
        "op": "attend",
        "root": str(root),
        "attempt": attempt,
        "title": "7-1",
        "argv": argv,
        "cwd": str(root.parent),
    }
    process = subprocess.Popen([sys.executable, "-I", supervisor.__file__], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps({**told, "log": str(root.parent / "log.txt"), "grace_s": 10} | request))
    process.stdin.close()
    return process


@pytest.mark.parametrize(("code", "seen"), [(0, 0), (75, 0), (2, 1)])
def test_an_attended_attempt_is_waited_for_and_only_what_went_wrong_is_seen(root: Path, code: int, seen: int) -> None:
    assert attend(root, python(f"import sys, time; time.sleep(0.2); sys.exit({code})")).wait() == seen
    assert supervisor.status(str(root / "fold0")) == {"state": "exited", "exit_code": code}
    assert float((root / "fold0" / "seconds").read_text()) > 0.2
    assert (root.parent / "log.txt").read_text() == "--- attempt 7-1\n"


def test_who_attends_second_does_nothing(root: Path) -> None:
    argv = python("open('starts', 'a').write('x')")
    assert [attend(root, argv).wait(), attend(root, argv).wait()] == [0, 0]
    assert (root.parent / "starts").read_text() == "x"


def test_nothing_begins_where_the_attempt_was_given_up(root: Path) -> None:
    root.mkdir()
    (root / "cleared").touch()
    assert attend(root, python("open('starts', 'a').write('x')")).wait() == 0
    assert not (root.parent / "starts").exists()


def test_what_builds_on_others_waits_for_the_next_attempt_unless_all_of_them_are_done(root: Path) -> None:
    argv = python("open('starts', 'a').write('x')")
    attend(root, python("pass")).wait()
    attend(root, python("raise SystemExit(75)"), "fold1").wait()
    assert attend(root, argv, "merge", after=["fold0", "fold1", "fold2"]).wait() == 0
    told = {"state": "exited", "exit_code": 75, "reason": "not done: fold1, fold2"}
    assert supervisor.status(str(root / "merge")) == told
    assert attend(root, argv, "again", after=["fold0"]).wait() == 0
    assert (root.parent / "starts").read_text() == "x"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_an_attended_attempt_is_asked_to_stop_with_its_supervisor(root: Path, number: signal.Signals) -> None:
    program = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\nopen('ready', 'w')\nsignal.pause()"
    )
    process = attend(root, python(program))
    until((root.parent / "ready").exists)
    process.send_signal(number)
    assert process.wait() == 0
    assert supervisor.status(str(root / "fold0"))["exit_code"] == 75


def test_an_attended_attempt_ends_with_its_supervisor(root: Path) -> None:
    process = attend(root, python("import os, time; open('pid', 'w').write(f'{os.getpid()}\\n'); time.sleep(1000)"))
    pid = root.parent / "pid"
    until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    process.kill()
    process.wait()
    until(lambda: not alive(int(pid.read_text())))

"""The other end of a connection, asked as over a channel but without one."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.jobs import agent, supervisor
from app.jobs.backends.agent_channel import LOADER, MODULES, program
from tests.app.trainings import until


class Agent:
    """A process as a host starts it."""

    def __init__(self) -> None:
        command = "import sys; s = sys.stdin.buffer; exec(s.read(int(s.readline())).decode())"
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        loader = LOADER.encode()
        self._write(b"%d\n" % len(loader) + loader + b'{"others": []}\n')
        assert self._read()["system"] == "linux"
        self._write(program() + b"\n")
        assert agent.HELLO in self._read()

    def __call__(self, op: str, payload: object = None, **told: Any) -> dict[str, Any]:
        """What it answers."""
        body = b"" if payload is None else json.dumps(payload).encode()
        self._write(json.dumps({"op": op, **told, "bytes": len(body)}).encode() + b"\n" + body)
        answer = self._read()
        assert self.process.stdout is not None
        return {**answer, "payload": self.process.stdout.read(answer.get("bytes", 0))}

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def asked() -> Iterator[Agent]:
    started = Agent()
    yield started
    started.close()


def test_a_part_of_a_file_is_read_and_one_that_was_written_anew_is_told(asked: Agent, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"abcdef")
    told = {"run_dir": str(tmp_path), "name": "log.txt", "most": 3}
    assert asked("read", **told, offset=1)["payload"] == b"bcd"
    right = asked("read", **told, offset=3, before=hashlib.sha256(b"bc").hexdigest(), overlap=2)
    assert (right["payload"], right["anew"], right["size"]) == (b"def", False, 6)
    assert asked("read", **told, offset=3, before=hashlib.sha256(b"xx").hexdigest(), overlap=2)["anew"]
    assert asked("read", **{**told, "name": "none"}, offset=0)["payload"] == b""


def test_the_files_of_a_run_are_listed_without_links_and_not_for_ever(asked: Agent, tmp_path: Path) -> None:
    (tmp_path / "wandb" / "run" / "files" / "deeper").mkdir(parents=True)
    for name in ("a.json", "wandb/run/files/x", "wandb/run/files/deeper/too", "two\nlines"):
        (tmp_path / name).touch()
    (tmp_path / "link.json").symlink_to("/etc/hostname")
    (tmp_path / "folder").symlink_to("/etc")
    told = asked("files", run_dir=str(tmp_path))
    assert [name for name, _, _ in json.loads(told["payload"])] == ["a.json", "two\nlines", "wandb/run/files/x"]
    assert told["all"]
    assert json.loads(asked("files", run_dir=str(tmp_path / "none"))["payload"]) == []


def test_a_command_is_run_without_a_shell_and_ended_when_its_time_is_over(asked: Agent, tmp_path: Path) -> None:
    told = asked("run", argv=["printf", "%s|", "$(touch hacked)", "a b"], timeout_s=10)
    assert (told["payload"], told["exit_code"], told["late"]) == (b"$(touch hacked)|a b|", 0, False)
    told = asked("run", argv=["sleep", "1000"], timeout_s=0.05)
    assert (told["late"], told["exit_code"]) == (True, -9)
    assert "No such file" in asked("run", argv=["no-such-program"], timeout_s=1)["error"]
    alone = str(tmp_path / "lock")
    lock = os.open(alone, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert asked("run", argv=["true"], timeout_s=1, alone=alone)["error"] == "somebody else is at work there just now"
    os.close(lock)
    assert asked("run", argv=["true"], timeout_s=1, alone=alone)["exit_code"] == 0


def test_an_attempt_that_was_started_is_left_alone_by_whoever_launches_it_again(asked: Agent, tmp_path: Path) -> None:
    run_dir, store = str(tmp_path / "runs" / "r01"), str(tmp_path / "store")
    content, one = b"one", hashlib.sha256(b"one").hexdigest()
    (tmp_path / "store" / "blobs" / one[:2]).mkdir(parents=True)
    (tmp_path / "store" / "blobs" / one[:2] / one).write_bytes(content)
    start = {
        "root": str(tmp_path / "jobs"),
        "attempt": "7-1",
        "cwd": "/",
        "log": str(tmp_path / "log"),
        "argv": ["true"],
    }
    told = {"store": store, "run_dir": run_dir, "remove": [], "start": start, "python": "sh"}
    where = {"root": start["root"], "attempt": "7-1", "run_dir": run_dir}
    assert asked("launch", [("spec.yaml", 3, "f" * 64, 1)], **told)["missing"] == 1
    assert asked("launch", [], **{**told, "python": "/no/python"})["python"] == ""
    assert asked("status", **where)["state"] == "absent"
    with agent._held(run_dir):
        assert asked("status", **where)["state"] == "placing"
    assert asked("launch", [("spec.yaml", 3, one, 1)], **told)["state"] in ("running", "exited")
    (Path(run_dir) / "spec.yaml").write_bytes(b"two")
    assert asked("launch", [("spec.yaml", 3, one, 1)], **told)["state"] in ("running", "exited")
    assert (Path(run_dir) / "spec.yaml").read_bytes() == b"two"
    asked("cancel", **where)
    assert asked("clear", **where)["killed"] in (0, 1)


def test_nothing_is_swept_while_something_runs(asked: Agent, tmp_path: Path) -> None:
    run_dir = tmp_path / "homes" / "me" / "runs" / "r01"
    jobs = tmp_path / "homes" / "me" / "jobs"
    start = {"root": str(jobs), "attempt": "7-1", "cwd": "/", "log": str(tmp_path / "log"), "argv": ["sleep", "1000"]}
    told = {"store": str(tmp_path / "store"), "run_dir": str(run_dir), "remove": [], "start": start, "python": "sh"}
    asked("launch", [], **told)
    asked("fetched", run_dir=str(run_dir))
    try:
        assert asked("sweep", dir=str(tmp_path), runs_s=-1, store_s=-1)["removed"] == 0
    finally:
        asked("cancel", root=str(jobs), attempt="7-1", run_dir=str(run_dir))
        until(lambda: supervisor.status(str(jobs / "7-1"))["state"] == "exited")
    assert asked("sweep", dir=str(tmp_path), runs_s=-1, store_s=-1)["removed"] == 1
    assert not run_dir.exists()


@pytest.mark.parametrize("module", MODULES)
def test_what_runs_on_a_host_is_written_for_its_python(module: Any) -> None:
    """3.8, and the standard library only."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {str(name).partition(".")[0] for name in imported} <= set(sys.stdlib_module_names) | {"app"}
    assert {name for name in imported if str(name).startswith("app")} <= {"app.jobs", "app.jobs.host_contents"}

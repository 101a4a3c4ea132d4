"""What comes home of a run, and what a host cannot make this computer do. The agent is asked without a channel."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.jobs import agent
from app.jobs.agent import PAYLOAD
from app.jobs.backends import homecoming
from app.jobs.backends.homecoming import Homecoming, is_welcome

pytestmark = pytest.mark.unit

LIES = {"size": 3, "mtime_ns": 5, "anew": False, PAYLOAD: b"lie"}


class Host:
    """Answers as an agent on a host does; a test may do something between two answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.before_read: Any = None

    async def ask(self, op: str, payload: bytes = b"", **told: Any) -> dict[str, Any]:
        self.asked.append((op, told.get("name", "")))
        if op == "read" and self.before_read is not None:
            self.before_read()
        return {PAYLOAD: b"", **agent.OPS[op](told, io.BytesIO(payload))}

    def reads(self) -> list[str]:
        return [name for op, name in self.asked if op == "read"]


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "there"
    path.mkdir()
    return path


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    return path


def bring(host: Host, coming: Homecoming, everything: bool = True) -> bool:
    return asyncio.run(coming.bring(host.ask, everything))


def test_what_is_asked_for_comes_whole_and_what_is_here_is_not_fetched_again(
    host: Host, here: Path, there: Path
) -> None:
    (there / "fold0").mkdir()
    (there / "fold0" / "last.pt").write_bytes(os.urandom(100))
    (there / "metrics.jsonl").write_text('{"a": 1}\n')
    (there / "wandb" / "offline-run-1" / "files").mkdir(parents=True)
    (there / "wandb" / "offline-run-1" / "run-1.wandb").write_bytes(b"rows")
    (there / "wandb" / "offline-run-1" / "files" / "config.yaml").write_text("lr: 1")
    (there / "result.json").write_text("{}")
    (there / "spec.yaml").write_text("its own")
    coming = Homecoming(here, str(there), "box")
    assert bring(host, coming)
    assert (here / "fold0" / "last.pt").read_bytes() == (there / "fold0" / "last.pt").read_bytes()
    assert (here / "wandb" / "offline-run-1" / "run-1.wandb").read_bytes() == b"rows"
    assert (here / "wandb" / "offline-run-1" / "files" / "config.yaml").read_text() == "lr: 1"
    assert not (here / "spec.yaml").exists()
    assert host.reads()[-1] == "result.json"
    host.asked.clear()
    assert bring(host, Homecoming(here, str(there), "box"))  # another client, later
    assert host.reads() == []


def test_what_grows_is_put_behind_what_is_here(host: Host, here: Path, there: Path) -> None:
    coming = Homecoming(here, str(there), "box")
    for number in range(3):
        with (there / "metrics.jsonl").open("a") as file:
            file.write(f"row {number} {'x' * 9000}\n")
        assert bring(host, coming, everything=False)
        assert (here / "metrics.jsonl").read_bytes() == (there / "metrics.jsonl").read_bytes()
    # Written anew there, and longer than it was.
    (there / "metrics.jsonl").write_text("other " + "y" * 40_000)
    assert bring(host, coming)
    assert (here / "metrics.jsonl").read_text() == "other " + "y" * 40_000
    # And shorter.
    (there / "metrics.jsonl").write_text("short")
    assert bring(host, coming)
    assert (here / "metrics.jsonl").read_text() == "short"


def test_a_checkpoint_is_fetched_seldom_while_it_runs_and_at_the_end_at_once(
    host: Host, here: Path, there: Path
) -> None:
    (there / "fold0").mkdir()
    coming = Homecoming(here, str(there), "box")
    (there / "fold0" / "last.pt").write_bytes(b"one")
    assert bring(host, coming, everything=False)
    (there / "fold0" / "last.pt").write_bytes(b"second")
    assert not bring(host, coming, everything=False)
    assert (here / "fold0" / "last.pt").read_bytes() == b"one"
    assert bring(host, coming)
    assert (here / "fold0" / "last.pt").read_bytes() == b"second"


def test_a_file_that_changes_while_it_is_read_is_not_mixed(
    host: Host, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homecoming, "PIECE", 10)
    (there / "best.json").write_bytes(b"a" * 25)

    def swap() -> None:
        if len(host.reads()) == 2:
            (there / "best.json").write_bytes(b"b" * 25)

    host.before_read = swap
    coming = Homecoming(here, str(there), "box")
    assert not bring(host, coming)
    assert list(here.iterdir()) == []
    assert bring(host, coming)
    assert (here / "best.json").read_bytes() == b"b" * 25


def test_a_long_log_is_cut_in_the_middle_and_again_when_it_has_grown(host: Host, here: Path, there: Path) -> None:
    coming = Homecoming(here, str(there), "gpu-box", log_most=4000)
    whole = b"".join(b"line %06d\n" % number for number in range(1000))
    (there / "log.txt").write_bytes(whole[:3000])
    assert bring(host, coming)
    assert (here / "log.txt").read_bytes() == whole[:3000]
    (there / "log.txt").write_bytes(whole[:9000])
    assert bring(host, coming)
    gap = f"\n--- left out: bytes 1000 to 8000 of this log; all of it lies on gpu-box in {there}/log.txt\n".encode()
    assert (here / "log.txt").read_bytes() == whole[:1000] + gap + whole[8000:9000]
    # Another client puts more behind it.
    (there / "log.txt").write_bytes(whole[:9500])
    assert bring(host, Homecoming(here, str(there), "gpu-box", log_most=4000))
    assert (here / "log.txt").read_bytes() == whole[:1000] + gap + whole[8000:9500]
    # What is too much is cut anew, which while it runs is done seldom.
    (there / "log.txt").write_bytes(whole)
    assert not bring(host, coming, everything=False)
    assert bring(host, coming)
    assert (here / "log.txt").read_bytes().endswith(whole[-1000:])
    assert (here / "log.txt").stat().st_size < 4000
    host.asked.clear()
    assert bring(host, coming)
    assert host.reads() == []


def test_a_cut_log_that_was_taken_to_another_host_grows_on_there(host: Host, here: Path, there: Path) -> None:
    whole = b"".join(b"line %06d\n" % number for number in range(1000))
    (there / "log.txt").write_bytes(whole)
    assert bring(host, Homecoming(here, str(there), "one", log_most=4000))
    cut = (here / "log.txt").read_bytes()
    (there / "log.txt").write_bytes(cut + b"and on\n")
    assert bring(host, Homecoming(here, str(there), "two", log_most=4000))
    assert (here / "log.txt").read_bytes() == cut + b"and on\n"


def test_a_cut_copy_is_known_by_the_place_of_the_whole(host: Host, here: Path, there: Path) -> None:
    (there / "log.txt").write_bytes(b"x" * 9000)
    coming = Homecoming(here, str(there), "one", log_most=4000)
    assert bring(host, coming)
    assert coming.is_whole_there("log.txt", 9000)
    assert coming.is_whole_there("log.txt", 9999)  # it has grown
    assert not coming.is_whole_there("log.txt", 8000)  # it is another one
    assert not Homecoming(here, str(there), "two", log_most=4000).is_whole_there("log.txt", 9000)
    assert not Homecoming(here, "/elsewhere", "one", log_most=4000).is_whole_there("log.txt", 9000)


def test_a_file_that_is_too_large_is_left_there(
    host: Host, here: Path, there: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (there / "oof.npz").write_bytes(b"x" * 2000)
    coming = Homecoming(here, str(there), "box", file_most=1000)
    assert bring(host, coming)
    assert bring(host, coming)
    assert list(here.iterdir()) == []
    assert [record.message for record in caplog.records] == ["oof.npz is left on box: 2000 bytes are too many"]


def test_a_disk_that_is_full_here_is_not_filled_further(
    host: Host, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (there / "oof.npz").write_bytes(b"x" * 2000)
    free = shutil.disk_usage(here)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    with pytest.raises(OSError, match="No space left") as raised:
        bring(host, Homecoming(here, str(there), "box"))
    assert raised.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "name",
    ["../result.json", "/tmp/result.json", "a/../../x.json", "two\nlines.json", "spec.json", ".hidden.json", "x.sh", "\x1b[2J.json",
     "fold0/../../x.pt", "a\u202egnp.json", "x" * 500 + ".json", "lone\udc80.json"],
)  # fmt: skip
def test_a_host_cannot_choose_where_something_is_written(here: Path, tmp_path: Path, name: str) -> None:
    assert not is_welcome(name)

    async def liar(op: str, **_told: Any) -> dict[str, Any]:
        return {"all": True, PAYLOAD: json.dumps([[name, 3, 5]]).encode()} if op == "files" else LIES

    before = set(tmp_path.rglob("*"))
    assert asyncio.run(Homecoming(here, "/there", "box").bring(liar, True))
    assert set(tmp_path.rglob("*")) == before


def test_a_link_here_leads_a_host_nowhere(here: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.json").write_text("mine")
    (here / "fold0").symlink_to(outside)
    (here / "oof.json").symlink_to(outside / "keep.json")
    (here / "metrics.jsonl").symlink_to(outside / "keep.json")
    names = ["fold0/last.pt", "oof.json", "metrics.jsonl"]

    async def liar(op: str, **_told: Any) -> dict[str, Any]:
        return {"all": True, PAYLOAD: json.dumps([[name, 3, 5] for name in names]).encode()} if op == "files" else LIES

    assert asyncio.run(Homecoming(here, "/there", "box").bring(liar, True))
    assert [path.name for path in outside.iterdir()] == ["keep.json"]
    assert (outside / "keep.json").read_text() == "mine"

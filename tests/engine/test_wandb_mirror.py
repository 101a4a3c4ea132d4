"""The mirror in W&B: what it says, and that nothing that goes wrong with it reaches the training. The real client throughout."""

from __future__ import annotations

import getpass
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.contract import RunSpec
from engine.mirror import wandb_run
from engine.run_folder import RunFolder, travels
from engine.training.tracking import FoldLog, Sample
from tests.conftest import CHECKOUT
from tests.doubles.wandb_server import KEY, Fault, WandbServer

KNOWN = {"data_sha256": "d4ta", "started_at": "2026-03-02T20:15:00Z"}
EPOCHS = 5


@pytest.fixture(autouse=True)
def own_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of whoever runs the tests: no key, no settings, and a client that has not started yet."""
    import wandb

    wandb.teardown()
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nobody" / name))
    for name, value in {"init_timeout": 2, "finish_timeout": 2}.items():
        monkeypatch.setitem(wandb_run.QUIET, name, value)
    yield
    with suppress(ConnectionError):  # of a test that killed it
        wandb.teardown()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "humpback_001-r01")
    made.path.mkdir()
    return made


def spec(**tracking: Any) -> RunSpec:
    said = {
        "run_id": "humpback_001-r01",
        "tags": ["day-17"],
        "notes": "Larger images help",
        "day": 17,
        "commit": "c0ffee",
    }
    asked = {"data": {"dir": "/home/anna/secret"}, "weights_path": "/home/anna/w.pt", "weights": "file"}
    return RunSpec.model_validate({**asked, "tracking": {**said, **tracking}})


def fold(folder: RunFolder, mode: str, between: Callable[[], object] = lambda: None) -> FoldLog:
    """Log a small fold; `between` is called after its second epoch."""
    with FoldLog(spec(wandb=mode), folder, 0, KNOWN) as rows:
        for epoch in range(1, EPOCHS + 1):
            rows.write("epoch", epoch, 10 * epoch, **{"train/loss": 1 / epoch, "valid/map5": epoch / 10})
            if epoch == 2:
                between()
        rows.samples(EPOCHS, 10 * EPOCHS, [Sample("a.jpg", "<w>", 0.1, (("w", 0.1),))])
    return rows


def records(folder: RunFolder, pattern: str = "offline-run-*") -> dict[str, list[dict[str, Any]]]:
    """By kind, as wandb's own inspector reads the run's file."""
    (path,) = folder.wandb_dir.glob(f"{pattern}/*.wandb")
    leet = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    told = subprocess.run(leet, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[dict[str, Any]]] = {}
    for record in map(json.loads, told.splitlines()):
        found.setdefault(record["type"], []).append(record[record["type"]])
    return found


def logged_steps(folder: RunFolder, pattern: str = "offline-run-*") -> list[int]:
    return [row["step"]["num"] for row in records(folder, pattern)["history"]]


ALL = [10 * epoch for epoch in range(1, EPOCHS + 1)]


def test_a_fold_says_who_it_is_what_was_asked_and_where_it_comes_from(folder: RunFolder) -> None:
    rows = fold(folder, "offline")
    assert (rows.mirror.mode, rows.mirror.url) == ("offline", None)
    told = records(folder)
    (run,) = told["run"]
    assert {key: run[key] for key in ("run_id", "run_group", "job_type", "tags", "notes", "project")} == {
        "run_id": "humpback_001-r01-f0",
        "run_group": "humpback_001-r01",
        "job_type": "fold",
        "tags": ["day-17"],
        "notes": "Larger images help",
        "project": "onehour",
    }
    config = run["config"]["update"]
    assert {key: config[key] for key in ("fold", "day", "commit", "backbone", *KNOWN)} == {
        "fold": 0,
        "day": 17,
        "commit": "c0ffee",
        "backbone": "resnet18",
        **KNOWN,
    }
    history = told["history"]
    assert [(row["step"]["num"], row["item"]["epoch"]) for row in history] == [
        (10 * e, e) for e in range(1, EPOCHS + 1)
    ]
    assert history[-1]["item"]["worst._type"] == "html-file"
    assert [ended["exit_code"] for ended in told["exit"]] == [0]


def test_nothing_of_the_person_or_the_computer_is_in_it_and_all_of_it_travels(folder: RunFolder) -> None:
    fold(folder, "offline")
    (run_dir,) = folder.wandb_dir.glob("offline-run-*")
    sent = [path for path in run_dir.rglob("*") if path.is_file() and "logs" not in path.parts]
    assert len(sent) == 2  # the log and the table of the worst images
    everything = b"".join(path.read_bytes() for path in sent)
    for secret in (
        socket.gethostname(),
        str(folder.path),
        str(CHECKOUT),
        sys.executable,
        "anna",
        f"/{getpass.getuser()}/",
    ):
        assert secret.encode() not in everything, secret
    assert "&lt;w&gt;" in next(path for path in sent if path.suffix == ".html").read_text()
    assert all(travels(str(path.relative_to(folder.path))) for path in sent)


def test_a_killed_fold_that_goes_on_offline_repeats_steps_and_epochs_as_they_were(folder: RunFolder) -> None:
    fold(folder, "offline")
    time.sleep(1.1)  # wandb names a run's folder by the second
    with FoldLog(spec(wandb="offline"), folder, 0, KNOWN) as rows:
        rows.write("epoch", 5, 50, **{"train/loss": 0.2})
    first, second = sorted(folder.wandb_dir.glob("offline-run-*"))
    assert first.name.endswith("-humpback_001-r01-f0")
    assert second.name.endswith("-humpback_001-r01-f0")
    assert logged_steps(folder, second.name) == [50]


def test_online_a_fold_is_on_the_server_and_marked_as_uploaded(folder: RunFolder, wandb_double: WandbServer) -> None:
    rows = fold(folder, "online")
    assert (rows.mirror.mode, rows.mirror.url) == ("online", f"{wandb_double.url}/me/onehour/runs/humpback_001-r01-f0")
    run = wandb_double.runs["onehour", "humpback_001-r01-f0"]
    assert (run.state, run.group, run.tags, run.config["commit"]) == (
        "finished",
        "humpback_001-r01",
        ["day-17"],
        "c0ffee",
    )
    assert [row["_step"] for row in run.history] == ALL
    assert len(list(folder.wandb_dir.glob("run-*/*.wandb.synced"))) == 1


def test_without_a_key_a_fold_is_mirrored_offline(
    folder: RunFolder, wandb_double: WandbServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    rows = fold(folder, "online")
    assert (rows.mirror.mode, rows.mirror.url) == ("offline", None)
    assert logged_steps(folder) == ALL
    assert "No API key configured" in caplog.text
    assert wandb_double.calls == []


@pytest.mark.parametrize("fault", [Fault(hang=True), Fault(status=500), None], ids=["hangs", "500", "401"])
def test_where_the_server_does_not_answer_a_fold_is_mirrored_offline(
    folder: RunFolder, wandb_double: WandbServer, fault: Fault | None
) -> None:
    if fault is None:
        wandb_double.refused_keys.add(KEY)
    else:
        wandb_double.faults.append(fault)
    begun = time.monotonic()
    rows = fold(folder, "online")
    assert rows.mirror.mode == "offline"
    assert logged_steps(folder) == ALL
    assert time.monotonic() - begun < 80, "wandb by itself waits 90 s for its server"


def test_a_server_that_falls_silent_holds_the_fold_no_longer_than_finishing_may_take_and_leaves_it_to_be_pushed(
    folder: RunFolder, wandb_double: WandbServer, caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.monotonic()
    rows = fold(folder, "online", lambda: wandb_double.faults.append(Fault(hang=True)))
    assert time.monotonic() - begun < 300, "wandb by itself waits without end"
    assert rows.mirror.mode == "online"
    assert "push it later" in caplog.text
    assert logged_steps(folder, "run-*") == ALL
    assert not list(folder.wandb_dir.glob("*/*.synced"))


def test_wandbs_helper_may_be_killed_while_a_fold_trains_and_the_next_fold_has_another(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    def kill() -> None:
        (helper,) = (int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _is_helper(stat))
        os.kill(helper, signal.SIGKILL)
        while _is_helper(Path(f"/proc/{helper}/stat")):
            time.sleep(0.01)

    fold(folder, "offline", kill)
    epochs = [row["epoch"] for row in folder.metrics() if row["kind"] == "epoch"]
    assert epochs == [1, 2, 3, 4, 5]
    # The client hears of it while a row is written or, where the rows follow each other closely, as the run is closed.
    told = [record.getMessage() for record in caplog.records if record.name == wandb_run.__name__]
    assert len(told) == 1
    assert told[0].startswith(
        ("the W&B mirror of this fold ends here", "the W&B run could not be closed, push it later")
    )
    with FoldLog(spec(), folder, 1) as rows:
        rows.write("epoch", 1, 10, **{"train/loss": 0.2})
    assert rows.mirror.mode == "offline"
    assert logged_steps(folder, "offline-run-*-f1") == [10]


def _is_helper(stat: Path) -> bool:
    """Whether this is wandb-core and our child."""
    try:
        name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    state, parent = rest.split()[:2]
    return name == "wandb-core" and int(parent) == os.getpid() and state not in "ZX"


def test_on_a_disk_that_is_nearly_full_the_mirror_says_nothing_until_there_is_room(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = shutil.disk_usage(folder.path).free
    fold(folder, "offline", lambda: monkeypatch.setattr(wandb_run, "LEAST_FREE_BYTES", 2 * free))
    told = records(folder)
    assert [row["step"]["num"] for row in told["history"]] == [10, 20]
    assert len(told["exit"]) == 1
    assert caplog.text.count("W&B is told nothing until there is more") == 1


FULL = """
import resource, signal, sys
from pathlib import Path
from engine.run_folder import RunFolder
from tests.engine.test_wandb_mirror import spec
from engine.mirror.wandb_run import WandbMirror
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = RunFolder(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
mirror = WandbMirror(spec(), folder, 0)
for step in range(600):
    mirror.log({"epoch": step, "loss": 0.5}, step)
mirror.finish(failed=False)
sys.stdout.write(mirror.mode)
"""


def test_a_disk_that_is_full_to_the_last_byte_harms_nothing(folder: RunFolder) -> None:
    """The kernel refuses the helper each byte behind the 20,000th of its file, as a full disk does."""
    done = subprocess.run([sys.executable, "-c", FULL, str(folder.path)], capture_output=True, text=True, cwd=CHECKOUT)
    assert (done.returncode, done.stdout) == (0, "offline"), done.stderr
    (path,) = folder.wandb_dir.glob("offline-run-*/*.wandb")
    assert path.stat().st_size <= 20_000


def test_a_wandb_that_cannot_even_be_loaded_is_no_more_than_a_missing_mirror(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    rows = fold(folder, "offline")
    assert rows.mirror.mode == "off"
    assert caplog.records[0].levelno == logging.WARNING

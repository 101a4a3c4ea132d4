"""The main job with nothing stood in for: `onehour up`, the page, the real engine on drawn photographs, and processes killed with -9."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app import cli, demo
from app.jobs import backlog, home_scoring, supervisor
from app.journal import challenges
from app.journal.home import CHECKOUT, Home
from app.journal.store import Journal, open_journal
from app.keeper import HOST
from app.scores.board import board_runs
from engine.contract import EXIT_OK
from engine.run_folder import RunFolder, file_sha256

PATIENCE_S = 180
# Small enough for seconds an epoch; the demo trains the real preset.
CHANGES = (
    "backbone=test_resnet weights=none image_size=[32,64] head=linear 'stages=[{epochs: 4, lr: 0.003}]' augment=[]"
)
RUN = "sample_001-r01"

Up = Callable[[], "subprocess.Popen[bytes]"]


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_at, f"waited {PATIENCE_S} s in vain until {what}"
        time.sleep(0.1)


@pytest.fixture
def up(home: Home, free_port: int) -> Iterator[Up]:
    """Start `onehour up` as `make run` does; all of it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("onehour")), "up", "--port", str(free_port), "--no-browser"]
        with (home.path / "up.txt").open("ab") as output:
            started.append(subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait()
    for attempt in home.jobs_dir.glob("*-*"):
        supervisor.clear(str(attempt.resolve()))


def descendants(pid: int) -> list[int]:
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in below] + [far for child in below for far in descendants(int(child))]


def training_pids(home: Home) -> list[int]:
    """The engine's own processes of this home, by their command lines."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            b"engine" in words
            and b"train" in words
            and str(home.run_dir(RUN)).encode() in words
            and b"nice" not in words
        ):
            found.append(int(entry.name))
    return found


def epochs(home: Home) -> list[tuple[int, float]]:
    return [(row["fold"], row["epoch"]) for row in RunFolder(home.run_dir(RUN)).metrics() if row["kind"] == "epoch"]


def job_state(journal: Journal) -> str:
    with journal.reading() as db:
        return backlog.job_of(db, RUN).state


def to_be_scored(journal: Journal) -> bool:
    with journal.reading() as db:
        return home_scoring.is_open(db, RUN)


def test_from_an_empty_folder_to_a_scored_submission_although_everything_is_killed(
    page: Page, home: Home, free_port: int, up: Up
) -> None:
    first = up()
    address = f"http://{HOST}:{free_port}"
    wait_until("the dashboard is announced", lambda: address in (home.path / "up.txt").read_text())
    page.goto(address)
    page.get_by_role("button", name="Draw the data and begin").click()
    expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=60_000)
    page.keyboard.press("Control+Shift+S")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("textbox", name="Hypothesis").fill("A tiny net learns something")
    page.get_by_role("textbox", name="Changes").fill("batch_size=16")
    look = page.get_by_role("link", name="look at its augmented pictures")
    page.keyboard.press("Tab")
    expect(look).to_have_attribute("href", re.compile("sheet_overrides=batch_size"))  # the sheet of what was typed
    look.click()
    page.get_by_role("button", name="Draw the sheet").click()
    page.get_by_role("button", name="I have looked at it").click(timeout=120_000)
    expect(page.get_by_role("button", name="I have looked at it")).to_be_hidden()
    page.get_by_role("link", name="Back to Today").click()
    expect(page.get_by_role("textbox", name="Hypothesis")).to_have_value("A tiny net learns something")
    expect(page.get_by_role("textbox", name="Changes")).to_have_value("batch_size=16")
    page.get_by_role("textbox", name="Changes").fill(CHANGES)
    page.get_by_role("button", name="Queue a run").click()
    expect(page.get_by_text("● running")).to_be_visible(timeout=60_000)
    wait_until("the first epoch is done", lambda: len(epochs(home)) >= 1)

    # The dashboard, its keeper and the worker die at once; the training does not notice.
    training = training_pids(home)
    for pid in [first.pid, *descendants(first.pid)]:
        os.kill(pid, signal.SIGKILL)
    first.wait()
    assert training == training_pids(home) != []
    seen = len(epochs(home))
    wait_until("training goes on without anybody watching", lambda: len(epochs(home)) > seen)

    # Then the training itself dies; the next worker finds it lost and starts it from its last checkpoint.
    for pid in training_pids(home):
        os.kill(pid, signal.SIGKILL)
    up()
    journal = open_journal(home)
    try:
        wait_until("the run is over", lambda: job_state(journal) in (backlog.SUCCEEDED, backlog.FAILED))
        wait_until("it is scored at home", lambda: not to_be_scored(journal))
        with journal.reading() as db:
            challenge = challenges.active(db)
            (run,) = board_runs(db, challenge, challenge.starts_on, challenge.starts_on)
    finally:
        journal.close()
    assert run.row.state == backlog.SUCCEEDED, RunFolder(home.run_dir(RUN)).log_tail()
    # No epoch is missing, and none but the one that was interrupted was done twice.
    assert set(epochs(home)) == {(fold, epoch) for fold in (0, 1) for epoch in (1, 2, 3, 4)}
    assert run.row.cv is not None
    assert run.public is not None
    assert run.private is not None

    submission = home.path / (run.submission_path or "")
    sample = home.data_dir / "sample" / "sample_submission.csv"
    assert submission.read_text().splitlines()[0] == sample.read_text().splitlines()[0]
    asked = [line.split(",")[0] for line in sample.read_text().splitlines()]
    assert [line.split(",")[0] for line in submission.read_text().splitlines()] == asked
    assert file_sha256(submission) == (submission.parent / "submission.csv.sha256").read_text().split()[0]

    wait_until("the second dashboard is announced", lambda: (home.path / "up.txt").read_text().count(address) >= 2)
    page.goto(address)
    expect(page.get_by_text(f"CV {run.row.cv:.3f}")).to_be_visible()
    expect(page.get_by_text("W&B offline")).to_be_visible()
    page.get_by_role("link", name="Week").click()
    expect(page.get_by_text(f"LB {run.public:.3f} / {run.private:.3f} (local)")).to_be_visible()


def test_the_demo_walks_a_day_and_its_cv_is_well_above_chance(capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == EXIT_OK
    said = capfd.readouterr().out
    for part in ("CV", "LB (local)", "submission.csv", "# Day 1 of 60", "- look at the drawn flukes"):
        assert part in said


def test_the_sample_challenge_is_one_command(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "--competition", "sample", "--days", "10", "--time-zone", "UTC"]) == EXIT_OK
    assert "10 days of 60 min" in capsys.readouterr().out
    assert (home.data_dir / "sample" / "train.csv").is_file()

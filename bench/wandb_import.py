"""How quick runs logged by other scripts come in, and what they cost: .venv/bin/python bench/wandb_import.py

100 offline runs of 1,000 rows of six metrics, in folds of five, as .wandb files; about a minute. The errand that takes them in runs
as a child, as under the worker; meanwhile the journal is read and written again and again as by pages, and the longest wait is told.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' files

from app.jobs import errands, wandb_watching  # noqa: E402
from app.journal import challenges, inbox  # noqa: E402
from app.journal.home import Home  # noqa: E402
from app.journal.store import Journal, open_journal  # noqa: E402
from app.journal.tables import Challenge  # noqa: E402
from app.scores import wandb_curves, wandb_runs  # noqa: E402
from app.scores.board import board_days  # noqa: E402
from tests.app.wandb_files import exit_record, offline_dir, row_record, run_record, summary_record, write  # noqa: E402

RUNS, ROWS, FOLDS = 100, 1_000, 5
METRICS = ("train__loss", "valid__loss", "valid__map5", "lr", "images", "epoch")


def write_runs(folder: Path, started_at: float) -> int:
    """Write the files; returns their bytes. Two summary records a row, as wandb 0.31 writes them."""
    drawn, size = random.Random(0), 0
    for number in range(RUNS):
        start = started_at + 60 * number
        records = [
            run_record(
                f"run{number}", start, {"lr": 0.1}, run_group=f"group{number // FOLDS}", display_name=f"fold {number}"
            )
        ]
        for step in range(ROWS):
            values = {metric: drawn.random() for metric in METRICS}
            records.append(summary_record(_runtime=step))
            records.append(summary_record(**values))
            records.append(row_record(step, start + step, float(step), **values))
        size += write(offline_dir(folder, f"run{number}"), [*records, exit_record()]).stat().st_size
    return size


@dataclass(frozen=True)
class Taken:
    """Seconds until all is in, and of processor; meanwhile the milliseconds of each look at the board and of each thought written down."""

    seconds: float
    used_s: float
    reads: list[float]
    writes: list[float]


def take_in(journal: Journal, challenge: Challenge, folder: Path) -> Taken:
    with journal.writing() as db:
        errand = wandb_watching.ask_folder(db, challenge, str(folder), journal.now())
    reads, writes, begun = [], [], time.perf_counter()
    child, used = errands.start(journal, errand.id), _used_s()
    while child.poll() is None:
        at = time.perf_counter()
        with journal.reading() as db:
            board_days(db, challenge, challenge.starts_on, challenge.starts_on, journal.now(), {})
        reads.append(1000 * (time.perf_counter() - at))
        at = time.perf_counter()
        inbox.add(journal, "a thought while runs come in")
        writes.append(1000 * (time.perf_counter() - at))
        time.sleep(0.05)
    return Taken(time.perf_counter() - begun, _used_s() - used, reads, writes)


def _used_s() -> float:
    """Seconds of processor that ended children used."""
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of_children.ru_utime + of_children.ru_stime


def median_ms(call: object, times: int = 9) -> float:
    taken = []
    for _ in range(times):
        at = time.perf_counter()
        call()  # type: ignore[operator]
        taken.append(1000 * (time.perf_counter() - at))
    return statistics.median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        home, scripts, data = Path(place, "home"), Path(place, "scripts"), Path(place, "data")
        for folder in (home, scripts, data):
            folder.mkdir()
        os.environ["ONEHOUR_HOME"] = str(home)
        journal = open_journal(Home(home))
        today = date.today()
        rules = challenges.Rules(
            competition="whales", data_dir=data, starts_on=today, days=60, minutes_per_day=60, reflection_minutes=10,
            time_zone="UTC", mode="daily",
        )  # fmt: skip
        challenge = challenges.found(journal, rules, today)
        size = write_runs(scripts, time.time() - 7_200)
        before = home.joinpath("journal.db").stat().st_size
        print(
            f"{RUNS} runs of {ROWS} rows of {len(METRICS)} metrics: {size / 1e6:.0f} MB; load average {os.getloadavg()[0]:.1f}"
        )
        taken = take_in(journal, challenge, scripts)
        print(
            f"taken in by a child in {taken.seconds:.1f} s, {taken.used_s:.1f} s of processor (asked for: at most 20 s)"
        )
        print(f"meanwhile: board {statistics.median(taken.reads):.1f} ms, at most {max(taken.reads):.0f} ms; ", end="")
        print(f"a thought written {statistics.median(taken.writes):.1f} ms, at most {max(taken.writes):.0f} ms")
        with journal.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        grown = home.joinpath("journal.db").stat().st_size - before
        points = RUNS * ROWS * len(METRICS)
        print(f"journal.db grew by {grown / 1e6:.1f} MB: {grown / points:.1f} bytes a point")
        again = take_in(journal, challenge, scripts)
        print(f"looked through again, nothing new: {again.seconds:.1f} s, {again.used_s:.1f} s of processor")
        with journal.reading() as db:
            found = wandb_runs.listed(db, challenge, limit=50)
            print(
                f"listed: {median_ms(lambda: wandb_runs.listed(db, challenge, limit=50)):.1f} ms for {len(found)} groups"
            )
            curves = median_ms(lambda: wandb_curves.of_runs(db, found[:10], "valid/map5"))
            print(f"curves of {10 * FOLDS} runs: {curves:.1f} ms")
        journal.close()


if __name__ == "__main__":
    main()

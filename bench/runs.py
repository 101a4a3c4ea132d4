"""A journal with 10,000 runs and their curves against its aims, and beside MLflow and trackio holding the same runs: `make bench-runs`.

    .venv/bin/python bench/runs.py [RUNS]

A year's record (tests/e2e/year.py), each run with 6 metrics in 5 folds over 65 epochs: 19.5 million points. The other two live in an
environment of their own, each in a process that is asked in turn with the journal, for other runs each time; ratios are taken within a
round. About half an hour on two busy cores, most of it for filling MLflow, and 10 GB of disk in the folder for temporary files.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import delete, insert
from sqlmodel import Session

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' year

from app.journal import challenges, sittings  # noqa: E402
from app.journal.home import Home  # noqa: E402
from app.journal.store import Journal, open_journal  # noqa: E402
from app.journal.tables import Challenge, Curve  # noqa: E402
from app.reports import run_list, what_helped  # noqa: E402
from app.reports.run_list import ListedRun  # noqa: E402
from app.scores import board_pages, run_curves, run_search  # noqa: E402
from app.scores.board import BoardDay, board_days, sent_elsewhere  # noqa: E402
from app.scores.curve_blobs import epochs_blob  # noqa: E402
from app.scores.run_rows import RunRow, run_rows  # noqa: E402
from app.scores.run_search import Order, RunSearch  # noqa: E402
from app.scores.verdict import verdicts  # noqa: E402
from app.views.long_list import ROWS  # noqa: E402
from bench.page_script import PAGE  # noqa: E402
from tests.e2e.year import YEAR, write_year  # noqa: E402

OTHERS = CHECKOUT / ".venv-bench/bin/python"
METRICS = ("valid/map5", "valid/loss", "train/loss", "lr", "images/s", run_curves.ELAPSED)
FOLDS, EPOCHS, COMPARED = 5, 65, 50
TIMES, ROUNDS, CHUNK = 25, 5, 250
MOST_MB = 150


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as place:
        home, data = Home(Path(place) / "home"), Path(place) / "data"
        home.path.mkdir()
        data.mkdir()
        os.environ["ONEHOUR_HOME"] = str(home.path)
        write_year(home, data, replace(YEAR, runs=runs))
        journal = open_journal(home)
        with journal.reading() as db:
            rows = run_rows(db, challenges.active(db))[::-1]
        with (Path(place) / "points.f32").open("wb") as file:
            for number in range(0, len(rows), CHUNK):
                write_curves(journal, rows[number : number + CHUNK], drawn_points(rows[number : number + CHUNK], file))
        write_runs(rows, Path(place) / "runs.jsonl")
        print(f"{runs} runs, {runs * FOLDS * len(METRICS) * EPOCHS / 1e6:.1f} million points")
        sizes(journal)
        held_against_aims(journal)
        beside_others(journal, Path(place), rows)
        journal.close()


def drawn_points(rows: list[RunRow], file: Any) -> np.ndarray[Any, Any]:
    """Values by run, fold, metric and epoch, float32; added to `file` too."""
    draw, epochs = np.random.default_rng(rows[0].run_id), np.arange(1, EPOCHS + 1)
    rising = 1 - np.exp(-epochs / 15)
    best = np.array([row.cv or 0.5 for row in rows])[:, None, None] + draw.normal(0, 0.01, (len(rows), FOLDS, 1))
    noise = draw.normal(0, 0.01, (len(METRICS) - 2, len(rows), FOLDS, EPOCHS))
    pace = draw.uniform(15, 25, (len(rows), FOLDS, 1))
    each = (
        best * rising + noise[0],
        3 * (1 - best * rising) + noise[1],
        3 * (1 - rising) + noise[2],
        np.broadcast_to(0.005 * (1 + np.cos(np.pi * epochs / EPOCHS)) / 2, noise[0].shape),
        500 + 10 * noise[3],
        pace * (epochs - 1),
    )
    points = np.stack(each, axis=2).astype("<f4")
    file.write(points.tobytes())
    return points


def write_curves(journal: Journal, rows: list[RunRow], points: np.ndarray[Any, Any]) -> None:
    """In place of those of the year, as `app.scores.runs.take_in` writes them."""
    epochs = epochs_blob(range(1, EPOCHS + 1))
    with journal.writing() as db:
        ids = [row.run_id for row in rows]
        db.connection().execute(delete(Curve).where(Curve.run_id.in_(ids)))  # type: ignore[attr-defined]
        curves = [
            {"run_id": run_id, "fold": fold, "metric": metric, "epochs": epochs, "points": points[i, fold, k].tobytes()}
            for i, run_id in enumerate(ids)
            for fold in range(FOLDS)
            for k, metric in sorted(enumerate(METRICS), key=lambda each: each[1])
        ]
        db.connection().execute(insert(Curve), curves)


def write_runs(rows: list[RunRow], path: Path) -> None:
    """The runs as the other trackers are told of them, in the order of their start."""
    started_at, lines = 0, [{"metrics": METRICS, "folds": FOLDS, "epochs": EPOCHS}]
    for row in rows:
        started_at = max(started_at + 1, row.first_started_at or 0)
        ended_at = max(started_at, row.finished_at or 0)
        lines.append(
            {
                "id": identity(row.run_key),
                "key": row.run_key,
                "hypothesis": row.hypothesis,
                "preset": row.spec_source,
                "device": row.device,
                "state": row.state,
                "cv": row.cv,
                "folds": row.fold_scores,
                "started_at": started_at,
                "finished_at": ended_at,
            }
        )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def identity(run_key: str) -> str:
    """As random as theirs."""
    return hashlib.md5(run_key.encode()).hexdigest()


def sizes(journal: Journal) -> None:
    with sqlite3.connect(journal.home.journal_db) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        free = db.execute("PRAGMA freelist_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0]
        by_table = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
        pages = db.execute(by_table).fetchall()
    whole = journal.home.journal_db.stat().st_size
    curves = sum(size for name, size in pages if "curve" in name)
    print(
        f"journal.db {whole / 1e6:.0f} MB (at most {MOST_MB}), curves {curves / 1e6:.0f} MB of it, {free / 1e6:.0f} MB free; then "
        + ", ".join(f"{name} {size / 1e6:.0f}" for name, size in pages if "curve" not in name and size > 3e6)
    )


def held_against_aims(journal: Journal) -> None:
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {TIMES}")
    draw = random.Random(0)
    with journal.reading() as db:
        challenge, now = challenges.active(db), journal.now()
        until = sittings.sitting(db, challenge, now).local_date
        every = [row.run_id for row in run_rows(db, challenge)]

        def board() -> list[BoardDay]:
            """The page of its newest days, as Scores asks for it."""
            elsewhere = sent_elsewhere(db, challenge)
            first, last = board_pages.of_challenge(db, challenge, until, elsewhere)[0]
            return board_days(db, challenge, first, last, now, elsewhere)

        on_board = [len(day.runs) for day in board()]
        some = iter([draw.sample(every, COMPARED) for _ in range(TIMES)])
        aims: list[tuple[str, float, Callable[[], object]]] = [
            (f"board, {sum(on_board)} runs of {len(on_board)} days", 50, board),
            (f"runs list, newest {ROWS}", 50, lambda: first_page(db, challenge, "newest")),
            (f"runs list, best {ROWS} by CV", 50, lambda: first_page(db, challenge, "best CV")),
            (f"runs list, {ROWS} that gained most", 50, lambda: first_page(db, challenge, "most gained")),
            (f"curves of {COMPARED} runs", 100, lambda: run_curves.of_runs(db, next(some), METRICS[0])),
            (f"verdicts of {ROWS} runs", 50, lambda: verdicts(db, challenge, every[:ROWS])),
            (f"what helped, {ROWS} ideas", 50, lambda: what_helped.ideas(db, challenge, now, limit=ROWS)),
        ]
        for words, most, act in aims:
            tell(words, [timed(act) for _ in range(TIMES)], most)
    for name in ("scores", "runs"):
        tell(f"page {name}, its script", page_times(name), 50)


def first_page(db: Session, challenge: Challenge, order: Order) -> list[ListedRun]:
    """Of all runs in this order, as the page Runs asks for it."""
    search = RunSearch(order=order)
    return run_list.listed(db, challenge, run_search.find(db, challenge, search).keys(0, ROWS))


def tell(words: str, taken: list[tuple[float, float]], most: float) -> None:
    """`taken`: milliseconds that passed, and those of the processor: on a busy machine the second tell more."""
    passed, used = (statistics.median(each) for each in zip(*taken, strict=True))
    print(f"  {words:<34}{passed:>8.1f} ms{used:>8.1f} of processor (at most {most:.0f})")


def timed(act: Callable[[], object]) -> tuple[float, float]:
    begun, used = time.perf_counter(), time.process_time()
    act()
    return 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)


def page_times(name: str) -> list[tuple[float, float]]:
    from streamlit.testing.v1 import AppTest

    at, times = AppTest.from_string(PAGE.replace("NAME", name)), []
    for _ in range(15):
        at.run(timeout=60)
        assert not at.exception, at.exception
        times.append(at.session_state.took_ms)
    return times


class Other:
    """Another tracker in a process of its own; see bench/runs_elsewhere.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, what: str, **more: object) -> tuple[float, Any]:
        """Milliseconds and what was found."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"ask": what, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.process.args[-2:])} ended")  # type: ignore[index]
        answer = json.loads(line)
        return answer["ms"], answer["found"]


@contextmanager
def other(name: str, folder: Path) -> Iterator[Other]:
    command = [str(OTHERS), "-W", "ignore", str(CHECKOUT / "bench/runs_elsewhere.py"), name, str(folder)]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
        )
        try:
            yield Other(process)
        except SystemExit:
            print((folder / f"{name}.log").read_text(encoding="utf-8")[-2_000:])
            raise
        finally:
            process.terminate()
            process.wait()


def beside_others(journal: Journal, folder: Path, rows: list[RunRow]) -> None:
    with other("mlflow", folder) as mlflow, other("trackio", folder) as trackio:
        for name, one in (("MLflow", mlflow), ("trackio", trackio)):
            took, _ = one.ask("fill")
            print(f"{name}: written in {took / 1000:.0f} s, {one.ask('size')[1] / 1e6:.0f} MB")
        lists: dict[str, Order] = {"newest": "newest", "by_cv": "best CV"}
        draw, taken = random.Random(1), {name: [] for name in (*lists, "curves", "curves_in_bulk")}
        for _ in range(ROUNDS):
            for name, order in lists.items():
                begun = time.perf_counter()
                with journal.reading() as db:
                    found = [run.row.run_key for run in first_page(db, challenges.active(db), order)]
                ours = 1000 * (time.perf_counter() - begun)
                theirs = [one.ask(name) for one in (mlflow, trackio)]
                for _, named in theirs:
                    assert named == found, f"{name}: other runs than ours"
                taken[name].append((ours, *(each for each, _ in theirs)))
            some = draw.sample(rows, COMPARED)
            asked = {"metric": METRICS[0], "runs": [{"id": identity(row.run_key), "key": row.run_key} for row in some]}
            begun = time.perf_counter()
            with journal.reading() as db:
                curves = run_curves.of_runs(db, [row.run_id for row in some], METRICS[0])
            ours = 1000 * (time.perf_counter() - begun)
            points = sum(len(fold.values) for folds in curves.values() for fold in folds)
            for name in ("curves", "curves_in_bulk"):
                theirs = [mlflow.ask(name, **asked)]
                if name == "curves":
                    theirs.append(trackio.ask(name, **asked))
                for _, count in theirs:
                    assert count == points == COMPARED * FOLDS * EPOCHS, f"{name}: {count} points, ours {points}"
                taken[name].append((ours, *(each for each, _ in theirs)))
            last = (f"{name} {' '.join(f'{each:.0f}' for each in rounds[-1])}" for name, rounds in taken.items())
            print(f"  ms of ours, MLflow, trackio: {', '.join(last)}", flush=True)
    print(
        f"load average {os.getloadavg()[0]:.1f}; medians of {ROUNDS} rounds in turn, ratios with their lowest and highest"
    )
    words = {
        "newest": f"newest {ROWS} runs with results",
        "by_cv": f"the {ROWS} with the best CV",
        "curves": f"{METRICS[0]} of {COMPARED} runs",
        "curves_in_bulk": "the same in bulk",
    }
    for name, rounds in taken.items():
        ours = statistics.median(each[0] for each in rounds)
        line = f"  {words[name]:<32}{ours:>9.1f} ms"
        for place, other_name in enumerate(("MLflow", "trackio")[: len(rounds[0]) - 1], start=1):
            ratios = [each[place] / each[0] for each in rounds]
            line += f"   {other_name} {statistics.median(each[place] for each in rounds):>9.1f} ms, {statistics.median(ratios):.0f}×"
            line += f" ({min(ratios):.0f} to {max(ratios):.0f})"
        print(line)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else YEAR.runs)

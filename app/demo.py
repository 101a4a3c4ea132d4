"""One whole day without a browser, in a temporary folder that stays to be looked at: `make demo`.

Draws the sample competition, takes on a challenge, starts the hour, plans, queues a two-fold run, lets the worker train it in its own
process, and prints CV, the local leaderboard score, the submission's path and the day's page. Fails when the CV is not well above chance.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.jobs import backlog, data_checks, home_scoring, orders, sample_challenge, specs
from app.journal import notes, sessions, todos
from app.journal.days import MINUTE_MS
from app.journal.home import Home
from app.journal.store import Journal, open_journal
from app.journal.tables import Challenge
from app.reports import day as day_report
from app.scores.board import board_runs
from app.scores.run_rows import cv_text, score_text
from engine.contract import EXIT_BUG, EXIT_OK
from engine.run_folder import RunFolder

HYPOTHESIS = "Packaged ImageNet weights know flukes apart after a few epochs"
# How far above the best constant answer the CV must be: chance alone does not get there.
MARGIN = 0.2


def main() -> int:
    out = Console()
    home = Home(Path(tempfile.mkdtemp(prefix="onehour-demo-")))
    journal = open_journal(home)
    try:
        return _walk(journal, out)
    finally:
        journal.close()
        out.print()
        out.print(f"It all stays in {home.path}. Look around in it: ONEHOUR_HOME={home.path} make run", soft_wrap=True)


def _walk(journal: Journal, out: Console) -> int:
    challenge = sample_challenge.draw_and_found(journal, "UTC")
    at = sessions.start(journal)
    out.print(
        f"Day {at.day_number} of {challenge.days} on drawn flukes, {at.left_ms / MINUTE_MS:g} minutes, in {journal.home.path}"
    )
    looked = todos.add(journal, "look at the drawn flukes", 5)
    todos.add(journal, "read the scores of the first run", 10)
    todos.done(journal, looked.id)
    spec = specs.resolve(challenge, sample_challenge.PRESET)
    sheet = data_checks.make_sheet(journal, spec)
    out.print(f"What augmentation makes of the flukes: {sheet.augmented_jpg}")
    data_checks.looked_at(journal, spec)
    queued = orders.queue_run(journal, sample_challenge.PRESET, spec, HYPOTHESIS)
    body = "## Plan\n\nA first run on the sample.\n\n## Learnt\n\n## Next\n\n- try more epochs\n"
    notes.save(journal, at.local_date, body, 0)
    state = _wait(journal, queued.run_key)
    sessions.close(journal)
    with journal.reading() as db:
        (run,) = board_runs(db, challenge, at.local_date, at.local_date)
        page = day_report.page(db, challenge, at.local_date, journal.now())
        message = backlog.job_of(db, queued.run_key).message
    if state != backlog.SUCCEEDED or run.row.cv is None or run.submission_path is None:
        out.print(f"{queued.run_key} {state}: {message}", style="bold")
        out.print(RunFolder(journal.home.run_dir(queued.run_key)).log_tail(), markup=False)
        return EXIT_BUG
    chance = constant_answer_score(challenge)
    out.print(f"CV          {cv_text(run.row)} MAP@5   (the best constant answer: {chance:.3f})")
    out.print(f"LB (local)  public {score_text(run.public)}  private {score_text(run.private)}")
    out.print(f"Submission  {journal.home.path / run.submission_path}", soft_wrap=True)
    out.print()
    out.print(page, markup=False, highlight=False)
    if run.row.cv < chance + MARGIN:
        out.print(f"The CV is not well above chance: at least {chance + MARGIN:.3f} was expected.", style="bold")
        return EXIT_BUG
    return EXIT_OK


def _wait(journal: Journal, run_key: str) -> str:
    """Start a worker, show the run's progress until its job is over and its submission scored, stop the worker. Returns the job's state."""
    folder = RunFolder(journal.home.run_dir(run_key))
    worker = subprocess.Popen(
        [sys.executable, "-m", "app.jobs.worker"], env=os.environ | {"ONEHOUR_HOME": str(journal.home.path)}
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns) as bar:
            task = bar.add_task(run_key, total=1.0)
            while True:
                with journal.reading() as db:
                    state = backlog.job_of(db, run_key).state
                    scoring = home_scoring.is_open(db, run_key)
                bar.update(task, completed=folder.progress(), description=f"{run_key} {state}")
                is_over = state not in (backlog.QUEUED, *backlog.ACTIVE) and not scoring
                if is_over or worker.poll() is not None:
                    break
                time.sleep(0.5)
    finally:
        worker.terminate()
        worker.wait()
    return state


def constant_answer_score(challenge: Challenge) -> float:
    """MAP@5 of giving every image the five most frequent labels: what knowing no image at all gets."""
    with (Path(challenge.data_dir) / "train.csv").open(newline="", encoding="utf-8-sig") as labels:
        counts = Counter(row[challenge.label_col] for row in csv.DictReader(labels))
    return sum(count / rank for rank, (_, count) in enumerate(counts.most_common(5), start=1)) / counts.total()


if __name__ == "__main__":
    sys.exit(main())

"""From the click on Queue to the first trained batches, against the same spec trained by hand: part of `make bench-queue`.

    .venv/bin/python bench/first_batch.py [ROUNDS]

A worker is there, as under `onehour up`. Both ways run in turn on the drawn sample, whose pixels lie in the cache, and end at the first
row that the engine writes while it trains, after ten small batches; a ratio is taken within a round. The aim is 1.15.
How long after the click the command itself is started tells more on a busy machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' patience

from sqlmodel import col, select  # noqa: E402

from app.jobs import backlog, orders, presence, sample_challenge, specs  # noqa: E402
from app.jobs.data_checks import looked_at  # noqa: E402
from app.journal import sessions  # noqa: E402
from app.journal.home import Home  # noqa: E402
from app.journal.store import Journal, open_journal  # noqa: E402
from app.journal.tables import Job, Run  # noqa: E402
from engine.contract import RunSpec  # noqa: E402
from engine.run_folder import RunFolder  # noqa: E402
from tests.app.trainings import until  # noqa: E402

SMALL = ("batch_size=4", "image_size=[32, 64]")  # ten batches are soon done
PATIENCE_S = 300.0


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as place:
        home = Home(Path(place) / "home")
        home.path.mkdir()
        os.environ |= {"ONEHOUR_HOME": str(home.path), "ONEHOUR_CACHE": str(Path(place) / "pixels")}
        journal = open_journal(home)
        challenge = sample_challenge.draw_and_found(journal, "UTC")
        sessions.start(journal)
        spec = specs.resolve(challenge, sample_challenge.PRESET, SMALL)
        looked_at(journal, spec)
        worker = subprocess.Popen([sys.executable, "-m", "app.jobs.worker"], env=home.environment(), cwd=CHECKOUT)
        try:
            until(lambda: presence.worker_slots(home), patience_s=PATIENCE_S)
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            _, _, folder = queued(journal, spec)  # fills the cache of pixels, and has the spec by hand
            taken = []
            for number in range(rounds):
                by_hand = started_by_hand(folder.spec_yaml, RunFolder(Path(place) / f"by-hand-{number}"))
                through_queue, started, _ = queued(journal, spec)
                taken.append((through_queue / by_hand, by_hand, through_queue, started))
                print(
                    f"by hand {by_hand:6.2f} s   queued {through_queue:6.2f} s, its command started after {started:.2f} s"
                )
        finally:
            worker.terminate()
            worker.wait()
        journal.close()
    ratios, by_hand, through_queue, started = map(list, zip(*taken, strict=True))
    print(f"load average {os.getloadavg()[0]:.1f}")
    print(
        f"medians: by hand {statistics.median(by_hand):.2f} s, queued {statistics.median(through_queue):.2f} s, ",
        end="",
    )
    print(f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}; at most 1.15)")
    print(f"the command is started {statistics.median(started):.2f} s after the click (at most {max(started):.2f} s)")


def queued(journal: Journal, spec: RunSpec) -> tuple[float, float, RunFolder]:
    """Seconds from the click to the first row and to the start of the command, and the run's folder; cancelled afterwards."""
    begun = time.time()
    told = orders.queue_run(journal, sample_challenge.PRESET, spec, "The queue costs nothing")
    folder = RunFolder(journal.home.run_dir(told.run_key))
    until(folder.log_txt.exists, patience_s=PATIENCE_S)  # the supervisor's first line, just before
    started = time.time() - begun
    taken = first_row_at(folder) - begun
    backlog.cancel(journal, told.run_key)
    until(lambda: ended(journal, told.run_key), patience_s=PATIENCE_S)
    return taken, started, folder


def started_by_hand(spec_yaml: Path, folder: RunFolder) -> float:
    """Seconds from the command to the first row; killed afterwards."""
    begun = time.time()
    command = [sys.executable, "-m", "engine", "train", str(spec_yaml), "--out", str(folder.path)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
    with (folder.path.parent / "by-hand.log").open("a") as log:
        # In a session of its own, as from a terminal: Linux shares the processor between sessions.
        training = subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        return first_row_at(folder) - begun
    finally:
        training.kill()
        training.wait()


def first_row_at(folder: RunFolder) -> float:
    """When the engine wrote the first row, by its own clock, in seconds."""
    rows: list[str] = []

    def written() -> bool:
        with suppress(FileNotFoundError):
            rows[:] = folder.metrics_jsonl.read_text(encoding="utf-8").splitlines(keepends=True)
        return bool(rows) and rows[0].endswith("\n")

    until(written, patience_s=PATIENCE_S)
    row = json.loads(rows[0])
    assert (row["kind"], row["step"]) == ("batch", 10), row
    return float(row["at"]) / 1000


def ended(journal: Journal, run_key: str) -> bool:
    with journal.reading() as db:
        return db.exec(select(Job.finished_at).join(Run).where(col(Run.key) == run_key)).one() is not None


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

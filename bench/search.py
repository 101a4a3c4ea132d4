"""How quick search is on a year's record: 365 notes, 10,000 runs, 5,000 todos, 2,000 references: `python bench/search.py`.

Median and worst milliseconds of each query, and what the index costs a note's autosave: at its usual size and at the limit.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' year

from app.journal import challenges, notes, sittings  # noqa: E402
from app.journal.home import Home  # noqa: E402
from app.journal.search import Asked, search  # noqa: E402
from app.journal.store import open_journal  # noqa: E402
from tests.e2e.year import write_year  # noqa: E402

REPEATS = 15


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        home = Home(Path(folder))
        (home.path / "data").mkdir()
        write_year(home, home.path / "data")
        journal = open_journal(home)
        with journal.reading() as db:
            challenge = challenges.active(db)
            on = sittings.sitting(db, challenge, journal.now()).local_date
            note = notes.of_day(db, challenge, on)
        assert note is not None
        first = challenge.starts_on
        some_days, more_days = (first + timedelta(days=100), first + timedelta(days=107)), first + timedelta(days=130)
        asked = {
            "rare word": Asked("needle"),
            "frequent word": Asked("crop"),
            "two words": Asked("focal margin"),
            "in quotes": Asked('"grey image"'),
            "two characters": Asked("画像"),
            "one character": Asked("画"),
            "nothing found": Asked("zzzzzz"),
            "short, nothing": Asked("ゑ"),
            "rare tag": Asked(tag="nowhere"),
            "tag": Asked(tag="tta"),
            "kind and days": Asked("crop", some_days[0], more_days, kind="todo"),
            "days alone": Asked(first=some_days[0], last=some_days[1]),
        }
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"{'search':<18}{'median ms':>10}{'worst ms':>10}{'found':>8}")
        for name, one in asked.items():
            with journal.reading() as db:
                times = timed(lambda one=one, db=db: search(db, challenge, one))  # type: ignore[misc]
                found = len(search(db, challenge, one))
            print(f"{name:<18}{statistics.median(times):>10.1f}{max(times):>10.1f}{found:>8}")
        revision = note.revision
        for name, size in (("autosave, 3 KB", 3_000), ("autosave, 1 MB", notes.MAX_BYTES - 10)):
            times = []
            for number in range(5):
                body = f"{number} " + ("crops of grey images cut the tip " * (size // 30))[:size]
                began = time.perf_counter()
                revision = notes.save(journal, on, body, revision).revision
                times.append(1000 * (time.perf_counter() - began))
            print(f"{name:<18}{statistics.median(times):>10.1f}{max(times):>10.1f}")
        journal.close()


def timed(call: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return times


if __name__ == "__main__":
    main()

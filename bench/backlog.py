"""The queue with 1,000 jobs in it: claiming one, listing all, laying the night out, the Night page; and the worker at rest.

    .venv/bin/python bench/backlog.py

Medians in milliseconds, those that passed and those of the processor, on whatever else this machine does (the load average says how much
that is; on a busy one the second tell more). The aims: a claim 5 ms, the page 50 ms of server time, the worker at rest 1 % of a core
and 120 MB.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' small spec

from app.jobs import backlog, night, orders, presence  # noqa: E402
from app.journal import challenges, sessions  # noqa: E402
from app.journal.home import Home  # noqa: E402
from app.journal.store import Journal, open_journal  # noqa: E402
from bench.page_script import PAGE  # noqa: E402
from tests.app.trainings import small_spec, until  # noqa: E402

JOBS, REST_S, TIMES = 1_000, 30.0, 25
Taken = tuple[float, float]  # milliseconds that passed, and those of the processor


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        home = Home(Path(folder) / "home")
        home.path.mkdir()
        os.environ["ONEHOUR_HOME"] = str(home.path)
        journal = filled(home, Path(folder) / "data")
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {JOBS} jobs wait")
        tell("claim", claims(journal))
        with journal.reading() as db:
            tell("list all", timed(lambda: backlog.list_jobs(db, open_only=True)))
            challenge, rows = challenges.active(db), backlog.list_jobs(db, open_only=True)
            tell("lay out", timed(lambda: night.plan(db, home, challenge, journal.now(), rows)))
        tell("Night page", page_times())
        journal.close()
        at_rest(Home(Path(folder) / "rest"))


def filled(home: Home, data_dir: Path) -> Journal:
    data_dir.mkdir()
    journal = open_journal(home)
    rules = challenges.Rules("bench", data_dir, date.today(), 60, 60, 10, "UTC", "daily", day_starts_at="00:00")
    challenges.found(journal, rules, date.today())
    sessions.start(journal)
    spec = small_spec(data_dir)
    for number in range(0, JOBS, 20):
        orders.queue_runs(journal, "x", [spec] * 20, f"idea {number}")
    return journal


def claims(journal: Journal) -> list[Taken]:
    """Of claiming a job, given back each time."""
    times = []
    for _ in range(TIMES):
        begun, used = time.perf_counter(), time.process_time()
        with journal.writing() as db:
            job = backlog.claim(db, "local", "cpu:0", journal.now())
        times.append((1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)))
        assert job is not None
        with journal.writing() as db:
            held = backlog.held(db, job)
            assert held is not None
            backlog.requeue(db, held, "", None, journal.now(), counts_as_lost=False)
    return times


def timed(act: Callable[[], object]) -> list[Taken]:
    times = []
    for _ in range(TIMES):
        begun, used = time.perf_counter(), time.process_time()
        act()
        times.append((1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)))
    return times


def page_times() -> list[Taken]:
    from streamlit.testing.v1 import AppTest

    at, times = AppTest.from_string(PAGE.replace("NAME", "night")), []
    for _ in range(15):
        at.run(timeout=60)
        times.append(at.session_state.took_ms)
    return times


def tell(what: str, times: list[Taken]) -> None:
    passed, used = (statistics.median(each) for each in zip(*times, strict=True))
    print(f"{what:<11}{passed:8.2f} ms{used:8.2f} of processor")


def at_rest(home: Home) -> None:
    """What a worker takes that has nothing to do."""
    home.path.mkdir()
    worker = subprocess.Popen([sys.executable, "-m", "app.jobs.worker"], env=home.environment(), cwd=CHECKOUT)
    try:
        until(lambda: presence.worker_slots(home))
        time.sleep(2)  # its first looks
        before = ticks(worker.pid)
        time.sleep(REST_S)
        share = (ticks(worker.pid) - before) / os.sysconf("SC_CLK_TCK") / REST_S
        status = Path(f"/proc/{worker.pid}/status").read_text()
        memory = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        print(f"worker at rest: {share:.2%} of a core, {int(memory.split()[1]) / 1024:.0f} MB")
    finally:
        worker.terminate()
        worker.wait()


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()

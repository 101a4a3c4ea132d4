"""A Slurm of one node, as the tests start it: to submit, to poll, to cancel, and what Slurm's own commands take of that.

    .venv/bin/python bench/slurm.py        (as root, with Debian's slurm-wlm and munge)

Medians in milliseconds, on whatever else this machine does. A poll is `status` of a running attempt: one that reads its files, and
one that asks squeue besides, which is done every few seconds for all attempts together.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' small Slurm and trainings

from app.jobs.backends.interface import Attempt, Condition  # noqa: E402
from app.jobs.backends.settings import SlurmSettings  # noqa: E402
from app.jobs.backends.slurm import SlurmBackend  # noqa: E402
from app.jobs.programme import EngineTraining  # noqa: E402
from app.journal.home import Home  # noqa: E402
from engine.run_folder import RunFolder  # noqa: E402
from tests.app.backends.one_node import OneNode  # noqa: E402
from tests.app.trainings import Training, small_spec, until  # noqa: E402

TIMES = 10


def main() -> None:
    node = OneNode()
    os.environ["SLURM_CONF"] = str(node.conf)
    try:
        node.start()
        with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
            measure(node, Path(folder))
    finally:
        node.stop()


def measure(node: OneNode, folder: Path) -> None:
    home = Home(folder / "home")
    (folder / "data").mkdir()
    backend = SlurmBackend("cluster", SlurmSettings(gres="gpu:1"), home)
    submits, begins, cancels = [], [], []
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {node.ask('sbatch', '--version')}")
    for number in range(1, TIMES + 1):
        run_dir = home.run_dir(f"bench_{number:03d}-r01")
        attempt = Attempt(
            number, 1, run_dir, "cluster/1", Training(EngineTraining(small_spec(folder / "data")), "leave")
        )
        attempt.programme.prepare(RunFolder(run_dir))
        begun = time.perf_counter()
        backend.submit(attempt)
        submits.append(1000 * (time.perf_counter() - begun))
        until((home.jobs_dir / attempt.name / "whole" / "pid").exists)
        begins.append(1000 * (time.perf_counter() - begun))
        until((run_dir / "ready").exists)
        if number == 1:
            until(lambda attempt=attempt: backend.status(attempt).condition is Condition.RUNNING)
            print(f"poll, files        {median_ms(lambda attempt=attempt: backend.status(attempt)):8.2f} ms")
            backend.ask_every_s = 0.0
            print(f"poll, with squeue  {median_ms(lambda attempt=attempt: backend.status(attempt)):8.2f} ms")
        begun = time.perf_counter()
        backend.cancel(attempt)
        until(lambda attempt=attempt: backend.status(attempt).condition is Condition.EXITED)
        cancels.append(1000 * (time.perf_counter() - begun))
    print(
        f"submit             {statistics.median(submits):8.2f} ms, its supervisor at work after {statistics.median(begins):.0f} ms"
    )
    print(f"cancel to gone     {statistics.median(cancels):8.2f} ms, a checkpoint of a moment included")
    print(f"squeue alone       {median_ms(lambda: node.ask('squeue', '--noheader')):8.2f} ms")


def median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


if __name__ == "__main__":
    main()

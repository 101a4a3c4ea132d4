"""How quick a machine behind ssh is, against OpenSSH's own programs in the same run, on loopback: `python bench/machines.py`.

connect   from nothing to the first answer of the agent there; OpenSSH: `ssh box python3 -c pass`
poll      one status of a running attempt on the open channel
launch    from `submit` to a started process, everything sent before, connection open; OpenSSH: as above
large     one file of 256 MB; OpenSSH: `scp`
small     25,000 files of 4 kB, the first time and again; OpenSSH: `scp -r` of the same, the first time

Ratios are to be compared, milliseconds only within one run: the load average says how busy this machine is otherwise.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' sshd and trainings

from app.jobs.backends.interface import Attempt, Condition  # noqa: E402
from app.jobs.backends.settings import SshSettings  # noqa: E402
from app.jobs.backends.ssh import SshBackend  # noqa: E402
from app.jobs.programme import EngineTraining  # noqa: E402
from app.journal.home import Home  # noqa: E402
from engine.run_folder import RunFolder  # noqa: E402
from tests.app.backends import sshd as daemon  # noqa: E402
from tests.app.backends.sshd import Sshd  # noqa: E402
from tests.app.trainings import Training, small_spec  # noqa: E402
from tests.conftest import competition_folder  # noqa: E402

POLLS, LAUNCHES, CONNECTS = 500, 9, 5
LARGE, MANY, EACH = 256 << 20, 25_000, 4096


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - begun)


class Bench:
    def __init__(self, folder: Path, sshd: Sshd) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        sshd.write_config(folder / "user", "box")
        os.environ["HOME"] = str(folder / "user")
        self.ssh = ["ssh", "-F", str(folder / "user" / ".ssh" / "config"), "box"]
        self.number = 0

    def client(self) -> SshBackend:
        table = {"kind": "ssh", "host": "box", "dir": str(self.folder / "there"), "python": sys.executable, "slots": 1}
        return SshBackend("box", SshSettings.model_validate(table), self.home)

    def attempt(self, data: Path, mode: str = "wait") -> Attempt:
        self.number += 1
        folder = RunFolder(self.home.run_dir(f"bench_{self.number:03}-r01"))
        programme = Training(EngineTraining(small_spec(data)), mode)
        programme.prepare(folder)
        return Attempt(self.number, 1, folder.path, "box/cpu:0", programme)

    def launch(self, client: SshBackend, attempt: Attempt) -> float:
        """Milliseconds until its process is started."""

        def act() -> None:
            client.submit(attempt)
            while client.status(attempt).condition in (Condition.ABSENT, Condition.WAITING):
                time.sleep(0.002)

        return timed(act)

    def end(self, client: SshBackend, attempt: Attempt) -> None:
        client.cancel(attempt)
        while client.status(attempt).condition is Condition.RUNNING:
            time.sleep(0.01)

    def by_hand(self) -> float:
        return timed(lambda: subprocess.run([*self.ssh, "python3", "-c", "pass"], check=True))

    def copied(self, source: Path) -> float:
        target = f"box:{self.folder}/copied-{source.name}"
        return timed(lambda: subprocess.run(["scp", "-O", "-q", "-r", *self.ssh[1:3], str(source), target], check=True))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as name, daemon.running(Path(name) / "sshd") as sshd:
        bench = Bench(Path(name), sshd)
        data = competition_folder(Path(name) / "data", rows=1)
        print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")

        connects, hand = [], [bench.by_hand() for _ in range(CONNECTS)]
        for _ in range(CONNECTS):
            client = bench.client()
            connects.append(timed(lambda client=client: client.host.ask("clock")))
            client.close()
        tell("connect", statistics.median(connects), statistics.median(hand))

        client = bench.client()
        first = bench.attempt(data)
        bench.launch(client, first)
        polls = sorted(timed(lambda: client.status(first)) for _ in range(POLLS))
        print(f"poll      median {polls[POLLS // 2]:.2f} ms, 95 % within {polls[POLLS * 95 // 100]:.2f} ms")
        bench.end(client, first)
        launches = []
        for _ in range(LAUNCHES):
            attempt = bench.attempt(data)
            launches.append(bench.launch(client, attempt))
            bench.end(client, attempt)
        tell("launch", statistics.median(launches), statistics.median(hand))

        large = competition_folder(Path(name) / "large", rows=1)
        with (large / "train" / "a.jpg").open("wb") as file:
            for _ in range(LARGE >> 20):
                file.write(os.urandom(1 << 20))
        attempt = bench.attempt(large, "finish")
        ours, scp = bench.launch(client, attempt), bench.copied(large)
        tell("large", ours, scp)
        print(f"          {LARGE / 1e3 / ours:.0f} MB/s, hashed here and there")

        small = competition_folder(Path(name) / "small", rows=1)
        for number in range(MANY):
            (small / "train" / f"{number:05}.jpg").write_bytes(os.urandom(EACH))
        ours, scp = bench.launch(client, bench.attempt(small, "finish")), bench.copied(small)
        tell("small", ours, scp)
        tell("again", bench.launch(client, bench.attempt(small, "finish")), scp)
        client.close()


def tell(what: str, ours: float, theirs: float) -> None:
    print(f"{what:<9} {ours:8.0f} ms, OpenSSH {theirs:8.0f} ms, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()

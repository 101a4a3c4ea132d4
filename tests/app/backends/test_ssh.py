"""A machine behind ssh: a real sshd on loopback, and everything that can go wrong on the way to it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.jobs import backlog, drivers, orders, presence, supervisor
from app.jobs.backends import manifest, shipping
from app.jobs.backends.interface import Attempt, Condition, Unreachable
from app.jobs.backends.local import LocalBackend
from app.jobs.backends.manifest import Hashes
from app.jobs.backends.settings import SshSettings
from app.jobs.backends.ssh import SshBackend
from app.jobs.backends.ssh_connection import UnknownHostKey
from app.jobs.backends.ssh_host import SshHost
from app.jobs.programme import CODE, EngineTraining, Input
from app.jobs.reconciler import Reconciler
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Job
from engine.contract import OnehourError
from engine.run_folder import RunFolder, file_sha256
from tests.app.backends import sshd as daemon
from tests.app.backends.contract import BackendContract
from tests.app.backends.sshd import Sshd, make_key
from tests.app.trainings import Training, alive, small_spec, training, until
from tests.conftest import CHECKOUT, competition_folder

LARGE = 6_000_000  # bytes of a picture that takes a while
HALF = 1 << 20  # so much of it has arrived when the way to the host is held
LOST = 1_500_000  # what is on its way when a line is cut, and what is said besides
LINK = Path(__file__).with_name("held_link.py")


class Box:
    """What the sshd leads to: this computer, in a folder of its own, whose name no shell should see."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.root = home, folder / "it's $(touch hacked)"
        self.own = self.root / "homes" / "tester"
        home.machines_dir.mkdir()
        (home.machines_dir / "called").write_text("tester")

    def table(self, **settings: object) -> dict[str, object]:
        table = {"kind": "ssh", "host": "box", "dir": str(self.root), "python": sys.executable, "slots": 2, "grace": 1}
        return {**table, **settings}

    def configure(self) -> None:
        """Write it into config.toml, as setup does."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.table().items()]
        self.home.config_toml.write_text("\n".join(["[backends.box]", *lines]))

    def client(self, **settings: object) -> SshBackend:
        return SshBackend("box", SshSettings.model_validate(self.table(**settings)), self.home)

    def run_dir(self, attempt: Attempt) -> Path:
        return self.own / "runs" / attempt.run_dir.name

    def kill(self, attempt: Attempt) -> None:
        folder = supervisor.attempt_dir(str(self.own / "jobs"), attempt.name)
        os.kill(supervisor.status(folder)["pid"], signal.SIGKILL)
        supervisor.clear(folder)

    def arrived(self, file: Path) -> int:
        """How much of a file's content lies there, not yet whole."""
        part = self.root / "store" / "partial" / file_sha256(file)
        return part.stat().st_size if part.exists() else 0

    def is_taking(self, file: Path) -> bool:
        """Whether an agent writes the content of a file just now."""
        with (self.root / "store" / "partial" / file_sha256(file)).open("rb") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def places(self) -> list[Path]:
        return [self.home.path, self.root]


@pytest.fixture
def box(home: Home, tmp_path: Path, user_home: Path) -> Iterator[Box]:
    made = Box(home, tmp_path)
    made.configure()
    yield made
    for attempt in made.root.glob("homes/*/jobs/*-*"):
        supervisor.clear(str(attempt))


class TestSsh(BackendContract):
    @pytest.fixture
    def machine(self, box: Box) -> Box:
        return box


@pytest.fixture
def client(box: Box) -> Iterator[SshBackend]:
    made = box.client()
    yield made
    made.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = competition_folder(tmp_path / "data", rows=1)
    (path / "train" / "a.jpg").write_bytes(os.urandom(LARGE))
    return path


@pytest.fixture
def attempt(home: Home, data_dir: Path) -> Attempt:
    return made(home, data_dir, "finish")


def made(
    home: Home,
    data_dir: Path,
    mode: str,
    *,
    run: str = "humpback_001-r01",
    words: Callable[[str, str], list[str]] | None = None,
) -> Attempt:
    programme = Training(EngineTraining(small_spec(data_dir)), mode, words)
    attempt = Attempt(7, 1, home.run_dir(run), "box/cpu:0", programme)
    programme.prepare(RunFolder(attempt.run_dir))
    return attempt


@pytest.fixture
def queued(journal: Journal, challenge: Challenge, data_dir: Path, box: Box) -> str:
    """The key of a run that waits for the box."""
    sessions.start(journal)
    return orders.queue_run(journal, "x", small_spec(data_dir), "it works", backend="box").run_key


def job(journal: Journal, key: str) -> Job:
    with journal.reading() as db:
        return backlog.job_of(db, key)


def code_size(data_dir: Path) -> int:
    programme = Training(EngineTraining(small_spec(data_dir)), "")
    return sum(file.size for file in manifest.of_input(programme.inputs()[CODE]).files)


def over(backend: SshBackend, attempt: Attempt) -> int | None:
    until(lambda: backend.status(attempt).condition is Condition.EXITED)
    until(lambda: backend.fetch(attempt))
    return backend.status(attempt).exit_code


@pytest.fixture
def drive(home: Home) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a driver as the worker does, with small trainings."""
    program = (
        "import sys\nfrom functools import partial\nfrom app.jobs import drivers\nfrom app.jobs.reconciler import Reconciler\n"
        "from tests.app.trainings import training\n"
        "drivers.Reconciler = partial(Reconciler, programme_of=training('finish'))\nsys.exit(drivers.main(['box']))"
    )
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, env=home.environment()))
        return started[-1]

    yield start
    for driver in started:
        driver.kill()
        driver.wait()


class HeldLink:
    """The way to the sshd: counts what goes there, and holds it until `let_go`."""

    def __init__(self, sshd: Sshd, user_home: Path, folder: Path, hold_at: int | None) -> None:
        self.count, self.gate, self.hold_at = folder / "count", folder / "gate", hold_at or 0
        os.mkfifo(self.gate)
        words = [sys.executable, "-I", str(LINK), str(sshd.port), str(self.count)]
        words += [] if hold_at is None else [str(hold_at), str(self.gate)]
        sshd.write_config(user_home, "box", more=f"  ProxyCommand {' '.join(words)}\n")

    def sent(self) -> int:
        return int(self.count.read_text()) if self.count.exists() else 0

    def let_go(self) -> None:
        """Those that wait now, and all that come later."""
        self.gate.with_name("gate.opened").touch()
        os.close(os.open(self.gate, os.O_RDWR))


@pytest.fixture
def held(sshd: Sshd, user_home: Path, tmp_path: Path, data_dir: Path) -> HeldLink:
    """All of the code and half of the picture go through."""
    return HeldLink(sshd, user_home, tmp_path, code_size(data_dir) + LARGE // 2)


# The way in


def test_a_changed_host_key_is_refused_and_both_are_named(
    journal: Journal, queued: str, box: Box, client: SshBackend, sshd: Sshd, user_home: Path, tmp_path: Path
) -> None:
    make_key(tmp_path / "other")
    other = (tmp_path / "other.pub").read_text()
    (user_home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {other}")
    Reconciler(journal, client, training("finish")).tick()
    found = job(journal, queued)
    known = subprocess.run(["ssh-keygen", "-lf", tmp_path / "other"], capture_output=True, text=True).stdout.split()[1]
    assert found.state == "starting"
    assert "shows another host key than it used to" in found.message
    assert sshd.fingerprint in found.message
    assert known in found.message
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in found.message
    assert found.message.endswith("It is asked again by itself.")
    assert not box.root.exists()
    with pytest.raises(UnknownHostKey):  # a file of the person's own is theirs to change
        SshHost("box", client.settings, box.home, accept=[sshd.fingerprint]).ask("clock")


def test_a_host_that_is_not_known_is_told_with_its_fingerprint_and_trusted_once_that_is_accepted(
    box: Box, client: SshBackend, sshd: Sshd, user_home: Path, tmp_path: Path
) -> None:
    sshd.write_config(user_home, "box", known=False, more="  StrictHostKeyChecking no\n")
    with pytest.raises(UnknownHostKey, match="backend setup box") as refused:
        client.probe()
    assert sshd.fingerprint in str(refused.value)
    assert not HostFiles(box).known_hosts.exists()
    with pytest.raises(UnknownHostKey):
        SshHost("box", client.settings, box.home, accept=["SHA256:other"]).ask("clock")
    told = SshHost("box", client.settings, box.home, accept=[sshd.fingerprint])
    told.ask("clock")
    told.close()
    assert HostFiles(box).known_hosts.read_text().startswith(f"[127.0.0.1]:{sshd.port} ssh-ed25519 ")
    assert client.probe().python
    make_key(tmp_path / "other")
    HostFiles(box).known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {(tmp_path / 'other.pub').read_text()}")
    with pytest.raises(UnknownHostKey, match="another host key than it used to"):
        box.client().probe()


class HostFiles:
    def __init__(self, box: Box) -> None:
        self.known_hosts = box.home.machines_dir / "known_hosts"


def test_a_host_that_is_known_by_another_kind_of_key_only_is_one_that_has_changed(
    client: SshBackend, sshd: Sshd, user_home: Path, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "other"], check=True)
    key = (tmp_path / "other.pub").read_text()
    (user_home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {key}")
    with pytest.raises(UnknownHostKey, match="another host key than it used to") as refused:
        client.probe()
    assert sshd.fingerprint in str(refused.value)


def test_no_way_in_is_one_sentence_each(box: Box, sshd: Sshd, user_home: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    config = user_home / ".ssh" / "config"
    right = config.read_text()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slow = right.replace(f"Port {sshd.port}", f"Port {silent.getsockname()[1]}\n  ConnectTimeout 1")
        for text, sentence in (
            (right.replace(str(sshd.user_key), str(tmp_path / "stranger")), "it refuses our keys. `ssh box` must work"),
            (right.replace(f"Port {sshd.port}", f"Port {daemon.free_port()}"), r"no connection \(Connection refused\)"),
            (right.replace("127.0.0.1", "nowhere.invalid"), r"box \(.*@nowhere.invalid:.*no connection \("),
            (slow, "no answer within 1 s"),
            (right + "  ProxyCommand /no/such/program\n", r"no connection \(No such file or directory\)"),
            (right + "  ProxyCommand sh -c 'echo I am lost >&2'\n", "sh says: I am lost"),
            (right + "  Port none\n", "ssh's configuration cannot be used"),
        ):
            config.write_text(text)
            backend = box.client()
            with pytest.raises(Unreachable, match=sentence):
                backend.probe()
            backend.close()


def test_it_goes_through_other_hosts_as_ssh_config_says(client: SshBackend, sshd: Sshd, user_home: Path) -> None:
    sshd.write_config(user_home, "jump", "box")
    config = user_home / ".ssh" / "config"
    config.write_text(config.read_text() + "  ProxyJump jump\n")
    assert client.probe().python
    assert "direct-tcpip" not in client.host.name


@pytest.mark.parametrize(
    ("programs", "sentence"), [("3.7.3", "its python3 is 3.7.3, and no newer one"), ("", "python3")]
)
def test_a_python_that_is_too_old_or_missing_is_told(
    box: Box, user_home: Path, tmp_path: Path, programs: str, sentence: str
) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    if programs:
        old = path / "python3"
        old.write_text(
            f"#!{sys.executable} -I\n"
            "import platform, sys\n"
            "sys.version_info = (3, 7, 3, 'final', 0)\n"
            f"platform.python_version = lambda: {programs!r}\n"
            "exec(sys.argv[sys.argv.index('-c') + 1])\n"
        )
        old.chmod(0o755)
    with daemon.running(tmp_path / "sshd", path=str(path)) as sshd:
        sshd.write_config(user_home, "box")
        backend = box.client(python="")
        with pytest.raises(Unreachable, match=sentence):
            backend.probe()
        backend.close()


def test_an_old_python_gives_way_to_a_newer_one_of_the_host(box: Box, user_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    (path / "python3").write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.version_info = (3, 6, 8)\nexec(sys.argv[sys.argv.index('-c') + 1])\n"
    )
    (path / "python3").chmod(0o755)
    with daemon.running(tmp_path / "sshd", path=str(path)) as sshd:
        sshd.write_config(user_home, "box")
        backend = box.client()  # its own interpreter is new enough
        assert backend.probe().versions["pydantic"]
        backend.close()


# Sending


def test_a_transfer_that_is_cut_goes_on_where_it_was(
    box: Box, client: SshBackend, sshd: Sshd, attempt: Attempt, data_dir: Path, held: HeldLink
) -> None:
    client.submit(attempt)
    until(lambda: box.arrived(data_dir / "train" / "a.jpg") >= HALF)
    waits = client.status(attempt)
    assert waits.condition is Condition.WAITING
    assert re.fullmatch(r"sending \d\.\d of \d\.\d MB", waits.reason)
    assert sshd.cut() >= 1
    with pytest.raises(Unreachable, match="the connection was cut"):
        until(lambda: client.status(attempt).condition is Condition.ABSENT)
    held.let_go()
    assert client.status(attempt).condition is Condition.ABSENT
    client.submit(attempt)
    assert over(client, attempt) == 0
    assert held.sent() < LARGE + code_size(data_dir) + LOST
    assert RunFolder(attempt.run_dir).read_result() is not None


def test_a_driver_that_is_killed_while_it_sends_loses_nothing(
    journal: Journal,
    queued: str,
    box: Box,
    held: HeldLink,
    data_dir: Path,
    drive: Callable[[], subprocess.Popen[bytes]],
) -> None:
    first = drive()
    until(lambda: box.arrived(data_dir / "train" / "a.jpg") >= HALF)
    until(lambda: job(journal, queued).message.startswith("sending "))
    first.kill()
    first.wait()
    held.let_go()
    until(lambda: not box.is_taking(data_dir / "train" / "a.jpg"))  # what it had sent has arrived
    second = drive()
    until(lambda: job(journal, queued).finished_at is not None)
    second.terminate()
    assert second.wait() == 0
    done = job(journal, queued)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 1, 0)
    assert held.sent() < LARGE + code_size(data_dir) + LOST
    assert len((box.own / "runs" / queued / "starts").read_text().split()) == 1


def test_a_second_driver_of_a_backend_is_told_that_there_is_one(journal: Journal, box: Box) -> None:
    with (
        presence.present(presence.driver_lock(box.home, "box"), "a driver of box", {}),
        pytest.raises(OnehourError, match="a driver of box is already running"),
    ):
        drivers.drive("box", journal, threading.Event())


def called_off(client: SshBackend, jobs: Reconciler, held: HeldLink) -> None:
    """A look that ends the sending: it does so at once, and asks the host as soon as that can be reached."""
    look = threading.Thread(target=jobs.tick)
    look.start()
    until(lambda: not client.host._sendings)
    held.let_go()
    look.join()


def test_a_run_can_be_cancelled_while_its_files_are_sent(
    journal: Journal, queued: str, box: Box, client: SshBackend, held: HeldLink
) -> None:
    jobs = Reconciler(journal, client, training("finish"))
    until(lambda: held.sent() > held.hold_at, jobs.tick)
    assert backlog.cancel(journal, queued) == "starting"
    called_off(client, jobs, held)
    until(lambda: job(journal, queued).finished_at is not None, jobs.tick)
    assert job(journal, queued).state == "cancelled"
    assert not (box.own / "jobs").exists()


def test_a_run_that_is_moved_while_its_files_are_sent_never_begins_there(
    journal: Journal, queued: str, box: Box, client: SshBackend, held: HeldLink
) -> None:
    jobs = Reconciler(journal, client, training("finish"))
    until(lambda: held.sent() > held.hold_at, jobs.tick)
    backlog.move_to(journal, queued, "local")
    called_off(client, jobs, held)
    until(lambda: job(journal, queued).state == "queued", jobs.tick)
    assert job(journal, queued).backend == "local"
    assert not (box.own / "jobs").exists()


def test_nothing_is_sent_twice(
    box: Box,
    client: SshBackend,
    home: Home,
    data_dir: Path,
    attempt: Attempt,
    sshd: Sshd,
    user_home: Path,
    tmp_path: Path,
) -> None:
    link = HeldLink(sshd, user_home, tmp_path, None)
    client.submit(attempt)
    assert over(client, attempt) == 0
    first = link.sent()
    assert first > LARGE
    client.close()
    again = box.client()
    (data_dir / "train" / "b.jpg").write_bytes((data_dir / "train" / "a.jpg").read_bytes())
    other = made(home, data_dir, "look", run="humpback_002-r01")
    again.submit(Attempt(8, 1, other.run_dir, other.slot, other.programme))
    assert over(again, Attempt(8, 1, other.run_dir, other.slot, other.programme)) == 0
    assert link.sent() - first < LARGE / 10
    pictures = list((box.root / "store" / "trees").glob("*/train/*.jpg"))
    assert len(pictures) == 3
    assert len({picture.stat().st_ino for picture in pictures}) == 1
    again.close()


def test_a_file_that_is_not_what_it_was_when_it_was_read_is_read_and_sent_again(
    box: Box, client: SshBackend, attempt: Attempt, data_dir: Path
) -> None:
    picture = data_dir / "train" / "a.jpg"
    os.utime(picture, ns=(1, 1))
    hashes = Hashes(box.home.machines_dir / "hashes.db")
    manifest_file = manifest.of_input(Input(picture)).files[0]
    hashes.filled([manifest_file])
    picture.write_bytes(os.urandom(LARGE))
    os.utime(picture, ns=(1, 1))
    client.submit(attempt)
    assert over(client, attempt) == 0
    (there,) = (box.root / "store" / "trees").glob("*/train/a.jpg")
    assert there.read_bytes() == picture.read_bytes()


def test_a_full_disk_there_is_said_before_anything_is_sent(
    journal: Journal, queued: str, box: Box, client: SshBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "RESERVE", 1 << 60)
    jobs = Reconciler(journal, client, training("finish"))
    until(lambda: job(journal, queued).finished_at is not None, jobs.tick)
    assert job(journal, queued).state == "failed"
    assert re.search(
        r"box: its disk has no room: \d\.\d MB are to be sent and .* to stay free, .* GB are free. Free some room",
        job(journal, queued).message,
    )
    assert not list((box.root / "store" / "partial").iterdir())


def test_a_disk_there_that_fills_while_it_is_sent_to_is_said(
    journal: Journal, queued: str, box: Box, client: SshBackend, user_home: Path, tmp_path: Path
) -> None:
    with daemon.running(tmp_path / "sshd") as sshd:
        assert sshd.process is not None
        resource.prlimit(sshd.process.pid, resource.RLIMIT_FSIZE, (LARGE // 2, LARGE // 2))
        sshd.write_config(user_home, "box")
        jobs = Reconciler(journal, client, training("finish"))
        until(lambda: job(journal, queued).finished_at is not None, jobs.tick)
        assert job(journal, queued).state == "failed"
        assert "box: its disk is full" in job(journal, queued).message
        assert "Free some room there" in job(journal, queued).message


# Running


def test_an_engine_that_is_not_installed_there_is_said(journal: Journal, queued: str, box: Box) -> None:
    backend = box.client(python="")
    jobs = Reconciler(journal, backend, training("finish"))
    until(lambda: job(journal, queued).finished_at is not None, jobs.tick)
    backend.close()
    assert job(journal, queued).state == "failed"
    assert f"there is no {box.root}/venv/bin/python on it" in job(journal, queued).message
    assert "backend setup box" in job(journal, queued).message


def test_a_machine_without_the_gpu_of_its_slot_says_so(box: Box) -> None:
    backend = box.client(slots=["cuda:0"])
    found = backend.probe()
    assert backend.slots() == ("box/cuda:0",)
    assert backend.gpus_of("box/cuda:0") == 1
    assert [problem for problem in found.problems if "cuda:0 has no GPU: nvidia-smi finds no GPU there" in problem]
    backend.close()


def test_a_run_on_the_slot_of_a_gpu_that_is_not_there_fails_and_says_so(
    journal: Journal, queued: str, box: Box
) -> None:
    backend = box.client(slots=["cuda:0"])
    jobs = Reconciler(journal, backend)  # the engine itself looks
    until(lambda: job(journal, queued).finished_at is not None, jobs.tick, 120.0)
    backend.close()
    done = job(journal, queued)
    assert (done.state, done.attempt) == ("failed", 1)
    assert re.match(r"--gpus: 1 GPU is asked for and torch sees none on .*nvidia-smi", done.message)


def test_a_slot_is_the_one_gpu_that_a_run_sees(box: Box, home: Home, data_dir: Path) -> None:
    words = ["sh", "-c", 'echo "gpus=$CUDA_VISIBLE_DEVICES run=$ONEHOUR_RUN_DIR"']
    backend = box.client(slots=["cuda:0", "cuda:3"])
    told = made(home, data_dir, "", words=lambda _python, _run_dir: words)
    attempt = Attempt(7, 1, told.run_dir, "box/cuda:3", told.programme)
    backend.submit(attempt)
    assert over(backend, attempt) == 0
    assert f"gpus=3 run={box.run_dir(attempt)}" in RunFolder(attempt.run_dir).log_tail()
    backend.close()


def test_a_command_that_goes_off_with_a_session_and_an_environment_of_its_own_is_ended_with_its_attempt(
    box: Box, home: Home, data_dir: Path, client: SshBackend
) -> None:
    def words(python: str, run_dir: str) -> list[str]:
        program = (
            "import os, sys, time\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    if os.fork() == 0:\n"
            "        open(sys.argv[1] + '/gone', 'w').write(str(os.getpid()) + '\\n')\n"
            "        os.execve('/bin/sleep', ['sleep', '1000'], {})\n"
            "    os._exit(0)\n"
            "while not os.path.exists(sys.argv[1] + '/gone'): time.sleep(0.01)\n"
        )
        return [python, "-c", program, run_dir]

    attempt = made(home, data_dir, "", words=words)
    client.submit(attempt)
    assert over(client, attempt) == 0
    assert not alive(int((box.run_dir(attempt) / "gone").read_text()))


def test_a_clock_that_is_wrong_there_changes_nothing(journal: Journal, queued: str, client: SshBackend) -> None:
    jobs = Reconciler(journal, client, training("yesterday"))
    until(lambda: job(journal, queued).finished_at is not None, jobs.tick)
    done = job(journal, queued)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)


def test_a_run_that_is_moved_goes_on_with_what_it_left_here(
    journal: Journal, challenge: Challenge, data_dir: Path, client: SshBackend
) -> None:
    sessions.start(journal)
    key = orders.queue_run(journal, "x", small_spec(data_dir), "it works").run_key
    here = Reconciler(journal, LocalBackend(journal.home), training("leave"))
    there = Reconciler(journal, client, training("leave"))
    until((journal.home.run_dir(key) / "ready").exists, here.tick)
    assert orders.move_to(journal, key, "box") in ("starting", "running")
    until(lambda: job(journal, key).state == "queued", here.tick)
    assert job(journal, key).backend == "box"
    until(lambda: job(journal, key).finished_at is not None, there.tick)
    done = job(journal, key)
    assert (done.state, done.attempt, done.lost) == ("succeeded", 2, 0)
    assert RunFolder(journal.home.run_dir(key)).kept() == 4
    assert (
        RunFolder(journal.home.run_dir(key))
        .log_tail()
        .startswith(f"--- attempt {done.id}-1\n--- attempt {done.id}-2\n")
    )


# Coming home


def test_a_log_that_is_too_long_comes_home_with_its_beginning_and_its_end(box: Box, home: Home, data_dir: Path) -> None:
    most = 100_000
    backend = SshBackend("box", SshSettings.model_validate(box.table()), home, log_most=most)
    program = "for number in range(20_000): print('line', number, 'x' * 80)"
    attempt = made(home, data_dir, "", words=lambda python, _: [python, "-c", program])
    backend.submit(attempt)
    assert over(backend, attempt) == 0
    whole = (box.run_dir(attempt) / "log.txt").read_bytes()
    here = (attempt.run_dir / "log.txt").read_bytes()
    assert len(whole) > 1_500_000
    assert len(here) <= most
    beginning, gap, end = re.split(rb"\n(--- left out: [^\n]*)\n", here)
    assert whole.startswith(beginning)
    assert whole.endswith(end)
    assert f"bytes {len(beginning)} to {len(whole) - len(end)} of this log".encode() in gap
    assert gap.endswith(f"all of it lies on box in {box.run_dir(attempt)}/log.txt".encode())
    assert backend.log(attempt, len(whole) - 10, 1000) == whole[-10:]
    # The next attempt writes behind the whole one, not behind its cut copy.
    again = Attempt(7, 2, attempt.run_dir, attempt.slot, attempt.programme)
    backend.submit(again)
    assert over(backend, again) == 0
    assert (box.run_dir(attempt) / "log.txt").read_bytes() == whole + whole.replace(
        b"--- attempt 7-1", b"--- attempt 7-2"
    )
    backend.close()

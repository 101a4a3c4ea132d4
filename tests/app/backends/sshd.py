"""A real sshd on loopback, with keys and a configuration of its own; needs Debian's openssh-server, not root."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PATIENCE_S = 10.0


@dataclass
class Sshd:
    """`path` is what a login finds programs by, `env` more variables as NAME=value.

    Its home folder is `folder`, not that of whoever runs the tests.
    """

    folder: Path
    path: str = "/usr/local/bin:/usr/bin:/bin"
    env: str = ""
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=lambda: free_port())

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def user_key(self) -> Path:
        return self.folder / "user_key"

    @property
    def fingerprint(self) -> str:
        told = subprocess.run(["ssh-keygen", "-lf", self.host_key], capture_output=True, text=True, check=True)
        return told.stdout.split()[1]

    def start(self) -> None:
        program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.fail("these tests need an sshd: apt-get install openssh-server")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd goes while it knows nobody
        self.folder.mkdir(parents=True, exist_ok=True)
        for key in (self.host_key, self.user_key):
            if not key.exists():
                make_key(key)
        (self.folder / "authorized_keys").write_bytes(self.user_key.with_suffix(".pub").read_bytes())
        config = self.folder / "sshd_config"
        config.write_text(
            f"""
            Port {self.port}
            ListenAddress 127.0.0.1
            HostKey {self.host_key}
            AuthorizedKeysFile {self.folder}/authorized_keys
            PidFile none
            UsePAM no
            StrictModes no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            MaxStartups 100
            SetEnv PATH={self.path} HOME={self.folder} {self.env}
            """
        )
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log)
        log.close()
        ends_at = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < ends_at, (self.folder / "log").read_text()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """No new connections; those that are open go on."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def cut(self) -> int:
        """Kill what serves the connections that are open. Returns how many there were."""
        assert self.process is not None
        sessions = [pid for pid in _below(self.process.pid) if _name(pid).startswith("sshd")]
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(sessions)

    def write_config(self, user_home: Path, *names: str, known: bool = True, more: str = "") -> None:
        """~/.ssh of a person who calls this sshd `names`."""
        ssh = user_home / ".ssh"
        ssh.mkdir(parents=True, exist_ok=True)
        (ssh / "config").write_text(
            "".join(
                f"Host {name}\n  Hostname 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n"
                f"  IdentityFile {self.user_key}\n  UserKnownHostsFile {ssh}/known_hosts\n{more}"
                for name in names
            )
        )
        key = self.host_key.with_suffix(".pub").read_text()
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}" if known else "")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Sshd]:
    sshd = Sshd(folder, **settings)
    sshd.start()
    try:
        yield sshd
    finally:
        if sshd.process is not None:
            sshd.cut()
        sshd.stop()


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _below(pid: int) -> list[int]:
    """All descendants that have not gone off on their own."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [one for child in children for one in (child, *_below(child))]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def user() -> str:
    return getpass.getuser()

"""Which host keys this computer trusts: those that the person's own ssh knows, and those that they accepted for Onehour.

The person's files are only read. What is accepted here is written to `machines/known_hosts` in the home folder.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from app.journal.home import COMMAND, Home
from engine.run_folder import write_text

log = logging.getLogger("onehour.ssh")

SSH_PORT = 22


@dataclass
class HostKeys:
    """`accept`: fingerprints (`SHA256:…`) that the person says are right."""

    path: Path
    accept: Collection[str] = ()

    @classmethod
    def of(cls, home: Home, accept: Collection[str] = ()) -> HostKeys:
        return cls(home.machines_dir / "known_hosts", accept)

    def remember(self, pattern: str, key: asyncssh.SSHKey) -> None:
        """Trust `key` of the host from now on, in place of any other that was accepted here."""
        kept = [line for line in self._lines() if line.split(" ")[0] != pattern]
        line = f"{pattern} {key.export_public_key('openssh').decode().strip()}"
        write_text(self.path, "\n".join([*kept, line]) + "\n")

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []


class Contact(asyncssh.SSHClient):
    """One meeting with a host: what is known of it, and what it shows."""

    def __init__(self, keys: HostKeys, files: Sequence[str], alias: str | None = None) -> None:
        self.keys, self.files, self.alias = keys, [Path(name).expanduser() for name in files], alias
        self.pattern = ""
        self.known: dict[str, list[str]] = {}  # by file: the fingerprints that it holds for this host
        self.shown: asyncssh.SSHKey | None = None

    def trusted(self, host: str, _address: str, port: int | None) -> tuple[Sequence[Any], ...]:
        """asyncssh asks this for the keys of a host. By name and port only: an address may be anybody's tomorrow."""
        self.pattern = self.alias or (host if port in (None, SSH_PORT) else f"[{host}]:{port}")
        found: tuple[list[Any], ...] = tuple([] for _ in range(7))
        for path in (self.keys.path, *self.files):
            told: Sequence[Sequence[Any]] = _read(path).match(self.pattern, "", None)
            for kind, values in zip(found, told, strict=True):
                kind.extend(values)
            if told[0]:
                self.known[str(path)] = [key.get_fingerprint() for key in told[0]]
        return found

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether a key that is not known is to be trusted: only one that the person has named."""
        self.shown = key
        return self.is_accepted

    @property
    def acceptable(self) -> str:
        """The fingerprint that a person may accept; empty where one of their own files says otherwise."""
        return "" if self.shown is None or set(self.known) - {str(self.keys.path)} else self.shown.get_fingerprint()

    @property
    def is_accepted(self) -> bool:
        return bool(self.acceptable) and self.acceptable in self.keys.accept

    def told(self) -> dict[str, Any]:
        """What a person needs to know before they accept the key: the host, its kind, what it shows and what it used to show."""
        assert self.shown is not None
        return {
            "host": self.pattern,
            "kind": self.shown.get_algorithm(),
            "fingerprint": self.shown.get_fingerprint(),
            "known": self.known.get(str(self.keys.path), []),
        }

    def connected(self) -> None:
        """The host has proved that it holds the key: one that was accepted just now is written down."""
        if self.shown is not None:
            self.keys.remember(self.pattern, self.shown)

    def refusal(self, name: str, reason: str) -> tuple[str, str]:
        """What is wrong with the key that was shown, and what would mend it. `reason`: what asyncssh says."""
        if self.shown is None:
            return f"its host key cannot be trusted ({reason})", ""
        shown = f"{self.shown.get_algorithm()} {self.shown.get_fingerprint()}"
        if not self.known:
            return (
                f"{self.pattern} is not known yet; it shows the host key {shown}",
                f"Compare it with the host's own and accept it: {COMMAND} backend setup {name}",
            )
        path, known = next(iter(self.known.items()))
        what = f"{self.pattern} shows another host key than it used to: {shown}, known is {' and '.join(known)} (in {path})"
        if path == str(self.keys.path):
            fix = f"Somebody may be in between. If the host was made anew: {COMMAND} backend setup {name}"
        else:
            fix = (
                f"Somebody may be in between. If the host was made anew: ssh-keygen -R '{self.pattern}' -f '{path}'"
                f", then {COMMAND} backend setup {name}"
            )
        return what, fix


def _read(path: Path) -> asyncssh.SSHKnownHosts:
    """A file that is not there, or cannot be read, trusts nobody; so does a line that is none."""
    known = asyncssh.SSHKnownHosts()
    for line in _lines_of(path):
        try:
            known.load(line)
        except ValueError as error:
            log.warning("%s: %s", path, error)
    return known


def _lines_of(path: Path) -> Iterable[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []

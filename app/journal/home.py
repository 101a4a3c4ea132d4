"""ONEHOUR_HOME: the one folder in which a person's journal, runs and logs lie."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError

CHECKOUT = Path(__file__).resolve().parents[2]
# How a person calls us, as a sentence that names a command says it: in a checkout the command is not on the search path.
COMMAND = "onehour" if shutil.which("onehour") else ".venv/bin/onehour"


@dataclass(frozen=True)
class Home:
    path: Path

    @property
    def journal_db(self) -> Path:
        return self.path / "journal.db"

    @property
    def config_toml(self) -> Path:
        """What belongs to this computer, not to a challenge: the backends. A person may write it by hand."""
        return self.path / "config.toml"

    @property
    def runs_dir(self) -> Path:
        return self.path / "runs"

    @property
    def jobs_dir(self) -> Path:
        """The supervisors' own files: pid and exit code of each attempt."""
        return self.path / "runs" / ".jobs"

    @property
    def code_dir(self) -> Path:
        """Code of runs that was changed since they were queued, built from the record: a folder each state."""
        return self.path / "runs" / ".code"

    @property
    def machines_dir(self) -> Path:
        """What this computer knows of other machines: their accepted host keys, what it is called there, hashes of its files."""
        return self.path / "machines"

    @property
    def logs_dir(self) -> Path:
        return self.path / "logs"

    @property
    def backups_dir(self) -> Path:
        return self.path / "backups"

    @property
    def attachments_dir(self) -> Path:
        """Pictures of notes, named by their content."""
        return self.path / "attachments"

    @property
    def data_dir(self) -> Path:
        """Where data drawn or downloaded by Onehour itself is put."""
        return self.path / "data"

    def run_dir(self, run_key: str) -> Path:
        return self.runs_dir / run_key

    def environment(self) -> dict[str, str]:
        """That of a process of ours: it works for the same home."""
        return {**os.environ, "ONEHOUR_HOME": str(self.path)}

    @property
    def host_file(self) -> Path:
        return self.path / "host"

    def claim_host(self) -> None:
        """SQLite's write-ahead log works on one computer only. Raises OnehourError naming the one that this folder belongs to."""
        try:
            owner = self.host_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            with contextlib.suppress(OSError):  # what cannot be written is said when the journal is
                self.host_file.write_text(this_host() + "\n", encoding="utf-8")
            return
        if owner != this_host():
            raise OnehourError(
                f"this folder belongs to the computer {owner!r}, this one is {this_host()!r}",
                where=str(self.path),
                fix=f"Use Onehour on {owner!r}, or end it there and remove {self.host_file}.",
            )


def this_host() -> str:
    """The computer's name; ONEHOUR_HOST where it changes by itself, as in containers."""
    return os.environ.get("ONEHOUR_HOST") or socket.gethostname()


def find_home() -> Home:
    """ONEHOUR_HOME if set, else the checkout this is installed from, else ~/.onehour. Raises OnehourError if it cannot be written."""
    asked = os.environ.get("ONEHOUR_HOME")
    if asked:
        path = Path(asked).expanduser().resolve()
    elif (CHECKOUT / "pyproject.toml").exists():
        path = CHECKOUT
    else:
        path = Path.home() / ".onehour"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnehourError(
            f"the home folder cannot be made ({error.strerror})", where=str(path), fix="Set ONEHOUR_HOME."
        ) from None
    if not os.access(path, os.W_OK):
        raise OnehourError(
            "the home folder cannot be written", where=str(path), fix="Set ONEHOUR_HOME to a folder you may write to."
        )
    return Home(path)

"""The host on which a cluster's commands are: asked about jobs (see jobs.cluster), and where an attempt's files lie for the nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from app.jobs import cluster
from app.jobs.backends.interface import Attempt, Refused, Unreachable
from app.jobs.programme import Places, places_here
from app.journal.home import Home
from engine.run_folder import RunFolder

Request = dict[str, Any]


class Front(Protocol):
    @property
    def python(self) -> str:
        """That of the nodes."""

    @property
    def jobs_dir(self) -> str:
        """Where cluster.py keeps its attempts."""

    def ask(self, request: Request) -> dict[str, Any]:
        """What cluster.answer says there. Raises Unreachable and Refused."""

    def submit(self, attempt: Attempt, request: Callable[[Places], Request]) -> None:
        """Let the attempt's files lie where the nodes see them, and do `request` once it is known where; behind this call."""

    def sending(self, attempt: Attempt) -> str:
        """What is still being done of that, in words. Raises what went wrong with it, once."""

    def call_off(self, attempt: Attempt) -> None: ...

    def read_log(self, attempt: Attempt, offset: int, most: int) -> bytes: ...

    def fetch(self, attempt: Attempt, *, everything: bool) -> bool:
        """Bring what was written; True when it is here, which only `everything` asks for."""

    def close(self) -> None: ...


class ThisHost:
    """This computer, whose home folder the nodes see under the same path."""

    def __init__(self, name: str, home: Home, python: str) -> None:
        self.name, self._python, self._jobs_dir = name, python, str(home.jobs_dir)

    @property
    def python(self) -> str:
        return self._python

    @property
    def jobs_dir(self) -> str:
        return self._jobs_dir

    def ask(self, request: Request) -> dict[str, Any]:
        return understood(cluster.answer(request), self.name)

    def submit(self, attempt: Attempt, request: Callable[[Places], Request]) -> None:
        self.ask(request(places_here(attempt.programme, self.python, attempt.run_dir)))

    def sending(self, attempt: Attempt) -> str:
        return ""

    def call_off(self, attempt: Attempt) -> None:
        pass

    def read_log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        return RunFolder(attempt.run_dir).log_piece(offset, most)

    def fetch(self, attempt: Attempt, *, everything: bool) -> bool:
        return True  # the nodes write where it belongs

    def close(self) -> None:
        pass


def understood(told: dict[str, Any], name: str) -> dict[str, Any]:
    """The answer of cluster.answer; what it says of trouble is raised."""
    if "trouble" in told:
        what, where = told["words"], f"backend {name}"
        raise Unreachable(what, where) if told["trouble"] == "unreachable" else Refused(what, where)
    return told

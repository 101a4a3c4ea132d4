"""A process that reads a W&B project for us (engine.mirror.wandb_project): the app does not load wandb."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from app.jobs import wandb_server
from app.jobs.dependants import end_with_parent
from app.jobs.patience import Later
from app.journal.home import CHECKOUT, Home
from engine.contract import OnehourError

# wandb gives up by itself after at most half a minute, but for the pages of a history, for which it waits for ever.
SILENCE_S = 90.0
FIXES = {
    "no key": "Set WANDB_API_KEY, or log in with: wandb login",
    "refused": "Make a new one in the server's settings, then: wandb login --relogin",
    "not found": "Look at its address in a browser.",
}


class ProjectReader:
    """Speaks to one process. Raises OnehourError for what a person must mend, and Later for what may be over in a while."""

    def __init__(self, home: Home, server: str, project: str) -> None:
        self.project, self.server = project, server
        wandb_server.require_answer(server)
        self.folder = tempfile.TemporaryDirectory(prefix="onehour-wandb-")
        environment = wandb_server.environment(home, server, Path(self.folder.name)) | {"WANDB_SILENT": "true"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.mirror.wandb_project"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    def __enter__(self) -> ProjectReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # wandb's helper is in its group
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self.folder.cleanup()

    def runs(self, since: str | None) -> Iterator[Mapping[str, Any]]:
        """The runs with a heartbeat at that moment (ISO 8601, UTC) or later, the newest first; None: all of them."""
        self._ask({"project": self.project, "since": since})
        for told in self._answers():
            if "listed" in told:
                return
            yield told["run"]

    def histories(self, wanted: Sequence[tuple[str, int]]) -> Iterator[Mapping[str, Any]]:
        """The rows of runs that were told, each from a step on: {"id", "rows"} …, {"id", "done"} or {"id", "failed"}."""
        self._ask({"histories": [{"id": run_id, "from_step": from_step} for run_id, from_step in wanted]})
        ended = 0
        for told in self._answers() if wanted else ():
            yield told
            ended += "rows" not in told
            if ended == len(wanted):
                return

    def _ask(self, words: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it ended: the answer that is not there tells so
            self.process.stdin.write(json.dumps(words).encode() + b"\n")
            self.process.stdin.flush()

    def _answers(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            told = json.loads(line)
            if "trouble" in told:
                raise self._refusal(told)
            yield told
        raise OnehourError(f"{self.project}: reading it ended too early; logs/errands.log tells why")

    def _lines(self) -> Iterator[bytes]:
        assert self.process.stdout is not None
        pipe, rest = self.process.stdout.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(SILENCE_S):
                piece = os.read(pipe, 1 << 16)
                if not piece:
                    return
                *lines, rest = (rest + piece).split(b"\n")
                yield from lines
        raise Later("it fell silent", wandb_server.COME_AGAIN_S, self.server)

    def _refusal(self, told: Mapping[str, Any]) -> OnehourError:
        try:
            wandb_server.require_answer(self.server)
        except Later as later:
            return later
        return OnehourError(told["trouble"], where=f"{self.project} on {self.server}", fix=FIXES.get(told["kind"], ""))

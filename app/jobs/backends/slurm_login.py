"""A cluster's login node behind ssh."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from app.jobs.backends.interface import Attempt
from app.jobs.backends.settings import HostSettings
from app.jobs.backends.shipping import Shipped
from app.jobs.backends.slurm_front import Request, understood
from app.jobs.backends.ssh_host import SshHost
from app.jobs.programme import Places
from app.jobs.slurm_commands import COMMAND_WAIT_S
from app.journal.home import Home
from engine.run_folder import RunFolder

# A request is up to four of Slurm's commands, one after the other.
LONGEST_S = 4 * COMMAND_WAIT_S + 30


class LoginNode:
    """What is sent there lies in a folder that the nodes see under the same path."""

    def __init__(self, name: str, home: Home, settings: HostSettings) -> None:
        self.host = SshHost(name, settings, home)
        self.has_swept = False

    @property
    def python(self) -> str:
        return self.host.python

    @property
    def jobs_dir(self) -> str:
        return self.host.jobs_dir

    def ask(self, request: Request) -> dict[str, Any]:
        return understood(self.host.ask("slurm", request=request, limit_s=LONGEST_S)["told"], self.host.name)

    def submit(self, attempt: Attempt, request: Callable[[Places], Request]) -> None:
        self.host.send(
            attempt.name, attempt.run_dir, attempt.programme.inputs(), partial(self._hand_over, attempt, request)
        )
        if not self.has_swept:
            self.has_swept = True
            self.host.sweep()

    def sending(self, attempt: Attempt) -> str:
        return self.host.sending(attempt.name)

    def call_off(self, attempt: Attempt) -> None:
        self.host.call_off(attempt.name)

    def read_log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        return self.host.read(attempt.run_dir, RunFolder(attempt.run_dir).log_txt.name, offset, most)

    def fetch(self, attempt: Attempt, *, everything: bool) -> bool:
        return self.host.fetch(attempt.run_dir, everything=everything)

    def close(self) -> None:
        self.host.close()

    async def _hand_over(self, attempt: Attempt, request: Callable[[Places], Request], shipped: Shipped) -> int:
        run_dir = self.host.run_dir(attempt.run_dir)
        told = await self.host.aask(
            "hand_over",
            shipped.files,
            store=self.host.store,
            run_dir=run_dir,
            remove=shipped.remove,
            request=request(Places(self.host.python, run_dir, shipped.inputs)),
            limit_s=LONGEST_S,
        )
        if not told["missing"]:
            understood(told["told"], self.host.name)
        return int(told["missing"])

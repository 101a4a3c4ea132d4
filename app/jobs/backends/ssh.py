"""A machine that is reached by ssh and starts attempts at once, under the same supervisor as this computer."""

from __future__ import annotations

from functools import partial
from typing import Any

from app.jobs.backends.homecoming import FILE_MOST, LOG_MOST
from app.jobs.backends.host_look import looked_at
from app.jobs.backends.interface import Abilities, Attempt, Condition, Probe, Refused, Status
from app.jobs.backends.settings import SshSettings
from app.jobs.backends.shipping import Shipped
from app.jobs.backends.ssh_host import SshHost
from app.jobs.programme import RUN_DIR, Places
from app.journal.home import COMMAND, Home
from engine.run_folder import RunFolder

LAUNCH_S = 300.0


class SshBackend:
    def __init__(
        self, name: str, settings: SshSettings, home: Home, log_most: int = LOG_MOST, file_most: int = FILE_MOST
    ) -> None:
        self.name, self.settings = name, settings
        self.abilities = Abilities(time_limit_s=settings.time_limit)
        self.host = SshHost(name, settings, home, log_most=log_most, file_most=file_most)
        self.has_swept = False

    def slots(self) -> tuple[str, ...]:
        return self.settings.slot_names(self.name)

    def gpus_of(self, slot: str) -> int:
        return self.settings.gpus_of(slot)

    def probe(self) -> Probe:
        return looked_at(self.host, self.settings.slot_names(self.name))

    def submit(self, attempt: Attempt) -> None:
        self.host.send(attempt.name, attempt.run_dir, attempt.programme.inputs(), partial(self._launch, attempt))
        if not self.has_swept:
            self.has_swept = True
            self.host.sweep()

    def status(self, attempt: Attempt) -> Status:
        words = self.host.sending(attempt.name)
        if words:
            return Status(Condition.WAITING, reason=words)
        found = self.host.ask("status", **self._named(attempt))
        if found["state"] == "placing":
            return Status(Condition.WAITING, reason="its folder is being put in place")
        return Status(
            Condition(found["state"]), found.get("exit_code"), found.get("rebooted", False), found.get("reason", "")
        )

    def log(self, attempt: Attempt, offset: int, most: int) -> bytes:
        return self.host.read(attempt.run_dir, RunFolder(attempt.run_dir).log_txt.name, offset, most)

    def fetch(self, attempt: Attempt) -> bool:
        ended = self.status(attempt).condition in (Condition.EXITED, Condition.LOST)
        return self.host.fetch(attempt.run_dir, everything=ended)

    def cancel(self, attempt: Attempt) -> None:
        self.host.call_off(attempt.name)
        self.host.ask("cancel", **self._named(attempt))

    def clear(self, attempt: Attempt) -> None:
        self.host.call_off(attempt.name)
        self.host.ask("clear", **self._named(attempt))

    def close(self) -> None:
        self.host.close()

    def _named(self, attempt: Attempt) -> dict[str, Any]:
        return {"root": self.host.jobs_dir, "attempt": attempt.name, "run_dir": self.host.run_dir(attempt.run_dir)}

    async def _launch(self, attempt: Attempt, shipped: Shipped) -> int:
        run_dir, python = self.host.run_dir(attempt.run_dir), self.host.python
        at = Places(python, run_dir, shipped.inputs, self.gpus_of(attempt.slot))
        device, _, index = attempt.slot.rpartition("/")[2].partition(":")
        start = {
            "root": self.host.jobs_dir,
            "attempt": attempt.name,
            "argv": attempt.programme.argv(at, self.abilities.time_limit_s),
            "cwd": attempt.programme.cwd(at),
            "env": {"CUDA_VISIBLE_DEVICES": index if device == "cuda" else "", RUN_DIR: run_dir},
            "log": f"{run_dir}/{RunFolder(attempt.run_dir).log_txt.name}",
            "grace_s": self.settings.grace,
        }
        told = await self.host.aask(
            "launch",
            shipped.files,
            store=self.host.store,
            run_dir=run_dir,
            remove=shipped.remove,
            start=start,
            python=python,
            limit_s=LAUNCH_S,
        )
        if told.get("python") == "":
            raise Refused(
                f"there is no {python} on it", self.name, f"Set it up with: {COMMAND} backend setup {self.name}"
            )
        if told["state"] == "absent" and not told["missing"]:
            raise Refused(
                "the attempt cannot be started: its supervisor ended before it had written its pid",
                self.name,
                "Check free space and permissions there, then queue the run again.",
            )
        return int(told["missing"])

"""What was found on a host, and what of it keeps runs from working there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.jobs.backends.interface import Probe
from app.jobs.backends.ssh_host import SshHost
from app.jobs.programme import ENGINE_PACKAGES
from app.journal.home import COMMAND

OLDEST_PYTHON = (3, 11)
# What a first run needs at least, for its data and checkpoints.
ROOM = 5e9
# A clock that is further off dates logs and rows misleadingly; nothing else depends on it.
CLOCK_S = 60.0


def looked_at(host: SshHost, slots: Sequence[str]) -> Probe:
    """Look at the host for a backend with these slots. Raises Unreachable."""
    packages, root = list(ENGINE_PACKAGES), host.root
    asked_ms = time.time() * 1000
    there_ms = host.ask("clock")["at_ms"]
    nearest_ms = min(max(there_ms, asked_ms), time.time() * 1000)
    told = host.ask("look", dir=root, python=host.python, packages=packages, limit_s=120)
    found = Probe(
        python=told["python"],
        versions=told["versions"],
        gpus=tuple(told["gpus"]),
        free_bytes=told["free"],
        clock_ahead_s=round((there_ms - nearest_ms) / 1000, 1),
    )
    return Probe(**{**vars(found), "problems": problems(host.name, host.python, found, slots)})


def problems(name: str, python: str, found: Probe, slots: Sequence[str]) -> tuple[str, ...]:
    """Sentences: what keeps runs from working there, and what would mend it."""
    setup = f"Set it up with: {COMMAND} backend setup {name}"
    said = []
    if not found.python:
        said.append(f"There is no Python for the engine at {python}. {setup}")
    elif _numbers(found.python) < OLDEST_PYTHON:
        said.append(f"{python} is Python {found.python}; the engine needs 3.11 or newer. {setup}")
    missing = [package for package, version in found.versions.items() if not version]
    if missing:
        said.append(f"Not installed there: {', '.join(missing)}. {setup}")
    for device in sorted({slot.rpartition("/")[2] for slot in slots if "cuda" in slot}):
        if not any(gpu.startswith(f"{device.removeprefix('cuda:')}:") for gpu in found.gpus):
            has = f"it has {', '.join(found.gpus)}" if found.gpus else "nvidia-smi finds no GPU there"
            said.append(
                f"The slot {device} has no GPU: {has}. Change `slots` in config.toml, or {setup[0].lower()}{setup[1:]}"
            )
    if found.free_bytes is not None and found.free_bytes < ROOM:
        said.append(f"Only {found.free_bytes / 1e9:.1f} GB are free there. Free some room.")
    if found.clock_ahead_s is not None and abs(found.clock_ahead_s) > CLOCK_S:
        way = "ahead of" if found.clock_ahead_s > 0 else "behind"
        said.append(
            f"Its clock is {abs(found.clock_ahead_s):.0f} s {way} this computer's: logs and curves there are dated by it."
        )
    return tuple(said)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())

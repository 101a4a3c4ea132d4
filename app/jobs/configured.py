"""The backends that this computer knows: itself, and those under [backends.NAME] in config.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from app.jobs.backends.interface import Backend
from app.jobs.backends.local import LOCAL, LocalBackend
from app.jobs.backends.settings import BackendSettings, parse
from app.jobs.presence import driver_lock, who_holds, worker_lock
from app.journal.home import COMMAND, Home
from engine.contract import OnehourError, nearest

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# module:class(name, settings, home) of each kind but this computer; imported by who opens one, for what they bring is heavy.
BACKENDS: Mapping[str, str] = {
    "ssh": "app.jobs.backends.ssh:SshBackend",
    "slurm": "app.jobs.backends.slurm:SlurmBackend",
    "kaggle": "app.jobs.backends.kaggle_kernels:KaggleBackend",
}


def names(home: Home) -> list[str]:
    """Of all backends, this computer first. Raises OnehourError for a config.toml that cannot be read."""
    return [LOCAL, *(name for name in _tables(home) if name != LOCAL)]


def settings_of(home: Home, name: str) -> BackendSettings:
    """Raises OnehourError for a backend that is not configured, or wrongly."""
    tables = _tables(home)
    if name not in tables and name != LOCAL:
        near = nearest(name, [LOCAL, *tables]) if tables else ""
        fix = f"{near} Set it up with: {COMMAND} backend setup {name}".strip()
        raise OnehourError(f"there is no backend {name!r}", where=str(home.config_toml), fix=fix)
    if not NAME.fullmatch(name):
        raise OnehourError(
            f"{name!r} is no name of a backend", where=str(home.config_toml), fix="Use a to z, 0 to 9 and hyphens."
        )
    return parse(name, tables.get(name, {}), str(home.config_toml))


def open_backend(home: Home, name: str) -> Backend:
    """The backend, ready to be asked; it connects when it is. Raises OnehourError as `settings_of` does."""
    settings = settings_of(home, name)
    if name == LOCAL:
        return LocalBackend(home, time_limit_s=settings.time_limit)
    module, _, backend = BACKENDS[settings.kind].partition(":")
    opened: Backend = getattr(import_module(module), backend)(name, settings, home)
    return opened


@dataclass(frozen=True)
class MachineFacts:
    """What is known of a backend without asking its machine."""

    name: str
    slots: tuple[str, ...]  # empty: not known until a driver has looked
    gpus: Mapping[str, int]  # of each slot
    time_limit_s: float | None
    works: bool  # whether its worker or driver runs just now


def machines(home: Home) -> list[MachineFacts]:
    """All backends, this computer first; one that is wrongly configured is left out: whoever uses it is told."""
    found = []
    for name in names(home):
        try:
            settings = settings_of(home, name)
        except OnehourError:
            continue
        told = who_holds(worker_lock(home) if name == LOCAL else driver_lock(home, name))
        slots = tuple((told or {}).get("slots", ())) or settings.slot_names(name)
        gpus = {slot: settings.gpus_of(slot) for slot in slots}
        found.append(MachineFacts(name, slots, gpus, settings.time_limit, told is not None))
    return found


def local(home: Home) -> LocalBackend:
    """This computer. A config.toml that cannot be read must not keep it from working."""
    try:
        limit_s = settings_of(home, LOCAL).time_limit
    except OnehourError:
        limit_s = None
    return LocalBackend(home, time_limit_s=limit_s)


def table_of(home: Home, name: str) -> dict[str, Any]:
    """What stands under [backends.NAME], not yet checked; empty when nothing does."""
    found = _tables(home).get(name, {})
    return dict(found) if isinstance(found, dict) else {}


def _tables(home: Home) -> dict[str, Any]:
    try:
        read = tomllib.loads(home.config_toml.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OnehourError(f"it cannot be read ({error})", where=str(home.config_toml)) from None
    unknown = next((key for key in read if key != "backends"), None)
    if unknown is not None:
        raise OnehourError(f"unknown key {unknown!r}", where=str(home.config_toml), fix=nearest(unknown, ["backends"]))
    tables = read.get("backends", {})
    if not isinstance(tables, dict):
        raise OnehourError("backends is no table", where=str(home.config_toml), fix="Write [backends.NAME].")
    return tables

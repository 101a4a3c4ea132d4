"""What this computer has for runs and messages: the backends with their slots, and which keys are there.

Of a key only whether there is one and where it stands is told, never its value.
"""

from __future__ import annotations

import netrc
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from app.jobs import configured, presence, signals, wandb_server
from app.jobs.backends.local import LocalBackend
from app.journal.home import Home
from engine.contract import OnehourError


@dataclass(frozen=True)
class Machine:
    name: str
    slots: tuple[str, ...]  # empty: not known until its driver has looked, or there is a `trouble`
    trouble: str = ""  # what is wrong with its settings


@dataclass(frozen=True)
class Key:
    name: str
    where: str  # the variable or file that holds it; empty: there is none
    package: str  # what would use it
    is_installed: bool

    @property
    def words(self) -> str:
        """`in ~/.netrc`, or `none; kaggle is not installed`."""
        found = f"in {self.where}" if self.where else "none"
        return found if self.is_installed else f"{found}; {self.package} is not installed"


def machines(home: Home) -> list[Machine]:
    """The backends that this computer knows, itself first. A config.toml that cannot be read leaves only that, with the reason."""
    here = LocalBackend(home)
    # To look for devices can take seconds: the running worker has done it already.
    slots = presence.worker_slots(home) or here.slots()
    try:
        others = [name for name in configured.names(home) if name != here.name]
    except OnehourError as error:
        return [Machine(here.name, slots, str(error))]
    return [Machine(here.name, slots), *(_machine(home, name) for name in others)]


def backends(home: Home) -> dict[str, tuple[str, ...]]:
    """The slots of each backend by its name; a slot runs one attempt."""
    return {machine.name: machine.slots for machine in machines(home)}


def _machine(home: Home, name: str) -> Machine:
    told = presence.who_holds(presence.driver_lock(home, name)) or {}
    try:
        return Machine(name, tuple(told.get("slots", ())) or configured.settings_of(home, name).slot_names(name))
    except OnehourError as error:
        return Machine(name, (), str(error))


def known_keys() -> list[Key]:
    """W&B's key, Kaggle's credentials and the addresses of notifications."""
    return [
        _key("W&B key", _wandb(), "wandb"),
        _key("Kaggle credentials", kaggle_key(), "kaggle"),
        _key("notification addresses", signals.ADDRESSES if _is_set(signals.ADDRESSES) else "", "apprise"),
    ]


def _key(name: str, where: str, package: str) -> Key:
    return Key(name, where, package, find_spec(package) is not None)


def _wandb() -> str:
    if _is_set("WANDB_API_KEY"):
        return "WANDB_API_KEY"
    host = urlsplit(wandb_server.address()).hostname or ""
    named = os.environ.get("NETRC")
    for path in [named] if named else ["~/.netrc", "~/_netrc"]:
        try:
            # Unlike the file's default entry, one that names the host is a key.
            if host in netrc.netrc(os.path.expanduser(path)).hosts:
                return path
        except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
            continue
    return ""


def kaggle_key() -> str:
    """The variable or file that holds a key for Kaggle; empty: there is none."""
    if _is_set("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    if _is_set("KAGGLE_USERNAME") and _is_set("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    named = os.environ.get("KAGGLE_CONFIG_DIR")
    for folder in [named] if named else ["~/.kaggle", "~/.config/kaggle"]:
        for name in ("kaggle.json", "access_token", "credentials.json"):
            if (Path(folder).expanduser() / name).is_file():
                return f"{folder}/{name}"
    return ""


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable, "").strip())

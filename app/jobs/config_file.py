"""Writes config.toml as a command asks for; the rest of it, comments too, stays as a person wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit

from app.jobs import configured
from app.jobs.backends.settings import parse
from app.journal.home import Home
from engine.contract import OnehourError
from engine.run_folder import write_text


def write(home: Home, name: str, table: Mapping[str, Any]) -> None:
    """Make [backends.NAME] say what `table` says. Raises OnehourError for settings that are wrong, or a file that is."""
    where = str(home.config_toml)
    if not configured.NAME.fullmatch(name):
        raise OnehourError(f"{name!r} is no name of a backend", where, "Use a to z, 0 to 9 and hyphens.")
    parse(name, dict(table), where)
    document, backends = _read(home)
    if name not in backends:
        backends[name] = dict(table)
    for key in [key for key in backends[name] if key not in table]:
        del backends[name][key]
    for key, value in table.items():
        if backends[name].get(key) != value:
            backends[name][key] = value
    write_text(home.config_toml, tomlkit.dumps(document))


def remove(home: Home, name: str) -> None:
    """Take [backends.NAME] out. Raises OnehourError when there is none."""
    configured.settings_of(home, name)
    document, backends = _read(home)
    backends.pop(name, None)
    write_text(home.config_toml, tomlkit.dumps(document))


def _read(home: Home) -> tuple[tomlkit.TOMLDocument, Any]:
    """The whole document, and its table of backends."""
    configured.names(home)  # says what is wrong with it
    document = tomlkit.parse(home.config_toml.read_text(encoding="utf-8") if home.config_toml.exists() else "")
    if "backends" not in document:
        document.add("backends", tomlkit.table(is_super_table=True))
    return document, document["backends"]

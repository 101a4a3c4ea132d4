"""Which competition a data folder was downloaded from, and how its files looked then: what did not change lies at Kaggle too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.run_folder import write_json

FILE = ".onehour-kaggle.json"


@dataclass(frozen=True)
class Origin:
    """`looks`: size and date (nanoseconds) of each file, by its name below the folder."""

    competition: str
    looks: Mapping[str, tuple[int, int]]

    def changed(self, files: Iterable[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """Those of `files` (name and path) that are not as they were downloaded."""
        return [(name, path) for name, path in files if self.looks.get(name) != look(path)]


def look(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def keep(folder: Path, competition: str, names: Iterable[str]) -> None:
    """Write down that the files `names` of the folder are the competition's own."""
    write_json(folder / FILE, {"competition": competition, "files": {name: look(folder / name) for name in names}})


def of(folder: Path) -> Origin | None:
    """None for a folder that was filled otherwise."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Origin(told["competition"], {name: (size, date) for name, (size, date) in told["files"].items()})
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None

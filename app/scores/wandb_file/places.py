"""Where wandb puts its files: a folder for each start of a run, in a folder called wandb wherever the script was started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

STARTS = ("run-", "offline-run-")
LATEST = "latest-run"  # a link to the newest one


def find(folder: Path, complain: Callable[[str], object]) -> Iterator[Path]:
    """The .wandb files in run-* and offline-run-* folders below `folder`, by name. Links are not followed.

    What cannot be looked into is told to `complain`.
    """

    def refuse(error: OSError) -> None:
        complain(f"{error.filename}: it cannot be looked into ({error.strerror})")

    if folder.name.startswith(STARTS):
        yield from sorted(folder.glob("run-*.wandb"))
        return
    for place, below, _ in os.walk(folder, onerror=refuse):
        below.sort()
        runs = [name for name in below if name.startswith(STARTS)]
        for name in runs:
            path = Path(place, name)
            if not path.is_symlink():
                yield from sorted(file for file in path.glob("run-*.wandb") if file.is_file())
        below[:] = [name for name in below if name not in runs and name != LATEST]

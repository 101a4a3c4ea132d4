"""How far a long look at many images is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
TOLD_EACH_S = 10.0


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """A call for each of `total` things done; `doing` says what is done to them, "looking at images". For one thread."""
    if sys.stderr.isatty():
        columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda: bar.advance(task)
        return
    started = told = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, told
        done += 1
        now = time.monotonic()
        if now - told >= TOLD_EACH_S:
            told = now
            log.info("%s: %d of %d, %.1f a second", doing, done, total, done / (now - started))

    yield advance

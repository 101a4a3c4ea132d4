"""Stopping in good order: before the time limit, or when the scheduler says so. What was done is in a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
RESERVE_S = 2.0  # for what follows a stop: the process still has to end


def process_started() -> float:
    """When this process was started, as a value of time.monotonic(): loading torch takes seconds of a time limit, too."""
    try:
        ticks = int(
            Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
    except OSError:  # not on Linux
        return time.monotonic()
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age_s


class Stopped(Exception):
    """The run ends here and goes on from its last checkpoint when it is started again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason  # fastai writes its own words into the arguments of whatever passes through a callback


class Stop:
    """Asked at every image prepared, every batch trained and every block predicted.

    `started` is a time.monotonic() value, `time_limit_s` counts from there.
    """

    def __init__(self, time_limit_s: float | None, started: float) -> None:
        self.time_limit_s, self.started, self.signal_name = time_limit_s, started, ""

    def left_s(self) -> float:
        return float("inf") if self.time_limit_s is None else self.time_limit_s - (time.monotonic() - self.started)

    def check(self, ahead_s: float = 0.0) -> None:
        """Raise Stopped when a signal came or when `ahead_s` more seconds would pass the time limit."""
        if self.signal_name:
            raise Stopped(f"{self.signal_name} received")
        if self.left_s() <= ahead_s:
            raise Stopped(f"the time limit of {self.time_limit_s:.0f} s is near")

    def soon(self) -> None:
        """Raise Stopped when there is no more time for a piece of work of less than a second."""
        self.check(RESERVE_S)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Turn SIGTERM and SIGUSR1 into a stop after the running batch, image or block."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers
            return
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name


class Pace:
    """Asks `stop` before each of many pieces of work, with a reserve for the slowest so far."""

    def __init__(self, stop: Stop) -> None:
        self.stop, self.looked_at, self.longest_s = stop, time.monotonic(), 0.0

    def check(self) -> None:
        now = time.monotonic()
        self.longest_s, self.looked_at = max(self.longest_s, now - self.looked_at), now
        self.stop.check(self.longest_s + RESERVE_S)

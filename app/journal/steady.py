"""A clock that notices when somebody moves the system clock.

Each session event stores, beside the instant, the machine's boottime clock (it counts through sleep and cannot be set) and the
boot's id. While that session's day lasts and the machine was not started anew, the time that really passed since the event is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Network time corrects a clock by less; nobody gains an hour with less.
TOLERANCE_MS = 60_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Instant:
    """A moment by three clocks. Milliseconds; `steady_ms` means something only within one boot."""

    at: int
    steady_ms: int
    boot_id: str


def system_clock() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


def steady_clock() -> int:
    """Milliseconds since the boot, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def this_boot() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # no such file on this system: clocks are then never compared


@dataclass
class SteadyClock:
    """The system clock, held to the time that really passed since `anchor` until `until` (milliseconds UTC)."""

    wall: Callable[[], int] = system_clock
    steady: Callable[[], int] = steady_clock
    boot_id: str = field(default_factory=this_boot)
    anchor: Instant | None = None
    until: int = 0

    def __call__(self) -> int:
        """Never earlier than the anchor of this boot: a small correction must not put its event into the future."""
        wall = self.wall()
        now = wall - self.moved_ms(wall)
        return max(now, self.anchor.at) if self.anchor is not None and self._same_boot(self.anchor) else now

    def moved_ms(self, wall: int | None = None) -> int:
        """How far the system clock was moved since the anchor (positive: forward); 0 within the tolerance."""
        if self.anchor is None or not self._same_boot(self.anchor):
            return 0
        wall = self.wall() if wall is None else wall
        expected = self.anchor.at + self.steady() - self.anchor.steady_ms
        # A clock that was set back must not live through the day once more when the day is over.
        holds = min(expected, wall) < self.until
        return wall - expected if abs(wall - expected) > TOLERANCE_MS and holds else 0

    def _same_boot(self, anchor: Instant) -> bool:
        return bool(self.boot_id) and anchor.boot_id == self.boot_id

    def hold(self, anchor: Instant | None, until: int) -> None:
        self.anchor, self.until = anchor, until

    def instant(self) -> Instant:
        return Instant(self(), self.steady(), self.boot_id)

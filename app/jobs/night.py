"""The night: what the machines will do in the coming hours if all goes as it usually does, slot by slot.

Laid out as the workers will claim: on each backend the waiting jobs in their order, each on the slot that is free first.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from app.jobs import backlog, configured, estimate
from app.jobs.configured import MachineFacts
from app.jobs.estimate import OVERHEAD_S, Duration
from app.journal import days
from app.journal.home import Home
from app.journal.tables import Challenge
from engine.run_folder import RunFolder

AHEAD_MS = 24 * 3_600_000
SOMEWHERE = "–"  # the slot of a backend that has not told its slots yet


@dataclass(frozen=True)
class Load:
    """A job that runs or waits. `seconds`, `low_s` and `high_s`: what is left of it."""

    run_key: str
    hypothesis: str
    state: str
    backend: str
    slot: str | None
    seconds: float
    low_s: float
    high_s: float
    is_new: bool = False  # not queued yet


@dataclass(frozen=True)
class Bar:
    """A job's stretch on its slot; moments in milliseconds UTC. `restarts`: how often it passes the backend's time limit."""

    load: Load
    starts_at: int
    ends_at: int
    low_ends_at: int
    high_ends_at: int
    restarts: int


@dataclass(frozen=True)
class Lane:
    backend: str
    slot: str
    bars: tuple[Bar, ...]
    works: bool  # whether somebody starts its jobs just now


@dataclass(frozen=True)
class Night:
    """`next_hour_at` is None where no hour is expected. `stranded` wait for a backend that is not configured."""

    now: int
    next_hour_at: int | None
    lanes: tuple[Lane, ...]
    stranded: tuple[Load, ...]

    def bar_of(self, run_key: str) -> Bar | None:
        return next((bar for lane in self.lanes for bar in lane.bars if bar.load.run_key == run_key), None)


def plan(
    db: Session, home: Home, challenge: Challenge, now: int, rows: Sequence[backlog.QueueRow], more: Sequence[Load] = ()
) -> Night:
    """The night of the open jobs `rows` in the order in which they run, and of `more` queued behind them."""
    loads = [_load(home, row, now) for row in rows]
    return lay_out(now, estimate.next_hour_at(db, challenge, now), configured.machines(home), [*loads, *more])


def lay_out(now: int, next_hour_at: int | None, machines: Sequence[MachineFacts], loads: Sequence[Load]) -> Night:
    """Pure. `loads` in the order in which the workers claim them; those with a slot run already."""
    on: dict[str, list[Load]] = defaultdict(list)
    for load in loads:
        on[load.backend].append(load)
    lanes = [lane for machine in machines for lane in _lanes(now, machine, on.pop(machine.name, []))]
    return Night(now, next_hour_at, tuple(lanes), tuple(load for left in on.values() for load in left))


def _lanes(now: int, machine: MachineFacts, loads: Sequence[Load]) -> list[Lane]:
    held = [load.slot for load in loads if load.slot]
    slots = list(dict.fromkeys([*machine.slots, *held])) or [SOMEWHERE]
    bars: dict[str, list[Bar]] = {slot: [] for slot in slots}
    # When each slot is free: by the guess, by the shortest and by the longest times.
    free: dict[str, tuple[int, int, int]] = dict.fromkeys(slots, (now, now, now))
    for load in loads:
        if load.slot:
            bar = _bar(load, free[load.slot], machine.time_limit_s)
            bars[load.slot].append(bar)
            free[load.slot] = (bar.ends_at, bar.low_ends_at, bar.high_ends_at)
    usable = machine.slots or slots
    heap = [(*free[slot], place, slot) for place, slot in enumerate(slots) if slot in usable]
    heapq.heapify(heap)
    for load in loads:
        if load.slot:
            continue
        starts, low, high, place, slot = heap[0]
        bar = _bar(load, (starts, low, high), machine.time_limit_s)
        bars[slot].append(bar)
        heapq.heapreplace(heap, (bar.ends_at, bar.low_ends_at, bar.high_ends_at, place, slot))
    return [Lane(machine.name, slot, tuple(bars[slot]), machine.works) for slot in slots]


def _bar(load: Load, free: tuple[int, int, int], time_limit_s: float | None) -> Bar:
    often = restarts(load.seconds, time_limit_s)
    starts, low, high = free
    return Bar(
        load,
        starts,
        starts + _ms(load.seconds + often * OVERHEAD_S),
        low + _ms(load.low_s + restarts(load.low_s, time_limit_s) * OVERHEAD_S),
        high + _ms(load.high_s + restarts(load.high_s, time_limit_s) * OVERHEAD_S),
        often,
    )


def restarts(seconds: float, time_limit_s: float | None) -> int:
    """How often a run of this length stops before the limit and goes on in another attempt."""
    return 0 if time_limit_s is None else max(0, -int(-seconds // time_limit_s) - 1)


def gpu_seconds(night: Night, machines: Sequence[MachineFacts]) -> Mapping[str, float]:
    """What the open jobs of each backend will still take of its GPUs."""
    gpus = {(machine.name, slot): number for machine in machines for slot, number in machine.gpus.items()}
    found: dict[str, float] = defaultdict(float)
    for lane in night.lanes:
        for bar in lane.bars:
            found[lane.backend] += gpus.get((lane.backend, lane.slot), 0) * (bar.ends_at - bar.starts_at) / 1000
    return found


def new_load(run_key: str, hypothesis: str, backend: str, duration: Duration) -> Load:
    """A job that is thought about, to be laid out behind the others."""
    guess = (duration.seconds, duration.low_s, duration.high_s)
    return Load(run_key, hypothesis, backlog.QUEUED, backend, None, *guess, is_new=True)


def running_until(home: Home, row: backlog.QueueRow, now: int) -> int:
    """When a job on a slot will probably end (milliseconds UTC), by the pace of the attempt that is running.

    Rows are counted, their times are not read: the clock of the machine that wrote them may be wrong.
    """
    folder, started_at = RunFolder(home.run_dir(row.run_key)), row.started_at or now
    if row.state == backlog.STARTING:  # still being sent, or in a queue elsewhere: all of it is to come
        started_at = now
    kept = [each for each in folder.metrics() if each.get("kind") in ("epoch", "checkpoint")]
    every = {(each.get("fold"), each.get("epoch")) for each in kept if each["kind"] == "epoch"}
    earlier = {(each.get("fold"), each.get("epoch")) for each in kept[: row.kept_before] if each["kind"] == "epoch"}
    done = folder.progress()
    before = done * len(earlier) / len(every) if every else 0.0
    return estimate.end_of_running(started_at, row.estimated_s or 0, done, now, before)


def end_text(ends_at: int, now: int, time_zone: str) -> str:
    """The local time of an end, with its date unless that is today's: `21:40`, `03:10 on 03 Mar`."""
    ends = days.local(ends_at, time_zone)
    another_day = ends.date() != days.local(now, time_zone).date()
    return days.clock_text(ends_at, time_zone) + (f" on {ends:%d %b}" if another_day else "")


def _load(home: Home, row: backlog.QueueRow, now: int) -> Load:
    guess = row.estimated_s or 0.0
    low, high = row.estimated_low_s or guess, row.estimated_high_s or guess
    if row.state in backlog.ACTIVE and row.slot:
        left_s = (running_until(home, row, now) - now) / 1000
        share = left_s / guess if guess else 1.0
        return Load(
            row.run_key, row.hypothesis, row.state, row.backend, row.slot, left_s, min(left_s, low * share), max(left_s, high * share)
        )  # fmt: skip
    return Load(row.run_key, row.hypothesis, row.state, row.backend, None, guess, low, high)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

"""What a run logged to W&B as curves: the numbers of its history rows, metric by metric, in the order in which they were logged."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

# What a curve keeps: of more points every second one is left out, again and again. The file or server still has them all.
MOST_POINTS = 20_000
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


@dataclass
class Series:
    """One metric: `values[i]` was logged at `steps[i]`, `runtimes_s[i]` seconds after the run started (NaN: not known)."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    runtimes_s: array[float] = field(default_factory=lambda: array("f"))
    values: array[float] = field(default_factory=lambda: array("f"))

    def add(self, step: float, runtime_s: float, value: float) -> None:
        self.steps.append(step)
        self.runtimes_s.append(runtime_s)
        self.values.append(value)
        if len(self.steps) >= 2 * MOST_POINTS:
            self.thin()

    def extend(self, later: Series) -> None:
        self.steps.extend(later.steps)
        self.runtimes_s.extend(later.runtimes_s)
        self.values.extend(later.values)

    def thin(self) -> None:
        while len(self.steps) > MOST_POINTS:
            for numbers in (self.steps, self.runtimes_s, self.values):
                numbers[:] = numbers[::-2][::-1]  # the last point stays


@dataclass
class Points:
    """The series of a part of a run, and how many rows they come from."""

    series: dict[str, Series] = field(default_factory=dict)
    rows: int = 0
    last_step: int = -1
    started_at: float | None = None  # seconds UTC: the earliest start that a row tells of

    def add(self, step: int, at: float | None, runtime_s: float | None, values: Mapping[str, Any]) -> None:
        """A history row. `at`: seconds UTC."""
        self.rows += 1
        self.last_step = max(self.last_step, step)
        runtime = float("nan") if runtime_s is None else float(runtime_s)
        if at is not None:
            began = at - (runtime if isfinite(runtime) else 0.0)
            self.started_at = began if self.started_at is None else min(began, self.started_at)
        for metric, value in numbers(values):
            series = self.series.get(metric)
            if series is None:
                series = self.series[metric] = Series()
            series.add(step, runtime, value)


def numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a row or summary by name, those of a nested one as outer.inner; pictures, tables and W&B's own are left out.

    JSON knows neither NaN nor infinities: wandb writes them as words.
    """
    media = tuple(f"{name.removesuffix('._type')}." for name in values if name.endswith("._type"))
    for name, value in values.items():
        if name.startswith("_") or (media and name.startswith(media)):
            continue
        if isinstance(value, int | float):
            try:
                yield name, float(value)
            except OverflowError:
                yield name, float("inf") if value > 0 else float("-inf")
        elif isinstance(value, str):
            if value in _WORDS:
                yield name, _WORDS[value]
        elif isinstance(value, Mapping) and "_type" not in value:
            yield from ((f"{name}.{inner}", number) for inner, number in numbers(value))

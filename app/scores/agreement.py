"""Do CV and leaderboard agree? The line through all submissions, its band, who falls out of it, and the alarm of too fair a CV. Pure.

Scores are turned so that more is better before anything is compared; what is told is in the metric's own direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, hypot, sqrt
from statistics import median
from typing import Literal

from app.scores.run_rows import EQUAL
from app.scores.student import corrected_margin, t_975

Direction = Literal["max", "min"]
ALARM_FROM = 3  # submissions: before that a gap is only shown
LEAST_FOR_LINE = 3


@dataclass(frozen=True)
class Scored:
    """A submission with a CV and a leaderboard score, in the order of sending. `spread`: of the fold scores; None for one fold."""

    run_key: str
    family: str
    cv: float
    spread: float | None
    folds: int
    lb: float

    @property
    def noise(self) -> float | None:
        """How far the CV may be off by the folds' chance: half of its 95 % interval; None where one fold tells nothing."""
        return None if self.spread is None or self.folds < 2 else corrected_margin(self.spread, self.folds)


@dataclass(frozen=True)
class Line:
    """LB = intercept + slope · CV by least squares. `residual_s`: standard error of an LB around it."""

    intercept: float
    slope: float
    residual_s: float
    count: int
    mean_cv: float
    spread_cv: float  # sum of squares of the CVs around their mean

    def at(self, cv: float) -> float:
        return self.intercept + self.slope * cv

    def band(self, cv: float) -> float:
        """Half of the 95 % interval in which the LB of a further submission with this CV is to be expected."""
        away = (cv - self.mean_cv) ** 2 / self.spread_cv
        return t_975(self.count - 2) * self.residual_s * sqrt(1 + 1 / self.count + away)

    @property
    def words(self) -> str:
        """`LB = 0.043 + 0.92 CV`"""
        return f"LB = {self.intercept:.3f} {'-' if self.slope < 0 else '+'} {abs(self.slope):.2f} CV"


@dataclass(frozen=True)
class Alarm:
    """Why the CV should not be believed as it stands: sentences, the strongest first.

    `is_optimistic`: it is fairer than it should be; else it merely stands to the leaderboard otherwise than before.
    """

    reasons: tuple[str, ...]
    is_optimistic: bool = True


def gap(one: Scored, direction: Direction) -> float:
    """How much fairer the CV is than the leaderboard: positive is optimistic, whatever the metric's direction."""
    return one.cv - one.lb if direction == "max" else one.lb - one.cv


def line(scored: Sequence[Scored]) -> Line | None:
    """None for fewer than three submissions, or where all have the same CV."""
    if len(scored) < LEAST_FOR_LINE:
        return None
    mean_cv = fsum(one.cv for one in scored) / len(scored)
    mean_lb = fsum(one.lb for one in scored) / len(scored)
    spread_cv = fsum((one.cv - mean_cv) ** 2 for one in scored)
    if spread_cv <= EQUAL**2:
        return None
    slope = fsum((one.cv - mean_cv) * (one.lb - mean_lb) for one in scored) / spread_cv
    intercept = mean_lb - slope * mean_cv
    left = fsum((one.lb - intercept - slope * one.cv) ** 2 for one in scored)
    return Line(intercept, slope, sqrt(left / (len(scored) - 2)), len(scored), mean_cv, spread_cv)


def outliers(scored: Sequence[Scored]) -> list[Scored]:
    """Those outside the band of the line through all the others, the farthest first: one of four or more.

    Without a line for each: the deleted residual over its standard error is e / (s₍ᵢ₎ √(1 - h)), h being the leverage (Belsley, Kuh
    and Welsch 1980).
    """
    drawn, count = line(scored), len(scored)
    if drawn is None or count <= LEAST_FOR_LINE:
        return []
    whole = drawn.residual_s**2 * (count - 2)
    found: list[tuple[float, Scored]] = []
    for one in scored:
        leverage = 1 / count + (one.cv - drawn.mean_cv) ** 2 / drawn.spread_cv
        if leverage >= 1 - EQUAL:  # the others all have one CV: they draw no line
            continue
        residual = one.lb - drawn.at(one.cv)
        others_s = sqrt(max(0.0, whole - residual**2 / (1 - leverage)) / (count - 3))
        away = abs(residual) / (1 - leverage)
        if away > max(t_975(count - 3) * others_s / sqrt(1 - leverage), EQUAL):
            found.append((away, one))
    return [one for _, one in sorted(found, key=lambda each: -each[0])]


def alarm(scored: Sequence[Scored], direction: Direction) -> Alarm | None:
    """From the third submission on: the gap of the newest changed beyond the folds' chance, or CV and LB disagree in order."""
    if len(scored) < ALARM_FROM:
        return None
    disorder = _disorder(scored, direction)
    change, changed = _change_of_gap(scored, direction)
    reasons = [*disorder, *changed]
    return Alarm(tuple(reasons), bool(disorder) or change > 0) if reasons else None


def _change_of_gap(scored: Sequence[Scored], direction: Direction) -> tuple[float, list[str]]:
    """How much more optimistic the newest is than those before usually were; and the sentence, where that is beyond chance."""
    *before, newest = scored
    usual = median(gap(one, direction) for one in before)
    now = gap(newest, direction)
    chances = [one.noise for one in before if one.noise is not None]
    if newest.noise is None or not chances:  # nobody can tell what the folds' chance explains
        return 0.0, []
    # The gap to the usual one is off by both CVs' chance.
    noise = hypot(newest.noise, median(chances))
    change = now - usual
    if abs(change) <= max(noise, EQUAL):
        return 0.0, []
    said = f"{newest.run_key} is {_fair(now)} in CV than on the leaderboard, the ones before were {_fair(usual)}"
    return change, [f"{said}: a change of {abs(change):.3f}, of which the folds' chance explains {noise:.3f}"]


def _fair(gap: float) -> str:
    return f"{abs(gap):.3f} {'fairer' if gap >= 0 else 'harsher'}"


def _disorder(scored: Sequence[Scored], direction: Direction) -> list[str]:
    """The newest submission held against each before it: a CV that is better beyond the folds' chance, and an LB that is worse."""
    sign = 1 if direction == "max" else -1
    *before, newest = scored
    worst: tuple[float, str] | None = None
    for one in before:
        better, other = (newest, one) if sign * (newest.cv - one.cv) > 0 else (one, newest)
        if better.noise is None or other.noise is None:
            continue
        in_cv, on_lb = sign * (better.cv - other.cv), sign * (better.lb - other.lb)
        if in_cv > max(hypot(better.noise, other.noise), EQUAL) and on_lb < -EQUAL:
            said = f"{better.run_key} is {in_cv:.3f} better than {other.run_key} in CV and {-on_lb:.3f} worse on the leaderboard"
            if worst is None or -on_lb > worst[0]:
                worst = -on_lb, said
    return [] if worst is None else [worst[1]]

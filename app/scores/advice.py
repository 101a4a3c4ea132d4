"""Is a run worth a submission, and which two to stand by in the end? Advice with its reasons; the person decides. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from random import Random
from statistics import fmean
from typing import Literal

from app.scores.agreement import Direction, Line, Scored
from app.scores.baselines import Ground
from app.scores.families import BLEND
from app.scores.run_rows import EQUAL, spread
from app.scores.student import corrected_error
from app.scores.submissions import Slots
from app.scores.verdict import Verdict

Word = Literal["send", "wait", "no slot"]
HOUR_MS = 3_600_000
FEW_POINTS = 3  # submissions from which the line between CV and LB can be drawn
SOON_MS = 6 * HOUR_MS
DRAWS = 2_000
MOST_CANDIDATES = 25
# How much of the folds' chance two runs share when nothing tells: they were scored on the same images.
USUAL_SHARED = 0.5


@dataclass(frozen=True)
class SubmitAdvice:
    word: Word
    reasons: tuple[str, ...]


def submit(
    candidate: Scored,
    against_best: Verdict | None,
    sent: Sequence[Scored],
    drawn: Line | None,
    slots: Slots | None,
    direction: Direction,
) -> SubmitAdvice:
    """`candidate` with its CV (its `lb` is not looked at); `against_best`: its verdict against the best run that was sent.

    `sent`: what has an LB; `drawn`: the line through them.
    """
    reasons: list[str] = []
    if slots is not None and slots.left == 0:
        return SubmitAdvice("no slot", (f"none of today's {slots.a_day} submissions is left; {_until(slots)}",))
    worth = _gain(against_best, sent, reasons)
    worth += _band(candidate, sent, drawn, direction, reasons)
    if len(sent) < FEW_POINTS:
        reasons.append(f"{len(sent)} submission{'s' * (len(sent) != 1)} so far: each tells how far CV and LB lie apart")
        worth += 1
    if slots is not None:
        reasons.append(f"{slots.left} of {slots.a_day} left today; {_until(slots)}")
        if slots.resets_in_ms < SOON_MS and worth == 0:
            reasons.append("what is not used today is lost")
            worth += 1
    return SubmitAdvice("send" if worth > 0 else "wait", tuple(reasons))


def _gain(against_best: Verdict | None, sent: Sequence[Scored], reasons: list[str]) -> int:
    if against_best is None:
        if sent:
            reasons.append(
                "no submission so far was trained on the same folds and data: the gain cannot be told from chance"
            )
        return 0
    margin = "" if against_best.margin is None else f" ± {against_best.margin:.3f}"
    said = f"{against_best.gain:+.3f}{margin} against {against_best.against}, the best that was sent"
    if against_best.word == "helped":
        reasons.append(f"the gain is beyond the folds' chance: {said}")
        return 2
    if against_best.word == "hurt":
        reasons.append(f"it is worse beyond the folds' chance: {said}")
        return -2
    reasons.append(f"the gain is within the folds' chance: {said}")
    return -1 if against_best.gain <= 0 else 0


def _band(
    candidate: Scored, sent: Sequence[Scored], drawn: Line | None, direction: Direction, reasons: list[str]
) -> int:
    if drawn is None or not sent:
        return 0
    best = (max if direction == "max" else min)(one.lb for one in sent)
    expected, band = drawn.at(candidate.cv), drawn.band(candidate.cv)
    reasons.append(
        f"by the line through {drawn.count} submissions LB {expected:.3f} ± {band:.3f}; the best so far is {best:.3f}"
    )
    out_of_reach = expected + band < best if direction == "max" else expected - band > best
    if out_of_reach:
        reasons.append("even the good end of the band does not reach the best")
        return -2
    better = expected > best if direction == "max" else expected < best
    return 1 if better else 0


def _until(slots: Slots) -> str:
    minutes = slots.resets_in_ms // 60_000
    return f"they are given anew in {minutes // 60} h {minutes % 60:02d} min (UTC)"


@dataclass(frozen=True)
class Candidate:
    """A submission that could be one of the final two. `fold_scores`: fold → score; `on`: the data and folds of its CV."""

    run_key: str
    family: str
    cv: float
    fold_scores: tuple[tuple[int, float], ...]
    public: float | None = None
    on: Ground | None = None


@dataclass(frozen=True)
class FinalTwo:
    """`expected_loss`: how much worse the better of the two is, on average, than the best of all candidates will turn out to be."""

    chosen: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    expected_loss: float
    loss_of_two_best_public: float | None


def final_two(candidates: Sequence[Candidate], direction: Direction, draw: Random) -> FinalTwo | None:
    """The best CV, and the best of another family (or the best blend): trusting CV, and not one opinion twice. None without any."""
    sign = 1 if direction == "max" else -1
    ranked = sorted(candidates, key=lambda one: (-sign * one.cv, one.run_key))[:MOST_CANDIDATES]
    if not ranked:
        return None
    first = ranked[0]
    others = [one for one in ranked[1:] if one.family != first.family]
    second = others[0] if others else (ranked[1] if len(ranked) > 1 else None)
    chosen = (first,) if second is None else (first, second)
    reasons = [f"{first.run_key} has the best CV, {first.cv:.4f} ({first.family})"]
    if second is not None and second.family != first.family:
        kind = "the best blend" if second.family == BLEND else f"the best of another family ({second.family})"
        reasons.append(f"{second.run_key} is {kind}, CV {second.cv:.4f}: it errs elsewhere")
    elif second is not None:
        reasons.append(
            f"{second.run_key} has the next CV, {second.cv:.4f}; all candidates are of one family, which is one opinion twice"
        )
    if second is not None and second.on != first.on:
        reasons.append("their CVs were measured on other folds or data: which of the two is better cannot be told")
    with_public = [one for one in ranked if one.public is not None]
    by_public = sorted(with_public, key=lambda one: (-sign * (one.public or 0.0), one.run_key))[:2]
    worlds = _worlds(ranked, sign, draw)
    loss = _loss(ranked, chosen, worlds)
    loss_public = _loss(ranked, by_public, worlds) if len(by_public) == 2 else None
    if loss_public is not None and {one.run_key for one in by_public} != {one.run_key for one in chosen}:
        names = " and ".join(one.run_key for one in by_public)
        reasons.append(
            f"the two with the best public score ({names}) would lose {loss_public:.4f} on average, these {loss:.4f}"
        )
    return FinalTwo(chosen, tuple(reasons), loss, loss_public)


def _worlds(ranked: Sequence[Candidate], sign: int, draw: Random) -> list[list[float]]:
    """What the candidates may turn out to be worth, each by its CV and the part of the folds' chance that is its own."""
    shared = _shared_chance(ranked)
    own = [_standard_error(one) * sqrt(1 - shared) for one in ranked]
    return [[sign * one.cv + draw.gauss(0.0, sd) for one, sd in zip(ranked, own, strict=True)] for _ in range(DRAWS)]


def _loss(ranked: Sequence[Candidate], chosen: Sequence[Candidate], worlds: Sequence[Sequence[float]]) -> float:
    places = [place for place, one in enumerate(ranked) if one in chosen]
    return fmean(max(world) - max(world[place] for place in places) for world in worlds)


def _standard_error(one: Candidate) -> float:
    scores = [score for _, score in one.fold_scores]
    if len(scores) < 2:
        return 0.0
    return corrected_error(spread(scores) or 0.0, len(scores))


def _shared_chance(ranked: Sequence[Candidate]) -> float:
    """The mean correlation of the fold scores of two candidates on the same folds, 0…1."""
    found = []
    for place, one in enumerate(ranked):
        mine = dict(one.fold_scores)
        for other in ranked[place + 1 :]:
            theirs = dict(other.fold_scores)
            if mine.keys() == theirs.keys() and len(mine) > 2 and (r := _correlation(mine, theirs)) is not None:
                found.append(r)
    return min(1.0, max(0.0, fmean(found))) if found else USUAL_SHARED


def _correlation(mine: dict[int, float], theirs: dict[int, float]) -> float | None:
    a, b = [mine[fold] for fold in sorted(mine)], [theirs[fold] for fold in sorted(theirs)]
    mean_a, mean_b = fmean(a), fmean(b)
    spread_a, spread_b = fsum((x - mean_a) ** 2 for x in a), fsum((y - mean_b) ** 2 for y in b)
    if spread_a <= EQUAL**2 or spread_b <= EQUAL**2:
        return None
    return fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / sqrt(spread_a * spread_b)

"""Where the unknown label goes among the predicted ones: before the first label whose score is below a threshold.

A higher threshold says "unknown" earlier. MAP@k as a function of the threshold is a staircase whose steps lie at
the scores themselves, so the best threshold is found exactly: sort the steps once, add them up, take the highest.
Only the k best labels of an image matter. With k = 1 the score is the accuracy.

A threshold belongs to the scores it was chosen on: those of single nets, each on the images that it did not see. The
test images have the mean over several nets, which is flatter, so that the same threshold would say "unknown" far
oftener. `carried_over` moves it: unknown comes first for the same share of the test images as the single nets say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PLACES = 5
Labels = Sequence[str] | np.ndarray  # names, or codes: whole numbers
CURVE_POINTS = 500  # of a curve that is kept to be drawn


@dataclass(frozen=True)
class Threshold:
    """`value`, and the interval (low, high] over which the chosen rows score the same `score`."""

    value: float
    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """The weighted MAP@k over the threshold: `scores[i]` holds over (edges[i-1], edges[i]], both ends are open.

    `edges` (E,) rise, `scores` has E + 1.
    """

    edges: np.ndarray
    scores: np.ndarray

    def at(self, threshold: float) -> float:
        """The score with this threshold."""
        return float(self.scores[np.searchsorted(self.edges, threshold, side="left")])

    def points(self, most: int = CURVE_POINTS) -> list[tuple[float, float]]:
        """At most `most` pairs (threshold, score) to draw: evenly many steps apart, the best one among them."""
        if not len(self.edges):
            return []
        shown = np.linspace(0, len(self.edges) - 1, min(most - 1, len(self.edges))).astype(int)
        shown = np.union1d(shown, min(int(self.scores.argmax()), len(self.edges) - 1))
        return [(float(self.edges[i]), float(self.scores[i])) for i in shown]


def row_weights(labels: Labels, unknown_label: str | int, expected_share: float | None) -> np.ndarray:
    """Weights (N,) under which the unknown label makes up `expected_share` of the rows; ones when it is None.

    The mean weight is 1. Rows of one kind alone cannot be re-weighted and keep the weight 1.
    """
    unknown = np.asarray(labels) == unknown_label
    share = float(unknown.mean()) if len(unknown) else 0.0
    if expected_share is None or share in (0.0, 1.0):
        return np.ones(len(unknown))
    return np.where(unknown, expected_share / share, (1 - expected_share) / (1 - share))


def threshold_curve(
    labels: Labels,
    top_labels: np.ndarray,
    top_scores: np.ndarray,
    unknown_label: str | int,
    weights: np.ndarray | None = None,
    k: int = PLACES,
) -> Curve:
    """MAP@k over all thresholds, exactly, in O(N k log(N k)).

    labels (N,) are the truths; top_labels (N, ≥ k) the predicted labels without the unknown one, best first;
    top_scores their scores, comparable between rows, never rising along a row. A row with fewer labels is
    filled up with "" and -inf. Raises ValueError where the arrays break these rules.
    """
    truth, top, scores = _checked(labels, top_labels, top_scores, unknown_label, k)
    weight = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != truth.shape or not weight.sum() > 0:
        raise ValueError("weights need one number a row and a sum above 0")
    unknown = truth == unknown_label
    filled = np.isfinite(scores)
    worth = np.array([*(1 / place for place in range(1, k + 1)), 0.0])  # of the first, …, k-th place, and of none
    # Far below every score the unknown label comes last. When the threshold rises over the score in place p, an unknown
    # row gains (its label moves from p + 1 to p), and a known row whose truth stands in place p loses one place.
    gain = worth[:-1] - worth[1:]
    hit_row, hit_place = np.nonzero((top == truth[:, None]) & filled & ~unknown[:, None])
    unknown_row, unknown_place = np.nonzero(filled & unknown[:, None])
    steps = np.concatenate([scores[unknown_row, unknown_place], scores[hit_row, hit_place]])
    change = np.concatenate([weight[unknown_row] * gain[unknown_place], -weight[hit_row] * gain[hit_place]])
    lowest = (weight[unknown] * worth[filled[unknown].sum(axis=1)]).sum() + (weight[hit_row] * worth[hit_place]).sum()
    if not len(steps):
        return Curve(np.zeros(0), np.array([lowest / weight.sum()]))
    order = np.argsort(steps, kind="stable")
    edges, starts = np.unique(steps[order], return_index=True)
    rises = np.cumsum(np.add.reduceat(change[order], starts))
    return Curve(edges, (lowest + np.concatenate([[0.0], rises])) / weight.sum())


def best_threshold(
    labels: Labels,
    top_labels: np.ndarray,
    top_scores: np.ndarray,
    unknown_label: str | int,
    weights: np.ndarray | None = None,
    k: int = PLACES,
) -> Threshold:
    """The threshold with the highest weighted MAP@k over the rows. Arguments and errors as of `threshold_curve`."""
    curve = threshold_curve(labels, top_labels, top_scores, unknown_label, weights, k)
    edges, scores = curve.edges, curve.scores
    if not len(edges):
        return Threshold(0.0, float(scores[0]), -np.inf, np.inf)
    # Equal values that were summed in another order differ in the last bits; a real step is far larger.
    is_best = scores >= scores.max() - 1e-9
    first = np.flatnonzero(is_best & ~np.concatenate([[False], is_best[:-1]]))
    last = np.flatnonzero(is_best & ~np.concatenate([is_best[1:], [False]]))
    # Both ends of the axis are open; closing them one whole span away gives them a middle too.
    span = float(edges[-1] - edges[0]) or 1.0
    axis = np.concatenate([[edges[0] - span], edges, [edges[-1] + span]])
    # The middle of the widest best interval: at an edge, the least change of a score in new images would tip a row over,
    # while the middle is as far from both neighbours as can be.
    widest = int(np.argmax(axis[last + 1] - axis[first]))
    low, high = float(axis[first[widest]]), float(axis[last[widest] + 1])
    middle = (low + high) / 2
    value = middle if low < middle < high else high  # neighbouring floats have no middle
    return Threshold(value, float(scores[first[widest]]), low, high)


def nested_thresholds(
    labels: Sequence[str],
    folds: Sequence[int],
    top_labels: np.ndarray,
    top_scores: np.ndarray,
    unknown_label: str,
    expected_share: float | None = None,
    k: int = PLACES,
) -> tuple[dict[int, Threshold], Threshold]:
    """A threshold for each fold, chosen on the other folds' rows, and one chosen on all rows.

    So no row is ever scored with a threshold it helped to choose. Shapes as in `best_threshold`; folds (N,).
    """
    truth, fold_of = np.asarray(labels), np.asarray(folds)

    def chosen_on(rows: np.ndarray) -> Threshold:
        weights = row_weights(truth[rows], unknown_label, expected_share)
        return best_threshold(truth[rows], top_labels[rows], top_scores[rows], unknown_label, weights, k)

    by_fold = {int(fold): chosen_on(fold_of != fold) for fold in np.unique(fold_of)}
    return by_fold, chosen_on(np.ones(len(truth), dtype=bool))


def carried_over(threshold: float, chosen_among: np.ndarray, to: np.ndarray) -> float:
    """The threshold among the scores `to` (M,) below which the same share lies as below `threshold` in `chosen_among`.

    Both are best scores of the same images: `chosen_among` (F, M) those of single nets, `to` those of their mean.
    """
    below = round(float((chosen_among < threshold).mean()) * len(to))
    carried = threshold_above(to, below)
    return min(threshold, carried) if below == 0 else max(threshold, carried) if below == len(to) else carried


def threshold_above(scores: np.ndarray, count: int) -> float:
    """The threshold below which `count` of the `scores` (M,) lie, or fewer where scores are equal."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    if count == 0:
        return float(ordered[0])
    if count == len(ordered):
        return float(np.nextafter(ordered[-1], np.inf))
    low, high = float(ordered[count - 1]), float(ordered[count])
    middle = (low + high) / 2
    return middle if low < middle < high else high


def insert_unknown(
    top_labels: np.ndarray,
    top_scores: np.ndarray,
    threshold: float | np.ndarray,
    unknown_label: str,
    k: int = PLACES,
) -> list[tuple[str, ...]]:
    """The first `k` labels of each row with the unknown one before the first score below `threshold` (one, or one a row)."""
    scores = np.asarray(top_scores, dtype=np.float64)
    places = (scores >= np.reshape(np.asarray(threshold, dtype=np.float64), (-1, 1))).sum(axis=1)
    predicted = []
    for row, place in zip(top_labels.tolist(), places.tolist(), strict=True):
        known = [label for label in row if label]
        predicted.append(tuple([*known[:place], unknown_label, *known[place:]][:k]))
    return predicted


def _checked(
    labels: Labels, top_labels: np.ndarray, top_scores: np.ndarray, unknown_label: str | int, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth, top = np.asarray(labels), np.asarray(top_labels)[:, :k]
    scores = np.asarray(top_scores, dtype=np.float64)[:, :k]
    if not len(truth) or top.shape != scores.shape or len(top) != len(truth):
        raise ValueError(
            f"labels {truth.shape}, top_labels {top.shape} and top_scores {scores.shape} do not fit together"
        )
    if np.isnan(scores).any() or (scores[:, 1:] > scores[:, :-1]).any():
        raise ValueError("scores must be numbers that never rise along a row")
    if (top == unknown_label).any():
        raise ValueError(f"the unknown label {unknown_label!r} stands among the predicted ones before it was inserted")
    return truth, top, scores

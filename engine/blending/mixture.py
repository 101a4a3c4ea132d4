"""The predictions of several runs added up, each fold with weights, and a threshold, from the other folds' images alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.blending.parents import Parent, ranked
from engine.blending.pool import Pool
from engine.blending.weights import Weighing
from engine.inference.answers import (
    Answered,
    Answers,
    Numbers,
    Predicted,
    Ranked,
    as_asked,
    curve_of,
    spread,
    to_grades,
    without_unknown,
)
from engine.inference.metric import METRICS, in_order, score
from engine.inference.quota import quota_of
from engine.inference.record import KEPT
from engine.inference.unknown import Threshold, best_threshold, carried_over, insert_unknown, row_weights


@dataclass(frozen=True)
class Mixture:
    """Predictions of the blend for training and test images that could be seen, and the `weights` (P,) for the latter."""

    answered: Answered
    oof: Predicted
    test: Predicted
    by_fold: Sequence[Ranked]
    weights: np.ndarray


def of_labels(
    parents: Sequence[Parent], by_rank: bool, unknown: str | None, share: float | None, weighing: Weighing
) -> Mixture:
    """A blend whose answers are labels. By rank the unknown one has its place already and is a label like any other."""
    first = parents[0]
    metric, fold_of, k = first.result.metric, first.oof.fold, METRICS[first.result.metric].places
    seen = np.flatnonzero(first.test.best.seen)
    valid = [ranked(parent.oof.best) for parent in parents]
    test = [ranked(parent.test.best).of(seen) for parent in parents]
    by_fold = [[parent.test.by_fold[fold].of(seen) for parent in parents] for fold in range(len(first.test.by_fold))]
    if by_rank:
        thresholds = [(parent.thresholds, parent.result.threshold) for parent in parents]
        valid = [_by_place(one, of_fold, unknown) for one, (of_fold, _) in zip(valid, thresholds, strict=True)]
        test = [_by_place(one, for_test, unknown) for one, (_, for_test) in zip(test, thresholds, strict=True)]
        by_fold, unknown = [], None
    names = np.unique(np.concatenate([*(one.labels.ravel() for one in valid + test), first.oof.scored_as]))
    pool, new = Pool.of(valid, names), -3 if unknown is None else int(np.searchsorted(names, unknown))
    truth = np.searchsorted(names, first.oof.scored_as)

    def chosen_on(rows: np.ndarray, mix: np.ndarray) -> Threshold:
        # Without an image of the unknown label its score is the MAP@k of the labels. Accuracy stands in for macro_f1.
        codes, scores = pool.mixed(mix, rows)
        return best_threshold(truth[rows], codes, scores, new, row_weights(truth[rows], new, share), k)

    def weights_from(rows: np.ndarray) -> np.ndarray:
        return weighing.weights(metric, lambda mix: chosen_on(rows, mix).score)

    everywhere = np.arange(len(truth))
    oof_codes = np.full((len(truth), KEPT), -1)
    oof_scores = np.full((len(truth), KEPT), -np.inf, np.float32)
    by_threshold = {}
    for fold in range(int(fold_of.max()) + 1):
        others, here = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        mix = weights_from(others)
        by_threshold[fold] = chosen_on(others, mix).value
        oof_codes[here], oof_scores[here] = pool.mixed(mix, here)
    for_test = weights_from(everywhere)
    oof = _named(oof_codes, oof_scores, names)
    tested = _named(*Pool.of(test, names).mixed(for_test), names)
    if unknown is None:
        answered = Answered(without_unknown(oof, k), without_unknown(tested, k))
        return Mixture(answered, oof, tested, [], for_test)
    each_fold = [_named(*Pool.of(some, names).mixed(for_test), names) for some in by_fold]
    chosen = chosen_on(everywhere, for_test).value
    singles = np.array([one.scores[:, 0] for one in each_fold])
    carried = carried_over(chosen, singles, tested.scores[:, 0])
    curve = curve_of(first.oof.scored_as.tolist(), oof, unknown, share, k)
    of_row = np.array([by_threshold[fold] for fold in fold_of.tolist()])
    answered = Answered(
        insert_unknown(oof.labels, oof.scores, of_row, unknown, k),
        insert_unknown(tested.labels, tested.scores, carried, unknown, k),
        by_threshold,
        chosen,
        carried,
        float((oof.scores[:, 0] < chosen).mean()),
        curve.points(),
        None if share is None else quota_of(curve, chosen, share, singles, tested.scores[:, 0]),
    )
    return Mixture(answered, oof, tested, each_fold, for_test)


def of_values(parents: Sequence[Parent], weighing: Weighing) -> Mixture:
    """A blend whose answers are probabilities or numbers."""
    first = parents[0]
    metric, fold_of, truths = first.result.metric, first.oof.fold, first.oof.scored_as
    seen = np.flatnonzero(first.test.best.seen)
    kind = _numeric if any(isinstance(parent.oof.best, Numbers) for parent in parents) else _scored
    values_of, asked, kept = kind(metric, truths.tolist())
    valid = np.stack([values_of(parent.oof.best) for parent in parents])
    test = np.stack([values_of(parent.test.best.of(seen)) for parent in parents])

    def weights_from(rows: np.ndarray) -> np.ndarray:
        def fitness(mix: np.ndarray) -> float:
            return score(metric, truths[rows].tolist(), asked(np.tensordot(mix, valid[:, rows], 1)))

        return weighing.weights(metric, fitness)

    blended = np.zeros(valid.shape[1:])
    for fold in range(int(fold_of.max()) + 1):
        here = np.flatnonzero(fold_of == fold)
        blended[here] = np.tensordot(weights_from(np.flatnonzero(fold_of != fold)), valid[:, here], 1)
    for_test = weights_from(np.arange(len(truths)))
    tested = np.tensordot(for_test, test, 1)
    return Mixture(Answered(asked(blended), asked(tested)), kept(blended), kept(tested), [], for_test)


# From a run's predictions to what is added up, from the sum to what the metric takes, and to what the blend keeps.
_Kind = tuple[
    Callable[[Predicted], np.ndarray], Callable[[np.ndarray], Answers], Callable[[np.ndarray], Predicted]
]  # fmt: skip


def _scored(metric: str, truths: Sequence[str]) -> _Kind:
    """Scores of all labels (N, C) are added up."""
    classes = in_order(truths)
    return (
        lambda best: spread(ranked(best), classes),
        lambda values: as_asked(metric, values, classes),
        lambda values: _sorted(values, classes),
    )


def _numeric(metric: str, truths: Sequence[str]) -> _Kind:
    """Numbers (N,) are added up; of a run that scores labels it is the expected one."""
    classes = in_order(truths)

    def numbers(best: Predicted) -> np.ndarray:
        if isinstance(best, Numbers):
            return best.values.astype(np.float64)
        expected = as_asked("rmse", spread(best, classes), classes)
        assert isinstance(expected, np.ndarray)
        return expected

    return numbers, lambda values: to_grades(metric, values, truths), lambda values: Numbers(values.astype(np.float32))


def _by_place(ranked: Ranked, threshold: np.ndarray | float | None, unknown: str | None) -> Ranked:
    """1 / place as the score of each label, the unknown one among them where there is a threshold for it."""
    if unknown is None or threshold is None:
        lists = without_unknown(ranked, KEPT)
    else:
        lists = insert_unknown(ranked.labels, ranked.scores, threshold, unknown, KEPT)
    labels = np.array([[*one, *[""] * (KEPT - len(one))] for one in lists])
    return Ranked(labels, np.where(labels == "", -np.inf, 1 / np.arange(1, KEPT + 1)).astype(np.float32))


def _named(codes: np.ndarray, scores: np.ndarray, names: np.ndarray) -> Ranked:
    return Ranked(np.append(names, "")[codes], scores)


def _sorted(values: np.ndarray, classes: tuple[str, ...]) -> Ranked:
    order = np.argsort(-values, axis=1, kind="stable")
    return Ranked(np.array(classes)[order], np.take_along_axis(values, order, axis=1))

"""Several finished runs made into one: their scores or ranks added up, each with its weight.

Weights are fitted on out-of-fold predictions by picking, twenty times, the run that helps the sum most (Caruana et al.
2004, "Ensemble selection from libraries of models"): never negative, and a run that helps nothing gets 0. For the CV each
fold is scored with weights, and a threshold, from the other folds' images alone; for the test images both come from all.

By score, a label's scores of 0…1 are added. By rank, each run first puts the unknown label in its place with its own
threshold; then 1 / place is added, whatever the scores are like: for runs of different kinds.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from engine.contract import OnehourError, RunResult, RunSpec
from engine.data.csv_table import first_few
from engine.inference.answers import (
    Answered,
    Ranked,
    as_asked,
    curve_points,
    quota_notes,
    score_by_fold,
    spread,
    without_unknown,
)
from engine.inference.metric import METRICS, better, in_order, score
from engine.inference.prior import to_all
from engine.inference.record import (
    KEPT,
    OnTest,
    Oof,
    fold_scores,
    read_oof,
    read_test,
    save_oof,
    save_test,
    write_threshold,
)
from engine.inference.submission import write_submission
from engine.inference.unknown import Threshold, best_threshold, carried_over, insert_unknown, row_weights
from engine.run_folder import RunFolder, write_json, write_text

By = Literal["score", "rank"]
Weights = Literal["oof", "equal"]
PICKS = 20  # weights are multiples of 1 / PICKS


@dataclass(frozen=True)
class Parent:
    """A finished run. Scores lie in 0…1. `thresholds` (N,): that of each training image's fold."""

    folder: RunFolder
    spec: RunSpec
    result: RunResult
    oof: Oof
    test: OnTest

    @property
    def thresholds(self) -> np.ndarray:
        of_fold = {one.fold: one.threshold for one in self.result.fold_scores}
        return np.array([np.nan if of_fold[fold] is None else of_fold[fold] for fold in self.oof.fold.tolist()])


def blend(runs: Sequence[Path], out: RunFolder, by: By, weights: Weights) -> RunResult:
    """Blend the finished `runs` into the folder `out`, which then holds what a run's does but checkpoints.

    The expected share of the unknown label is the first run's.

    Raises OnehourError for runs that cannot be held together: of other folds, data or metric, or not finished.
    """
    started_at = _now_ms()
    if out.exists():
        raise OnehourError("this folder holds a run already", str(out.path), "Choose a new --out folder.")
    parents = [read_parent(RunFolder(path)) for path in runs]
    refuse_unlike(parents, by)
    first = parents[0]
    metric, share = first.result.metric, first.spec.expected_unknown_share
    truths, fold_of = first.oof.scored_as.tolist(), first.oof.fold
    unknown = first.spec.data.unknown_label if first.spec.data.unknown_label in truths else None
    labels_asked = METRICS[metric].answer == "labels"
    blended = _of_labels(parents, by, unknown, share, weights) if labels_asked else _of_values(parents, weights)
    cv, scores = score_by_fold(metric, truths, fold_of, blended.answered.valid)

    names = [parent.result.run_id for parent in parents]
    told = {name: round(float(weight), 4) for name, weight in zip(names, blended.weights, strict=True)}
    out.create(_stand_in(first.spec, out, names))
    asked = {"runs": [str(path) for path in runs], "by": by, "weights": told}
    write_text(out.spec_yaml, "# A blend of finished runs.\n" + yaml.safe_dump({"blend": asked}, sort_keys=False))
    shutil.copyfile(first.folder.folds_csv, out.folds_csv)
    save_oof(out.oof_npz, Oof(first.oof.image, first.oof.label, first.oof.scored_as, fold_of, blended.oof))
    seen = first.test.seen
    by_fold = [one.among(seen) for one in blended.by_fold]
    save_test(out.test_npz, OnTest(first.test.image, blended.test.among(seen), by_fold))
    on_test = to_all(blended.answered.test, seen, metric, first.oof.label.tolist(), unknown)
    write_threshold(out, blended.answered, unknown, share)
    fitted = " Weights were fitted on OOF, for each fold on the other folds." if weights == "oof" else ""
    parts = ", ".join(f"{name} {weight:.2f}" for name, weight in told.items())
    result = first.result.model_copy(
        update={
            "run_id": out.run_id,
            "parents": tuple(names),
            "cv": cv,
            "fold_scores": fold_scores(scores, fold_of, blended.answered.thresholds, [0.0] * len(scores)),
            "threshold": blended.answered.for_test,
            "classes": max(parent.result.classes for parent in parents),
            "submission_sha256": write_submission(
                out, _header(first), first.test.image.tolist(), on_test, METRICS[metric].places
            ),
            "train_s": 0.0,
            "gpu_s": 0.0,
            "device": "cpu",
            "wandb_mode": "off",
            "wandb_url": None,
            "notes": (f"A blend by {by}: {parts}.{fitted}", *quota_notes(blended.answered, unknown, share)),
            "started_at": started_at,
            "finished_at": _now_ms(),
            "versions": {"numpy": version("numpy")},
        }
    )
    write_json(out.result_json, result.model_dump(mode="json"))
    return result


def read_parent(folder: RunFolder) -> Parent:
    """Raises OnehourError for a run that is not there, not finished, or whose predictions cannot be read."""
    if not folder.exists():
        raise OnehourError("there is no run in this folder", str(folder.path), "Name the folder of a finished run.")
    result = folder.read_result()
    if result is None:
        raise OnehourError("this run is not finished", str(folder.path), "Blend runs that have a result.json.")
    oof = read_oof(folder.oof_npz)
    test = read_test(folder.test_npz)
    if oof.against_unknown:
        oof = Oof(oof.image, oof.label, oof.scored_as, oof.fold, _as_shares(oof.best))
        test = OnTest(test.image, _as_shares(test.best), [_as_shares(one) for one in test.by_fold])
    return Parent(folder, folder.read_spec(), result, oof, test)


def refuse_unlike(parents: Sequence[Parent], by: By) -> None:
    """Raise OnehourError unless there are several runs on the same images, folds and truths, with the same metric."""
    first = parents[0]
    if len(parents) < 2:
        raise OnehourError("a blend needs two runs or more", str(first.folder.path))
    names = [parent.result.run_id for parent in parents]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OnehourError(f"the run {twice[0]} is named twice", fix="Name each once; its weight is fitted.")
    if by == "rank" and METRICS[first.result.metric].answer != "labels":
        raise OnehourError(f"{first.result.metric} is not about ranks", "--by", "Use --by score.")
    ranks = next((one for one in parents if (one.oof.best.labels == one.spec.data.unknown_label).any()), None)
    if ranks is not None:
        raise OnehourError("a blend by rank cannot be blended again", str(ranks.folder.path), "Name its own runs.")
    for other in parents[1:]:
        differs = [what for what, same in _compared(first, other) if not same]
        if differs:
            raise OnehourError(
                f"it differs from {first.result.run_id} in {first_few(differs)}",
                str(other.folder.path),
                "Only runs with the same metric on the same data and folds can be blended.",
            )


def fitted_weights(metric: str, count: int, fitness: Callable[[np.ndarray], float]) -> np.ndarray:
    """Weights (count,) that sum to 1, picked one by one for the best `fitness`, better in the metric's direction.

    The best weights on the way are taken: the first picks may be better than the last.
    """
    picked = np.zeros(count)
    best: tuple[float, np.ndarray] | None = None
    for pick in range(1, PICKS + 1):
        tried = [(fitness((picked + one) / pick), one) for one in np.eye(count)]
        found, chosen = tried[0]
        for value, one in tried[1:]:
            if better(metric, value, found):
                found, chosen = value, one
        picked = picked + chosen
        if best is None or better(metric, found, best[0]):
            best = (found, picked / pick)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class _Blended:
    answered: Answered
    oof: Ranked
    test: Ranked
    by_fold: Sequence[Ranked]
    weights: np.ndarray  # (P,), for the test images


def _of_labels(
    parents: Sequence[Parent], by: By, unknown: str | None, share: float | None, weights: Weights
) -> _Blended:
    """A blend whose answers are labels. By rank the unknown one has its place already and is a label like any other."""
    first = parents[0]
    metric, fold_of, k = first.result.metric, first.oof.fold, METRICS[first.result.metric].places
    seen = np.flatnonzero(first.test.seen)
    valid, test = [parent.oof.best for parent in parents], [parent.test.best.of(seen) for parent in parents]
    by_fold = [[parent.test.by_fold[fold].of(seen) for parent in parents] for fold in range(len(first.test.by_fold))]
    if by == "rank":
        thresholds = [(parent.thresholds, parent.result.threshold) for parent in parents]
        valid = [_by_place(one, of_fold, unknown) for one, (of_fold, _) in zip(valid, thresholds, strict=True)]
        test = [_by_place(one, for_test, unknown) for one, (_, for_test) in zip(test, thresholds, strict=True)]
        by_fold, unknown = [], None
    names = np.unique(np.concatenate([*(one.labels.ravel() for one in valid + test), first.oof.scored_as]))
    pool, new = _Pool.of(valid, names), -3 if unknown is None else int(np.searchsorted(names, unknown))
    truth = np.searchsorted(names, first.oof.scored_as)

    def chosen_on(rows: np.ndarray, mix: np.ndarray) -> Threshold:
        # Without an image of the unknown label its score is the MAP@k of the labels. Accuracy stands in for macro_f1.
        codes, scores = pool.mixed(mix, rows)
        return best_threshold(truth[rows], codes, scores, new, row_weights(truth[rows], new, share), k)

    def weights_from(rows: np.ndarray) -> np.ndarray:
        if weights == "equal":
            return np.full(len(parents), 1 / len(parents))
        return fitted_weights(metric, len(parents), lambda mix: chosen_on(rows, mix).score)

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
    tested = _named(*_Pool.of(test, names).mixed(for_test), names)
    if unknown is None:
        answered = Answered(without_unknown(oof, k), without_unknown(tested, k))
        return _Blended(answered, oof, tested, [], for_test)
    each_fold = [_named(*_Pool.of(some, names).mixed(for_test), names) for some in by_fold]
    chosen = chosen_on(everywhere, for_test).value
    carried = carried_over(chosen, np.array([one.scores[:, 0] for one in each_fold]), tested.scores[:, 0])
    of_row = np.array([by_threshold[fold] for fold in fold_of.tolist()])
    answered = Answered(
        insert_unknown(oof.labels, oof.scores, of_row, unknown, k),
        insert_unknown(tested.labels, tested.scores, carried, unknown, k),
        by_threshold,
        chosen,
        carried,
        float((oof.scores[:, 0] < chosen).mean()),
        curve_points(first.oof.scored_as.tolist(), oof, unknown, share, k),
    )
    return _Blended(answered, oof, tested, each_fold, for_test)


def _of_values(parents: Sequence[Parent], weights: Weights) -> _Blended:
    """A blend whose answers are probabilities or numbers."""
    first = parents[0]
    metric, fold_of, truths = first.result.metric, first.oof.fold, first.oof.scored_as
    classes = in_order(truths.tolist())
    valid = np.stack([spread(parent.oof.best, classes) for parent in parents])
    seen = np.flatnonzero(first.test.seen)
    test = np.stack([spread(parent.test.best.of(seen), classes) for parent in parents])

    def weights_from(rows: np.ndarray) -> np.ndarray:
        if weights == "equal":
            return np.full(len(parents), 1 / len(parents))

        def fitness(mix: np.ndarray) -> float:
            return score(metric, truths[rows].tolist(), as_asked(metric, np.tensordot(mix, valid[:, rows], 1), classes))

        return fitted_weights(metric, len(parents), fitness)

    blended = np.zeros(valid.shape[1:])
    for fold in range(int(fold_of.max()) + 1):
        here = np.flatnonzero(fold_of == fold)
        blended[here] = np.tensordot(weights_from(np.flatnonzero(fold_of != fold)), valid[:, here], 1)
    for_test = weights_from(np.arange(len(truths)))
    tested = np.tensordot(for_test, test, 1)
    answered = Answered(as_asked(metric, blended, classes), as_asked(metric, tested, classes))
    return _Blended(answered, _sorted(blended, classes), _sorted(tested, classes), [], for_test)


@dataclass(frozen=True)
class _Pool:
    """For each image all labels that any run names (N, G), -1 where there are fewer, and what each run gives: (N, G, P)."""

    codes: np.ndarray
    values: np.ndarray

    @staticmethod
    def of(runs: Sequence[Ranked], names: np.ndarray) -> _Pool:
        """`names`: all labels, sorted; a code is a place in it."""
        named = [np.where(one.labels == "", -1, np.searchsorted(names, one.labels)) for one in runs]
        codes = np.concatenate(named, axis=1)
        given = np.concatenate([one.scores for one in runs], axis=1)
        run = np.repeat(np.arange(len(runs)), [one.labels.shape[1] for one in runs])
        order = np.argsort(codes, axis=1, kind="stable")
        codes, given = np.take_along_axis(codes, order, axis=1), np.take_along_axis(given, order, axis=1)
        slot = np.cumsum(np.diff(codes, axis=1, prepend=codes[:, :1]) != 0, axis=1)  # equal codes share one
        rows = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
        pooled = np.full((len(codes), int(slot.max()) + 1), -1)
        values = np.zeros((*pooled.shape, len(runs)), np.float32)
        pooled[rows, slot] = codes
        values[rows, slot, run[order]] = np.where(codes < 0, 0, given)
        return _Pool(pooled, values)

    def mixed(self, weights: np.ndarray, rows: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """The best KEPT labels of the images `rows` under `weights` (P,), and their scores; -1 and -inf fill them up."""
        codes = self.codes[rows]
        scores = np.where(codes < 0, -np.inf, self.values[rows] @ weights.astype(np.float32)).astype(np.float32)
        if codes.shape[1] > KEPT:
            best = np.sort(np.argpartition(-scores, KEPT - 1, axis=1)[:, :KEPT], axis=1)
            codes, scores = np.take_along_axis(codes, best, axis=1), np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")  # of equal scores the earlier name first
        codes, scores = np.take_along_axis(codes, order, axis=1), np.take_along_axis(scores, order, axis=1)
        wide = ((0, 0), (0, KEPT - codes.shape[1]))
        return np.pad(codes, wide, constant_values=-1), np.pad(scores, wide, constant_values=-np.inf)


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


def _as_shares(ranked: Ranked) -> Ranked:
    """Logarithms of how many times likelier than unknown a label is, as its share p / (p + p of unknown)."""
    return Ranked(ranked.labels, np.where(ranked.labels == "", -np.inf, 1 / (1 + np.exp(-ranked.scores))))


def _compared(one: Parent, other: Parent) -> list[tuple[str, bool]]:
    """What two runs must share, and whether they do."""
    return [
        ("metric", one.result.metric == other.result.metric),
        ("data", one.result.data_sha256 == other.result.data_sha256),
        ("folds.csv", one.result.folds_sha256 == other.result.folds_sha256),
        ("the images that count as unknown", np.array_equal(one.oof.scored_as, other.oof.scored_as)),
        ("test images", np.array_equal(one.test.image, other.test.image)),
        ("the test images that can be decoded", np.array_equal(one.test.seen, other.test.seen)),
        ("unknown label", one.spec.data.unknown_label == other.spec.data.unknown_label),
    ]


def _header(parent: Parent) -> list[str]:
    with parent.folder.submission_csv.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def _stand_in(spec: RunSpec, out: RunFolder, names: Sequence[str]) -> RunSpec:
    """A blend was trained by no spec; the first run's stands there for its data, metric and folds."""
    tracking = spec.tracking.model_copy(update={"run_id": out.run_id, "notes": f"A blend of {', '.join(names)}."})
    return spec.model_copy(update={"tracking": tracking})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

"""What the folds of a run predicted, brought together: out-of-fold rows of the training images, and means for the test images.

A label's score is the probability among the labels that the fold was trained on (see engine.inference.predict); where the
unknown label is a class of its own, it is the logarithm of how many times likelier than unknown the label is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine.inference.answers import Numbers, Ranked
from engine.inference.predict import BLOCK
from engine.inference.record import KEPT


def out_of_fold(paths: Sequence[Path], images: int, kept: int = KEPT) -> Ranked:
    """The best labels of each training image from the fold that did not see it: (images, kept)."""
    labels = np.full((images, kept), "", dtype=object)
    scores = np.full((images, kept), -np.inf, np.float32)
    for path in paths:
        with np.load(path) as fold:
            rows, ranked = fold["valid_rows"], _ranked(fold, "valid", kept)
            k = ranked.labels.shape[1]
            labels[rows, :k], scores[rows, :k] = ranked.labels, ranked.scores
    return Ranked(labels.astype(str), scores)


def numbers_out_of_fold(paths: Sequence[Path], images: int) -> Numbers:
    """The number of each training image from the fold that did not see it."""
    values = np.full(images, np.nan, np.float32)
    for path in paths:
        with np.load(path) as fold:
            values[fold["valid_rows"]] = fold["valid_numbers"]
    return Numbers(values)


def mean_number(paths: Sequence[Path]) -> Numbers:
    """The number of each test image: the mean over the folds."""
    found = []
    for path in paths:
        with np.load(path) as fold:
            found.append(fold["test_numbers"])
    return Numbers(np.mean(found, axis=0))


def each_fold(paths: Sequence[Path], kept: int = KEPT) -> list[Ranked]:
    """The best labels of each test image by the net of each fold: (images, up to kept) each."""
    found = []
    for path in paths:
        with np.load(path) as fold:
            found.append(_ranked(fold, "test", kept))
    return found


def mean_over_folds(paths: Sequence[Path], known_labels: Sequence[str], images: int, kept: int = KEPT) -> Ranked:
    """The best labels of each test image: (images, kept).

    A label's score is the mean over the folds that were trained on it: a fold that never saw the label says nothing
    about it, and counting that as 0 would hold back exactly the rare labels.
    """
    column = {label: i for i, label in enumerate(known_labels)}
    folds_that_know = np.zeros(len(known_labels), np.float32)
    tops, scores, unknown = [], [], []
    for path in paths:
        with np.load(path) as fold:
            columns = np.array([column.get(str(label), -1) for label in fold["classes"]])
            folds_that_know[columns[columns >= 0]] += 1
            tops.append(columns[fold["test_top"]])
            scores.append(fold["test_scores"])
            unknown.append(fold["test_unknown"])
    k = min(kept, len(known_labels))
    best = np.full((images, kept), -1)
    best_scores = np.full((images, kept), -np.inf, np.float32)
    for start in range(0, images, BLOCK):
        rows = slice(start, min(start + BLOCK, images))
        total = np.zeros((rows.stop - rows.start, len(known_labels)), np.float32)
        for top, values in zip(tops, scores, strict=True):
            total[np.arange(len(total))[:, None], top[rows]] += values[rows]
        top_scores, top = torch.from_numpy(total / np.maximum(folds_that_know, 1)).topk(k, dim=1)
        best[rows, :k], best_scores[rows, :k] = top.numpy(), top_scores.numpy()
    best_scores[:, :k] = _against_unknown(best_scores[:, :k], np.mean(unknown, axis=0))
    return Ranked(np.array([*known_labels, ""])[best], best_scores)


def _ranked(fold: Mapping[str, np.ndarray], part: str, kept: int) -> Ranked:
    scores = _against_unknown(fold[f"{part}_scores"][:, :kept], fold[f"{part}_unknown"])
    return Ranked(fold["classes"][fold[f"{part}_top"][:, :kept]], scores)


def _against_unknown(scores: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    if not len(unknown):
        return scores
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(scores, tiny)) - np.log(np.maximum(unknown, tiny))[:, None]


@dataclass(frozen=True)
class FoldFacts:
    classes: tuple[str, ...]
    test_images: int
    train_s: float
    weights_sha256: str
    wandb_mode: str
    wandb_url: str


def fold_facts(paths: Sequence[Path]) -> Iterator[FoldFacts]:
    """What each finished fold says of itself beside its predictions."""
    for path in paths:
        with np.load(path) as fold:
            classes, wandb = fold["classes"].tolist(), fold["wandb"].tolist()
            tests = len(fold["test_numbers" if "test_numbers" in fold else "test_scores"])
            yield FoldFacts(tuple(classes), tests, float(fold["train_s"]), str(fold["weights_sha256"]), *wandb)

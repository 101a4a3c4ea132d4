"""Scores of known labels for images: one fold's net, and the mean over folds.

A score is the probability among the labels that the fold was trained on. Where the unknown label is a class of its own,
it is the logarithm of how many times likelier than unknown the label is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.contract import RunSpec
from engine.data.images import batches
from engine.model.head import Net
from engine.run_folder import atomic_file
from engine.training.loop import FoldData
from engine.training.stop import Stop

KEPT = 10  # labels a row in oof.npz and test.npz
KEPT_PER_FOLD = 100  # labels a row in a fold's predictions: what stands behind is 0 in the mean over folds


def probabilities(net: Net, spec: RunSpec, data: FoldData, rows: np.ndarray, stop: Stop) -> np.ndarray:
    """The probability of each class for the images `rows`: (len(rows), classes) float32.

    With mirrored identities it is the mean of the image and its mirror; with retrieval, a blend of the classifier and
    the most similar training image of each class.
    """
    net.eval()
    views = [False, True] if spec.mirrored_identities else [False]
    parts = []
    for mirrored in views:
        logits, embeddings = _look(net, spec, data.pixels, rows, mirrored, stop)
        half = slice(len(data.classes), None) if mirrored else slice(0, len(data.classes))
        part = F.softmax(logits[:, half], dim=1)
        if spec.retrieval_share:
            _, known = _look(net, spec, data.pixels, data.train_rows, mirrored, stop)
            nearest = nearest_cosines(embeddings, known, torch.from_numpy(data.train_targets), len(data.classes))
            part = torch.lerp(part, F.softmax(spec.arcface_scale * nearest, dim=1), spec.retrieval_share)
        parts.append(part)
    return torch.stack(parts).mean(0).numpy()


def nearest_cosines(queries: torch.Tensor, known: torch.Tensor, targets: torch.Tensor, classes: int) -> torch.Tensor:
    """For each query the cosine to the most similar image of each class: (q, classes). Embeddings have length 1."""
    result = torch.full((len(queries), classes), -1.0)
    for start in range(0, len(queries), 1024):
        cosines = queries[start : start + 1024] @ known.T
        result[start : start + 1024].scatter_reduce_(1, targets.expand(len(cosines), -1), cosines, "amax")
    return result


@torch.inference_mode()
def _look(
    net: Net, spec: RunSpec, pixels: np.ndarray, rows: np.ndarray, mirrored: bool, stop: Stop
) -> tuple[torch.Tensor, torch.Tensor]:
    device = next(net.parameters()).device
    logits, embeddings = [], []
    for images in batches(pixels, rows, 2 * spec.batch_size):
        stop.check()
        embedding = net.embed((images.flip(3) if mirrored else images).to(device))
        logits.append(net.head(embedding).float().cpu())
        embeddings.append(F.normalize(embedding.float()).cpu())
    return torch.cat(logits), torch.cat(embeddings)


def save_fold(
    path: Path, classes: Sequence[str], unknown_label: str | None, valid_rows: np.ndarray, valid: np.ndarray,
    test: np.ndarray, *, train_s: float, weights_sha256: str, wandb: tuple[str, str | None],
) -> None:  # fmt: skip
    """Write a fold's predictions. `valid` and `test`: probabilities (n, classes). The unknown label is kept apart."""
    arrays: dict[str, Any] = {
        "classes": np.array(classes),
        "valid_rows": valid_rows,
        "train_s": np.array(train_s),
        "weights_sha256": np.array(weights_sha256),
        "wandb": np.array([wandb[0], wandb[1] or ""]),
    }
    for name, scores in (("valid", valid), ("test", test)):
        column = classes.index(unknown_label) if unknown_label in classes else None
        arrays[f"{name}_unknown"] = np.zeros(0) if column is None else scores[:, column].copy()
        scores = scores.copy()
        if column is not None:
            scores[:, column] = -1
        k = min(KEPT_PER_FOLD, len(classes) - (column is not None))
        top_scores, top = torch.topk(torch.from_numpy(scores), k, dim=1)
        arrays[f"{name}_top"], arrays[f"{name}_scores"] = top.numpy().astype(np.int32), top_scores.numpy()
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def out_of_fold(paths: Sequence[Path], images: int) -> tuple[np.ndarray, np.ndarray]:
    """The best labels and scores of each training image from the fold that did not see it: (images, KEPT) each."""
    labels = np.full((images, KEPT), "", dtype=object)
    scores = np.full((images, KEPT), -np.inf, np.float32)
    for path in paths:
        with np.load(path) as fold:
            k = min(KEPT, fold["valid_top"].shape[1])
            values = _against_unknown(fold["valid_scores"][:, :k], fold["valid_unknown"])
            labels[fold["valid_rows"], :k] = fold["classes"][fold["valid_top"][:, :k]]
            scores[fold["valid_rows"], :k] = values
    return labels.astype(str), scores


def mean_over_folds(paths: Sequence[Path], known_labels: Sequence[str], images: int) -> tuple[np.ndarray, np.ndarray]:
    """The best labels and scores of each test image: (images, KEPT) each.

    A label's score is the mean over the folds that were trained on it: a fold that never saw the label says nothing
    about it, and counting that as 0 would hold back exactly the rare labels.
    """
    column = {label: i for i, label in enumerate(known_labels)}
    total = np.zeros((images, len(known_labels)), np.float32)
    folds_that_know = np.zeros(len(known_labels), np.float32)
    unknown: list[np.ndarray] = []
    for path in paths:
        with np.load(path) as fold:
            columns = np.array([column.get(str(label), -1) for label in fold["classes"]])
            folds_that_know[columns[columns >= 0]] += 1
            top = columns[fold["test_top"]]
            total[np.arange(images)[:, None], top] += fold["test_scores"]
            unknown.append(fold["test_unknown"])
    mean = torch.from_numpy(total / np.maximum(folds_that_know, 1))
    k = min(KEPT, len(known_labels))
    top_scores, top = torch.topk(mean, k, dim=1)
    labels = np.full((images, KEPT), "", dtype=object)
    scores = np.full((images, KEPT), -np.inf, np.float32)
    labels[:, :k] = np.array(known_labels)[top.numpy()]
    scores[:, :k] = _against_unknown(top_scores.numpy(), np.mean(unknown, axis=0))
    return labels.astype(str), scores


def _against_unknown(scores: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    if not len(unknown):
        return scores
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(scores, tiny)) - np.log(np.maximum(unknown, tiny))[:, None]


@dataclass(frozen=True)
class FoldFacts:
    classes: tuple[str, ...]
    train_s: float
    weights_sha256: str
    wandb_mode: str
    wandb_url: str


def fold_facts(paths: Sequence[Path]) -> Iterator[FoldFacts]:
    """What each finished fold says of itself beside its predictions."""
    for path in paths:
        with np.load(path) as fold:
            classes, wandb = fold["classes"].tolist(), fold["wandb"].tolist()
            yield FoldFacts(tuple(classes), float(fold["train_s"]), str(fold["weights_sha256"]), wandb[0], wandb[1])

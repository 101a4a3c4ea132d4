"""Scores of known labels for images, or numbers, by a fold's trained net. What is made of all folds: engine.inference.fold_predictions.

A score is the probability among the labels that the fold was trained on (with a bce loss: how surely it is that label).
Where the unknown label is a class of its own, it is the logarithm of how many times likelier than unknown the label is.
Only the best labels of an image are kept, block after block of images: never all scores at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.contract import RunSpec
from engine.data.images import batches
from engine.inference.local_features import Landmarks, Matcher, with_evidence
from engine.inference.metric import METRICS
from engine.model.head import Net, probabilities_of
from engine.run_folder import atomic_file
from engine.training.fold import FoldData
from engine.training.stop import Pace, Stop

KEPT_PER_FOLD = 100  # labels a row in a fold's predictions: what stands behind is 0 in the mean over folds
BLOCK = 1024  # images whose scores for all labels are held at a time


@dataclass(frozen=True)
class Best:
    """`columns` (n, k) int32 into the classes, best first, and their `scores` (n, k); `unknown` (n,): that of the unknown
    label where it is a class, else (0,); `embeddings` (n, d) float16 of length 1 where retrieval is asked for, else (0, 0).
    """

    columns: np.ndarray
    scores: np.ndarray
    unknown: np.ndarray
    embeddings: np.ndarray


class Predictor:
    """A fold's trained net asked for the best labels of images.

    Mirrored identities and `tta: mirror` take the mean of an image and its mirror, in which the mirrored identities
    answer for their labels. `retrieval_share` blends the classifier with the most similar training image of each class;
    what images are compared with is looked at once. Raises Stopped before a batch or block for which there is no time.
    """

    def __init__(
        self, net: Net, spec: RunSpec, data: FoldData, landmarks: Landmarks | None, unknown_label: str | None,
        stop: Stop,
    ) -> None:  # fmt: skip
        self.pace = Pace(stop)
        self.net, self.spec, self.data = net.eval(), spec, data
        self.unknown = data.classes.index(unknown_label) if unknown_label in data.classes else None
        self.views = [False, True] if spec.mirrored_identities or spec.tta == "mirror" else [False]
        of_a_class = data.train_targets >= 0  # a negative belongs to no class
        self.known_rows = data.train_rows[of_a_class]
        self.targets = data.train_targets[of_a_class]
        self.known = [self._look(self.known_rows, view)[1] for view in self.views] if spec.retrieval_share else []
        self.matcher = (
            None if landmarks is None else Matcher(landmarks, self.known_rows, self.targets, len(data.classes))
        )

    def best(self, rows: np.ndarray) -> Best:
        """The best labels of the images `rows` (n,)."""
        labels = len(self.data.classes) - (self.unknown is not None)
        k = min(KEPT_PER_FOLD, labels) if METRICS[self.spec.metric].answer == "labels" else labels
        columns, best, unknown, embeddings = [], [], [], []
        for start in range(0, len(rows), BLOCK):
            scores, embedding = self._scores(rows[start : start + BLOCK])
            if self.unknown is not None:
                unknown.append(scores[:, self.unknown].clone())
                scores[:, self.unknown] = -1
            top_scores, top = scores.topk(k, dim=1)
            columns.append(top.int())
            best.append(top_scores)
            if self.known:
                embeddings.append(embedding.half())
        return Best(
            torch.cat(columns).numpy(),
            torch.cat(best).numpy(),
            torch.cat(unknown).numpy() if unknown else np.zeros(0, np.float32),
            torch.cat(embeddings).numpy() if embeddings else np.zeros((0, 0), np.float16),
        )

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The number of each of the images `rows` (n,), float32: the mean over their views."""
        return torch.stack([self._look(rows, view)[0][:, 0] for view in self.views]).mean(0).numpy()

    def arrays(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What is kept of the predictions for the images `rows` (n,), by name."""
        if self.spec.head == "number":
            return {"numbers": self.numbers(rows)}
        best = self.best(rows)
        arrays = {"top": best.columns, "scores": best.scores, "unknown": best.unknown}
        return arrays | {"embeddings": best.embeddings} if self.known else arrays

    def _scores(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The score of each class for a block of images (b, classes), and the embeddings of their first view (b, d)."""
        classes = len(self.data.classes)
        parts, first = [], torch.empty(0)
        for number, mirrored in enumerate(self.views):
            logits, embeddings = self._look(rows, mirrored)
            mirrored_ones = mirrored and self.spec.mirrored_identities
            logits = logits[:, classes:] if mirrored_ones else logits[:, :classes]
            part = probabilities_of(self.spec, logits)
            if self.known:
                nearest = nearest_cosines(embeddings, self.known[number], torch.from_numpy(self.targets), classes)
                retrieved = F.softmax(self.spec.arcface_scale * nearest, dim=1)
                part = torch.lerp(part, retrieved, self.spec.retrieval_share)
            parts.append(part)
            first = embeddings if number == 0 else first
        scores = torch.stack(parts).mean(0)
        if self.matcher is not None:
            stands_out = self.matcher.evidence(rows, self.pace.check)
            scores = torch.from_numpy(with_evidence(scores.numpy(), stands_out))
        return scores, first

    @torch.inference_mode()
    def _look(self, rows: np.ndarray, mirrored: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, classes) and embeddings (n, d) of length 1, on the CPU."""
        device = next(self.net.parameters()).device
        logits, embeddings = [], []
        for images in batches(self.data.pixels, rows, 2 * self.spec.batch_size):
            self.pace.check()
            embedding = self.net.embed((images.flip(3) if mirrored else images).to(device))
            logits.append(self.net.head(embedding).float().cpu())
            embeddings.append(F.normalize(embedding.float()).cpu())
        return torch.cat(logits), torch.cat(embeddings)


def nearest_cosines(queries: torch.Tensor, known: torch.Tensor, targets: torch.Tensor, classes: int) -> torch.Tensor:
    """For each query the cosine to the most similar image of each class: (q, classes). Embeddings have length 1."""
    result = torch.full((len(queries), classes), -1.0)
    for start in range(0, len(queries), BLOCK):
        cosines = queries[start : start + BLOCK] @ known.T
        result[start : start + BLOCK].scatter_reduce_(1, targets.expand(len(cosines), -1), cosines, "amax")
    return result


def save_fold(
    path: Path, predictor: Predictor, test_rows: np.ndarray,
    *, train_s: float, weights_sha256: str, wandb: tuple[str, str | None],
) -> None:  # fmt: skip
    """Write a fold's predictions of its validation images and of the test images."""
    data = predictor.data
    arrays: dict[str, Any] = {
        "classes": np.array(data.classes),
        "valid_rows": data.valid_rows,
        "train_s": np.array(train_s),
        "weights_sha256": np.array(weights_sha256),
        "wandb": np.array([wandb[0], wandb[1] or ""]),
    }
    for name, rows in (("valid", data.valid_rows), ("test", test_rows)):
        arrays |= {f"{name}_{what}": array for what, array in predictor.arrays(rows).items()}
    if predictor.known:
        arrays["known_rows"] = predictor.known_rows
        arrays["known_embeddings"] = predictor.known[0].half().numpy()
    with atomic_file(path) as file:
        np.savez(file, **arrays)

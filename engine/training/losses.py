"""What a batch is trained towards: the loss of a spec, with angular margins, negatives and triplets, or of a number."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from fastai.losses import FocalLoss
from torch import nn

from engine.contract import RunSpec

FOCAL_GAMMA = 2.0  # where the spec says nothing: Lin et al. 2017, "Focal loss for dense object detection"
LEAST_MARGIN = 0.05  # radians: where the margin of a frequent label ends
TRIPLET_MARGIN = 0.3  # between two distances of embeddings of length 1: Luo et al. 2019, "Bag of tricks"


class TrainingLoss(nn.Module):
    """The mean over a batch of what the spec asks for.

    forward: logits (b, outputs), or what a net with triplet_weight gives in training, (logits, embedding (b, d)); and
    targets (b,), -1 for an image of the unknown label that no label may claim. → a scalar, or (b,) with
    `reduction` "none". `margin`: radians, one for all or one an output.
    """

    y_int = True  # fastai's MixUp and CutMix then weigh the losses towards both labels of a mixed image

    def __init__(self, spec: RunSpec, margin: float | torch.Tensor | None) -> None:
        super().__init__()
        self.kind, self.smoothing, self.scale, self.margin = spec.loss, spec.label_smoothing, spec.arcface_scale, margin
        self.gamma = FOCAL_GAMMA if spec.focal_gamma is None else spec.focal_gamma
        self.negatives = spec.unknown_in_training == "negatives"
        self.triplet_weight = spec.triplet_weight
        self.reduction = "mean"

    def forward(
        self, predicted: torch.Tensor | tuple[torch.Tensor, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        if not isinstance(predicted, tuple):
            return self._of_labels(predicted, targets)
        logits, embedding = predicted
        return self._of_labels(logits, targets) + self.triplet_weight * batch_hard(embedding, targets)

    def _of_labels(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.kind == "bce":
            return self._reduced(yes_or_no(logits, targets, self.smoothing))
        if not self.negatives:
            return self._of_known(logits, targets, self.reduction)
        claimed = self._of_known(logits, targets.clamp(min=0), "none")
        return self._reduced(torch.where(targets >= 0, claimed, off_uniform(logits)))

    def _of_known(self, logits: torch.Tensor, targets: torch.Tensor, reduction: str) -> torch.Tensor:
        if self.margin is not None:
            margin = self.margin
            if isinstance(margin, torch.Tensor):
                margin = margin.to(targets.device)[targets][:, None]
            logits = widened(logits, targets, self.scale, margin)
        if self.kind == "focal":
            return FocalLoss(gamma=self.gamma, reduction=reduction)(logits, targets)
        return F.cross_entropy(logits, targets, reduction=reduction, label_smoothing=self.smoothing)

    def _reduced(self, rows: torch.Tensor) -> torch.Tensor:
        return rows if self.reduction == "none" else rows.mean()


class NumberLoss(nn.Module):
    """How far numbers are off, in standard deviations `sd` of the training numbers: squared, or with huber linear beyond one.

    forward: predicted (b, 1) and targets (b,) in the unit of the labels → a scalar, or (b,) with `reduction` "none".
    """

    y_int = True  # MixUp weighs both losses: for mse the gradient is that of the mixed number

    def __init__(self, kind: str, sd: float) -> None:
        super().__init__()
        self.loss = F.huber_loss if kind == "huber" else F.mse_loss
        self.sd, self.reduction = sd, "mean"

    def forward(self, predicted: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.loss(predicted.float()[:, 0] / self.sd, targets / self.sd, reduction=self.reduction)


def loss_of(spec: RunSpec, class_counts: np.ndarray) -> TrainingLoss:
    """The loss that `spec` asks for. `class_counts` (classes,): training images of each label, mirrors not counted."""
    if spec.head != "arcface":
        return TrainingLoss(spec, None)
    if not spec.arcface_margin_by_frequency:
        return TrainingLoss(spec, spec.arcface_margin)
    margins = margins_by_frequency(class_counts, spec.arcface_margin)
    return TrainingLoss(spec, torch.from_numpy(np.tile(margins, 2 if spec.mirrored_identities else 1)))


def loss_notes(spec: RunSpec) -> tuple[str, ...]:
    """What a person should know of a loss that is possible but of little use with the batches that it will see."""
    notes = []
    if spec.triplet_weight and spec.sampler != "pk":
        notes.append(
            "triplet_weight compares images of one label in a batch, and where there are many labels"
            f" sampler: {spec.sampler} seldom draws two: set sampler: pk"
        )
    if spec.triplet_weight and spec.sampler == "pk" and spec.pk_images == 1:
        notes.append(
            "triplet_weight compares images of one label in a batch, and pk_images = 1 draws none: set 2 or more"
        )
    if spec.unknown_in_training == "negatives" and spec.sampler == "pk":
        notes.append("sampler: pk draws all labels equally often, and the negatives count as one of them")
    return tuple(notes)


def margins_by_frequency(counts: np.ndarray, largest: float) -> np.ndarray:
    """The margin of each class in radians, float32: `largest` for one image, falling towards LEAST_MARGIN.

    a · n^(-1/4) + b, after Ha et al. 2020, "Google Landmark Recognition 2020 Competition Third Place Solution".
    """
    return (LEAST_MARGIN + (largest - LEAST_MARGIN) * np.maximum(counts, 1) ** -0.25).astype(np.float32)


def widened(
    logits: torch.Tensor, targets: torch.Tensor, scale: float, margin: float | torch.Tensor
) -> torch.Tensor:  # fmt: skip
    """Scaled cosines after the angle to the true class was widened by `margin` radians: ArcFace (Deng et al. 2019)."""
    logits = logits.float()
    cosine = (logits.gather(1, targets[:, None]) / scale).clamp(-1 + 1e-6, 1 - 1e-6)
    harder = torch.cos((torch.acos(cosine) + margin).clamp(max=math.pi)) * scale
    return logits.scatter(1, targets[:, None], harder)


def off_uniform(logits: torch.Tensor) -> torch.Tensor:
    """How far the softmax of each row is from giving every class the same: (b,), 0 for an image that none claims.

    The entropic open-set loss of Dhamija et al. 2018, "Reducing network agnostophobia", less its constant log(classes).
    """
    return -F.log_softmax(logits.float(), dim=1).mean(1) - math.log(logits.shape[1])


def yes_or_no(logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Binary cross-entropy of each row, summed over the classes: (b,). Where the target is -1, all are no.

    A sum, because the mean over thousands of classes would all but lose the one that is yes.
    """
    logits = logits.float()
    wanted = torch.zeros_like(logits).scatter_(1, targets.clamp(min=0)[:, None], (targets >= 0).float()[:, None])
    wanted = wanted * (1 - smoothing) + smoothing / logits.shape[1]
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)


def batch_hard(embedding: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over images of max(0, furthest of its label - nearest of another + margin): Hermans et al. 2017.

    `embedding` (b, d) of any length is brought to length 1. An image without a second one of its label asks for
    nothing; images with target -1 are others to all. 0 where the batch holds no pair.
    """
    unit = F.normalize(embedding.float())
    distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    same = targets[:, None] == targets[None, :]
    pair = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    asks = (targets >= 0) & pair.any(1) & ~same.all(1)
    furthest = distance.masked_fill(~pair, 0).amax(1)
    nearest = distance.masked_fill(same, math.inf).amin(1)
    wrong = F.relu(furthest - nearest + TRIPLET_MARGIN)[asks]
    return wrong.mean() if len(wrong) else embedding.sum() * 0

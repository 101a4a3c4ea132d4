"""The whole net: uint8 images → backbone → embedding → one logit a class, linear or with an angular margin, or a number."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from engine.contract import RunSpec
from engine.model.backbone import Backbone

EMBEDDING = 256  # numbers that describe an image to an arcface head and to retrieval


class Cosines(nn.Module):
    """Scaled cosines between the embedding and the nearest of `centres` directions a class (ArcFace, sub-centre ArcFace).

    softmax(output) is a probability.
    """

    def __init__(self, features: int, classes: int, scale: float, centres: int) -> None:
        super().__init__()
        self.scale, self.centres = scale, centres
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(classes * centres, features)))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        with torch.autocast(embedding.device.type, enabled=False):  # half precision is too coarse for an angle
            cosines = F.linear(F.normalize(embedding.float()), F.normalize(self.weight))
            return self.scale * cosines.unflatten(1, (-1, self.centres)).amax(2)


class Number(nn.Module):
    """One number an image, (b, 1), in the unit of the labels.

    It is learnt in standard deviations from the mean of the fold's training numbers; `mean` and `sd` lie with the weights.
    """

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.line = nn.Linear(features, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("sd", torch.ones(()))

    def measure(self, numbers: np.ndarray) -> None:
        """Take mean and deviation from the training numbers (N,), which are not all the same."""
        self.mean.fill_(float(numbers.mean()))
        self.sd.fill_(float(numbers.std()))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        with torch.autocast(embedding.device.type, enabled=False):  # half precision ends at 65,504
            return self.line(embedding.float()) * self.sd + self.mean


class Net(nn.Module):
    """`body` (pretrained), `neck` (to the embedding) and `head` (to the logits).

    forward: (b, 3, h, w), 0…255 → logits (b, outputs), or numbers (b, 1) with a head of that kind; in training with
    triplet_weight (logits, embedding).
    embed: → (b, d), not normalised.
    """

    def __init__(self, backbone: Backbone, outputs: int, spec: RunSpec) -> None:
        super().__init__()
        self.body = backbone.net
        self.compares = spec.triplet_weight > 0
        features = backbone.features
        if spec.neck == "bn":
            self.neck: nn.Module = _centred_norm(features)
        elif spec.head == "arcface":
            self.neck = nn.Sequential(
                nn.BatchNorm1d(features),
                nn.Dropout(0.2),
                nn.Linear(features, EMBEDDING),
                nn.BatchNorm1d(EMBEDDING),
            )
            features = EMBEDDING
        else:
            self.neck = nn.Dropout(0.2)
        if spec.head == "arcface":
            self.head: nn.Module = Cosines(features, outputs, spec.arcface_scale, spec.arcface_subcentres)
        elif spec.head == "number":
            self.head = Number(features)
        else:
            self.head = nn.Linear(features, outputs, bias=spec.neck == "none" or spec.loss == "bce")
        if spec.loss == "bce":
            _begin_with_no(self.head, outputs)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1) * 255, persistent=False)
        self.to(memory_format=torch.channels_last)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.to(memory_format=torch.channels_last).float()  # half again as fast on a CPU
        return self.neck(self.body((pixels - self.mean) / self.std))

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        embedding = self.embed(images)
        logits = self.head(embedding)
        return (logits, embedding) if self.compares and self.training else logits


def body_and_head(net: Net) -> list[list[nn.Parameter]]:
    """Parameters in two groups: what was pretrained, and what starts from random numbers."""
    return [list(net.body.parameters()), [*net.neck.parameters(), *net.head.parameters()]]


def probabilities_of(spec: RunSpec, logits: torch.Tensor) -> torch.Tensor:
    """Logits (n, classes) as scores from 0 to 1: a softmax, or a sigmoid a class where the loss was yes or no."""
    return torch.sigmoid(logits) if spec.loss == "bce" else F.softmax(logits, dim=1)


def _centred_norm(features: int) -> nn.BatchNorm1d:
    """The neck of Luo et al. 2019, "Bag of tricks": without a shift, so that cosines of what it gives mean something."""
    norm = nn.BatchNorm1d(features)
    norm.register_parameter("bias", None)
    return norm


def _begin_with_no(head: nn.Linear, classes: int) -> None:
    """Every class begins at a probability of 1 / classes: at 1/2 the first steps would only learn that most are no."""
    nn.init.constant_(head.bias, -math.log(max(1, classes - 1)))

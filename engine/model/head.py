"""The whole net: uint8 images → backbone → embedding → one logit a class; linear or with an angular margin."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from engine.contract import RunSpec
from engine.model.backbone import Backbone

EMBEDDING = 256  # numbers that describe an image to an arcface head and to retrieval


class Cosines(nn.Module):
    """Scaled cosines between the embedding and one direction a class: softmax(output) is a probability."""

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(classes, features)))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        with torch.autocast(embedding.device.type, enabled=False):  # half precision is too coarse for an angle
            return self.scale * F.linear(F.normalize(embedding.float()), F.normalize(self.weight))


class Net(nn.Module):
    """`body` (pretrained), `neck` (to the embedding) and `head` (to the logits).

    forward: uint8 (b, 3, h, w) → logits (b, classes). embed: → (b, d), not normalised.
    """

    def __init__(self, backbone: Backbone, classes: int, spec: RunSpec) -> None:
        super().__init__()
        self.body = backbone.net
        if spec.head == "arcface":
            self.neck = nn.Sequential(
                nn.BatchNorm1d(backbone.features),
                nn.Dropout(0.2),
                nn.Linear(backbone.features, EMBEDDING),
                nn.BatchNorm1d(EMBEDDING),
            )
            self.head: nn.Module = Cosines(EMBEDDING, classes, spec.arcface_scale)
        else:
            self.neck = nn.Dropout(0.2)
            self.head = nn.Linear(backbone.features, classes)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1) * 255, persistent=False)
        self.to(memory_format=torch.channels_last)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.to(memory_format=torch.channels_last).float()  # half again as fast on a CPU
        return self.neck(self.body((pixels - self.mean) / self.std))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(images))


def body_and_head(net: Net) -> list[list[nn.Parameter]]:
    """Parameters in two groups: what was pretrained, and what starts from random numbers."""
    return [list(net.body.parameters()), [*net.neck.parameters(), *net.head.parameters()]]


class ArcFaceLoss(nn.Module):
    """Cross-entropy after the angle to the true class has been widened by `margin` radians. Takes scaled cosines."""

    def __init__(self, scale: float, margin: float) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        cosine = (logits.gather(1, targets[:, None]) / self.scale).clamp(-1 + 1e-6, 1 - 1e-6)
        harder = torch.cos((torch.acos(cosine) + self.margin).clamp(max=math.pi)) * self.scale
        return F.cross_entropy(logits.scatter(1, targets[:, None], harder), targets)


def loss_of(spec: RunSpec) -> nn.Module:
    return ArcFaceLoss(spec.arcface_scale, spec.arcface_margin) if spec.head == "arcface" else nn.CrossEntropyLoss()

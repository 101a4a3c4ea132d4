"""The box model: a timm backbone and four sigmoids, the middle and the size of the box in shares of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from engine.contract import DataSpec, OnehourError, RunSpec
from engine.model.backbone import Backbone, build_backbone
from engine.run_folder import atomic_file

MODEL = "model.pt"
SHIFT = 0.04  # of the picture's sides, between the views that a box is judged by
PLACED = 64  # channels of which the head knows the place
_BATCH = 64


class BoxNet(nn.Module):
    """forward: uint8 (b, 3, h, w) → (b, 4) x0, y0, x1, y1 in shares of width and height.

    `size`: the (height, width) of the pictures it was made for. `learnt`: part and image of those it was trained on.
    """

    def __init__(self, name: str, size: tuple[int, int], backbone: Backbone) -> None:
        super().__init__()
        self.name, self.size = name, size
        self.learnt: tuple[tuple[str, str], ...] = ()
        self.body = backbone.net
        with torch.inference_mode():
            _, channels, down, across = self.body.eval().forward_features(torch.zeros(1, 3, *size)).shape
        # Not the mean over the map, as for a label: where in the map something lies is the question.
        self.head = nn.Sequential(
            nn.Conv2d(channels, PLACED, 1, bias=False),
            nn.BatchNorm2d(PLACED),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(PLACED * down * across, 4),
        )
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1) * 255, persistent=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        pixels = pictures.to(memory_format=torch.channels_last).float()
        shares = self.head(self.body.forward_features((pixels - self.mean) / self.std)).float().sigmoid()
        middle, half = shares[:, :2], shares[:, 2:] / 2
        return torch.cat([middle - half, middle + half], dim=1)


def build(name: str, weights: str, size: tuple[int, int]) -> BoxNet:
    """A net that is not trained yet. Raises OnehourError when the backbone or its weights cannot be had."""
    spec = RunSpec.model_validate({"data": DataSpec(dir="."), "backbone": name, "weights": weights})
    return BoxNet(name, size, build_backbone(spec))


def save(net: BoxNet, folder: Path) -> None:
    """Write the net to `folder` whole or not at all."""
    with atomic_file(folder / MODEL) as file:
        learnt = [list(one) for one in net.learnt]
        held = {"backbone": net.name, "size": list(net.size), "learnt": learnt, "state": net.state_dict()}
        torch.save(held, file)


def load(folder: Path) -> BoxNet:
    """The net that `save` wrote. Raises OnehourError where `folder` holds none, or a file of something else."""
    path = folder / MODEL
    if not path.is_file():
        raise OnehourError("there is no box model", str(path), "python -m engine boxes train makes one.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        net = build(held["backbone"], "none", (int(held["size"][0]), int(held["size"][1])))
        net.load_state_dict(held["state"])
        net.learnt = tuple((str(part), str(image)) for part, image in held["learnt"])
    except OnehourError:
        raise
    except Exception as error:  # what unpickling other bytes raises is anything
        reason = str(error).split("\n")[0][:120]
        raise OnehourError(f"this is no box model ({reason})", str(path), "Train one anew.") from None
    return net.eval()


def find(net: BoxNet, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) in shares of the pictures (N, height, width, 3) uint8, and how certain each is, (N,) in 0…1.

    A box is the mean over four views: as it is, shifted, and both mirrored. Its certainty is how far the views agree:
    the mean IoU of their boxes with that mean. A net that sees no fluke follows the shift or the mirror nowhere.
    """
    device = next(net.parameters()).device
    net.eval()
    boxes, certainty = [], []
    with torch.inference_mode():
        for start in range(0, len(pictures), _BATCH):
            batch = torch.from_numpy(pictures[start : start + _BATCH].transpose(0, 3, 1, 2).copy()).to(device)
            views = torch.stack(
                [_seen_shifted(net, batch, sign, mirror) for mirror in (False, True) for sign in (0, 1)]
            )
            middle = views.mean(0)
            boxes.append(middle.clamp(0, 1).cpu())
            certainty.append(torch.stack([iou(view, middle) for view in views]).mean(0).cpu())
    return torch.cat(boxes).numpy(), torch.cat(certainty).numpy()


def iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Intersection over union of the boxes (N, 4) of each row, (N,)."""
    shared = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0).prod(1)
    return shared / ((one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - shared)


def _seen_shifted(net: BoxNet, pictures: torch.Tensor, times: int, mirror: bool) -> torch.Tensor:
    """The boxes of the pictures, found in a view moved right and down by `times` SHIFT, and mirrored."""
    height, width = pictures.shape[2:]
    down, right = round(times * SHIFT * height), round(times * SHIFT * width)
    view = F.pad(pictures.float(), (right, 0, down, 0), mode="replicate")[..., :height, :width]
    found = net(view.flip(3) if mirror else view)
    if mirror:
        found = torch.stack([1 - found[:, 2], found[:, 1], 1 - found[:, 0], found[:, 3]], dim=1)
    return found - found.new_tensor([right / width, down / height] * 2)

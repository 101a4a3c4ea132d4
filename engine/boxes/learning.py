"""How a box model learns: its steps, their rate, and pictures that change together with their boxes."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import generalized_box_iou_loss

from engine.boxes.model import BoxNet, iou
from engine.contract import OnehourError
from engine.data.augment import A, draw_seed

BATCH = 16
EPOCHS, LEAST_STEPS = 5, 200  # whichever is longer, unless the minutes are over before
LR_BODY, LR_HEAD = 1e-3, 5e-3

Say = Callable[[str], None]


def learn(net: BoxNet, pixels: np.ndarray, boxes: np.ndarray, limit_s: float, say: Say) -> tuple[int, bool]:
    """Train in place for all steps or `limit_s` seconds; the rate follows whichever is further. → (steps, all done)."""
    size = min(BATCH, len(pixels))
    wanted = max(LEAST_STEPS, EPOCHS * math.ceil(len(pixels) / size))
    device = next(net.parameters()).device
    groups = ({"params": net.body.parameters(), "top": LR_BODY}, {"params": net.head.parameters(), "top": LR_HEAD})
    optimizer = torch.optim.AdamW(groups, lr=LR_HEAD, weight_decay=0.01)
    augment = _augment()
    began, told = time.monotonic(), 0.0
    net.train()
    for step, items in enumerate(_batches(len(pixels), size)):
        share = max(step / wanted, (time.monotonic() - began) / limit_s)
        if share >= 1:
            break
        for parameters in optimizer.param_groups:
            parameters["lr"] = parameters["top"] * _one_cycle(share)
        seen = [_drawn(augment, pixels[item], boxes[item], draw_seed(step, item)) for item in items]
        batch = torch.from_numpy(np.stack([image for image, _ in seen]).transpose(0, 3, 1, 2).copy()).to(device)
        true = torch.from_numpy(np.stack([box for _, box in seen])).to(device)
        found = net(batch)
        loss = generalized_box_iou_loss(found, true, reduction="mean") + F.smooth_l1_loss(found, true, beta=0.05)
        if not torch.isfinite(loss):
            raise OnehourError(
                f"the loss of step {step + 1} is no number", "boxes train", "Look at the boxes it learns."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if share - told >= 0.1:
            told = share
            overlap = float(iou(found.detach(), true).mean())
            say(
                f"{share:4.0%}  step {step + 1} of at most {wanted}: loss {float(loss.detach()):.3f}, IoU {overlap:.3f}"
            )
    return step, step == wanted


def _batches(count: int, size: int) -> itertools.chain[np.ndarray]:
    """Items of one batch after the other, each item once an epoch, the rest of an epoch that fills no batch left out."""
    return itertools.chain.from_iterable(
        np.random.default_rng(draw_seed("boxes", epoch)).permutation(count)[: count // size * size].reshape(-1, size)
        for epoch in itertools.count()
    )


def _one_cycle(share: float) -> float:
    """The rate's part of its top after `share` of the training: up over a quarter, then down to nothing."""
    return 0.1 + 0.9 * share / 0.25 if share < 0.25 else (1 + math.cos(math.pi * (share - 0.25) / 0.75)) / 2


def _augment() -> A.Compose:
    edge = cv2.BORDER_REFLECT_101
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.8, 1.2), translate_percent=(-0.1, 0.1), rotate=(-6, 6), border_mode=edge, p=0.8),
            A.RandomBrightnessContrast(p=0.5),
            A.ToGray(p=0.2),
            A.GaussianBlur(p=0.2),
        ],
        bbox_params=A.BboxParams(format="albumentations", clip=True),
    )


def _drawn(augment: A.Compose, image: np.ndarray, box: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its box changed alike; as they are where nothing of the box would be left."""
    augment.set_random_seed(seed)
    made = augment(image=image, bboxes=box[None])
    return (made["image"], made["bboxes"][0].astype(np.float32)) if len(made["bboxes"]) else (image, box)

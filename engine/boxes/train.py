"""Train a box model from a file of boxes, and tell on boxes that it never saw how good it is."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import generalized_box_iou_loss

from engine.boxes.model import BoxNet, build, find, iou, save
from engine.boxes.pictures import decode, pictures_below
from engine.boxes.sheet import Shown, write_sheet
from engine.checks.copies import near_pairs
from engine.checks.facts import Entry
from engine.checks.picture import look_at
from engine.contract import DataSpec, OnehourError
from engine.data.augment import A, draw_seed
from engine.data.boxes import Box, read_boxes
from engine.data.csv_table import counted
from engine.data.folds import assign_folds
from engine.data.groups import group
from engine.model.backbone import PACKAGED
from engine.run_folder import write_json

SIZE = (96, 192)
REPORT, SHEET = "report.json", "least_certain.jpg"
SHOWN = 24  # crops on a contact sheet
BATCH = 16
EPOCHS, LEAST_STEPS = 5, 200  # whichever is longer, unless the minutes are over before
LR_BODY, LR_HEAD = 1e-3, 5e-3
ONE_IN = 5  # boxes held out
FEWEST = 10  # boxes, of different pictures: with fewer nothing can be held out that tells anything

MARGIN: float = DataSpec.model_fields["box_margin"].default

Say = Callable[[str], None]


@dataclass(frozen=True)
class Kept:
    """Share of the true box that a crop keeps: its mean, and what 95 of 100 crops reach."""

    margin: float
    mean: float
    p5: float


@dataclass(frozen=True)
class BoxReport:
    """What a box model is worth, on boxes held out of its training. IoU is between 0 and 1."""

    backbone: str
    image_size: tuple[int, int]
    trained_on: int
    held_out: int
    boxes_without_image: int
    mean_iou: float
    mean_box_iou: float  # of the mean training box, put on every image: what knowing nothing reaches
    median_iou: float
    worst_iou: float
    share_above_075: float
    least_certain_iou: float  # mean of the least certain tenth: below mean_iou if certainty means anything
    kept: tuple[Kept, ...]
    steps: int
    stopped_by_time: bool
    train_s: float


def train_boxes(
    data: DataSpec,
    boxes_csv: Path,
    out: Path,
    minutes: float,
    *,
    backbone: str = PACKAGED,
    weights: str = "packaged",
    size: tuple[int, int] = SIZE,
    say: Say = lambda line: None,
) -> BoxReport:
    """Train on four of five boxes for at most `minutes`; write model, report and contact sheet of the held-out into `out`.

    Copies and near copies of a picture are held out together. Raises OnehourError for what cannot be read, and for
    fewer than FEWEST different pictures with a box.
    """
    with_box, boxes_px, without_image = _matched(data, boxes_csv)
    decoded = decode(with_box, size)
    if decoded.refused:
        raise decoded.refused[0]
    pixels, originals = decoded.pixels, decoded.originals
    _refuse_outside(with_box, boxes_px, originals)
    boxes = np.clip(boxes_px / np.tile(originals, 2), 0, 1).astype(np.float32)
    held = _held_out(with_box)
    say(f"{counted(int((~held).sum()), 'box', 'boxes')} to train on, {int(held.sum())} held out")

    torch.manual_seed(0)
    net = build(backbone, weights, size).to("cuda" if torch.cuda.is_available() else "cpu")
    began = time.monotonic()
    steps, in_time = _train(net, pixels[~held], boxes[~held], 60 * minutes, say)
    train_s = time.monotonic() - began

    found, certainty = find(net, pixels[held])
    true = boxes[held]
    score = iou(torch.from_numpy(found), torch.from_numpy(true)).numpy()
    mean_box = torch.from_numpy(boxes[~held].mean(0, keepdims=True)).expand(len(true), 4)
    order = np.argsort(certainty, kind="stable")
    report = BoxReport(
        backbone=backbone,
        image_size=size,
        trained_on=int((~held).sum()),
        held_out=len(true),
        boxes_without_image=without_image,
        mean_iou=float(score.mean()),
        mean_box_iou=float(iou(mean_box, torch.from_numpy(true)).mean()),
        median_iou=float(np.median(score)),
        worst_iou=float(score.min()),
        share_above_075=float((score > 0.75).mean()),
        least_certain_iou=float(score[order[: math.ceil(len(order) / 10)]].mean()),
        kept=tuple(_kept(found, true, margin) for margin in sorted({0.0, MARGIN, 2 * MARGIN})),
        steps=steps,
        stopped_by_time=not in_time,
        train_s=round(train_s, 1),
    )
    net.learnt = tuple((one.part, one.image) for one, out_of_it in zip(with_box, held, strict=True) if not out_of_it)
    save(net, out)
    shown = [
        Shown(
            picture := with_box[place],
            _in_pixels(found[i], originals[place]),
            f"{picture.part}/{picture.image}  certainty {certainty[i]:.2f}  IoU {score[i]:.2f}",
            _in_pixels(true[i], originals[place]),
        )
        for i in order[:SHOWN]
        for place in [int(np.flatnonzero(held)[i])]
    ]
    write_sheet(out / SHEET, shown, MARGIN)
    write_json(out / REPORT, asdict(report))
    return report


def _matched(data: DataSpec, boxes_csv: Path) -> tuple[list[Entry], np.ndarray, int]:
    """The pictures that have a box, their boxes in pixels (N, 4), and the number of boxes that name no picture."""
    given = read_boxes(boxes_csv)
    everything = pictures_below(data)
    with_box = [one for one in everything if one.image in given[one.part]]
    named = {one.image for one in with_box}
    unnamed = {image for part in given.values() for image in part} - named
    if not with_box:
        first = next(iter(unnamed), "")
        raise OnehourError(
            f"no box belongs to an image below {data.dir}" + (f"; the first is for {first!r}" if first else ""),
            str(boxes_csv),
            f"The column image holds file names below {data.train_images}/ or {data.test_images}/, ending included.",
        )
    return with_box, np.array([given[one.part][one.image] for one in with_box], np.float64), len(unnamed)


def _refuse_outside(pictures: list[Entry], boxes: np.ndarray, originals: np.ndarray) -> None:
    outside = (boxes[:, :2] >= originals).any(1) | (boxes[:, 2:] <= 0).any(1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        width, height = originals[first]
        raise OnehourError(
            f"the box {', '.join(f'{edge:g}' for edge in boxes[first])} lies outside its picture of {width} × {height} pixels",
            f"{pictures[first].part}/{pictures[first].image}",
            "Boxes are in pixels of the upright picture.",
        )


def _held_out(pictures: list[Entry]) -> np.ndarray:
    """Which boxes are held out, (N,) bool: about one in five, copies and near copies on one side."""
    with ThreadPoolExecutor() as pool:
        seen = list(pool.map(look_at, [one.path for one in pictures]))
    names = [f"{one.part}/{one.image}" for one in pictures]
    numbers = group(names, [""] * len(names), [one.content for one in seen], near_pairs(seen).pairs()).number
    if (different := len(set(numbers))) < FEWEST:
        raise OnehourError(
            f"only {counted(different, 'different picture has', 'different pictures have')} a box",
            fix=f"Draw boxes for at least {FEWEST}, better for a few hundred.",
        )
    return np.array(assign_folds([""] * len(names), numbers, ONE_IN, seed=0)) == 0


def _train(net: BoxNet, pixels: np.ndarray, boxes: np.ndarray, limit_s: float, say: Say) -> tuple[int, bool]:
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


def _kept(found: np.ndarray, true: np.ndarray, margin: float) -> Kept:
    around = margin * (found[:, 2:] - found[:, :2])
    low = np.maximum(found[:, :2] - around, true[:, :2])
    high = np.minimum(found[:, 2:] + around, true[:, 2:])
    share = np.clip(high - low, 0, None).prod(1) / (true[:, 2:] - true[:, :2]).prod(1)
    return Kept(margin, float(share.mean()), float(np.quantile(share, 0.05)))


def _in_pixels(box: np.ndarray, original: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(edge) for edge in box * np.tile(original, 2))
    return x0, y0, x1, y1

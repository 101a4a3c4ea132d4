"""Train a box model from a file of boxes, and tell on boxes that it never saw how good it is."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from engine.boxes.drawn import held_out, matched, refuse_outside
from engine.boxes.learning import Say, learn
from engine.boxes.model import build, find, iou, save
from engine.boxes.pictures import decode
from engine.boxes.sheet import Shown, write_sheet
from engine.contract import DataSpec
from engine.data.boxes import Box
from engine.data.csv_table import counted
from engine.model.backbone import PACKAGED
from engine.run_folder import write_json

SIZE = (96, 192)
REPORT, SHEET = "report.json", "least_certain.jpg"
SHOWN = 24  # crops on a contact sheet

MARGIN: float = DataSpec.model_fields["box_margin"].default


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
    not_decoded: tuple[str, ...]  # a sentence for each image with a box that was left out
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

    Copies and near copies of a picture are held out together; a file that cannot be decoded is left out and named.
    Raises OnehourError for what cannot be read, and for few different pictures with a box.
    """
    given = matched(data, boxes_csv)
    decoded = decode(given.pictures, size)
    given = given.of(decoded.pictures)
    for refusal in decoded.refused:
        say(f"not used: {refusal}")
    with_box, pixels, originals = given.pictures, decoded.pixels, decoded.originals
    refuse_outside(given, originals)
    boxes = np.clip(given.boxes / np.tile(originals, 2), 0, 1).astype(np.float32)
    held = held_out(with_box)
    say(f"{counted(int((~held).sum()), 'box', 'boxes')} to train on, {int(held.sum())} held out")

    torch.manual_seed(0)
    net = build(backbone, weights, size).to("cuda" if torch.cuda.is_available() else "cpu")
    began = time.monotonic()
    steps, in_time = learn(net, pixels[~held], boxes[~held], 60 * minutes, say)
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
        boxes_without_image=given.unnamed,
        not_decoded=tuple(str(one) for one in decoded.refused),
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
            with_box[place],
            _in_pixels(found[i], originals[place]),
            f"certainty {certainty[i]:.2f}  IoU {score[i]:.2f}",
            _in_pixels(true[i], originals[place]),
        )
        for i in order[:SHOWN]
        for place in [int(np.flatnonzero(held)[i])]
    ]
    write_sheet(out / SHEET, shown, MARGIN)
    write_json(out / REPORT, asdict(report))
    return report


def held_out_iou(folder: Path) -> float | None:
    """What the report in a model's folder tells of it; None where there is none."""
    try:
        return float(json.loads((folder / REPORT).read_text(encoding="utf-8"))["mean_iou"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _kept(found: np.ndarray, true: np.ndarray, margin: float) -> Kept:
    around = margin * (found[:, 2:] - found[:, :2])
    low = np.maximum(found[:, :2] - around, true[:, :2])
    high = np.minimum(found[:, 2:] + around, true[:, 2:])
    share = np.clip(high - low, 0, None).prod(1) / (true[:, 2:] - true[:, :2]).prod(1)
    return Kept(margin, float(share.mean()), float(np.quantile(share, 0.05)))


def _in_pixels(box: np.ndarray, original: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(edge) for edge in box * np.tile(original, 2))
    return x0, y0, x1, y1

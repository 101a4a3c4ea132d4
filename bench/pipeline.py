"""How fast images reach a net, as ratios within one run: `make bench-engine`. A minute or two.

The drawn sample's photographs, enlarged to the competition's median width, become batches of 32 at the size and with the
augmentation of the preset cpu-transfer: normalised float tensors, as a net takes them. Side by side, round by round:

originals  plain fastai: decode, squish, aug_transforms, no loader workers
cache      plain fastai again, reading the images that our cache keeps at target size
ours       the engine's loader on the same cache, with 0 and 2 loader workers

Medians over the rounds; what starts the workers is part of their rounds. Aim: ours without workers ≥ 5 × originals.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
import torch
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    DataLoader,
    ImageBlock,
    Normalize,
    PILImage,
    Resize,
    ResizeMethod,
    aug_transforms,
    set_seed,
)

from engine.contract import RunSpec, preset_path, read_spec
from engine.data.augment import compose
from engine.data.balance import draws_of
from engine.data.cache import cached_images
from engine.data.images import EpochLoader, TrainingImages
from engine.data.sample import draw_sample

ROUNDS, BATCH = 5, 32
WIDTH = 1050  # pixels: the median of the humpback competition
ORIGINALS, FROM_CACHE = 256, 1024  # images a round: enough for seconds each
PLAIN_DRAWS = {"sampler": "shuffle", "mirrored_identities": False}  # each image once
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
AIM = 5.0


def main() -> None:
    set_seed(0)
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        os.environ["ONEHOUR_CACHE"] = f"{folder}/pixels"
        spec = read_spec(preset_path("cpu-transfer"), PLAIN_DRAWS | {"data.dir": folder})
        paths = photographs(Path(folder) / "sample")
        pixels = np.asarray(cached_images(paths, spec.image_size))
        variants: dict[str, Callable[[], Iterable]] = {
            "fastai, originals": plain(spec, paths, ORIGINALS, PILImage.create),
            "fastai, cache": plain(spec, list(pixels), ORIGINALS, PILImage.create),
            "ours, 0 workers": ours(spec, pixels, 0),
            "ours, 2 workers": ours(spec, pixels, 2),
        }
        rates: dict[str, list[float]] = {name: [] for name in variants}
        for round_ in range(ROUNDS + 1):
            for name, batches in variants.items():
                rate = images_a_second(batches())
                if round_:  # the first is slow
                    rates[name].append(rate)
    rate = {name: statistics.median(found) for name, found in rates.items()}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {len(paths)} photographs {WIDTH} wide")
    print(f"{'':<20}{'images/s':>10}{'spread':>16}{'× originals':>13}{'× cache':>10}")
    for name, found in rates.items():
        ratios = "".join(
            f"{rate[name] / rate[base]:>{w}.1f}" for base, w in (("fastai, originals", 13), ("fastai, cache", 10))
        )
        print(f"{name:<20}{rate[name]:>10.0f}{f'{min(found):.0f} … {max(found):.0f}':>16}{ratios}")
    if (reached := rate["ours, 0 workers"] / rate["fastai, originals"]) < AIM:
        print(f"below the aim: {reached:.1f} × fastai reading originals, not {AIM:.0f} ×")


def photographs(folder: Path) -> list[Path]:
    draw_sample(folder, 0)
    paths = sorted((folder / "train").iterdir())
    for path in paths:
        drawn = cv2.imread(str(path))
        height = round(drawn.shape[0] * WIDTH / drawn.shape[1])
        cv2.imwrite(str(path), cv2.resize(drawn, (WIDTH, height), interpolation=cv2.INTER_CUBIC))
    return paths


def plain(spec: RunSpec, sources: list, count: int, opened: Callable) -> Callable[[], DataLoader]:
    """fastai as its documentation writes it, over `sources` that `opened` makes pictures of."""
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=lambda _: [i % len(sources) for i in range(count)],
        get_x=lambda i: opened(sources[i]),
        get_y=lambda i: i % 2,
        splitter=lambda items: (list(range(len(items))), []),
        item_tfms=Resize(spec.image_size, method=ResizeMethod.Squish),
        batch_tfms=[*aug_transforms(do_flip=False), Normalize.from_stats(MEAN, STD)],
    )
    loader = block.dataloaders(".", bs=BATCH, num_workers=0, device=torch.device("cpu")).train
    return lambda: loader


def ours(spec: RunSpec, pixels: np.ndarray, workers: int) -> Callable[[], Iterable]:
    rows = np.arange(FROM_CACHE) % len(pixels)
    images = TrainingImages(
        pixels, rows, rows % 2, 2, mirrored=False, augment=compose(spec.augment, spec.image_size), seed=0
    )
    loader = EpochLoader(images, draws_of(spec, images.targets), 0, bs=BATCH, num_workers=workers)
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))

    def batches() -> Iterable:
        loader.start(loader.epoch + 1)
        return (((images.float() - mean) / std, targets) for images, targets in loader)  # as our nets begin

    return batches


def images_a_second(batches: Iterable) -> float:
    begun = time.perf_counter()
    count = sum(len(batch[0]) for batch in batches)
    return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()

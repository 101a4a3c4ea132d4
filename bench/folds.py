"""How quick folds and balance plan are on the humpback competition's label histogram: `python bench/folds.py`.

Its 25,361 rows are drawn from the published counts. Printed are the seconds of the whole command, of the folds alone, and of
the search for near duplicates among as many drawn pictures. The limit is 2 s for the command; its processor time decides,
since on a busy machine the clock measures the neighbours.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from engine.checks.copies import near_pairs  # noqa: E402
from engine.checks.picture import THUMBNAIL, Picture  # noqa: E402
from engine.data.folds import assign_folds  # noqa: E402

LIMIT_S = 2.0
SMALL = {1: 2073, 2: 1285, 3: 568, 4: 273, 5: 172}  # ids with so many images
LARGE = (73, 65, 62, 61)
IDS, KNOWN, UNKNOWN, BALANCED_TO_20 = 5004, 15_697, 9664, 100_877


def humpback_labels() -> list[str]:
    """25,361 labels with the published counts; the middle of the histogram is drawn so that all totals are met.

    Of the ids with 6 to 60 images the published sum after balancing to 20 says how many images lie above 20.
    """
    sizes = [size for size, ids in SMALL.items() for _ in range(ids)]
    middle = IDS - len(sizes) - len(LARGE)
    above = BALANCED_TO_20 - 20 * IDS - sum(size - 20 for size in LARGE)  # images beyond the 20th in the middle
    frequent = round(above / 10)  # ids with about 30 images; the others have fewer than 20
    drawn = [20 + above // frequent + (i < above % frequent) for i in range(frequent)]
    rest, ids = KNOWN - sum(sizes) - sum(LARGE) - sum(drawn), middle - frequent
    drawn += [rest // ids + (i < rest % ids) for i in range(ids)]
    sizes += [*drawn, *LARGE]
    labels = [f"w_{i:07x}" for i, size in enumerate(sizes) for _ in range(size)] + ["new_whale"] * UNKNOWN
    random.Random(0).shuffle(labels)
    return labels


def drawn_pictures(count: int) -> list[Picture]:
    """What the check would have seen in `count` images without a likeness, but for 2500 pairs two bits apart."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    thumbnails = rng.integers(0, 256, (count, THUMBNAIL**2), dtype=np.uint8)
    hashes[1:5001:2] = hashes[0:5000:2] ^ np.uint64(5)
    thumbnails[1:5001:2] = thumbnails[0:5000:2]
    return [
        Picture(
            width=1050, height=525, contrast=50.0, content=str(i), phash=int(hashes[i]),
            thumbnail=base64.b64encode(thumbnails[i].tobytes()).decode(),
        )
        for i in range(count)
    ]  # fmt: skip


def main() -> int:
    labels = humpback_labels()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        path = Path(folder) / "train.csv"
        path.write_text("Image,Id\n" + "".join(f"{i:08x}.jpg,{label}\n" for i, label in enumerate(labels)))
        command = [sys.executable, "-m", "engine", "folds", str(path), "--json"]
        started, before = time.monotonic(), os.times()
        done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
        clock, after = time.monotonic() - started, os.times()
        whole = after.children_user + after.children_system - before.children_user - before.children_system
    found = json.loads(done.stdout)
    print(json.dumps(found))
    started = time.process_time()
    assign_folds(labels, range(len(labels)), 5, seed=0)
    print(f"folds alone            {time.process_time() - started:6.2f} s")
    pictures = drawn_pictures(len(labels))
    started = time.process_time()
    pairs = near_pairs(pictures)
    print(f"near duplicates        {time.process_time() - started:6.2f} s for {len(labels)} images, {len(pairs)} pairs")
    print(
        f"python -m engine folds {whole:6.2f} s of processor time ({clock:.2f} s by the clock), limit {LIMIT_S:.0f} s"
    )
    right = found["balance"]["after"] == BALANCED_TO_20 and found["images"] == len(labels)
    return 0 if whole <= LIMIT_S and right else 1


if __name__ == "__main__":
    sys.exit(main())

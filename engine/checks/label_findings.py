"""What was found about the labels: names, of which some are rare, or numbers that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from engine.check_folder import Check
from engine.checks.wording import are, check_of
from engine.data.csv_table import counted, first_few
from engine.data.measured import as_numbers

# What is said of names alone: nearly equal pictures may well have different numbers.
OF_NAMES = frozenset(
    ("near copies under different labels", "labels that look the same", "labels with one image", "labels")
)
# What cannot be said while no label is known.
OF_LABELS = OF_NAMES | {"absent images", "images without a label", "label conflicts"}
BARS = 20  # of a histogram of numbers


def name_checks(labels: Sequence[str], unknown: str | None) -> Iterator[Check]:
    count = Counter(label for label in labels if label and label != unknown)
    single = sorted(label for label, images in count.items() if images == 1)
    yield check_of(
        "labels with one image", "note", single,
        f"{are(single, 'label')} seen in one image (of {len(count)}): never both trained on and validated.",
        "Every label has more than one image.",
    )  # fmt: skip
    if count:
        sizes = np.array(list(count.values()))
        largest = [f"{label}: {images}" for label, images in count.most_common(5)]
        unknowns = sum(label == unknown for label in labels)
        share = f"; {unknowns} of {len(labels)} images ({unknowns / len(labels):.0%}) are {unknown}" if unknowns else ""
        yield Check(
            name="labels", verdict="ok", count=len(count), examples=tuple(largest),
            sentence=f"{counted(len(count), 'label')}, {sizes.mean():.1f} images each, median {np.median(sizes):.0f}, most "
            f"{first_few(largest, 1).split(' and ')[0]}{share}.",
        )  # fmt: skip


def number_checks(labels: Sequence[str]) -> Iterator[Check]:
    numbers = as_numbers([label for label in labels if label])
    low, middle, high = np.quantile(numbers, [0.01, 0.5, 0.99])
    order = np.argsort(-np.abs(numbers - middle), kind="stable")[:5]
    yield Check(
        name="numbers", verdict="ok", count=len(numbers), examples=tuple(f"{numbers[place]:g}" for place in order),
        sentence=f"{counted(len(numbers), 'number')} from {numbers.min():g} to {numbers.max():g}, mean {numbers.mean():.4g}, "
        f"median {middle:.4g}, 98 of 100 between {low:.4g} and {high:.4g}.",
    )  # fmt: skip


def histogram(labels: Sequence[str]) -> tuple[tuple[float, int], ...]:
    """(lower edge, images) of BARS equal parts of the range of the numbers."""
    images, edges = np.histogram(as_numbers([label for label in labels if label]), BARS)
    return tuple((float(edge), int(count)) for edge, count in zip(edges, images, strict=False))

"""Labels that are numbers: read as such, told from names, and put into bins so that folds have them alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.contract import OnehourError

BINS = 10  # of measured numbers, with as many images each


def as_numbers(labels: Sequence[str]) -> np.ndarray:
    """(N,) float64. Raises OnehourError naming labels that are no finite numbers."""
    try:
        numbers = np.array([float(label) for label in labels])
    except ValueError as error:
        raise OnehourError(
            f"a label is no number ({error})", fix="qwk and rmse need labels that are numbers."
        ) from None
    if not np.isfinite(numbers).all():
        raise OnehourError("a label is not a finite number", fix="qwk and rmse need labels that are numbers.")
    return numbers


def measured(labels: Sequence[str]) -> bool:
    """Whether the labels are no names but measured: all are numbers, and some have a fraction.

    Whole numbers may be either (an age, a number that names a whale) and are taken for names.
    """
    try:
        numbers = as_numbers(labels)
    except OnehourError:
        return False
    return bool((numbers % 1 != 0).any())


def binned(labels: Sequence[str]) -> tuple[str, ...]:
    """The label that stands for each number when folds are dealt: its tenth, or the number where there are few different ones."""
    numbers = as_numbers(labels)
    if len(np.unique(numbers)) <= BINS:
        return tuple(labels)
    edges = np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])
    return tuple(map(str, np.searchsorted(edges, numbers, side="right").tolist()))

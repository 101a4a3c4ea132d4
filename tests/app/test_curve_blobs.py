"""Curves as the journal keeps them: small, and read back as they were."""

from __future__ import annotations

from array import array
from math import isnan, nan

import pytest

from app.scores.curve_blobs import epochs_blob, epochs_of, points_blob, points_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        ((), 0),
        ((1.0,), 1),
        ((0.5, 1.5, 2.5), 1),
        (tuple(float(number) for number in range(1, 66)), 1),
        ((1.0, 2.0, 4.0), 3),  # a hole
        ((2.0, 1.0), 2),
        ((0.25, 0.5), 2),
        ((16_777_216.0, 16_777_218.0), 2),
    ],
)
def test_epochs_come_back_as_they_were(epochs: tuple[float, ...], kept: int) -> None:
    blob = epochs_blob(epochs)
    assert len(blob) == 4 * kept
    assert epochs_of(blob, len(epochs)) == epochs


def test_epochs_that_an_earlier_version_kept_one_by_one_are_read_too() -> None:
    assert epochs_of(array("f", (3, 4, 5)).tobytes(), 3) == (3, 4, 5)


def test_points_keep_what_is_no_number() -> None:
    first, second = points_of(points_blob((0.5, nan)))
    assert first == 0.5
    assert isnan(second)

"""Groups: copies, near copies and sightings belong together, and the notes say so."""

import numpy as np
import pytest

from engine.data.groups import group

pytestmark = pytest.mark.unit


IMAGES = [f"{i}.jpg" for i in range(8)]
LABELS = ["a", "a", "a", "b", "b", "b", "new_whale", "new_whale"]


def test_copies_are_one_group_and_noted_with_their_labels() -> None:
    found = group(IMAGES, LABELS, list("ppqprstu"))
    assert found.number == (0, 0, 1, 0, 2, 3, 4, 5)
    assert found.notes == (
        "1 picture is there more than once (0.jpg = 1.jpg = 3.jpg); copies share a fold.",
        "1 picture carries different labels: 0.jpg (a) = 1.jpg (a) = 3.jpg (b).",
    )


def test_copies_near_copies_and_sightings_that_touch_are_one_group() -> None:
    found = group(IMAGES, LABELS, list("ppqrstuv"), near_pairs=[(0, 1), (1, 2), (6, 7)], sightings=[*"123345", "", ""])
    assert found.number == (0, 0, 0, 0, 1, 2, 3, 3)
    assert found.notes == (
        "1 picture is there more than once (0.jpg = 1.jpg); copies share a fold.",
        "2 sets of nearly equal pictures, mirrored or not, 4 images together (1.jpg ~ 2.jpg, 6.jpg ~ 7.jpg); they share a fold.",
        "1 sighting has more than one image, 2 together; images of a sighting share a fold.",
    )


def test_near_copies_with_different_labels_are_named() -> None:
    found = group(IMAGES, LABELS, IMAGES, near_pairs=np.array([[2, 3]]))
    assert found.number == (0, 1, 2, 2, 3, 4, 5, 6)
    assert found.notes[1] == "1 set of nearly equal pictures with different labels: 2.jpg (a) ~ 3.jpg (b)."


def test_without_anything_alike_every_image_is_a_group_and_nothing_is_said() -> None:
    assert group(IMAGES, LABELS, IMAGES, sightings=[""] * 8).number == tuple(range(8))
    assert group(IMAGES, LABELS, IMAGES).notes == ()

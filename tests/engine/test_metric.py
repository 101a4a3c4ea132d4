"""MAP@5, row by row of the table in the competition's facts."""

import pytest

from engine.contract import METRIC_DIRECTIONS, OnehourError
from engine.inference.metric import IMAGE_SCORES, image_scores, map5, score

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ("", 0),
        ("x", 1),
        ("a x", 1 / 2),
        ("a a x", 1 / 3),
        ("x x x x x", 1),
        ("a b c d x", 1 / 5),
        ("a b c d e x", 0),
        ("a b c d e f g h i x", 0),
    ],
)
def test_one_image_scores_one_over_the_place_of_the_first_hit_among_five(predicted: str, expected: float) -> None:
    assert map5(["x"], [predicted.split()]) == pytest.approx(expected)


def test_the_unknown_label_is_an_ordinary_label() -> None:
    assert map5(["new_whale", "x"], [["new_whale", "x"], ["new_whale", "x"]]) == pytest.approx(0.75)


def test_the_score_is_the_mean_over_images() -> None:
    assert image_scores("map5", ["x", "y"], [["x"], ["a"]]) == [1, 0]
    assert score("map5", ["x", "y"], [["x"], ["a"]]) == 0.5


def test_every_metric_has_a_direction() -> None:
    assert set(IMAGE_SCORES) == set(METRIC_DIRECTIONS)


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(OnehourError, match=r"'mapp5'.*'map5'"):
        score("mapp5", ["x"], [["x"]])


def test_lists_of_other_lengths_and_no_list_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        map5(["x", "y"], [["x"]])
    with pytest.raises(ValueError, match="at least one image"):
        map5([], [])

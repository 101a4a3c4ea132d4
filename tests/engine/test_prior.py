"""What a test image is answered with that nobody could see."""

import numpy as np
import pytest

from engine.inference.metric import Probabilities
from engine.inference.prior import prior_labels, prior_number, to_all

pytestmark = pytest.mark.unit

LABELS = ["b", "a", "c", "a", "b", "new", "b"]
SEEN = np.array([True, False, True])


def test_the_unknown_label_comes_first_and_then_the_most_frequent() -> None:
    assert prior_labels(LABELS, "new", 3) == ("new", "b", "a")
    assert prior_labels(LABELS, "new", 5) == ("new", "b", "a", "c")
    assert prior_labels(LABELS, None, 2) == ("b", "a")
    assert prior_labels(["b", "a"], "new", 5) == ("a", "b"), "there is no image of it"


def test_a_number_is_the_mean_and_a_grade_the_one_nearest_to_it() -> None:
    assert prior_number("rmse", ["1", "2", "4.5"]) == 2.5
    assert prior_number("qwk", ["0", "1", "4", "4"]) == 1.0


def test_answers_stand_where_they_were_asked_for_and_the_prior_between_them() -> None:
    assert to_all([("x",), ("y", "z")], SEEN, "map5", LABELS, "new") == [("x",), ("new", "b", "a", "c"), ("y", "z")]
    numbers = to_all(np.array([7.0, 9.0]), SEEN, "rmse", ["1", "2"], None)
    assert isinstance(numbers, np.ndarray)
    assert numbers.tolist() == [7.0, 1.5, 9.0]
    shares = to_all(Probabilities(("0", "1"), np.array([[1.0, 0], [0, 1]])), SEEN, "auc", list("0001"), None)
    assert isinstance(shares, Probabilities)
    assert shares.values.tolist() == [[1, 0], [0.75, 0.25], [0, 1]]


def test_nothing_changes_where_every_image_was_seen() -> None:
    answers = [("x",)]
    assert to_all(answers, np.array([True]), "map5", LABELS, "new") is answers

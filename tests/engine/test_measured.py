"""Labels that are numbers: told from names, dealt into folds alike, and the keys that have no meaning beside them."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from engine.contract import OnehourError, spec_from_mapping
from engine.data.folds import assign_folds, make_folds
from engine.data.groups import group
from engine.data.measured import BINS, as_numbers, binned, measured
from engine.inference.answers import to_grades

pytestmark = pytest.mark.unit

NUMBER = {"data": {"dir": ".", "unknown_label": None}, "metric": "rmse", "head": "number", "loss": "mse"}


def test_numbers_with_a_fraction_are_measured_and_names_are_not() -> None:
    assert measured(["1", "2.5", "-3e2"])
    assert not measured(["1", "2", "3.0"]), "a whole number may be the name of a whale"
    assert not measured(["w_1.5", "2.5"])
    assert not measured(["nan", "2.5"])


def test_every_fold_gets_of_every_tenth_alike() -> None:
    numbers = np.random.default_rng(0).exponential(3, 997)
    labels = [f"{one:.6f}" for one in numbers]
    tenths = binned(labels)
    assert len(set(tenths)) == BINS
    assert set(Counter(tenths).values()) <= {99, 100}
    assert max(numbers[[one == "0" for one in tenths]]) < min(numbers[[one == "1" for one in tenths]])
    folds = make_folds([f"{i}.jpg" for i in range(997)], labels, range(997), 5, 0, tenths)
    assert folds.label == tuple(labels), "folds.csv keeps the numbers"
    assert folds.fold == assign_folds(tenths, range(997), 5, 0)
    for tenth in set(tenths):
        shares = Counter(fold for fold, one in zip(folds.fold, tenths, strict=True) if one == tenth).values()
        assert max(shares) - min(shares) <= 1


def test_few_different_numbers_are_dealt_as_they_are() -> None:
    assert binned(["0", "2", "0", "4"]) == ("0", "2", "0", "4")


def test_near_copies_may_differ_in_their_number_and_copies_may_not() -> None:
    images, labels = ["a", "b", "c", "d"], ["0.1", "0.2", "0.3", "0.4"]
    notes = group(images, labels, ["x", "x", "y", "z"], [(2, 3)], numbers=True).notes
    assert any("carries different labels: a (0.1) = b (0.2)" in note for note in notes)
    assert not any("nearly equal pictures with different labels" in note for note in notes)


def test_a_grade_is_the_one_nearest_to_the_number() -> None:
    assert to_grades("qwk", np.array([-3, 0.4, 0.6, 2.9, 9]), ["0", "1", "3", "4"]).tolist() == [0, 0, 1, 3, 4]
    assert to_grades("rmse", np.array([0.5]), ["0", "1"]).tolist() == [0.5]


def test_a_label_that_is_no_number_is_named() -> None:
    with pytest.raises(OnehourError, match="'tall'"):
        as_numbers(["1", "tall"])
    with pytest.raises(OnehourError, match="not a finite number"):
        as_numbers(["1", "inf"])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"metric": "map5", "data": {"dir": "."}}, "metric: map5 asks for labels: set rmse or qwk"),
        ({"data": {"dir": "."}}, "set data.unknown_label to null"),
        ({"loss": "cross_entropy"}, "set loss to mse or huber"),
        ({"head": "linear"}, "loss: mse is for a number: set head: number"),
        ({"cutmix": 1.0}, "set cutmix to 0"),
        ({"head": "arcface"}, "set head: number"),
        ({"mirrored_identities": True}, "mirrored_identities is about labels"),
        ({"sampler": "balanced"}, "sampler is about labels"),
        ({"balance_to": 20}, "balance_to is about labels"),
        ({"retrieval_share": 0.5}, "retrieval_share is about labels"),
        ({"local_features": True}, "local_features is about labels"),
        ({"triplet_weight": 1.0}, "triplet_weight is about labels"),
        ({"label_smoothing": 0.1}, "label_smoothing is about labels"),
        ({"minimum_images": 2}, "minimum_images is about labels"),
        ({"unknown_in_training": "class"}, "unknown_in_training is about labels"),
        ({"expected_unknown_share": 0.3}, "expected_unknown_share is about labels"),
    ],
)
def test_what_means_nothing_beside_a_number_is_refused(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OnehourError) as refused:
        spec_from_mapping(NUMBER | keys, "spec.yaml")
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "keys", [{}, {"loss": "huber"}, {"metric": "qwk"}, {"mixup": 0.4}, {"tta": "mirror"}, {"averaging": "ema"}]
)
def test_what_means_something_beside_a_number_is_taken(keys: dict[str, Any]) -> None:
    assert spec_from_mapping(NUMBER | keys, "spec.yaml").head == "number"

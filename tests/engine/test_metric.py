"""The metrics: MAP@k row by row of the table in the competition's facts, the others against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from engine.contract import METRIC_DIRECTIONS, OnehourError, RunSpec
from engine.inference.metric import METRICS, Probabilities, better, image_scores, in_order, map5, score


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


@pytest.mark.parametrize(
    ("metric", "place", "expected"),
    [("map1", 1, 1), ("map1", 2, 0), ("map3", 3, 1 / 3), ("map3", 4, 0), ("map10", 10, 0.1), ("map10", 11, 0),
     ("accuracy", 1, 1), ("accuracy", 2, 0)],
)  # fmt: skip
def test_a_place_behind_the_metrics_own_is_worth_nothing(metric: str, place: int, expected: float) -> None:
    assert score(metric, ["x"], [[*map(str, range(place - 1)), "x"]]) == pytest.approx(expected)


def test_the_unknown_label_is_an_ordinary_label() -> None:
    assert map5(["new_whale", "x"], [["new_whale", "x"], ["new_whale", "x"]]) == pytest.approx(0.75)


def test_the_score_is_the_mean_over_images() -> None:
    assert image_scores("map5", ["x", "y"], [["x"], ["a"]]) == [1, 0]
    assert score("map5", ["x", "y"], [["x"], ["a"]]) == 0.5


def test_every_metric_has_a_direction_and_a_place_in_the_spec() -> None:
    assert set(METRICS) == set(METRIC_DIRECTIONS)
    for metric in METRICS:
        assert RunSpec(data={"dir": "d", "unknown_label": None}, metric=metric).metric == metric
    assert {metric for metric, direction in METRIC_DIRECTIONS.items() if direction == "min"} == {"log_loss", "rmse"}
    assert better("map5", 2, 1)
    assert better("rmse", 1, 2)


def test_a_metric_of_numbers_and_an_unknown_label_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"log_loss asks for a number.*set data\.unknown_label to null"):
        RunSpec(data={"dir": "d"}, metric="log_loss")


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(OnehourError, match=r"'mapp5'.*'map5'"):
        score("mapp5", ["x"], [["x"]])


@pytest.mark.parametrize("answers", [[["x"]], Probabilities(("x", "y"), np.ones((1, 2))), np.ones(1)])
def test_answers_of_another_length_are_refused(answers) -> None:
    metric = {list: "map5", Probabilities: "auc", np.ndarray: "rmse"}[type(answers)]
    with pytest.raises(ValueError, match="shorter"):
        score(metric, ["x", "y"], answers)


def test_no_answer_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        map5([], [])


labels = st.sampled_from("abcd")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=30))
def test_accuracy_and_macro_f1_are_scikit_learns(pairs) -> None:
    truths, predicted = map(list, zip(*pairs, strict=True))
    lists = [[one, "z"] for one in predicted]
    assert score("accuracy", truths, lists) == pytest.approx(sklearn.accuracy_score(truths, predicted))
    expected = sklearn.f1_score(truths, predicted, average="macro", zero_division=0)
    assert score("macro_f1", truths, lists) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(4, 40))
def test_log_loss_and_auc_are_scikit_learns(seed: int, classes: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    names = tuple("abcd"[:classes])
    truths = [*names, *rng.choice(names, images).tolist()]
    values = rng.integers(1, 6, (len(truths), classes)).astype(float)  # few values, so that many tie
    values /= values.sum(axis=1, keepdims=True)
    answers = Probabilities(names, values)
    assert score("log_loss", truths, answers) == pytest.approx(sklearn.log_loss(truths, values, labels=names))
    if classes == 2:
        expected = sklearn.roc_auc_score(np.array(truths) == "b", values[:, 1])
    else:
        expected = sklearn.roc_auc_score(truths, values, multi_class="ovr", average="macro", labels=names)
    assert score("auc", truths, answers) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40))
def test_qwk_and_rmse_are_scikit_learns(pairs) -> None:
    truths, predicted = (np.array(one) for one in zip(*pairs, strict=True))
    words = [str(one) for one in truths]
    if len({*truths, *predicted}) > 1:
        expected = sklearn.cohen_kappa_score(truths, predicted, weights="quadratic", labels=range(5))
        assert score("qwk", words, predicted) == pytest.approx(expected)
    assert score("rmse", words, predicted) == pytest.approx(sklearn.root_mean_squared_error(truths, predicted))


def test_answers_that_are_all_right_have_a_kappa_of_one_even_where_all_are_equal() -> None:
    assert score("qwk", ["1", "1"], np.array([1, 1])) == 1


def test_rows_that_do_not_sum_to_one_are_rescaled_and_a_sure_wrong_answer_costs_what_kaggle_takes() -> None:
    half = score("log_loss", ["a"], Probabilities(("a", "b"), np.array([[0.2, 0.2]])))
    assert half == pytest.approx(np.log(2))
    assert score("log_loss", ["a"], Probabilities(("a", "b"), np.array([[0.0, 1.0]]))) == pytest.approx(-np.log(1e-15))


@pytest.mark.parametrize(
    ("metric", "truths", "answers", "words"),
    [
        ("auc", ["a", "a"], Probabilities(("a", "b"), np.ones((2, 2))), "all images have the label 'a'"),
        ("auc", ["a", "c"], Probabilities(("a", "b"), np.ones((2, 2))), "no probability for the label 'c'"),
        ("rmse", ["1", "many"], np.ones(2), "no number.*many"),
        ("qwk", ["1", "nan"], np.ones(2), "not a finite number"),
    ],
)
def test_truths_that_a_metric_cannot_score_are_refused(metric, truths, answers, words) -> None:
    with pytest.raises(OnehourError, match=words):
        score(metric, truths, answers)


def test_labels_that_are_numbers_are_in_the_order_of_numbers() -> None:
    assert in_order(["10", "9", "9"]) == ("9", "10")
    assert in_order(["10", "9", "x"]) == ("10", "9", "x")

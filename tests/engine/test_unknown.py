"""The exact threshold equals brute force, is nested, and lies in the middle of its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.inference.metric import image_scores, map5
from engine.inference.unknown import best_threshold, insert_unknown, nested_thresholds, row_weights

pytestmark = pytest.mark.unit
UNKNOWN = "new"


@st.composite
def predictions(draw: st.DrawFn) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Truths, top labels, top scores and weights of a few rows; scores from a handful of values, so that many tie."""
    rows, places = draw(st.integers(1, 12)), draw(st.integers(1, 7))
    pool = [f"w{i}" for i in range(places + 1)]
    truths = draw(st.lists(st.sampled_from([*pool, UNKNOWN]), min_size=rows, max_size=rows))
    top, scores = [], []
    for _ in range(rows):
        filled = draw(st.integers(1, places))
        top.append(draw(st.permutations(pool))[:filled] + [""] * (places - filled))
        row = sorted(draw(st.lists(st.integers(0, 6), min_size=filled, max_size=filled)), reverse=True)
        scores.append([float(one) for one in row] + [-np.inf] * (places - filled))
    weights = draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=rows, max_size=rows))
    return truths, np.array(top), np.array(scores), np.array(weights)


@settings(max_examples=150, deadline=None)
@given(predictions())
def test_the_exact_threshold_is_as_good_as_the_best_of_brute_force(case) -> None:
    truths, top, scores, weights = case

    def brute(threshold: float) -> float:
        inserted = insert_unknown(top, scores, threshold, UNKNOWN)
        return float(np.average(image_scores("map5", truths, inserted), weights=weights))

    chosen = best_threshold(truths, top, scores, UNKNOWN, weights)
    assert chosen.score == pytest.approx(max(brute(t) for t in np.arange(-1.5, 8, 0.5)))
    assert brute(chosen.value) == pytest.approx(chosen.score)
    assert brute(chosen.high) == pytest.approx(chosen.score), "the upper end belongs to the interval"
    assert brute(np.nextafter(chosen.low, np.inf)) == pytest.approx(chosen.score), "and all above the lower end"
    assert chosen.low < chosen.value <= chosen.high
    assert np.isfinite(chosen.value)


def test_the_threshold_lies_in_the_middle_of_the_widest_best_interval() -> None:
    top = np.array([["a", "b"]] * 4)
    scores = np.array([[0.9, 0.0], [0.8, 0.0], [0.2, 0.0], [0.1, 0.0]])
    chosen = best_threshold(["a", "a", UNKNOWN, UNKNOWN], top, scores, UNKNOWN)
    assert (chosen.low, chosen.high, chosen.score) == (0.2, 0.8, 1.0)
    assert chosen.value == pytest.approx(0.5)


def test_the_unknown_label_goes_before_the_first_score_below_the_threshold() -> None:
    top = np.array([["a", "b", "c", "d", "e"]])
    scores = np.array([[0.9, 0.5, 0.5, 0.2, 0.1]])
    assert insert_unknown(top, scores, 0.95, UNKNOWN) == [("new", "a", "b", "c", "d")]
    assert insert_unknown(top, scores, 0.5, UNKNOWN) == [("a", "b", "c", "new", "d")]
    assert insert_unknown(top, scores, 0.05, UNKNOWN) == [("a", "b", "c", "d", "e")]
    assert insert_unknown(top[:, :2], scores[:, :2], 0.05, UNKNOWN) == [("a", "b", "new")]


def test_each_row_may_have_its_own_threshold() -> None:
    top, scores = np.array([["a"], ["a"]]), np.array([[0.5], [0.5]])
    assert insert_unknown(top, scores, np.array([0.4, 0.6]), UNKNOWN) == [("a", "new"), ("new", "a")]


def test_no_row_has_a_say_in_the_threshold_it_is_scored_with() -> None:
    rng = np.random.default_rng(0)
    folds = np.arange(60) % 3
    truths = rng.choice(["a", "b", UNKNOWN], 60)
    top = np.array([["a", "b"]] * 60)
    scores = np.sort(rng.random((60, 2)))[:, ::-1]
    by_fold, for_test = nested_thresholds(truths, folds, top, scores, UNKNOWN)
    assert for_test == best_threshold(truths, top, scores, UNKNOWN)
    for fold in range(3):
        others = folds != fold
        assert by_fold[fold] == best_threshold(truths[others], top[others], scores[others], UNKNOWN)
        scrambled = truths.copy()
        scrambled[~others] = UNKNOWN
        assert nested_thresholds(scrambled, folds, top, scores, UNKNOWN)[0][fold] == by_fold[fold]


def test_weights_give_the_unknown_label_its_expected_share() -> None:
    labels = [UNKNOWN] * 40 + ["a"] * 60
    weights = row_weights(labels, UNKNOWN, 0.25)
    assert weights[:40].sum() / weights.sum() == pytest.approx(0.25)
    assert weights.mean() == pytest.approx(1)
    assert (row_weights(labels, UNKNOWN, None) == 1).all()
    assert (row_weights(["a", "b"], UNKNOWN, 0.25) == 1).all(), "rows of one kind cannot be re-weighted"


def test_a_smaller_expected_share_says_unknown_less_often() -> None:
    rng = np.random.default_rng(1)
    unknown = rng.random(3000) < 0.4
    truths = np.where(unknown, UNKNOWN, "a")
    first = np.where(unknown, rng.normal(0, 1, 3000), rng.normal(1.5, 1, 3000))
    top, scores = np.array([["a", "b"]] * 3000), np.stack([first, first - 5], axis=1)
    values = [
        best_threshold(truths, top, scores, UNKNOWN, row_weights(truths, UNKNOWN, share)).value
        for share in (0.1, 0.4, 0.8)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1] - 0.5


def test_rows_without_the_unknown_label_put_it_last() -> None:
    top, scores = np.array([["a", "b"]] * 3), np.array([[0.9, 0.1], [0.5, 0.3], [0.6, 0.2]])
    chosen = best_threshold(["a", "a", "b"], top, scores, UNKNOWN)
    assert insert_unknown(top, scores, chosen.value, UNKNOWN) == [("a", "b", "new")] * 3


def test_twenty_five_thousand_rows_are_no_worse_than_a_grid() -> None:
    rng = np.random.default_rng(2)
    rows = 25_000
    scores = -np.sort(-rng.normal(size=(rows, 5)), axis=1)
    top = np.tile(np.array(list("abcde")), (rows, 1))
    truths = rng.choice(np.array([*"abcdef", UNKNOWN]), rows)
    chosen = best_threshold(truths, top, scores, UNKNOWN)
    grid = [map5(truths.tolist(), insert_unknown(top, scores, t, UNKNOWN)) for t in (-0.5, 0.5, 1.5)]
    assert chosen.score >= max(grid) - 1e-12
    assert chosen.score == pytest.approx(map5(truths.tolist(), insert_unknown(top, scores, chosen.value, UNKNOWN)))


@pytest.mark.parametrize(
    ("labels", "top", "scores", "reason"),
    [
        (["a"], [["a", "b"]], [[0.1, 0.9]], "never rise"),
        (["a"], [["a", "b"]], [[np.nan, 0.9]], "never rise"),
        (["a"], [["a", UNKNOWN]], [[0.9, 0.1]], "before it was inserted"),
        (["a", "b"], [["a", "b"]], [[0.9, 0.1]], "do not fit"),
        ([], np.empty((0, 5), dtype=str), np.empty((0, 5)), "do not fit"),
    ],
)
def test_arrays_that_break_the_rules_are_refused(labels, top, scores, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        best_threshold(labels, np.array(top), np.array(scores), UNKNOWN)

"""The exact threshold equals brute force, is nested, lies in the middle of its interval, and is carried over to the test."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.inference.answers import Ranked, answer, unknown_first_share
from engine.inference.metric import image_scores, map5
from engine.inference.threshold_report import quota_notes, write_threshold
from engine.inference.unknown import (
    best_threshold,
    carried_over,
    insert_unknown,
    nested_thresholds,
    row_weights,
    threshold_above,
    threshold_curve,
)
from engine.run_folder import RunFolder

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


@settings(max_examples=200, deadline=None)
@given(predictions(), st.sampled_from([1, 3, 5, 10]))
def test_the_exact_threshold_is_as_good_as_the_best_of_brute_force(case, k: int) -> None:
    truths, top, scores, weights = case

    def brute(threshold: float) -> float:
        inserted = insert_unknown(top, scores, threshold, UNKNOWN, k)
        return float(np.average(image_scores(f"map{k}", truths, inserted), weights=weights))

    curve = threshold_curve(truths, top, scores, UNKNOWN, weights, k)
    for edge, value in curve.points():
        assert brute(edge) == pytest.approx(value), "a point of the curve is the score at its threshold"
    chosen = best_threshold(truths, top, scores, UNKNOWN, weights, k)
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


def test_a_curve_to_be_drawn_has_few_points_with_the_best_one_among_them() -> None:
    rng = np.random.default_rng(3)
    truths = rng.choice(["a", "b", UNKNOWN], 3000)
    scores = -np.sort(-rng.random((3000, 2)), axis=1)
    curve = threshold_curve(truths, np.array([["a", "b"]] * 3000), scores, UNKNOWN)
    points = curve.points()
    assert len(curve.edges) > 2000
    assert 400 < len(points) <= 500
    assert points == sorted(points)
    assert max(score for _, score in points) == pytest.approx(float(curve.scores[:-1].max()))


def drawn(seed: int, images: int, classes: int = 60, nets: int = 5, harder: float = 0.0):
    """Truths and the probabilities of each net: what an image shows is shared by the nets, what a net mistakes is its own.

    → truths (images,), probabilities (nets, images, classes).
    """
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(images) < 0.4, -1, rng.integers(0, classes, images))
    shown = rng.normal(0, 1, (images, classes))
    known = np.flatnonzero(truth >= 0)
    shown[known, truth[known]] += rng.normal(4 - harder, 2, len(known))
    logits = 2 * (shown + rng.normal(0, 1.5, (nets, images, classes)))
    each = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.where(truth < 0, UNKNOWN, truth.astype(str)), each / each.sum(axis=2, keepdims=True)


def ranked(probabilities: np.ndarray) -> Ranked:
    order = np.argsort(-probabilities, axis=1)[:, :10]
    return Ranked(order.astype(str), np.take_along_axis(probabilities, order, axis=1))


def test_a_threshold_carried_over_to_the_mean_of_the_nets_beats_the_threshold_as_it_is() -> None:
    """Means of nets are flatter than single nets: on these draws the threshold as it is says unknown for 91 %, not 75 %."""
    gains = []
    for seed in range(3):
        truth, single = drawn(seed, 2000)
        folds = np.arange(2000) % 5
        oof = ranked(single[folds, np.arange(2000)])
        test_truth, each = drawn(seed + 100, 1500)
        mean = ranked(each.mean(axis=0))
        answered = answer("map5", truth.tolist(), folds, oof, mean, each.max(axis=2), UNKNOWN, None)
        as_it_is = insert_unknown(mean.labels, mean.scores, answered.chosen, UNKNOWN)
        best = best_threshold(test_truth, mean.labels, mean.scores, UNKNOWN).score
        gained = map5(test_truth.tolist(), answered.test) - map5(test_truth.tolist(), as_it_is)
        lost = best - map5(test_truth.tolist(), answered.test)
        gains.append((gained, lost))
        first = answered.first_share
        assert unknown_first_share(as_it_is, UNKNOWN) > first + 0.1
        assert unknown_first_share(answered.test, UNKNOWN) == pytest.approx(first, abs=0.05)
        assert quota_notes(answered, UNKNOWN, None) == ()
    gained, lost = np.mean(gains, axis=0)
    assert gained > 0.05
    assert lost < 0.04


def test_a_share_of_unknown_far_from_the_expected_one_or_from_validations_is_told() -> None:
    truth, single = drawn(0, 500)
    folds = np.arange(500) % 5
    oof = ranked(single[folds, np.arange(500)])
    _, each = drawn(1, 500, harder=-4.0)
    mean = ranked(each.mean(axis=0))
    answered = answer("map5", truth.tolist(), folds, oof, mean, each.max(axis=2), UNKNOWN, None)
    assert "unlike those trained on" in quota_notes(answered, UNKNOWN, None)[0]
    assert "10% are expected" in quota_notes(answered, UNKNOWN, 0.1)[0]
    share = unknown_first_share(answered.test, UNKNOWN)
    assert quota_notes(answered, UNKNOWN, share) == ()


def test_a_curve_tells_the_score_of_any_threshold() -> None:
    truths, top, scores = ["a", UNKNOWN], np.array([["a"], ["b"]]), np.array([[0.8], [0.4]])
    curve = threshold_curve(truths, top, scores, UNKNOWN)
    for threshold in (0.1, 0.4, 0.41, 0.8, 0.9):
        assert curve.at(threshold) == map5(truths, insert_unknown(top, scores, threshold, UNKNOWN))


def test_a_quota_is_the_share_that_lies_below_it_and_is_told_beside_the_threshold_of_oof(tmp_path: Path) -> None:
    truth, single = drawn(0, 1000)
    folds = np.arange(1000) % 5
    oof = ranked(single[folds, np.arange(1000)])
    _, each = drawn(1, 800)
    mean = ranked(each.mean(axis=0))
    answered = answer("map5", truth.tolist(), folds, oof, mean, each.max(axis=2), UNKNOWN, 0.4)
    quota = answered.quota
    assert quota is not None
    assert (each.max(axis=2) < quota.threshold).mean() == pytest.approx(0.4, abs=1e-3)
    assert (mean.scores[:, 0] < quota.test).mean() == pytest.approx(0.4, abs=1e-3)
    assert quota.chosen == answered.chosen
    assert quota.score <= quota.chosen_score == pytest.approx(max(score for _, score in answered.curve))
    first = quota_notes(answered, UNKNOWN, 0.4)[0]
    assert first.startswith(f"A quota of 40% unknown test images would set the threshold at {quota.threshold:.3g}, OOF")
    folder = RunFolder(tmp_path)
    write_threshold(folder, answered, "map5", UNKNOWN, 0.4)
    assert json.loads(folder.threshold_json.read_text())["quota"]["threshold"] == quota.threshold
    assert folder.threshold_png.read_bytes().startswith(b"\x89PNG")


def test_without_an_expected_share_there_is_no_quota_and_without_a_curve_no_picture(tmp_path: Path) -> None:
    truth, single = drawn(0, 200)
    folds = np.arange(200) % 5
    oof, mean = ranked(single[folds, np.arange(200)]), ranked(single.mean(axis=0))
    folder = RunFolder(tmp_path)
    answered = answer("map5", truth.tolist(), folds, oof, mean, single.max(axis=2), UNKNOWN, None)
    write_threshold(folder, answered, "map5", UNKNOWN, None)
    assert json.loads(folder.threshold_json.read_text())["quota"] is None
    assert folder.threshold_png.exists()
    folder.threshold_png.unlink()
    write_threshold(
        folder, answer("map5", truth.tolist(), folds, oof, mean, single.max(axis=2), None, None), "map5", None, None
    )
    assert not folder.threshold_png.exists()


@pytest.mark.parametrize("count", range(5))
def test_so_many_scores_lie_below_a_threshold_as_are_asked_for(count: int) -> None:
    scores = np.array([0.3, 0.1, 0.4, 0.2])
    assert (scores < threshold_above(scores, count)).sum() == count


@pytest.mark.parametrize(("threshold", "below"), [(-1.0, 0), (0.15, 1), (0.25, 2), (0.35, 3), (9.0, 4)])
def test_the_same_share_lies_below_a_threshold_carried_over(threshold: float, below: int) -> None:
    single, mean = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([0.07, 0.01, 0.03, 0.05])
    assert (mean < carried_over(threshold, single, mean)).sum() == below


def test_a_threshold_is_carried_over_to_equal_scores_without_an_error() -> None:
    assert carried_over(0.5, np.array([[0.4, 0.6]]), np.array([0.2, 0.2])) == pytest.approx(0.2)

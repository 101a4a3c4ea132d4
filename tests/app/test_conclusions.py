"""What to conclude: the line between CV and LB, the alarm, causes, families, advice. Statistics are checked against scipy."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from scipy import stats

from app.scores import advice, agreement, causes, student
from app.scores.advice import Candidate
from app.scores.agreement import Scored
from app.scores.causes import Evidence
from app.scores.families import family_of
from app.scores.submissions import Slots
from app.scores.verdict import Verdict
from engine.contract import RunSpec, spec_from_mapping

pytestmark = pytest.mark.unit

HOUR_MS = 3_600_000


def scored(*pairs: tuple[float, float], spread: float = 0.004, folds: int = 5) -> list[Scored]:
    return [Scored(f"r{number}", "resnet", cv, spread, folds, lb) for number, (cv, lb) in enumerate(pairs, start=1)]


@pytest.mark.parametrize("degrees", [1, 2, 5, 9, 12, 13, 20, 50, 1000])
def test_students_points_are_those_of_scipy(degrees: int) -> None:
    assert student.t_975(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=2e-3 if degrees < 13 else 1e-3)


def test_the_line_and_its_band_are_those_of_scipy() -> None:
    draw = np.random.default_rng(3)
    cv = draw.uniform(0.5, 0.8, 12)
    lb = 0.1 + 0.8 * cv + draw.normal(0, 0.01, 12)
    ours = agreement.line(scored(*zip(cv.tolist(), lb.tolist(), strict=True)))
    theirs = stats.linregress(cv, lb)
    assert ours is not None
    assert (ours.slope, ours.intercept) == pytest.approx((theirs.slope, theirs.intercept))
    left = lb - theirs.intercept - theirs.slope * cv
    s = np.sqrt((left**2).sum() / 10)
    at = 0.9
    band = stats.t.ppf(0.975, 10) * s * np.sqrt(1 + 1 / 12 + (at - cv.mean()) ** 2 / ((cv - cv.mean()) ** 2).sum())
    assert ours.band(at) == pytest.approx(band, rel=1e-3)


def test_a_line_is_told_with_its_sign() -> None:
    falling = agreement.line(scored((0.5, 0.7), (0.6, 0.6), (0.7, 0.5)))
    rising = agreement.line(scored((0.5, 0.4), (0.6, 0.5), (0.7, 0.6)))
    assert [line and line.words for line in (falling, rising)] == ["LB = 1.200 - 1.00 CV", "LB = -0.100 + 1.00 CV"]


def test_two_submissions_or_equal_cvs_make_no_line() -> None:
    assert agreement.line(scored((0.5, 0.4), (0.6, 0.5))) is None
    assert agreement.line(scored((0.5, 0.4), (0.5, 0.5), (0.5, 0.6))) is None


def test_who_lies_outside_the_band_of_the_others_is_named() -> None:
    points = [(0.50, 0.40), (0.55, 0.451), (0.60, 0.499), (0.65, 0.551), (0.70, 0.45)]
    assert [one.run_key for one in agreement.outliers(scored(*points))] == ["r5"]
    assert agreement.outliers(scored(*points[:3])) == []


def test_the_quick_way_to_outliers_finds_those_of_a_line_through_all_the_others() -> None:
    draw = np.random.default_rng(5)
    for _ in range(20):
        cv = draw.uniform(0.5, 0.8, 30)
        lb = 0.1 + 0.8 * cv + draw.normal(0, 0.01, 30) + (draw.uniform(size=30) < 0.1) * 0.06
        every = scored(*zip(cv.tolist(), lb.tolist(), strict=True))
        slow = []
        for place, one in enumerate(every):
            others = agreement.line([*every[:place], *every[place + 1 :]])
            assert others is not None
            if abs(one.lb - others.at(one.cv)) > others.band(one.cv):
                slow.append(one.run_key)
        assert sorted(one.run_key for one in agreement.outliers(every)) == sorted(slow)


def test_a_steady_gap_is_shown_and_is_no_alarm() -> None:
    steady = scored((0.60, 0.50), (0.65, 0.551), (0.70, 0.60))
    assert [agreement.gap(one, "max") for one in steady] == pytest.approx([0.1, 0.099, 0.1])
    assert agreement.alarm(steady, "max") is None


def test_a_gap_that_grows_beyond_the_folds_chance_is_an_alarm_from_the_third_on() -> None:
    grown = scored((0.60, 0.50), (0.65, 0.55), (0.80, 0.54))
    assert agreement.alarm(grown[:2], "max") is None
    found = agreement.alarm(grown, "max")
    assert found is not None
    assert any(
        "r3 is 0.260 fairer in CV than on the leaderboard, the ones before were 0.100 fairer: a change of 0.160" in one
        for one in found.reasons
    )
    assert found.is_optimistic
    noisy = [Scored(one.run_key, one.family, one.cv, 0.2, 5, one.lb) for one in grown]
    assert agreement.alarm(noisy, "max") is None


def test_a_gap_that_shrinks_beyond_the_folds_chance_is_told_and_is_no_optimism() -> None:
    shrunk = scored((0.60, 0.50), (0.65, 0.55), (0.66, 0.70))
    found = agreement.alarm(shrunk, "max")
    assert found is not None
    assert not found.is_optimistic
    assert found.reasons[0].startswith(
        "r3 is 0.040 harsher in CV than on the leaderboard, the ones before were 0.100 fairer: a change of 0.140"
    )
    losses = agreement.alarm(scored((1.0, 1.1), (0.9, 1.0), (0.88, 0.8)), "min")
    assert losses is not None
    assert not losses.is_optimistic


def test_cv_and_lb_in_another_order_are_an_alarm_in_either_direction() -> None:
    turned = scored((0.60, 0.50), (0.65, 0.55), (0.70, 0.54))
    found = agreement.alarm(turned, "max")
    assert found is not None
    assert found.reasons[0] == "r3 is 0.050 better than r2 in CV and 0.010 worse on the leaderboard"
    losses = scored((1.2, 1.3), (1.1, 1.2), (1.0, 1.25))
    less = agreement.alarm(losses, "min")
    assert less is not None
    assert "r3 is 0.100 better than r2 in CV and 0.050 worse" in less.reasons[0]
    assert agreement.alarm(scored((1.2, 1.3), (1.1, 1.2), (1.0, 1.1)), "min") is None


SPEC = {"data": {"dir": "d"}, "stages": [{"epochs": 1, "lr": 0.1}]}


def spec(**more: object) -> RunSpec:
    return spec_from_mapping({**SPEC, **more}, "test")


def states(evidence: Evidence) -> dict[str, str]:
    return {cause.question: cause.state for cause in causes.causes(evidence)}


def test_what_the_engine_makes_impossible_is_ruled_out_for_its_runs_alone() -> None:
    ours, own = states(Evidence("train", spec())), states(Evidence("command"))
    question = "copies of validation images in training"
    assert (ours[question], own[question]) == ("ruled out", "possible")
    assert ours["the unknown label missing in validation"] == "ruled out"
    assert "the unknown label missing in validation" not in states(
        Evidence("train", spec(data={"dir": "d", "unknown_label": None}))
    )


def test_sightings_and_the_unknown_share_are_ruled_out_where_the_spec_says_so() -> None:
    sightings, share = (
        "photographs of one sighting in training and validation",
        "another share of unknown individuals in the test images",
    )
    bare = states(Evidence("train", spec()))
    assert (bare[sightings], bare[share]) == ("possible", "possible")
    said = spec(data={"dir": "d", "sightings_col": "seen"}, expected_unknown_share=0.276)
    assert [states(Evidence("train", said))[each] for each in (sightings, share)] == ["ruled out", "ruled out"]
    unlike = Evidence("train", spec(), {"unknown_first_share": 0.8, "unknown_first_share_oof": 0.54})
    first = causes.causes(unlike)[0]
    assert (first.state, first.question) == ("here", share)
    assert "80% of the test images and for 54%" in first.answer


def test_the_best_of_many_is_said_to_be_so() -> None:
    assert "the CV chose itself" not in states(Evidence("train", spec(), tried=9))
    assert states(Evidence("train", spec(), tried=40))["the CV chose itself"] == "possible"


@pytest.mark.parametrize(
    ("backbone", "head", "family"),
    [
        ("resnet34", "linear", "resnet"),
        ("tf_efficientnet_lite0", "arcface", "efficientnet arcface"),
        ("convnext_tiny", "linear", "convnext"),
        ("vgg16_bn", "linear", "vgg"),
        ("efficientnetv2_s", "linear", "efficientnetv2"),
    ],
)
def test_a_family_is_the_kind_of_backbone_with_an_unusual_head(backbone: str, head: str, family: str) -> None:
    assert family_of("train", json.dumps({"backbone": backbone, "head": head})) == family


def test_blends_and_own_code_are_families_of_their_own() -> None:
    assert [family_of(kind, "{}") for kind in ("blend", "command", "train")] == ["blend", "own code", "own code"]


SLOTS = Slots(3, 5, 10 * HOUR_MS)
HELPED = Verdict("helped", "r2", 0.02, 0.005, 5)
SENT = scored((0.60, 0.50), (0.65, 0.55), (0.70, 0.601), (0.72, 0.618))


def advised(
    cv: float, verdict: Verdict | None, sent: list[Scored] = SENT, slots: Slots | None = SLOTS
) -> advice.SubmitAdvice:
    candidate = scored((cv, 0.0))[0]
    return advice.submit(candidate, verdict, sent, agreement.line(sent), slots, "max")


def test_where_nothing_tells_the_folds_chance_nobody_is_alarmed() -> None:
    grown = scored((0.70, 0.69), (0.72, 0.71), (0.80, 0.60))
    one_fold = [Scored(one.run_key, one.family, one.cv, None, 1, one.lb) for one in grown]
    assert agreement.alarm(grown, "max") is not None
    assert agreement.alarm(one_fold, "max") is None


def test_a_gain_beyond_chance_and_inside_the_band_is_worth_a_slot() -> None:
    found = advised(0.75, HELPED)
    assert found.word == "send"
    assert any("beyond the folds' chance" in reason for reason in found.reasons)
    assert any("by the line through 4 submissions LB 0.64" in reason for reason in found.reasons)


def test_a_run_that_is_worse_or_out_of_reach_waits() -> None:
    worse = advised(0.60, Verdict("hurt", "r4", -0.1, 0.01, 5))
    assert worse.word == "wait"
    assert any("does not reach the best" in reason for reason in worse.reasons)


def test_without_a_slot_nothing_is_sent() -> None:
    found = advised(0.9, HELPED, slots=Slots(0, 5, 2 * HOUR_MS))
    assert (found.word, found.reasons) == (
        "no slot",
        ("none of today's 5 submissions is left; they are given anew in 2 h 00 min (UTC)",),
    )


def test_the_first_submission_is_always_worth_it_and_late_slots_are_used_up() -> None:
    assert advised(0.5, None, sent=[]).word == "send"
    unclear = Verdict("unclear", "r4", 0.001, 0.01, 5)
    assert advised(0.715, unclear, slots=Slots(1, 5, 10 * HOUR_MS)).word == "wait"
    assert advised(0.715, unclear, slots=Slots(1, 5, 1 * HOUR_MS)).word == "send"


def candidate(key: str, family: str, cv: float, public: float | None = None, sd: float = 0.01) -> Candidate:
    folds = tuple((fold, cv + sd * shift) for fold, shift in enumerate((-1.2, -0.4, 0.1, 0.5, 1.0)))
    return Candidate(key, family, cv, folds, public)


def test_the_final_two_are_the_best_cv_and_the_best_of_another_family() -> None:
    ranked = [
        candidate("a", "resnet", 0.84),
        candidate("b", "resnet", 0.839),
        candidate("c", "vgg", 0.82),
        candidate("d", "blend", 0.83),
    ]
    found = advice.final_two(ranked, "max", Random(1))
    assert found is not None
    assert [one.run_key for one in found.chosen] == ["a", "d"]
    assert "the best blend" in found.reasons[1]
    less = advice.final_two(ranked, "min", Random(1))
    assert less is not None
    assert [one.run_key for one in less.chosen] == ["c", "d"]


def test_final_two_of_other_folds_are_said_not_to_be_comparable() -> None:
    a, b = candidate("a", "resnet", 0.84), candidate("b", "vgg", 0.82)
    for other, said in (("f", False), ("g", True)):
        found = advice.final_two([replace(a, on=("d", "f")), replace(b, on=("d", other))], "max", Random(1))
        assert found is not None
        assert any("measured on other folds or data" in reason for reason in found.reasons) == said


def test_one_family_alone_is_said_to_be_one_opinion_twice() -> None:
    found = advice.final_two([candidate("a", "vgg", 0.8), candidate("b", "vgg", 0.7)], "max", Random(1))
    assert found is not None
    assert "one opinion twice" in found.reasons[1]
    assert advice.final_two([], "max", Random(1)) is None


def test_the_expected_loss_is_that_of_the_same_worlds() -> None:
    """Two candidates of independent chance: the loss of the better one alone is sd · sqrt(2/2π) for equal CVs."""
    folds_a = tuple((fold, 0.8 + shift) for fold, shift in enumerate((-0.02, -0.01, 0.0, 0.01, 0.02)))
    folds_b = tuple((fold, 0.8 + shift) for fold, shift in enumerate((0.0, 0.02, -0.02, -0.01, 0.01)))
    pair = [Candidate("a", "vgg", 0.8, folds_a), Candidate("b", "resnet", 0.8, folds_b)]
    shared = advice._shared_chance(pair)
    error = advice._standard_error(pair[0])
    worlds = advice._worlds(pair, 1, Random(7))
    alone = advice._loss(pair, pair[:1], worlds)
    sd_of_difference = error * np.sqrt(2 * (1 - shared))
    assert alone == pytest.approx(sd_of_difference / np.sqrt(2 * np.pi), rel=0.1)
    assert advice._loss(pair, pair, worlds) == 0


def test_the_two_best_public_scores_are_held_against_the_advice() -> None:
    ranked = [
        candidate("a", "resnet", 0.84, 0.70), candidate("b", "vgg", 0.83, 0.71),
        candidate("c", "vgg", 0.70, 0.80), candidate("d", "vgg", 0.71, 0.79),
    ]  # fmt: skip
    found = advice.final_two(ranked, "max", Random(1))
    assert found is not None
    assert found.loss_of_two_best_public is not None
    assert found.loss_of_two_best_public > 0.1 > found.expected_loss
    assert "the two with the best public score (c and d) would lose" in found.reasons[-1]

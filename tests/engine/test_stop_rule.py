"""When a run is clearly behind an earlier one: the rule alone, and what a spec may hold of it."""

from __future__ import annotations

import pytest

from engine.contract import OnehourError, StopIfBehind, spec_from_mapping

pytestmark = pytest.mark.unit

RULE = StopIfBehind(run="h_001-r01", folds_sha256="f", fold_scores=(0.80, 0.82, 0.81), by=(0.05, 0.02))


def test_after_one_fold_it_may_be_further_behind_than_after_two() -> None:
    assert RULE.why_stop({0: 0.76}, "max") == ""
    assert RULE.why_stop({0: 0.76, 1: 0.77}, "max") == (
        "after folds 0 and 1 it is behind h_001-r01 by 0.0450 (0.7650 against 0.8100), more than 0.0200"
    )
    assert RULE.why_stop({0: 0.74}, "max") == (
        "after fold 0 it is behind h_001-r01 by 0.0600 (0.7400 against 0.8000), more than 0.0500"
    )


def test_folds_are_compared_in_pairs() -> None:
    assert RULE.why_stop({1: 0.78}, "max") == ""
    assert RULE.why_stop({1: 0.76}, "max").startswith(
        "after fold 1 it is behind h_001-r01 by 0.0600 (0.7600 against 0.8200)"
    )


def test_the_last_margin_holds_for_all_that_follow() -> None:
    assert [RULE.allowed(finished) for finished in (1, 2, 3, 9)] == [0.05, 0.02, 0.02, 0.02]


def test_where_less_is_better_a_higher_score_is_behind() -> None:
    assert RULE.why_stop({0: 0.74}, "min") == ""
    assert RULE.why_stop({0: 0.86}, "min").startswith(
        "after fold 0 it is behind h_001-r01 by 0.0600 (0.8600 against 0.8000)"
    )


def test_what_is_ahead_or_unfinished_goes_on() -> None:
    assert RULE.why_stop({}, "max") == RULE.why_stop({0: 0.9}, "max") == ""


def test_a_rule_for_another_number_of_folds_is_refused() -> None:
    rule = RULE.model_dump()
    assert spec_from_mapping({"data": {"dir": "d"}, "folds": 3, "stop_if_behind": rule}, "test").stop_if_behind == RULE
    with pytest.raises(OnehourError, match="stop_if_behind holds the scores of 3 folds, but folds is 5"):
        spec_from_mapping({"data": {"dir": "d"}, "stop_if_behind": rule}, "test")
    with pytest.raises(
        OnehourError, match=r"unknown key 'stop_if_behind\.margin'\. Known: by, fold_scores, folds_sha256, run\."
    ):
        spec_from_mapping({"data": {"dir": "d"}, "folds": 3, "stop_if_behind": rule | {"margin": 1}}, "test")

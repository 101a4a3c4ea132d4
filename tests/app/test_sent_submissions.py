"""Submissions at Kaggle find the run that made them, or nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.jobs.kaggle_competition import number
from app.scores.sent_submissions import AtKaggle, Ours, match, message_of, worth_reading

pytestmark = pytest.mark.unit

RUN = Ours(1, "humpback_004-r02", None, "runs/humpback_004-r02/submission.csv", "", None, 100, "a" * 64)
THERE = AtKaggle(41, 1_000_000, "submission.csv", "", 100, "complete")


def test_a_message_holds_run_cv_and_words_on_one_line_of_at_most_200_characters() -> None:
    assert (
        message_of("humpback_004-r02", 0.84231, "larger  images\nagain")
        == "humpback_004-r02 | CV 0.8423 | larger images again"
    )
    assert message_of("humpback_004-r02", None, "") == "humpback_004-r02"
    assert len(message_of("humpback_004-r02", 0.5, "x" * 500)) == 200


@pytest.mark.parametrize(
    ("there", "ours"),
    [
        ({}, {"ref": 41}),
        ({"message": "humpback_004-r02 | CV 0.8423 | words"}, {"message": "humpback_004-r02 | CV 0.8423 | words"}),
        ({"message": "humpback_004-r02 | something else"}, {}),
        ({"message": "humpback_004-r02"}, {}),
        ({"file_name": "humpback_004-r02.csv"}, {}),
        ({"file_name": "sub.csv", "message": "by hand"}, {"run_key": "", "name": "sub.csv", "message": "by hand", "sent_at": 1_000_400}),
    ],
    ids=["number", "message", "key and words", "key", "file name", "imported before"],
)  # fmt: skip
def test_it_is_known_by(there: dict[str, object], ours: dict[str, object]) -> None:
    assert match([replace(THERE, **there)], [replace(RUN, **ours)]) == {41: 1}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "there",
    [
        {"message": "humpback_004-r022 | CV"},
        {"message": "better than humpback_004-r02"},
        {"file_name": "humpback_004-r021.csv"},
        {"message": "", "file_name": "submission.csv"},
    ],
)
def test_what_only_looks_alike_is_left_alone(there: dict[str, object]) -> None:
    assert match([replace(THERE, **there)], [RUN]) == {}  # type: ignore[arg-type]


def test_the_first_of_two_submissions_of_a_run_is_its_own_and_a_number_is_never_taken_away() -> None:
    said = replace(THERE, message="humpback_004-r02 | x")
    later = replace(said, ref=42, at=2_000_000)
    assert match([later, said], [RUN]) == {41: 1}
    assert match([later, said], [replace(RUN, ref=42)]) == {42: 1}


def test_only_a_file_as_long_as_one_of_ours_that_was_not_sent_is_worth_reading() -> None:
    other = replace(THERE, ref=42, size=101)
    assert worth_reading([THERE, other], [RUN], {}) == [THERE]
    assert worth_reading([THERE, other], [RUN], {41: 1}) == []
    assert worth_reading([THERE, other], [replace(RUN, ref=40)], {}) == []


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("0.81200", 0.812),
        ("", None),
        (None, None),
        ("NaN", None),
        ("-inf", None),
        ("None", None),
        ("0", 0.0),
        ("1e-3", 0.001),
    ],
)
def test_a_score_is_a_string_at_kaggle_and_only_a_finite_number_is_one(said: str | None, score: float | None) -> None:
    assert number(said) == score

"""Kaggle's medals against its published table, and where we stand among them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli import main
from app.scores import medals
from app.scores.position import Place, TeamScore, lines_of, place_of
from engine.contract import OnehourError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("teams", "gold", "silver", "bronze"),
    [
        (0, 0, 0, 0),
        (2, 0, 0, 0),
        (9, 0, 1, 3),
        (10, 1, 2, 4),
        (99, 9, 19, 39),
        (100, 10, 20, 40),
        (249, 10, 49, 99),
        (250, 10, 50, 100),
        (500, 11, 50, 100),
        (999, 11, 50, 100),
        (1000, 12, 50, 100),
        (2120, 14, 106, 212),
        (5000, 20, 250, 500),
    ],
)
def test_the_last_ranks_are_those_of_the_published_table(teams: int, gold: int, silver: int, bronze: int) -> None:
    found = medals.ranks(teams)
    assert (found.gold, found.silver, found.bronze) == (gold, silver, bronze)


@given(st.integers(0, 20_000))
def test_the_table_as_fractions_says_the_same(teams: int) -> None:
    from fractions import Fraction

    def share(percent: str) -> int:
        return math.floor(Fraction(percent) / 100 * teams)

    gold = share("10") if teams < 100 else 10 + (share("0.2") if teams >= 250 else 0)
    silver = share("20") if teams < 250 else 50 if teams < 1000 else share("5")
    bronze = share("40") if teams < 250 else 100 if teams < 1000 else share("10")
    found = medals.ranks(teams)
    assert (found.gold, found.silver, found.bronze) == (gold, silver, bronze)


def test_a_rank_gets_the_best_medal_that_it_can() -> None:
    found = medals.ranks(2120)
    assert [found.of(rank) for rank in (1, 14, 15, 106, 107, 212, 213)] == [
        "gold", "gold", "silver", "silver", "bronze", "bronze", None,
    ]  # fmt: skip


def test_fewer_than_no_team_is_refused() -> None:
    with pytest.raises(OnehourError, match="-1 teams are not possible"):
        medals.ranks(-1)


BOARD = [TeamScore(f"t{number}", 1 - number / 100) for number in range(1, 21)]


def test_our_place_is_the_accounts_rank_unless_another_team_stands_there() -> None:
    assert place_of(BOARD, "t3", 3) == Place(3, 0.97)
    assert place_of(BOARD, "", 3) == Place(3, 0.97)
    assert place_of(BOARD, "t5", 3) == Place(5, 0.95), "somebody passed us between the two answers"
    assert place_of(BOARD, "we", 3) == Place(3, None)
    assert place_of(BOARD, "we") == Place(None, None)


def test_a_line_is_the_score_of_the_last_team_that_gets_the_medal_also_among_equal_ones() -> None:
    assert lines_of(BOARD, True) == {"gold": 0.98, "silver": 0.96, "bronze": 0.92}
    assert lines_of(BOARD, False) == {"gold": None, "silver": None, "bronze": None}
    equal = [TeamScore(f"t{number}", 0.5) for number in range(20)]
    assert lines_of(equal, True) == {"gold": 0.5, "silver": 0.5, "bronze": 0.5}
    assert lines_of([TeamScore("t", None)] * 20, True)["gold"] is None


def test_the_command_prints_the_last_ranks_as_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["medals", "--teams", "500", "--rank", "11", "--json"]) == 0
    told = {"teams": 500, "gold": 11, "silver": 50, "bronze": 100, "rank": 11, "medal": "gold"}
    assert json.loads(capsys.readouterr().out) == told
    assert main(["medals", "--teams", "9"]) == 0
    assert capsys.readouterr().out == "gold   none\nsilver to rank 1\nbronze to rank 3\n"
    assert main(["medals", "--teams", "9", "--rank", "10"]) == 2
    assert "rank 10 of 9 teams is not possible" in capsys.readouterr().err

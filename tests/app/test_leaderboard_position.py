"""Snapshots of the competition's leaderboard: taken politely, one a day kept, told with medals and what the end changed."""

from __future__ import annotations

import pytest
from sqlmodel import select

from app import cli
from app.jobs import errands, kaggle_looks, probing
from app.jobs.kaggle_competition import read_leaderboard
from app.jobs.kaggle_looks import Looks
from app.journal import challenges
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, LeaderboardSnapshot
from app.scores import position
from app.scores.position import Position
from engine.contract import EXIT_BAD_INPUT
from tests.app.at_kaggle import SLUG, do, hold, open_errands
from tests.conftest import MovableClock
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import KaggleServer


@pytest.fixture
def competition(kaggle: KaggleServer, clock: MovableClock) -> Competition:
    """A hundred others, and a submission of ours that is fifth in public and twelfth in private."""
    made = hold(kaggle, clock)
    made.others = [(f"team {number}", 1 - number / 200, 1 - number / 1000) for number in range(100)]
    made.take("s.csv", b"Image,Id\na.jpg,w_1\nb.jpg,w_1\n", "x", kaggle.now())
    made.sent[0].status, made.sent[0].public, made.sent[0].private = "COMPLETE", "0.9775", "0.9885"
    return made


def seen(journal: Journal, challenge: Challenge) -> Position:
    with journal.writing() as db:
        asked = errands.ask(db, "leaderboard", SLUG, journal.now(), challenge_id=challenge.id)
    assert do(journal, asked.id).state == "done", do(journal, asked.id).message
    with journal.reading() as db:
        found = position.newest(db, challenge)
    assert found is not None
    return found


def test_rank_percentile_and_the_distance_to_each_medal(
    journal: Journal, challenge: Challenge, competition: Competition
) -> None:
    found = seen(journal, challenge)
    assert (found.rank, found.teams, found.score) == (6, 101, 0.9775)
    assert {line.medal: line.score for line in found.lines} == {"gold": 0.96, "silver": 0.91, "bronze": 0.81}
    assert position.words(found) == "rank 6 of 101 (top 5.9%), LB 0.9775; gold at 0.96, 0.0175 above it"
    assert found.medal == "gold"
    competition.sent[0].public = "0.8"
    found = seen(journal, challenge)
    assert position.words(found) == "rank 42 of 101 (top 41.6%), LB 0.8; bronze at 0.805, 0.005 away"
    with journal.reading() as db:
        assert challenges.active(db).submissions_per_day == 5, "the competition says how many a day it takes"


def test_a_team_that_is_not_on_it_and_a_competition_without_medals(
    journal: Journal, challenge: Challenge, competition: Competition
) -> None:
    competition.sent.clear()
    competition.category = "Playground"
    found = seen(journal, challenge)
    assert (found.rank, found.lines) == (None, ())
    assert position.words(found) == "not on the leaderboard of 100 teams yet"
    competition.category, competition.awards_points = "Featured", False
    assert seen(journal, challenge).lines == ()


def test_one_a_day_stays_and_the_newest_of_each_day(
    journal: Journal, challenge: Challenge, competition: Competition, clock: MovableClock
) -> None:
    seen(journal, challenge)
    clock.move(3_600)
    competition.sent[0].public = "0.99"
    seen(journal, challenge)
    clock.move(86_400)
    competition.sent[0].public = "0.995"
    seen(journal, challenge)
    with journal.reading() as db:
        days = [(str(row.local_date), row.rank) for row in db.exec(select(LeaderboardSnapshot)).all()]
        ranks = position.rank_by_day(db, challenge)
    assert days == [("2026-03-02", 4), ("2026-03-03", 3)]
    assert [rank for rank, _ in ranks.values()] == [4, 3]


def test_after_the_end_the_final_rank_stands_beside_the_public_one(
    journal: Journal, challenge: Challenge, competition: Competition, clock: MovableClock
) -> None:
    clock.move(31 * 86_400)
    found = seen(journal, challenge)
    assert (found.is_over, found.rank, found.public_rank, found.climbed) == (True, 13, 6, -7)
    assert position.words(found).endswith("from rank 6 on the public leaderboard: 7 places lost")


def test_without_a_private_leaderboard_the_public_one_is_not_called_final(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge, competition: Competition, clock: MovableClock
) -> None:
    clock.move(31 * 86_400)
    kaggle.fail("GetLeaderboard", body=b'{"submissions": []}')
    found = seen(journal, challenge)
    assert (found.is_over, found.rank, found.public_rank, found.climbed) == (False, 6, None, None)


def test_a_leaderboard_that_was_not_seen_is_asked_for_but_the_samples_is_at_home(
    journal: Journal, challenge: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lb", "position"]) == EXIT_BAD_INPUT
    assert "lb refresh" in capsys.readouterr().err
    with journal.writing() as db:
        challenges.active(db).competition = "sample"
    assert cli.main(["lb", "position"]) == EXIT_BAD_INPUT
    assert "the one at home: it has no rank" in capsys.readouterr().err


def test_equal_scores_keep_the_boards_own_order(
    journal: Journal, challenge: Challenge, competition: Competition
) -> None:
    competition.others = [(f"team {number}", 0.5, 0.5) for number in range(20)]
    competition.sent[0].public = "0.5"
    found = seen(journal, challenge)
    assert found.rank == 21, "who was there first stands first"
    assert [line.missing for line in found.lines] == [0, 0, 0]
    assert found.medal is None, "a rank gets a medal, not a score"
    assert position.line_words(found.lines[0]) == "gold at 0.5, reached"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"body": b"no zip"}, "its leaderboard cannot be read"),
        ({"status": 404}, "it is not there, or not for this account"),
    ],
)
def test_a_leaderboard_that_is_none_is_a_sentence(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge, competition: Competition,
    fault: dict[str, object], sentence: str,
) -> None:  # fmt: skip
    kaggle.fail("DownloadLeaderboard", headers={"Content-Type": "application/zip"}, **fault)  # type: ignore[arg-type]
    with journal.writing() as db:
        asked = errands.ask(db, "leaderboard", SLUG, journal.now(), challenge_id=challenge.id)
    assert sentence in do(journal, asked.id).message


def test_a_competition_that_kaggle_does_not_know_is_named(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge
) -> None:
    with journal.writing() as db:
        asked = errands.ask(db, "leaderboard", SLUG, journal.now(), challenge_id=challenge.id)
    assert "there is no competition 'humpback' at Kaggle" in do(journal, asked.id).message


def test_its_rows_are_read_in_the_order_of_a_rank_column_where_there_is_one() -> None:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        rows = (
            "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount\n2,1,b,x,0.5,1\n1,2,a,x,,3\n10,3,c,x,nan,1\n"
        )
        archive.writestr("x-publicleaderboard.csv", rows)
    found = read_leaderboard(packed.getvalue())
    assert [(row.team, row.score) for row in found] == [("a", None), ("b", 0.5), ("c", None)]


def test_kaggle_is_asked_once_an_hour_while_there_is_a_challenge_and_a_key(
    journal: Journal,
    challenge: Challenge,
    competition: Competition,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (journal.home.path / "config.toml").write_text('[backends.kaggle]\nkind = "kaggle"\ntime_limit = "12h"\n')
    looks = Looks(journal)
    looks.tick()
    assert [len(open_errands(journal, kind)) for kind in ("scores", "leaderboard", "probe")] == [1, 1, 1]
    for kind in ("scores", "leaderboard", "probe"):
        assert do(journal, open_errands(journal, kind)[0].id).state == "done"
    with journal.reading() as db:
        (quota,) = probing.quotas(db, since=0, now=0).values()
        assert quota.resets_at is not None
        assert probing.quotas(db, since=0, now=quota.resets_at) == {}
        assert (quota.used_s, quota.allowed_s) == (5_400, 108_000)
        assert kaggle_looks.account_status(db).user == "tester"
    for _ in range(58):
        clock.move(60)
        looks.tick()
    assert not [one for kind in ("scores", "leaderboard", "probe") for one in open_errands(journal, kind)]
    clock.move(121)
    looks.tick()
    assert [len(open_errands(journal, kind)) for kind in ("scores", "leaderboard", "probe")] == [1, 1, 1]
    clock.move(7_200)
    looks.tick()
    assert len(open_errands(journal, "leaderboard")) == 1, "one that waits is not asked for again"
    challenges.archive(journal)
    with journal.writing() as db:
        for one in db.exec(select(Errand)).all():
            db.delete(one)
    clock.move(7_200)
    looks.tick()
    assert open_errands(journal, "leaderboard") == []


def test_without_a_key_or_after_a_failure_kaggle_is_left_alone(
    kaggle: KaggleServer, journal: Journal, challenge: Challenge, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Looks(journal).tick()
    (asked,) = open_errands(journal, "leaderboard")
    assert do(journal, asked.id).state == "failed"
    clock.move(3_700)
    Looks(journal).tick()
    assert open_errands(journal, "leaderboard") == []
    clock.move(86_400)
    Looks(journal).tick()
    assert len(open_errands(journal, "leaderboard")) == 1
    with journal.writing() as db:
        for one in db.exec(select(Errand)).all():
            db.delete(one)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    Looks(journal).tick()
    assert open_errands(journal, "leaderboard") == []

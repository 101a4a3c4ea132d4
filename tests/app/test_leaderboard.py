"""Leaderboard scores: computed at home by the engine's own command, or typed in."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import select

from app import cli
from app.jobs import backlog, errands, home_scoring, orders
from app.jobs.backends.local import LocalBackend
from app.jobs.reconciler import Reconciler
from app.journal import challenges, sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, Job, LeaderboardScore, Run
from app.scores import leaderboard, runs
from app.scores.lb_scores import Scored, submission_of
from app.scores.runs import submission_path
from engine.contract import EXIT_OK, OnehourError
from engine.run_folder import RunFolder
from tests.app.trainings import small_spec, training, until, write_result
from tests.conftest import MovableClock


@pytest.fixture
def keys(journal: Journal, challenge: Challenge) -> list[str]:
    """Two finished runs."""
    sessions.start(journal)
    spec = small_spec(Path(challenge.data_dir))
    found = [orders.queue_run(journal, "cpu-transfer", spec, said).run_key for said in ("a", "b")]
    with journal.reading() as db:
        queued = db.exec(select(Run)).all()
    for run in queued:
        folder = RunFolder(journal.home.run_dir(run.key))
        folder.path.mkdir(parents=True)
        write_result(folder)
        runs.take_in(journal, run, folder)
    return found


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """The submission of trainings.py answers a.jpg at once and b.jpg second."""
    path = tmp_path / "truth.csv"
    path.write_text("Image,Id,Usage\na.jpg,w_1,public\nb.jpg,w_1,private\n")
    return path


def stored(journal: Journal) -> list[tuple[str, float | None, float | None, str]]:
    with journal.reading() as db:
        rows = db.exec(select(LeaderboardScore).order_by(LeaderboardScore.id)).all()  # type: ignore[arg-type]
    return [(row.source, row.public, row.private, row.origin) for row in rows]


def test_a_truth_file_scores_what_is_there_and_is_remembered(journal: Journal, keys: list[str], truth: Path) -> None:
    scored = home_scoring.use_truth(journal, truth).scored
    assert scored == [Scored(key, 1.0, 0.5) for key in keys]
    assert stored(journal) == [("local", 1.0, 0.5, "system")] * 2
    with journal.reading() as db:
        assert challenges.active(db).truth_path == str(truth)
    assert home_scoring.score(journal, keys[0]) == scored[0]
    assert len(stored(journal)) == 2


def test_another_truth_file_leaves_no_score_of_the_first_where_a_submission_does_not_fit_it(
    journal: Journal, keys: list[str], truth: Path
) -> None:
    home_scoring.use_truth(journal, truth)
    with journal.reading() as db:
        broken = submission_path(journal.home, submission_of(db, keys[1])[0])
    broken.write_text("Image,Id\na.jpg,w_1\n")
    again = home_scoring.use_truth(journal, truth)
    assert ([one.run_key for one in again.scored], [key for key, _ in again.refused]) == (keys[:1], keys[1:])
    assert stored(journal) == [("local", 1.0, 0.5, "system")]


def test_a_truth_without_split_gives_one_score(journal: Journal, keys: list[str], truth: Path) -> None:
    truth.write_text("Image,Id\na.jpg,w_1\nb.jpg,w_1\n")
    assert home_scoring.use_truth(journal, truth).scored[0] == Scored(keys[0], None, 0.75)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "truth.csv: there is no such truth file"),
        ("Image,ID\na.jpg,w_1\n", "truth.csv: the column 'Id' is missing. Did you mean 'ID'"),
        ("Image,Id\nc.jpg,w_1\n", "c.jpg"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused_and_nothing_is_stored(
    journal: Journal, keys: list[str], truth: Path, text: str | None, sentence: str
) -> None:
    truth.unlink() if text is None else truth.write_text(text)
    with pytest.raises(OnehourError, match=sentence):
        home_scoring.use_truth(journal, truth)
    assert stored(journal) == []
    with journal.reading() as db:
        assert challenges.active(db).truth_path is None


def test_a_submission_that_is_gone_or_does_not_fit_keeps_no_other_from_being_scored(
    journal: Journal, keys: list[str], truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = RunFolder(journal.home.run_dir(keys[0])).submission_csv
    lost.unlink()
    assert cli.main(["lb", "local", str(truth)]) == EXIT_OK
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{keys[0]}  not scored: {lost}: there is no such file")
    assert second == f"{keys[1]}  public 1.0000  private 0.5000"
    assert stored(journal) == [("local", 1.0, 0.5, "system")]


def test_scores_are_typed_in_at_any_time_and_replaced_by_better_reading(
    journal: Journal, keys: list[str], clock: MovableClock
) -> None:
    clock.move(5 * 60 * 60)
    leaderboard.enter_by_hand(journal, keys[0], 0.8, None)
    leaderboard.enter_by_hand(journal, keys[0], 0.81)
    told = leaderboard.enter_by_hand(journal, keys[0], None, 0.79)  # at the end of the competition
    assert (told.public, told.private) == (0.81, 0.79)
    assert stored(journal) == [("manual", 0.81, 0.79, "person")]
    with pytest.raises(OnehourError, match="a leaderboard score is missing"):
        leaderboard.enter_by_hand(journal, keys[0], None, None)
    with pytest.raises(OnehourError, match=f"Did you mean '{keys[0]}'"):
        leaderboard.enter_by_hand(journal, keys[0] + "1", 0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_refused(journal: Journal, keys: list[str], value: float) -> None:
    with pytest.raises(OnehourError, match=r"the public score -?(nan|inf) is no number"):
        leaderboard.enter_by_hand(journal, keys[0], value, 0.5)
    with pytest.raises(OnehourError, match="the private score"):
        leaderboard.enter_by_hand(journal, keys[0], 0.5, value)
    assert stored(journal) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Image,ID\na.jpg,w_1\nb.jpg,w_1\n", "truth.csv: the column 'Id' is missing"),
        ("Id,Image\nw_1,a.jpg\nw_2,b.jpg\n", "truth.csv: the first two columns are 'Id' and 'Image'"),
    ],
)
def test_a_truth_that_was_changed_for_the_worse_is_named_itself(
    journal: Journal, keys: list[str], truth: Path, text: str, sentence: str
) -> None:
    home_scoring.use_truth(journal, truth)
    truth.write_text(text)
    with pytest.raises(OnehourError, match=sentence):
        home_scoring.score(journal, keys[0])
    with pytest.raises(OnehourError, match=sentence):
        home_scoring.use_truth(journal, truth)


def test_a_run_without_submission_has_nothing_to_score(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    key = orders.queue_run(journal, "x", small_spec(Path(challenge.data_dir)), "a").run_key
    with pytest.raises(OnehourError, match="this run has no submission yet"):
        leaderboard.enter_by_hand(journal, key, 0.5)


def finished(journal: Journal, challenge: Challenge) -> str:
    """A run that the worker's reconciler has seen to its end."""
    sessions.start(journal)
    key = orders.queue_run(journal, "x", small_spec(Path(challenge.data_dir)), "a").run_key
    worker = Reconciler(journal, LocalBackend(journal.home), training("finish"))

    def over() -> bool:
        with journal.reading() as db:
            return db.exec(select(Job)).one().finished_at is not None

    until(over, worker.tick)
    with journal.reading() as db:
        assert backlog.job_of(db, key).state == backlog.SUCCEEDED
    return key


def scoring(journal: Journal, key: str) -> Errand | None:
    with journal.reading() as db:
        return errands.newest(db, home_scoring.KIND, key)


def test_a_finished_run_is_scored_at_home_by_an_errand(journal: Journal, challenge: Challenge, truth: Path) -> None:
    home_scoring.use_truth(journal, truth)
    key = finished(journal, challenge)
    asked = scoring(journal, key)
    assert asked is not None
    assert (asked.state, stored(journal)) == (errands.OPEN, [])
    assert errands.wait_for(journal, asked.id) == {"public": 1.0, "private": 0.5}
    assert stored(journal) == [("local", 1.0, 0.5, "system")]
    with journal.reading() as db:
        assert (home_scoring.is_open(db, key), home_scoring.why_none(db, key)) == (False, "")


def test_why_a_run_could_not_be_scored_at_home_is_kept(journal: Journal, challenge: Challenge, truth: Path) -> None:
    home_scoring.use_truth(journal, truth)
    key = finished(journal, challenge)
    truth.unlink()
    asked = scoring(journal, key)
    assert asked is not None
    errands.run(journal, asked.id)
    with journal.reading() as db:
        assert "there is no such truth file" in home_scoring.why_none(db, key)
    assert stored(journal) == []
    truth.write_text("Image,Id\na.jpg,w_1\nb.jpg,w_1\n")
    home_scoring.use_truth(journal, truth)
    with journal.reading() as db:
        assert home_scoring.why_none(db, key) == "", "a person had it scored meanwhile"


def test_without_a_truth_file_nobody_is_asked_to_score(journal: Journal, challenge: Challenge) -> None:
    assert scoring(journal, finished(journal, challenge)) is None

"""Runs of somebody's own scripts, found as .wandb files below a folder: each once, on its day, with its curves, as far as it is written."""

from __future__ import annotations

import math
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import select

from app.jobs import errands, wandb_folders, wandb_watching
from app.jobs.wandb_folders import Looked
from app.journal.store import Journal
from app.journal.tables import Challenge, Job, Run, WandbCurve, WandbRun
from app.scores import wandb_adoption, wandb_curves, wandb_runs, wandb_sources
from app.scores.board import board_days
from app.scores.run_curves import FoldCurve
from app.scores.wandb_points import MOST_POINTS, Points
from app.scores.wandb_runs import ForeignRun
from app.scores.wandb_score import score_of
from engine.contract import OnehourError
from tests.app.test_boards import add_run
from tests.app.wandb_files import exit_record, offline_dir, row_record, run_record, summary_record, write
from tests.conftest import MovableClock, ms

FIRST = date(2026, 3, 2)
START = ms("2026-03-02 19:33:20") / 1000


def logged(
    folder: Path,
    run_id: str = "abc",
    *,
    started: str = "20260302_193320",
    at: float = START,
    steps: range = range(5),
    ended: int | None = 0,
    summary: dict[str, Any] | None = None,
    **said: Any,
) -> Path:
    """A run whose loss is 1/(step + 1) and whose epoch is a tenth of the step."""
    rows = [row_record(step, at + step, float(step), loss=1 / (step + 1), epoch=step / 10) for step in steps]
    end = [] if ended is None else [exit_record(ended)]
    told = [] if summary is None else [summary_record(**summary)]
    records = [run_record(run_id, at, **said), *rows, *told, *end]
    path = write(offline_dir(folder, run_id, started), records)
    os.utime(path, (at + 60, at + 60))
    return path


def look(journal: Journal, challenge: Challenge, folder: Path) -> Looked:
    return wandb_folders.look_through(journal, challenge, folder)


def listed(journal: Journal, challenge: Challenge, words: str = "") -> list[ForeignRun]:
    with journal.reading() as db:
        return wandb_runs.listed(db, challenge, words)


def curve(journal: Journal, run: ForeignRun, metric: str = "loss") -> FoldCurve:
    with journal.reading() as db:
        (found,) = wandb_curves.of_runs(db, [run], metric)[run.key]
    return found


def test_a_run_joins_the_day_on_which_it_started(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    logged(tmp_path, "evening", display_name="an evening's try", notes="resnet, larger images", tags=["baseline"])
    logged(tmp_path, "night", at=ms("2026-03-03 03:59") / 1000)  # the day begins at 04:00
    logged(tmp_path, "morning", at=ms("2026-03-03 04:01") / 1000)
    assert look(journal, challenge, tmp_path) == Looked(files=3, new=3)
    with journal.reading() as db:
        second, first = board_days(db, challenge, FIRST, date(2026, 3, 3), journal.now(), {})
        assert wandb_runs.count_by_day(db, challenge) == {FIRST: 2, date(2026, 3, 3): 1}
    assert [run.name for run in first.foreign_runs] == ["an evening's try", "night"]
    assert [run.name for run in second.foreign_runs] == ["morning"]
    evening = first.foreign_runs[0]
    assert (evening.state, evening.notes, evening.tags, evening.place) == (
        "finished",
        "resnet, larger images",
        ("baseline",),
        "whales",
    )


def test_the_runs_of_a_group_are_one_with_the_mean_of_their_scores(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    for fold, score in enumerate((0.5, 0.6, 0.7)):
        said = {"run_group": "resnet", "display_name": f"fold {fold}"}
        logged(tmp_path, f"f{fold}", at=START + fold, summary={"val_map5": score, "train/map5": 0.9}, **said)
    logged(tmp_path, "alone", at=START - 9, summary={"loss": 0.1})
    look(journal, challenge, tmp_path)
    group, alone = listed(journal, challenge)
    assert (group.name, [part.name for part in group.parts]) == ("resnet", ["fold 0", "fold 1", "fold 2"])
    assert (group.score_words, alone.score_words) == ("val_map5 0.600 ± 0.100", "")
    with journal.reading() as db:
        curves = wandb_curves.of_runs(db, [group, alone], "loss")
    assert {key: [one.fold for one in found] for key, found in curves.items()} == {group.key: [0, 1, 2], alone.key: [0]}


def test_files_are_found_wherever_wandb_puts_them_and_links_are_not_followed(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    path = logged(tmp_path / "a" / "deep" / "project", "offline")
    online = write(
        tmp_path / "wandb" / "run-20260302_200000-online" / "run-online.wandb", [run_record("online"), exit_record()]
    )
    (path.parents[1] / "latest-run").symlink_to(path.parent)
    (tmp_path / "wandb" / "run-20260302_210000-linked").symlink_to(online.parent)
    write(tmp_path / "b" / "wandb" / "run-20260302_220000-text" / "run-text.wandb", [], head=b"not a log")
    (tmp_path / "closed").mkdir(mode=0o000)
    found = look(journal, challenge, tmp_path)
    assert (found.files, found.new) == (3, 2)
    assert any("run-text.wandb: this is no file that wandb wrote" in problem for problem in found.problems)
    if os.geteuid():  # root may look everywhere
        assert any("closed: it cannot be looked into" in problem for problem in found.problems)
    assert look(journal, challenge, path.parent).files == 1, "a run's own folder can be named too"
    with pytest.raises(OnehourError, match="there is no such folder"):
        look(journal, challenge, tmp_path / "nowhere")


def test_a_run_that_goes_on_is_read_on_and_what_becomes_of_it_is_told(
    journal: Journal, challenge: Challenge, clock: MovableClock, tmp_path: Path
) -> None:
    path = logged(tmp_path, steps=range(3), ended=None)
    os.utime(path, (clock.at / 1000, clock.at / 1000))
    assert look(journal, challenge, tmp_path) == Looked(files=1, new=1)
    assert [run.state for run in listed(journal, challenge)] == ["running"]
    assert look(journal, challenge, tmp_path) == Looked(files=1), "nothing was written since"

    logged(tmp_path, steps=range(5), ended=None)
    os.utime(path, (clock.at / 1000, clock.at / 1000))
    assert look(journal, challenge, tmp_path) == Looked(files=1, more=1)
    (run,) = listed(journal, challenge)
    assert curve(journal, run).values == pytest.approx([1 / (step + 1) for step in range(5)])

    clock.move(600)
    look(journal, challenge, tmp_path)
    assert [run.state for run in listed(journal, challenge)] == ["crashed"], "nobody writes to it any more"
    logged(tmp_path, steps=range(6), ended=1)
    look(journal, challenge, tmp_path)
    assert [run.state for run in listed(journal, challenge)] == ["failed"]
    clock.move(60_000)
    look(journal, challenge, tmp_path)
    assert [run.state for run in listed(journal, challenge)] == ["failed"]


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_a_resumed_run_has_two_files_and_is_one_run(
    journal: Journal, challenge: Challenge, tmp_path: Path, order: tuple[str, str]
) -> None:
    """Killed at step 4, it went on from its checkpoint of step 2: what it logged again counts."""
    first = logged(
        tmp_path / "first", steps=range(5), ended=None, summary={"best": 0.4, "early": 1}, config={"lr": 0.1}
    )
    second = logged(
        tmp_path / "second", started="20260302_195000", at=START + 1_000, steps=range(3, 8), summary={"best": 0.6},
        display_name="now with a name",
    )  # fmt: skip
    assert (first.exists(), second.exists()) == (True, True)
    for name in order:
        look(journal, challenge, tmp_path / name)
    (run,) = listed(journal, challenge)
    assert (len(run.parts), run.name, run.state) == (1, "now with a name", "finished")
    found = curve(journal, run)
    assert found.epochs == pytest.approx([step / 10 for step in range(8)])
    assert found.values == pytest.approx([1 / (step + 1) for step in range(8)])
    with journal.reading() as db:
        config, summary = wandb_runs.facts(db, run.parts[0].id)
    assert (config, summary) == ({"lr": 0.1}, {"best": 0.6, "early": 1})


def test_where_the_steps_began_anew_nothing_is_lost(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    for number, started in enumerate(("20260302_193320", "20260302_203320")):
        rows = [
            row_record(step, START + 3_600 * number + step, float(step), loss=step + 10.0 * number) for step in range(3)
        ]
        write(offline_dir(tmp_path, "abc", started), [run_record("abc", START + 3_600 * number), *rows])
    look(journal, challenge, tmp_path)
    (run,) = listed(journal, challenge)
    found = curve(journal, run)
    assert (found.epochs, found.values) == ((0, 1, 2, 3, 4, 5), (0, 1, 2, 10, 11, 12))
    assert found.elapsed_s == (0, 1, 2, 2, 3, 4)


def test_a_file_that_another_one_took_the_place_of_is_read_anew(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    logged(tmp_path, steps=range(50))
    look(journal, challenge, tmp_path)
    logged(tmp_path, steps=range(2))
    look(journal, challenge, tmp_path)
    (run,) = listed(journal, challenge)
    assert len(curve(journal, run).values) == 2


def test_two_looks_at_the_same_time_take_a_row_in_once(
    journal: Journal, challenge: Challenge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(tmp_path, steps=range(5))
    read = Points.add

    def meanwhile(points: Points, *row: Any) -> None:
        """Another look takes the file in while this one is reading it."""
        monkeypatch.setattr(Points, "add", read)
        look(journal, challenge, tmp_path)
        read(points, *row)

    monkeypatch.setattr(Points, "add", meanwhile)
    look(journal, challenge, tmp_path)
    (run,) = listed(journal, challenge)
    assert len(curve(journal, run).values) == 5


def test_a_watched_folder_that_is_gone_is_said_to_be(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    source = wandb_sources.watch(journal, str(gone), "")
    gone.rmdir()
    with journal.writing() as db:
        errand = wandb_watching.ask(db, source, journal.now())
    errands.run(journal, errand.id)
    with journal.reading() as db:
        (told,) = wandb_sources.of(db, challenge)
    assert (told.message, told.looked_at) == ("there is no such folder", journal.now())


def test_what_is_no_number_is_a_gap_in_the_curve_and_a_word_elsewhere(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    rows = [
        row_record(step, START + step, float(step), loss=value) for step, value in enumerate((1.0, math.nan, math.inf))
    ]
    write(
        offline_dir(tmp_path, "abc"),
        [run_record("abc"), *rows, summary_record(loss=math.nan, map5=math.nan), exit_record()],
    )
    look(journal, challenge, tmp_path)
    (run,) = listed(journal, challenge)
    found = curve(journal, run)
    assert found.values[0] == 1.0
    assert math.isnan(found.values[1])
    assert found.values[2] == math.inf
    assert run.score_words == "", "a score that is no number is none"
    with journal.reading() as db:
        assert wandb_runs.facts(db, run.parts[0].id)[1] == {"loss": "nan", "map5": "nan"}


def own_run(journal: Journal, challenge: Challenge, created_at: int, finished_at: int | None) -> str:
    add_run(journal, challenge, 1, FIRST, 0.5)
    with journal.writing() as db:
        run, job = db.exec(select(Run)).one(), db.exec(select(Job)).one()
        run.created_at, job.finished_at = created_at, finished_at
        db.add_all([run, job])
        return run.key


def test_a_run_that_was_launched_here_is_known_by_its_group_and_never_listed_twice(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    key = own_run(journal, challenge, round(START * 1000) - 60_000, round(START * 1000) + 60_000)
    logged(tmp_path, f"{key}-f0", run_group=key)
    # A script of one's own that was queued here and named its group itself: it lies in the run's folder.
    logged(journal.home.run_dir(key), "own", run_group="my own group")
    assert look(journal, challenge, tmp_path).ours == 1
    assert look(journal, challenge, journal.home.path).ours == 1
    assert listed(journal, challenge) == []
    with journal.reading() as db:
        (day,) = board_days(db, challenge, FIRST, FIRST, journal.now(), {})
        assert (len(day.runs), day.foreign_runs) == (1, ())
        assert wandb_runs.count_by_day(db, challenge) == {}
        assert db.exec(select(WandbCurve)).all() == [], "its curves are kept already"
        assert [run.run_id for run in db.exec(select(WandbRun)).all()] == [1, 1]


def test_a_run_of_the_same_key_from_another_journal_is_a_foreign_one(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    week = 7 * 86_400
    key = own_run(journal, challenge, round(START * 1000), round(START * 1000) + 60_000)
    logged(tmp_path, f"{key}-f0", run_group=key, at=START + week)
    assert look(journal, challenge, tmp_path).new == 1
    assert [run.name for run in listed(journal, challenge)] == [key]


def test_two_runs_of_one_name_are_two(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    for run_id in ("abc", "xyz"):
        logged(tmp_path, run_id, display_name="fearless-lake-1")
    look(journal, challenge, tmp_path)
    assert [(run.name, run.parts[0].wandb_id) for run in listed(journal, challenge)] == [
        ("fearless-lake-1", "abc"),
        ("fearless-lake-1", "xyz"),
    ]


def test_a_damaged_file_costs_what_is_damaged_and_is_named(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    path = logged(tmp_path, steps=range(3_000))
    content = bytearray(path.read_bytes())
    content[2 * 32_768 + 100] ^= 0xFF
    path.write_bytes(content)
    found = look(journal, challenge, tmp_path)
    assert (found.new, len(found.problems)) == (1, 1)
    assert "run-abc.wandb: 1 damaged blocks or records were passed over" in found.problems[0]
    (run,) = listed(journal, challenge)
    assert 2_000 < len(curve(journal, run).values) < 3_000


@pytest.fixture
def many(journal: Journal, challenge: Challenge, tmp_path: Path) -> Challenge:
    for number in range(30):
        notes = "grey_images" if number % 3 == 0 else "colour"
        logged(tmp_path, f"run{number:02d}", at=START + 86_400 * (number // 10) + number, notes=notes)
    look(journal, challenge, tmp_path)
    return challenge


def test_many_runs_are_listed_in_pages_and_by_words_each_with_one_query(journal: Journal, many: Challenge) -> None:
    asked: list[str] = []
    event.listen(journal.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    with journal.reading() as db:
        db.connection()
        asked.clear()
        page = wandb_runs.listed(db, many, start=10, limit=5)
        assert len(asked) == 1
        days = wandb_runs.of_days(db, many, FIRST, date(2026, 3, 3))
        assert len(asked) == 2
        curves = wandb_curves.of_runs(db, page, "loss")
        assert len(asked) == 3
        assert [run.name for run in page] == [f"run{number}" for number in range(19, 14, -1)]
        assert len(days) == 20
        assert [len(found) for found in curves.values()] == [1] * 5
        assert wandb_runs.count(db, many) == 30
        assert [*wandb_runs.count_by_day(db, many).values()] == [10, 10, 10]
        assert wandb_runs.count(db, many, "grey_images 2") == 4  # 12, 21, 24, 27
        assert [run.name for run in wandb_runs.listed(db, many, "grey_images 2")] == [
            "run27",
            "run24",
            "run21",
            "run12",
        ]
        assert wandb_curves.metrics_of(db, page) == {run.key: {"loss"} for run in page}


def test_a_run_is_put_to_an_experiment_and_taken_from_it(journal: Journal, many: Challenge) -> None:
    add_run(journal, many, 1, FIRST, 0.5)
    assert wandb_adoption.adopt(journal, many, "run07", "h_001").experiment_key == "h_001"
    assert [run.experiment_key for run in listed(journal, many, "run07")] == ["h_001"]
    with pytest.raises(OnehourError, match=r"there is no experiment 'h_002'. Did you mean 'h_001'"):
        wandb_adoption.adopt(journal, many, "run07", "h_002")
    with pytest.raises(OnehourError, match=r"W&B told of no run 'run7'. Did you mean 'run"):
        wandb_adoption.adopt(journal, many, "run7", "h_001")
    wandb_adoption.unadopt(journal, many, "run07")
    assert [run.experiment_key for run in listed(journal, many, "run07")] == [None]


@pytest.mark.parametrize(
    ("summary", "metric", "found"),
    [
        ({"valid/map5": 0.5, "train/map5": 0.9}, "map5", ("valid/map5", 0.5)),
        ({"val_MAP@5": 0.5, "map5": 0.4}, "map5", ("val_MAP@5", 0.5)),
        ({"oof/map5": 0.3, "valid/map5": 0.5}, "map5", ("oof/map5", 0.3)),
        ({"eval": {"map5": 0.25}}, "map5", ("eval.map5", 0.25)),
        ({"val_acc": 0.8, "acc": 0.9}, "accuracy", ("val_acc", 0.8)),
        ({"logloss": 0.3, "val_loss": 0.2}, "log_loss", ("logloss", 0.3)),
        ({"valid/map5": "NaN", "map5": True}, "map5", ("map5", 1.0)),
        ({"valid/map3": 0.5, "loss": 0.1}, "map5", None),
        ({}, "map5", None),
        ({"valid/micro_f1": 0.5}, "macro_f1", None),
        ({"val_top5_acc": 0.9}, "accuracy", None),
        ({"log_rmse": 0.1, "best_val_rmse": 0.3}, "rmse", ("best_val_rmse", 0.3)),
    ],
)
def test_the_score_is_what_goes_by_the_name_of_the_metric(
    summary: dict[str, Any], metric: str, found: tuple[str, float] | None
) -> None:
    assert score_of(summary, metric) == found


def test_of_a_very_long_curve_every_second_point_is_left_out_and_both_ends_stay() -> None:
    points = Points()
    for step in range(3 * MOST_POINTS):
        points.add(step, START + step, float(step), {"loss": float(step)})
    series = points.series["loss"]
    assert MOST_POINTS / 2 <= len(series.values) < 2 * MOST_POINTS
    assert series.values[-1] == 3 * MOST_POINTS - 1
    assert series.steps[0] <= 4
    assert list(series.steps) == list(series.values)
    assert points.rows == 3 * MOST_POINTS

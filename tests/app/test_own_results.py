"""What a person's own code may leave as its result, read leniently and never wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.scores import own_results, own_wandb
from app.scores.finished import Finished
from engine.contract import CommandSpec, FoldScore, OnehourError, validated
from engine.run_folder import RunFolder, file_sha256
from tests.app.trainings import write_result
from tests.app.wandb_files import exit_record, offline_dir, row_record, run_record, summary_record
from tests.app.wandb_files import write as write_wandb

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "humpback_001-r01")
    made.path.mkdir()
    return made


def read(folder: RunFolder, left: Any = None, **keys: Any) -> Finished:
    if left is not None:
        folder.result_json.write_text(left if isinstance(left, str) else json.dumps(left))
    spec = CommandSpec.model_validate({"argv": ["true"], "cwd": "/", **keys})
    return own_results.read(spec, folder.run_id, folder)


def rows(folder: RunFolder, *given: dict[str, Any] | str) -> None:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in given]
    folder.metrics_jsonl.write_text("\n".join(lines) + "\n")


def test_numbers_and_objects_are_folds(folder: RunFolder) -> None:
    found = read(folder, {"cv": 0.5, "folds": [0.25, {"score": 0.5, "fold": 1, "images": 7}], "lr": 1})
    assert found.fold_scores == (FoldScore(fold=0, score=0.25, images=0), FoldScore(fold=1, score=0.5, images=7))
    assert (found.columns["cv"], found.columns["images"], found.remarks) == (0.5, 7, ())


def test_a_missing_cv_is_the_mean_of_the_folds_and_that_is_said(folder: RunFolder) -> None:
    found = read(folder, {"folds": [0.25, 0.75]})
    assert (found.columns["cv"], found.remarks) == (0.5, ("result.json holds no cv: it is the mean of the folds.",))


def test_a_key_that_is_nearly_one_of_ours_is_named(folder: RunFolder) -> None:
    found = read(folder, {"fold": [0.5]})
    assert found.columns["cv"] is None
    assert found.remarks == (
        "result.json holds 'fold', which is not read. Did you mean 'folds'?",
        "result.json holds neither cv nor folds, so the run has no CV.",
    )


def test_another_metric_needs_a_direction_unless_it_is_known(folder: RunFolder) -> None:
    assert read(folder, {"cv": 1, "metric": "rmse"}).columns["direction"] == "min"
    dice = read(folder, {"cv": 1, "metric": "dice", "direction": "max"}).columns
    assert (dice["metric"], dice["direction"]) == ("dice", "max")
    with pytest.raises(OnehourError, match=r"nothing tells whether a higher 'dice' is better.* add"):
        read(folder, {"cv": 1, "metric": "dice"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[0.5]", "a result is a JSON object"),
        ("{", "the result cannot be read"),
        ('{"cv": NaN}', "cv: input should be a finite number"),
        ('{"cv": "high"}', "cv: input should be a valid number"),
        ('{"folds": [{"images": 3}]}', "folds.0"),
        ('{"folds": [{"score": 1, "fold": -1}]}', "folds.0"),
        ("[" * 100_000, "the result cannot be read"),
    ],
)
def test_what_is_no_result_is_refused(folder: RunFolder, text: str, sentence: str) -> None:
    with pytest.raises(OnehourError, match=sentence):
        read(folder, text)


def test_rows_may_leave_out_what_they_do_not_know(folder: RunFolder) -> None:
    rows(
        folder,
        {"valid/map5": 0.25},
        {"valid/map5": 0.5, "train/loss": 10**400, "ok": True},
        '{"valid/map5": NaN}',
        "no row",
        "[1]",
        {"fold": "first", "valid/map5": 0.9},
        {"fold": 10**30, "valid/map5": 0.9},
        {"kind": 3, "valid/map5": 0.9},
        '{"valid/map5": 0.',
    )
    found = read(folder)
    assert (found.columns["cv"], found.columns["direction"]) == (0.5, "max")
    assert [(row.fold, row.epoch) for row in folder.epochs()] == [(0, 1), (0, 2), (0, 3)]
    assert folder.epochs()[1].values == {"valid/map5": 0.5, "train/loss": float("inf")}
    assert folder.kept() == 3


def test_the_last_row_of_each_fold_makes_the_cv(folder: RunFolder) -> None:
    epochs = [(0, 1, 0.9), (0, 2, 0.25), (1, 1, 0.75)]
    rows(folder, *({"fold": fold, "epoch": epoch, "valid/map5": score} for fold, epoch, score in epochs))
    found = read(folder)
    assert (found.columns["cv"], [one.score for one in found.fold_scores]) == (0.5, [0.25, 0.75])
    assert found.remarks == (
        "There is no result.json: the CV is the mean of each fold's last valid/map5 in metrics.jsonl.",
    )


def test_files_of_other_names_are_taken(folder: RunFolder) -> None:
    (folder.path / "scores.json").write_text('{"cv": 0.25}')
    (folder.path / "best.csv").write_text("Image,Id\n")
    found = read(folder, {"cv": 0.9}, result="scores.json", submission="best.csv")
    assert (found.columns["cv"], found.submission) == (0.25, folder.path / "best.csv")
    assert found.submission_sha256 == file_sha256(folder.path / "best.csv")


def test_folds_of_the_engine_make_it_comparable(folder: RunFolder) -> None:
    folder.folds_csv.write_text("image,label,fold,group\n")
    assert read(folder, {"cv": 0.5}).columns["folds_sha256"] == file_sha256(folder.folds_csv)


def wandb_run(folder: RunFolder, run_id: str, started: float, code: int | None, **values: float) -> None:
    path = offline_dir(folder.path, run_id)
    last = {name: 2 * value for name, value in values.items()}
    records = [run_record(run_id, started), row_record(0, started, 1.0, **values), row_record(1, started, 2.0, **last)]
    ended = [] if code is None else [exit_record(code)]
    write_wandb(path, [*records, summary_record(**last, _step=1), *ended])


def test_without_rows_the_score_and_the_curves_are_those_logged_to_wandb(folder: RunFolder) -> None:
    wandb_run(folder, "b", 2_000.0, 0, val_map5=0.25)
    wandb_run(folder, "a", 1_000.0, 0, val_map5=0.125, loss=1.0)
    wandb_run(folder, "c", 3_000.0, 75, val_map5=0.4)  # stopped in good order: it went on in another one
    wandb_run(folder, "d", 4_000.0, None, val_map5=0.4)  # killed
    wandb_run(folder, "e", 1_500.0, 0, loss=1.0)
    (folder.wandb_dir / "latest-run").symlink_to(offline_dir(folder.path, "b").parent)
    found = read(folder)
    assert found.fold_scores == (FoldScore(fold=0, score=0.25, images=0), FoldScore(fold=2, score=0.5, images=0))
    assert (found.columns["cv"], found.columns["wandb_mode"]) == (0.375, "offline")
    assert found.remarks == ("There is no result.json: the CV is the mean of 2 runs' val_map5 as logged to W&B.",)
    first, *_ = own_wandb.logged(folder)
    assert {name: (list(one.steps), list(one.values)) for name, one in first.series.items()} == {
        "val_map5": ([0.0, 1.0], [0.125, 0.25]),
        "loss": ([0.0, 1.0], [1.0, 2.0]),
    }
    rows(folder, {"epoch": 1, "valid/map5": 0.75})
    assert read(folder).columns["cv"] == 0.75, "its own rows come first"


def test_wandb_files_say_that_it_was_tracked(folder: RunFolder) -> None:
    assert read(folder).columns["wandb_mode"] == "off"
    (folder.wandb_dir / "offline-run-1").mkdir(parents=True)
    (folder.wandb_dir / "offline-run-1" / "run-1.wandb").touch()
    assert read(folder).columns["wandb_mode"] == "offline"


def test_an_engines_result_of_another_run_is_refused(folder: RunFolder) -> None:
    write_result(folder)
    assert read(folder).columns["threshold"] == 0.375
    folder.result_json.write_text(folder.result_json.read_text().replace(folder.run_id, "humpback_009-r01"))
    with pytest.raises(OnehourError, match="this is the result of 'humpback_009-r01'"):
        read(folder)


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"cwd": "/"}, "either a command .argv. or a notebook"),
        ({"cwd": "/", "argv": ["a"], "notebook": "b.ipynb"}, "either a command .argv. or a notebook"),
        ({"cwd": "/", "argv": ["a"], "metric": "map6"}, "there is no metric 'map6'. Did you mean 'map5'"),
        ({"cwd": "/", "argv": ["a"], "result": "../r.json"}, "is no name of a .json file in the run's folder"),
        ({"cwd": "/", "argv": ["a"], "submission": "s.parquet"}, "is no name of a .csv file in the run's folder"),
        ({"argv": ["a"]}, "the key 'cwd' is missing"),
        ({"cwd": "/", "argv": ["a"], "cvd": "/"}, "unknown key 'cvd'. Did you mean 'cwd'"),
    ],
)
def test_a_command_that_contradicts_itself_is_refused(mapping: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OnehourError, match=sentence):
        validated(CommandSpec, mapping, "test")

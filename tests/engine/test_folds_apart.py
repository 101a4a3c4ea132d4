"""Folds that processes of their own train, side by side in one folder, and the run that finds them done and merges them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engine.contract import EXIT_BAD_INPUT, EXIT_OK, EXIT_REQUEUE, OnehourError, spec_from_mapping
from engine.run_folder import RunFolder
from engine.training.run import train
from engine.training.stop import Stop
from engine.training.workplace import alone
from tests.engine.test_training import SPEC, pictures, run, straight, weights

__all__ = ["pictures", "straight"]  # the fixtures


def command(spec_yaml: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "engine", "train", str(spec_yaml), "--out", str(out), *more]


def one_fold(pictures: Path, out: Path, fold: int, time_limit_s: float | None = None, **keys: Any) -> int:
    spec = spec_from_mapping(SPEC | {"data": {"dir": str(pictures)}} | keys, "test")
    return train(spec, RunFolder(out), "as asked\n", time_limit_s, fold=fold)


def test_folds_trained_at_once_end_as_those_of_one_process_bit_for_bit(
    pictures: Path, straight: RunFolder, tmp_path: Path
) -> None:
    spec_yaml, folder = tmp_path / "spec.yaml", RunFolder(tmp_path / "apart_001-r01")
    spec_yaml.write_text(yaml.safe_dump(SPEC | {"data": {"dir": str(pictures)}}))
    both = [
        subprocess.Popen(command(spec_yaml, folder.path, "--fold", fold), stderr=subprocess.PIPE, text=True)
        for fold in "01"
    ]
    for process in both:
        _, said = process.communicate()
        assert process.returncode == EXIT_OK, said
    assert not folder.metrics_jsonl.exists()
    assert not folder.log_txt.exists()
    for fold in (0, 1):
        rows = [json.loads(line) for line in folder.fold_metrics_jsonl(fold).read_text().splitlines()]
        assert {row["fold"] for row in rows} == {fold}
        assert f"fold {fold} epoch 5/5" in folder.fold_log_txt(fold).read_text()
    assert folder.read_result() is None
    assert folder.progress() == 1.0

    assert run(pictures, folder.path) == EXIT_OK
    assert weights(folder.path) == weights(straight.path)
    merged, result = folder.read_result(), straight.read_result()
    assert merged is not None
    assert result is not None
    assert (merged.cv, merged.threshold, merged.folds_sha256) == (result.cv, result.threshold, result.folds_sha256)
    assert folder.submission_csv.read_bytes() == straight.submission_csv.read_bytes()
    with np.load(folder.oof_npz) as mine, np.load(straight.oof_npz) as theirs:
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs.files)
    assert merged.train_s == pytest.approx(sum(fold.train_s or 0 for fold in merged.fold_scores))
    assert merged.started_at == min(row["at"] for row in folder.metrics())
    assert f"CV map5 {result.cv:.4f}" in folder.log_txt.read_text()


def test_a_fold_stops_before_its_limit_and_goes_on_and_is_not_trained_twice(
    pictures: Path, straight: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "apart_001-r01")
    with pytest.raises(OnehourError, match="nothing was done that a next start could build on"):
        one_fold(pictures, folder.path, 1, 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "left_s", lambda _: 0.0 if folder.kept() >= 2 else float("inf"))
        assert one_fold(pictures, folder.path, 1, 1e6) == EXIT_REQUEUE
    assert "stopped: the time limit" in folder.fold_log_txt(1).read_text()
    assert not folder.fold_predictions(1).exists()
    assert one_fold(pictures, folder.path, 1) == EXIT_OK
    assert "fold 1 goes on after" in folder.fold_log_txt(1).read_text()
    before = folder.fold_predictions(1).stat().st_mtime_ns
    assert one_fold(pictures, folder.path, 1) == EXIT_OK
    assert folder.fold_predictions(1).stat().st_mtime_ns == before
    assert run(pictures, folder.path) == EXIT_OK  # trains what is missing before it merges
    assert weights(folder.path) == weights(straight.path)


def test_a_process_holds_its_fold_beside_those_who_hold_others_and_never_beside_the_whole_run(
    pictures: Path, straight: RunFolder, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "apart_001-r01")
    folder.create(straight.read_spec())
    with alone(folder, 0):
        with alone(folder, 1), pytest.raises(OnehourError, match="another process trains this fold just now"):
            one_fold(pictures, folder.path, 0)
        with pytest.raises(OnehourError, match="another process trains this run just now"):
            run(pictures, folder.path)
    with alone(folder), pytest.raises(OnehourError, match="another process trains this run just now"):
        one_fold(pictures, folder.path, 0)


def test_a_run_without_hope_begins_no_more_folds_in_whatever_order_they_were_trained(
    pictures: Path, straight: RunFolder, tmp_path: Path
) -> None:
    folder, result = RunFolder(tmp_path / "behind_001-r01"), straight.read_result()
    assert result is not None
    rule = {
        "run": straight.run_id,
        "folds_sha256": result.folds_sha256,
        "fold_scores": [one.score for one in result.fold_scores],
        "by": [0.05],
    }
    slow = {"stages": [{"epochs": 1, "lr": 1e-6}], "stop_if_behind": rule}
    assert one_fold(pictures, folder.path, 1, **slow) == EXIT_OK
    assert folder.fold_predictions(1).exists()
    for _ in range(2):
        assert one_fold(pictures, folder.path, 0, **slow) == EXIT_OK
        assert folder.stopped().startswith("after fold 1 it is behind straight_001-r01")
    assert json.loads(folder.stopped_json.read_text())["fold"] == 1
    assert {row["fold"] for row in folder.metrics()} == {1}
    assert run(pictures, folder.path, **slow) == EXIT_OK
    assert folder.read_result() is None


def test_a_fold_that_the_spec_does_not_have_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(OnehourError, match=r"--fold: there is no fold 2. The spec has 2, from 0 to 1.") as raised:
        one_fold(pictures, tmp_path / "apart_001-r01", 2)
    assert raised.value.exit_code == EXIT_BAD_INPUT
    assert not (tmp_path / "apart_001-r01").exists()

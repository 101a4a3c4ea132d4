"""Whole runs that predict a number: how much of each picture a disc covers, every label another float."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from engine.blending.blend import blend
from engine.contract import EXIT_OK, EXIT_REQUEUE, BlendSpec, OnehourError, spec_from_mapping
from engine.inference.fold_predictions import fold_facts
from engine.inference.score import score_files
from engine.model.head import Number
from engine.run_folder import RunFolder
from engine.training.losses import NumberLoss
from engine.training.resume import load
from engine.training.run import train
from engine.training.stop import Stop

IMAGES, TEST, SIDE = 96, 16, 32
EPOCHS = 6


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition: what share of a picture does its disc cover, times a thousand?"""
    folder = tmp_path_factory.mktemp("discs")
    random = np.random.default_rng(0)

    def draw(file: Path) -> str:
        radius = random.uniform(3, 14)
        image = random.normal(random.uniform(40, 80, 3), 12, (SIDE, SIDE, 3))
        cv2.circle(image, random.integers(14, SIDE - 14, 2).tolist(), round(radius), (200, 190, 180), -1)
        file.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(file), np.clip(image, 0, 255).astype(np.uint8))
        return f"{1000 * np.pi * radius**2 / SIDE**2:.5f}"

    rows = [(f"{i:03}.png", draw(folder / "train" / f"{i:03}.png")) for i in range(IMAGES)]
    tests = [(f"t{i:02}.png", draw(folder / "test" / f"t{i:02}.png")) for i in range(TEST)]
    assert len({number for _, number in rows}) == IMAGES
    tables = (("train.csv", rows), ("truth.csv", tests), ("sample_submission.csv", [(file, "0") for file, _ in tests]))
    for name, lines in tables:
        with (folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows([("Image", "Share"), *lines])
    return folder


def run(data: Path, out: Path, **keys: Any) -> int:
    mapping = {
        "data": {"dir": str(data), "label_col": "Share", "unknown_label": None}, "metric": "rmse", "head": "number",
        "loss": "mse", "folds": 2, "backbone": "test_resnet", "image_size": [SIDE, SIDE], "batch_size": 8,
        "stages": [{"epochs": EPOCHS, "lr": 0.01}], "tracking": {"wandb": "off"},
    }  # fmt: skip
    return train(spec_from_mapping(mapping | keys, "test"), RunFolder(out), "as asked\n")


def deviation(data: Path) -> float:
    """What the best constant answer scores."""
    with (data / "train.csv").open() as file:
        return float(np.std([float(row["Share"]) for row in csv.DictReader(file)]))


@pytest.fixture(scope="session")
def straight(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("runs") / "share_001-r01"
    assert run(discs, out) == EXIT_OK
    return RunFolder(out)


def test_a_run_learns_numbers_that_are_all_different(discs: Path, straight: RunFolder) -> None:
    result = straight.read_result()
    assert result is not None
    constant = deviation(discs)
    assert result.cv < 0.5 * constant
    assert (result.direction, result.classes, result.threshold) == ("min", 0, None)
    assert score_files("rmse", discs / "truth.csv", straight.submission_csv).all < 0.5 * constant
    assert not any("all images in one fold" in note for note in result.notes), "a number is no label with one image"
    with np.load(straight.oof_npz) as oof, np.load(straight.test_npz) as test:
        truth = oof["label"].astype(float)
        assert float(np.sqrt(((oof["numbers"] - truth) ** 2).mean())) == pytest.approx(result.cv, rel=1e-5)
        assert test["numbers"].shape == (TEST,)
    rows = list(csv.reader(straight.submission_csv.open()))
    assert rows[0] == ["Image", "Share"]
    assert len({float(row[1]) for row in rows[1:]}) > TEST / 2


def test_an_epoch_tells_its_error_in_the_unit_of_the_labels_and_the_best_is_the_lowest(straight: RunFolder) -> None:
    rows = [row for row in straight.metrics() if row["kind"] == "epoch" and row["fold"] == 0]
    assert rows[-1]["train/loss"] < 0.5 * rows[0]["train/loss"]
    errors = [row["valid/rmse"] for row in rows]
    best = load(straight.best_checkpoint(0))
    assert best is not None
    assert best["done"] == 1 + errors.index(min(errors))
    result = straight.read_result()
    assert result is not None
    assert errors[-1] == pytest.approx(result.fold_scores[0].score, rel=1e-4)


def test_mean_and_deviation_of_the_training_numbers_lie_with_the_weights(straight: RunFolder) -> None:
    weights = load(straight.last_checkpoint(1))
    assert weights is not None
    with np.load(straight.oof_npz) as oof:
        trained = oof["label"][oof["fold"] != 1].astype(np.float32)
    assert float(weights["model"]["head.mean"]) == pytest.approx(trained.mean(), rel=1e-5)
    assert float(weights["model"]["head.sd"]) == pytest.approx(trained.std(), rel=1e-5)


def test_the_checks_call_numbers_numbers(straight: RunFolder) -> None:
    checks = json.loads(straight.checks_json.read_text())
    assert (checks["labels"], checks["images_per_label"]) == (0, {})
    assert sum(images for _, images in checks["numbers"]) == IMAGES
    names = {one["name"] for one in checks["checks"]}
    assert "numbers" in names
    assert not {"labels", "labels with one image", "labels that look the same"} & names


def test_the_worst_images_are_those_farthest_off(straight: RunFolder) -> None:
    samples = [row for row in straight.metrics() if row["kind"] == "sample" and row["fold"] == 0]
    off = [abs(row["score"] - float(row["label"])) for row in samples]
    assert len(off) == 5
    assert off == sorted(off, reverse=True)


@pytest.mark.parametrize(
    "keys", [{}, {"averaging": "swa", "mixup": 0.4, "loss": "huber", "stages": [{"epochs": 3, "lr": 0.01}]}]
)
def test_a_run_stopped_in_the_middle_ends_with_the_same_weights(
    discs: Path, straight: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    stopped, whole = RunFolder(tmp_path / "r"), straight
    if keys:
        whole = RunFolder(tmp_path / "whole")
        assert run(discs, whole.path, **keys) == EXIT_OK
        result = whole.read_result()
        assert result is not None
        assert result.cv < deviation(discs)
    checked = Stop.check

    def check(stop: Stop, ahead_s: float = 0.0) -> None:
        if sum(row["kind"] == "batch" for row in stopped.metrics()) >= 4:
            stop.signal_name = "SIGTERM"
        checked(stop, ahead_s)

    with monkeypatch.context() as patch:
        patch.setattr(Stop, "check", check)
        patch.setattr("engine.training.rows.ROWS_EVERY", 3)
        assert run(discs, stopped.path, **keys) == EXIT_REQUEUE
    assert not stopped.fold_predictions(1).exists()
    assert run(discs, stopped.path, **keys) == EXIT_OK
    found = [
        [fact.weights_sha256 for fact in fold_facts([one.fold_predictions(fold) for fold in (0, 1)])]
        for one in (stopped, whole)
    ]
    assert found[0] == found[1]
    assert stopped.submission_csv.read_bytes() == whole.submission_csv.read_bytes()


def test_numbers_are_blended_with_numbers_and_with_scores_of_grades(discs: Path, tmp_path: Path) -> None:
    """Three grades: one run predicts the number, the other scores each grade."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "test"):
        (data / name).symlink_to(discs / name)
    for name in ("train.csv", "truth.csv", "sample_submission.csv"):
        head, *rows = csv.reader((discs / name).open())
        graded = [(file, str(min(2, int(float(number) // 200)))) for file, number in rows]
        with (data / name).open("w", newline="") as handle:
            csv.writer(handle).writerows([head, *graded])
    a, b, out = (RunFolder(tmp_path / name) for name in ("a", "b", "ab"))
    assert run(data, a.path, metric="qwk") == EXIT_OK
    assert run(data, b.path, metric="qwk", head="linear", loss="cross_entropy") == EXIT_OK
    result = blend([a.path, b.path], out, BlendSpec(weights="equal"))
    for folder in (a, b, out):
        found = folder.read_result()
        assert found is not None
        assert found.cv > 0.2
        assert {row[1] for row in list(csv.reader(folder.submission_csv.open()))[1:]} <= {"0", "1", "2"}
    with np.load(a.oof_npz) as one, np.load(b.oof_npz) as other, np.load(out.oof_npz) as both:
        scores = np.exp(np.log(np.maximum(other["top_scores"], 1e-30)))
        expected = (scores * other["top_labels"].astype(float)).sum(1) / scores.sum(1)
        assert both["numbers"] == pytest.approx((one["numbers"] + expected) / 2, abs=1e-4)
    assert result.parents == ("a", "b")


def test_folds_whose_numbers_are_all_the_same_are_refused(discs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "test", "sample_submission.csv"):
        (data / name).symlink_to(discs / name)
    (data / "train.csv").write_text("Image,Share\n000.png,1.5\n001.png,1.5\n002.png,1.5\n003.png,2.5\n")
    with pytest.raises(OnehourError, match=r"all images that fold \d would train on have the number 1.5"):
        run(data, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_loss_counts_deviations_and_a_head_answers_in_the_unit_of_the_labels() -> None:
    head = Number(3)
    head.measure(np.array([1000.0, 3000.0]))
    torch.nn.init.zeros_(head.line.weight)
    torch.nn.init.ones_(head.line.bias)
    assert head(torch.zeros(2, 3)).flatten().tolist() == [3000, 3000], "one deviation above the mean"
    answers, targets = head(torch.zeros(2, 3)).detach(), torch.tensor([1000.0, 3000.0])
    assert float(NumberLoss("mse", 1000.0)(answers, targets)) == 2.0
    assert float(NumberLoss("huber", 1000.0)(answers, targets)) == 0.75

"""Whole runs under metrics that take no list of labels: probabilities and numbers, from the spec to the submission."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.contract import EXIT_OK, METRIC_DIRECTIONS, OnehourError, spec_from_mapping
from engine.inference.answers import refuse_folds_of_one_label
from engine.inference.metric import Probabilities, score
from engine.inference.score import score_files
from engine.inference.so_far import scores_so_far
from engine.run_folder import RunFolder
from engine.training.prepare import prepare
from engine.training.run import train

EACH, TEST = 8, 6


def pictures(folder: Path, labels: tuple[str, ...], header: tuple[str, ...]) -> Path:
    """A competition in which the brightness of a picture is its label."""
    random = np.random.default_rng(0)

    def draw(file: Path, place: int) -> None:
        grey = 30 + 190 * place / (len(labels) - 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(file), np.clip(random.normal(grey, 20, (40, 40, 3)), 0, 255).astype(np.uint8))

    rows = [(f"{i:03}.png", i % len(labels)) for i in range(EACH * len(labels))]
    tests = [(f"t{i}.png", i % len(labels)) for i in range(TEST)]
    for file, place in rows:
        draw(folder / "train" / file, place)
    for file, place in tests:
        draw(folder / "test" / file, place)
    tables = {
        "train.csv": [("Image", "Id"), *((file, labels[place]) for file, place in rows)],
        "truth.csv": [("Image", "Id"), *((file, labels[place]) for file, place in tests)],
        "sample_submission.csv": [header, *((file, *["0"] * (len(header) - 1)) for file, _ in tests)],
    }
    for name, lines in tables.items():
        with (folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows(lines)
    return folder


def run(data: Path, out: Path, metric: str) -> RunFolder:
    mapping = {
        "data": {"dir": str(data), "unknown_label": None}, "metric": metric, "folds": 2, "backbone": "test_resnet",
        "image_size": [32, 32], "batch_size": 8, "stages": [{"epochs": 3, "lr": 0.01}], "tracking": {"wandb": "off"},
    }  # fmt: skip
    assert train(spec_from_mapping(mapping, "test"), RunFolder(out), "as asked\n") == EXIT_OK
    return RunFolder(out)


@pytest.mark.parametrize(
    ("metric", "labels", "columns", "constant"),
    [
        ("log_loss", ("dark", "grey", "light"), ("light", "grey", "dark"), np.log(3)),
        ("auc", ("0", "1"), ("Id",), 0.5),
        ("qwk", ("0", "1", "2"), ("Id",), 0.0),
        ("rmse", ("0", "1", "2"), ("Id",), (2 / 3) ** 0.5),
    ],
)
def test_a_run_under_each_kind_of_metric_beats_the_constant_answer(
    tmp_path: Path, metric: str, labels, columns, constant: float
) -> None:
    data = pictures(tmp_path / "data", labels, ("Image", *columns))
    folder = run(data, tmp_path / "r", metric)
    result = folder.read_result()
    assert result is not None
    assert (result.metric, result.direction) == (metric, METRIC_DIRECTIONS[metric])
    sign = 1 if result.direction == "max" else -1
    assert sign * result.cv > sign * constant
    prepared = prepare(folder.read_spec(), folder.path.parent)
    found = scores_so_far(folder.read_spec(), folder, prepared.competition, prepared.folds)
    assert found == pytest.approx({one.fold: one.score for one in result.fold_scores})
    rows = list(csv.reader(folder.submission_csv.open()))
    assert rows[0] == ["Image", *columns]
    assert len(rows) == TEST + 1
    there = score_files(metric, data / "truth.csv", folder.submission_csv)
    assert sign * there.all > sign * constant
    if metric == "log_loss":
        with np.load(folder.oof_npz) as oof:
            order = np.argsort(oof["top_labels"], axis=1)
            kept = np.take_along_axis(oof["top_scores"], order, axis=1)
            by_hand = score(metric, oof["label"].tolist(), Probabilities(tuple(sorted(labels)), kept))
        assert by_hand == pytest.approx(result.cv, abs=1e-6)


def test_a_metric_that_the_sample_submission_cannot_hold_is_refused_before_training(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", ("a", "b", "c"), ("Image", "Id"))
    with pytest.raises(OnehourError, match=r"sample_submission\.csv, line 1: .*3 labels"):
        run(data, tmp_path / "r", "auc")
    assert not (tmp_path / "r").exists()


def test_a_fold_of_one_label_is_refused_where_the_metric_compares_two() -> None:
    refuse_folds_of_one_label("auc", "abab", [0, 0, 1, 1])
    refuse_folds_of_one_label("log_loss", "aabb", [0, 0, 1, 1])
    with pytest.raises(OnehourError, match="all images of fold 1 have the label 'b'"):
        refuse_folds_of_one_label("auc", "abbb", [0, 0, 1, 1])

"""Whole runs beside broken files: left out or answered unseen, named in the result, and nothing else is moved by them."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.blending.blend import blend
from engine.contract import EXIT_OK, BlendSpec, OnehourError
from engine.run_folder import RunFolder
from tests.engine import test_other_metrics
from tests.engine.test_training import pictures, run

__all__ = ["pictures"]  # the fixture


def rows_of(folder: RunFolder) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in csv.reader(folder.submission_csv.open())}


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.fixture
def damaged(pictures: Path, tmp_path: Path) -> Path:
    """The competition with a broken training image and a broken test image."""
    shutil.copytree(pictures, tmp_path / "data")
    cut_off(tmp_path / "data" / "train" / "007.jpg")
    cut_off(tmp_path / "data" / "test" / "t005.jpg")
    return tmp_path / "data"


def test_broken_images_are_answered_or_left_out_and_the_result_names_them(damaged: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r_001-r01")
    assert run(damaged, folder.path) == EXIT_OK
    result = folder.read_result()
    assert result is not None
    assert (result.images, result.test_images) == (71, 14)
    assert sum("train/007.jpg (truncated)" in note and "nor scored" in note for note in result.notes) == 1
    assert sum("test/t005.jpg (truncated)" in note and "without being seen" in note for note in result.notes) == 1
    answers = rows_of(folder)
    assert len(answers) == 1 + 14
    assert answers["t005.jpg"] == ["new_whale w_1 w_2 w_3 w_4"], "w_0 lost an image, the others have ten each"
    with np.load(folder.oof_npz) as oof, np.load(folder.test_npz) as test:
        assert "007.jpg" not in oof["image"]
        assert test["image"].tolist() == [f"t{i:03}.jpg" for i in range(14)]
        assert (test["top_labels"][:, 0] == "").tolist() == [i == 5 for i in range(14)]

    again = RunFolder(tmp_path / "r_002-r01")
    assert run(damaged, again.path, seed=1, folds_from=str(folder.path)) == EXIT_OK
    blended = RunFolder(tmp_path / "b_001-r01")
    blend([folder.path, again.path], blended, BlendSpec(by="score", weights="oof"))
    assert rows_of(blended)["t005.jpg"] == answers["t005.jpg"]
    assert len(rows_of(blended)) == len(answers)


def test_a_run_whose_test_image_was_mended_on_the_way_is_refused(
    pictures: Path, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "r")
    with monkeypatch.context() as patch:
        patch.setattr("engine.training.run.write_outcome", lambda *_, **__: pytest.fail("stopped here"))
        with pytest.raises(pytest.fail.Exception, match="stopped here"):
            run(damaged, folder.path)
    shutil.copy(pictures / "test" / "t005.jpg", damaged / "test" / "t005.jpg")
    with pytest.raises(OnehourError, match="the fold predicted 13 test images, and 14 can be decoded now"):
        run(damaged, folder.path)


@pytest.mark.parametrize(
    ("metric", "labels", "columns", "expected"),
    [("log_loss", ("dark", "light"), ("light", "dark"), ["0.5", "0.5"]), ("qwk", ("0", "1", "2"), ("Id",), ["1"])],
)
def test_a_broken_test_image_has_probabilities_and_numbers_too(
    tmp_path: Path, metric: str, labels, columns, expected: list[str]
) -> None:
    data = test_other_metrics.pictures(tmp_path / "data", labels, ("Image", *columns))
    cut_off(data / "test" / "t3.png")
    answers = rows_of(test_other_metrics.run(data, tmp_path / "r", metric))
    assert answers["t3.png"] == expected
    assert len(answers) == 1 + test_other_metrics.TEST

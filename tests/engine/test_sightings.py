"""Sightings proposed from what stands around the animals."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.__main__ import main
from engine.check_folder import least_certain
from engine.checks.backgrounds import MATCHES, background_of, matches
from engine.checks.facts import Entry
from engine.checks.sightings import propose_sightings
from engine.contract import DataSpec, OnehourError
from engine.data import progress
from engine.data.competition import load
from tests.engine.test_local_features import blots


def scene(mark: int, place: int, left: int = 0, size: tuple[int, int] = (200, 300)) -> np.ndarray:
    """The animal `mark`, an ellipse in the middle of a cut-out of `place` that begins `left` pixels from its edge."""
    picture = blots(place, (200, 360))[:, left : left + 300].copy()
    inside = cv2.ellipse(np.zeros((200, 300), np.uint8), (150, 100), (95, 52), 0, 0, 360, 1, -1) == 1
    picture[inside] = blots(1000 + mark, (200, 300))[inside]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


def competition(root: Path, pictures: dict[str, tuple[str, np.ndarray]]) -> DataSpec:
    """A competition with these training images (name: label, pixels) and one test image."""
    for part in ("train", "test"):
        (root / part).mkdir(parents=True)
    for name, (_, pixels) in pictures.items():
        assert cv2.imwrite(str(root / "train" / name), pixels)
    assert cv2.imwrite(str(root / "test/t.png"), blots(99, (200, 300)))
    rows = "".join(f"{name},{label}\n" for name, (label, _) in pictures.items())
    (root / "train.csv").write_text(f"Image,Id\n{rows}")
    (root / "sample_submission.csv").write_text("Image,Id\nt.png,a\n")
    return DataSpec(dir=str(root))


@pytest.fixture
def herd(tmp_path: Path) -> DataSpec:
    """a1 and a2 are one sighting of a, a3 another; b1 stands where a1 stood; c is unknown, twice at one place."""
    return competition(
        tmp_path / "data",
        {
            "a1.png": ("a", scene(1, 11)),
            "b1.png": ("b", scene(2, 11, 10)),
            "a2.png": ("a", scene(3, 11, 25, (160, 240))),
            "a3.png": ("a", scene(1, 12)),
            "b2.png": ("b", scene(2, 13)),
            "c1.png": ("new_whale", scene(4, 14)),
            "c2.png": ("new_whale", scene(5, 14, 5)),
        },
    )


def test_images_of_a_label_before_the_same_background_are_one_sighting(herd: DataSpec, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    made = propose_sightings(herd, out)
    assert (made.asked, made.pairs) == (4, 1)
    assert made.sighting == ("s0001", "", "s0001", "", "", "", "")
    assert 1 <= made.by_chance <= made.across <= 4  # b1 stands where a1 stood, and that is not a sighting of either
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Image"] for row in rows] == list(load(herd).images)
    assert made.sheet.read_bytes().startswith(b"\xff\xd8")
    found = load(herd.model_copy(update={"labels": str(out), "sightings_col": "sighting"}))
    assert found.sightings == made.sighting


def test_only_what_lies_outside_the_box_is_background(herd: DataSpec) -> None:
    one, other = (Entry("train", name, Path(herd.dir) / "train" / name, "a") for name in ("a1.png", "a3.png"))
    everything = (0.0, 0.0, 1.0, 1.0)  # a box of one pixel: the animal counts, too, and it is the same
    assert matches(background_of(one, everything), background_of(other, everything)) >= MATCHES
    animal = (40.0, 30.0, 260.0, 170.0)
    assert matches(background_of(one, animal), background_of(other, animal)) < MATCHES


def test_labels_of_very_many_images_are_left_alone_and_told(
    herd: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.checks.sightings.MOST", 2)
    made = propose_sightings(herd, tmp_path / "labels.csv")
    assert made.skipped == ("a",)
    assert made.pairs == 0
    assert not made.sheet.exists()
    assert made.notes[-1] == "1 label has more than 2 images and was not looked at"


def test_a_picture_that_cannot_be_decoded_is_of_no_sighting_and_told(herd: DataSpec, tmp_path: Path) -> None:
    broken = Path(herd.dir) / "train/a2.png"
    broken.write_bytes(broken.read_bytes()[:300])
    made = propose_sightings(herd, tmp_path / "labels.csv")
    assert made.sighting == ("",) * 7
    assert made.notes[-1] == "1 image cannot be decoded and is of no sighting: a2.png"


def test_how_far_it_is_is_told_in_a_log(
    herd: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "TOLD_EACH_S", 0.0)
    assert main(["sightings", herd.dir, "--out", str(tmp_path / "labels.csv")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "label by label" in line]
    assert [line.split(": ")[-1].split(",")[0] for line in told] == ["1 of 2", "2 of 2"]


def test_nothing_is_written_over_and_given_sightings_are_enough(herd: DataSpec, tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    with pytest.raises(OnehourError, match="there is a file already"):
        propose_sightings(herd, there)
    assert there.read_text() == "mine"
    with pytest.raises(OnehourError, match="a column says already"):
        propose_sightings(herd.model_copy(update={"sightings_col": "burst"}), tmp_path / "new.csv")
    with pytest.raises(OnehourError, match="needs a label file"):
        propose_sightings(DataSpec(dir=str(folders(tmp_path / "folders")), labels=None), tmp_path / "new.csv")


def folders(root: Path) -> Path:
    for label in ("a", "b"):
        (root / "train" / label).mkdir(parents=True)
        assert cv2.imwrite(str(root / "train" / label / "1.png"), blots(1, (60, 60)))
    (root / "test").mkdir()
    assert cv2.imwrite(str(root / "test/t.png"), blots(2, (60, 60)))
    (root / "sample_submission.csv").write_text("Image,Id\nt.png,a\n")
    return root


def test_the_command_tells_how_to_train_with_them(
    herd: DataSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels.csv"
    assert main(["sightings", herd.dir, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "1 of 4 pairs of images with one label show the same background: 1 sighting, 2 images" in told
    assert least_certain(tmp_path) == [("Least certain pairs of labels.csv", "", tmp_path / "labels_least_certain.jpg")]
    assert f"--set data.labels={out} --set data.sightings_col=sighting" in told

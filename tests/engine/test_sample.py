"""The sample competition: the same for the same seed, readable by the strict reader, complete or absent."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.check_folder import CheckFolder
from engine.checks.picture import perceptual_hash
from engine.checks.survey import survey
from engine.contract import DataSpec, OnehourError
from engine.data import sample
from engine.data.boxes import read_boxes
from engine.data.competition import load
from engine.data.fluke import Individual, Photograph, individual, sighting
from engine.data.sample import TRAIN_SIZES, draw_sample
from engine.inference.submission import read_truth
from engine.run_folder import file_sha256


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "whales"
    draw_sample(folder, seed=7)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_the_sample_has_a_long_tail_and_whales_that_nobody_named(folder: Path) -> None:
    competition = load(DataSpec(dir=str(folder)))
    counts = Counter(competition.labels)
    share = counts.pop("new_whale") / len(competition.images)
    assert 0.15 <= share <= 0.25
    assert sorted(counts.values(), reverse=True) == list(TRAIN_SIZES)
    assert competition.notes == ()


def test_one_named_whale_and_one_without_a_name_have_an_exact_copy_in_training(folder: Path, tmp_path: Path) -> None:
    competition = load(DataSpec(dir=str(folder)))
    content = survey(competition, CheckFolder(tmp_path)).content
    by_content: dict[str, list[str]] = {}
    for label, one in zip(competition.labels, content.train, strict=True):
        by_content.setdefault(one, []).append(label)
    copies = [labels for labels in by_content.values() if len(labels) > 1]
    assert sorted(len(labels) for labels in copies) == [2, 2]
    assert [len(set(labels)) for labels in copies] == [1, 1]
    largest = max(set(competition.known_labels), key=competition.labels.count)
    assert {labels[0] for labels in copies} == {largest, "new_whale"}
    assert len(set(content.test)) == len(content.test)
    assert not set(content.test) & set(content.train)


def test_photographs_have_many_shapes_and_some_are_grey(folder: Path) -> None:
    images = [cv2.imread(str(path)) for path in sorted((folder / "train").iterdir())]
    shapes = np.array([image.shape[1] / image.shape[0] for image in images])
    assert shapes.min() < 1.5
    assert shapes.max() > 2.3
    assert len({image.shape for image in images}) > 100
    grey = np.mean([np.ptp(image.astype(int), axis=2).mean() < 4 for image in images])
    assert 0.1 < grey < 0.35
    assert sum(path.stat().st_size for path in folder.rglob("*.jpg")) < 6_000_000


def test_every_photograph_has_a_box_inside_it(folder: Path) -> None:
    competition = load(DataSpec(dir=str(folder)))
    boxes = read_boxes(folder / "boxes.csv")
    assert set(boxes["train"]) == set(competition.images)
    assert set(boxes["test"]) == set(competition.test_images)
    for part, of_part in boxes.items():
        for name, (x0, y0, x1, y1) in of_part.items():
            height, width = cv2.imread(str(folder / part / name)).shape[:2]
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            assert (x1 - x0) * (y1 - y0) < 0.9 * width * height


def test_the_box_is_that_of_the_fluke() -> None:
    pink = Individual(np.ones((320, 560, 3), np.float32) * (1, 0.1, 1), individual(np.random.default_rng(3)).outline)
    compared = 0
    for number in range(30):
        for seen in sighting(pink, np.random.default_rng([4, number]), 2):
            blue, green, red = cv2.split(seen.picture.astype(int))
            rows, columns = np.nonzero(np.minimum(blue, red) - green > 60)
            if len(rows) < 300:  # a black-and-white film
                continue
            compared += 1
            x0, y0, x1, y1 = seen.box
            around = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            # Foam hides the lowest rows of what is above the water.
            assert np.abs(np.subtract(around, (x0, y0, x1, y1)))[:3].max() <= 4
            assert y1 - 16 <= around[3] <= y1 + 2
    assert compared > 30


def test_frames_of_one_sighting_are_near_copies_and_two_sightings_are_not() -> None:
    def grey_hash(photograph: Photograph) -> int:
        return perceptual_hash(cv2.cvtColor(photograph.picture, cv2.COLOR_BGR2GRAY))

    hashes = []
    for number in range(24):
        whale = individual(np.random.default_rng([1, number // 2]))
        frames = sighting(whale, np.random.default_rng([2, number]), 2)
        assert frames[0].picture.shape == frames[1].picture.shape
        assert (frames[0].picture != frames[1].picture).mean() > 0.3
        hashes.append([grey_hash(frame) for frame in frames])
    within = np.array([(one ^ other).bit_count() for one, other in hashes])
    between = np.array([(a[0] ^ b[0]).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]])
    assert (within <= 4).mean() > 0.7
    assert between.min() > 8


def test_the_truth_names_every_test_image_with_both_parts_alike(folder: Path) -> None:
    truth = read_truth(folder / "truth.csv")
    competition = load(DataSpec(dir=str(folder)))
    assert tuple(truth.labels) == competition.test_images
    assert set(truth.labels.values()) == {*competition.known_labels, "new_whale"}
    assert truth.usage is not None
    public = [truth.labels[image] for image, usage in truth.usage.items() if usage == "public"]
    assert len(public) / len(truth.labels) == pytest.approx(0.4, abs=0.03)
    for label, images in Counter(truth.labels.values()).items():
        assert abs(public.count(label) - 0.4 * images) < 1, label


def test_neither_file_names_nor_order_tell_the_label(folder: Path) -> None:
    competition = load(DataSpec(dir=str(folder)))
    assert list(competition.images) == sorted(competition.images)
    neighbours = [one == other for one, other in zip(competition.labels, competition.labels[1:], strict=False)]
    by_lot = sum((n / len(competition.labels)) ** 2 for n in Counter(competition.labels).values())
    assert np.mean(neighbours) < by_lot + 0.06


def test_the_same_seed_draws_the_same_bytes_also_into_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    draw_sample(tmp_path / "again", seed=7)
    assert contents(tmp_path / "again") == contents(folder)


def test_another_seed_draws_other_whales() -> None:
    pictures = [
        sighting(individual(np.random.default_rng([seed, 1, 0])), np.random.default_rng(0), 1)[0].picture
        for seed in (7, 8)
    ]
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 2


def test_sightings_of_one_whale_look_more_alike_than_two_whales() -> None:
    """Without it nothing could be learnt: the individual must survive the change of view, sea and light."""

    def thumb(whale: int, number: int) -> np.ndarray:
        rng = np.random.default_rng([2, whale, number])
        seen = sighting(individual(np.random.default_rng([1, whale])), rng, 1)[0]
        x0, y0, x1, y1 = seen.box
        grey = cv2.resize(
            cv2.cvtColor(seen.picture, cv2.COLOR_BGR2GRAY)[y0:y1, x0:x1], (18, 8), interpolation=cv2.INTER_AREA
        )
        vector = grey.astype(float).ravel()
        vector -= vector.mean()
        return vector / np.linalg.norm(vector)

    thumbs = np.array([[thumb(whale, number) for number in range(5)] for whale in range(8)]).reshape(40, -1)
    near = thumbs @ thumbs.T
    np.fill_diagonal(near, -1)
    hits = np.mean(near.argmax(axis=1) // 5 == np.arange(40) // 5)
    assert hits > 3 * 4 / 39, "a thumbnail's nearest neighbour finds the whale three times as often as a lot"


@pytest.mark.unit
def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OnehourError, match="not an empty folder"):
        draw_sample(tmp_path, seed=0)
    with pytest.raises(OnehourError, match="not an empty folder"):
        draw_sample(tmp_path / "notes.txt", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.unit
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OnehourError, match=r"cannot be written"):
        draw_sample(tmp_path / "file" / "whales", seed=0)


@pytest.mark.unit
def test_an_interrupted_drawing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(whale: Individual, rng: np.random.Generator, frames: int) -> list[Photograph]:
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "sighting", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "whales", seed=0)
    assert list(tmp_path.iterdir()) == []

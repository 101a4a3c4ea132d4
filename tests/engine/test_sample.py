"""The sample competition: the same for the same seed, readable by the strict reader, complete or absent."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.contract import DataSpec, OnehourError
from engine.data import sample
from engine.data.competition import decode_all, load
from engine.data.fluke import SIZE, Individual, individual, photograph
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
    content = decode_all(competition)
    assert len({*content.train, *content.test}) == len(competition.images) + len(competition.test_images)
    image = cv2.imread(str(competition.train_dir / competition.images[0]))
    assert image.shape == (*SIZE, 3)


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
        photograph(individual(np.random.default_rng([seed, 1, 0])), np.random.default_rng(0)) for seed in (7, 8)
    ]
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 5


def test_sightings_of_one_whale_look_more_alike_than_two_whales() -> None:
    """Without it nothing could be learnt: the individual must survive the change of view, sea and light."""

    def thumb(whale: int, sighting: int) -> np.ndarray:
        picture = photograph(individual(np.random.default_rng([1, whale])), np.random.default_rng([2, whale, sighting]))
        grey = cv2.resize(
            cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[20:100, 30:210], (18, 8), interpolation=cv2.INTER_AREA
        )
        vector = grey.astype(float).ravel()
        vector -= vector.mean()
        return vector / np.linalg.norm(vector)

    thumbs = np.array([[thumb(whale, sighting) for sighting in range(5)] for whale in range(8)]).reshape(40, -1)
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
    def interrupted(whale: Individual, rng: np.random.Generator) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "photograph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "whales", seed=0)
    assert list(tmp_path.iterdir()) == []

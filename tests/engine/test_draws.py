"""Draws as training sees them: repeated items are augmented anew, and grey is grey everywhere it should be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.contract import RunResult, Transform, spec_from_mapping
from engine.data.augment import compose
from engine.data.balance import draws_of
from engine.data.images import EpochLoader, GreyImages, TrainingImages
from engine.run_folder import RunFolder
from engine.training.run import train

SIZE = (16, 24)


def training(count: int = 12, *, mirrored: bool = False, grey: bool = False, colour: bool = True) -> TrainingImages:
    """Images of noise, three of each label, brightened by chance."""
    pixels = np.random.default_rng(0).integers(0, 255, (count, *SIZE, 3), dtype=np.uint8)
    shown = pixels if colour else GreyImages(pixels)
    augment = compose([Transform(name="RandomBrightnessContrast", args={"p": 1})], SIZE, random_grey=grey)
    return TrainingImages(
        shown, np.arange(count), np.arange(count) // 3, count // 3, mirrored=mirrored, augment=augment, seed=3
    )


def is_grey(image: torch.Tensor) -> bool:
    return bool((image[0] == image[1]).all() and (image[1] == image[2]).all())


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_item_drawn_again_is_the_same_image_augmented_anew(mirrored: bool) -> None:
    images = training(mirrored=mirrored)
    for item in (0, len(images) - 1):
        once, label = images[item]
        again, same_label = images[item + len(images)]
        assert (once != again).any()
        assert label == same_label
        assert np.corrcoef(once.float().ravel(), again.float().ravel())[0, 1] > 0.9
        assert (again == images[item + len(images)][0]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_pk_batches_reach_training_with_their_labels_together(workers: int) -> None:
    keys = {"sampler": "pk", "pk_labels": 2, "pk_images": 4, "batch_size": 8}
    images = training()
    draws = draws_of(spec_from_mapping({"data": {"dir": "."}, **keys}, "test"), images.targets)
    loader = EpochLoader(images, draws, 3, bs=8, num_workers=workers)
    loader.start(0)
    batches = [(x.clone(), y.clone()) for x, y in loader]
    assert len(batches) == 1
    assert all(len(set(y[:4].tolist())) == 1 and len(set(y.tolist())) == 2 for _, y in batches)
    assert (
        len({image.numpy().tobytes() for image in batches[0][0]}) == 8
    )  # 3 images a label: the fourth is another view
    again = EpochLoader(training(), draws, 3, bs=8)
    again.start(0)
    assert torch.equal(next(iter(again))[0], batches[0][0])


def test_random_grey_turns_half_of_the_images_and_another_half_in_the_next_epoch() -> None:
    images = training(120, grey=True)
    first = [is_grey(images[i][0]) for i in range(120)]
    images.epoch = 1
    second = [is_grey(images[i][0]) for i in range(120)]
    assert 40 < sum(first) < 80
    assert 40 < sum(second) < 80
    assert sum(one != other for one, other in zip(first, second, strict=True)) > 30
    assert not any(is_grey(training()[i][0]) for i in range(12))


def test_grey_images_have_three_equal_channels_one_by_one_and_together() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, *SIZE, 3), dtype=np.uint8)
    grey = GreyImages(pixels)
    assert len(grey) == 5
    rows = np.array([3, 0])
    assert grey[rows].shape == (2, *SIZE, 3)
    assert (grey[rows][0] == grey[3]).all()
    assert (grey[rows] == grey[rows][..., :1]).all()
    expected = pixels[3] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[3][..., 0] - expected).max() <= 1
    assert grey[rows[:0]].shape == (0, *SIZE, 3)
    assert all(is_grey(training(colour=False)[i][0]) for i in range(12))


def test_runs_of_other_seed_and_settings_share_the_folds_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEHOUR_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for part in ("train/a", "train/b", "train/seldom", "test"):
        (tmp_path / part).mkdir(parents=True)
        for i in range(1 if part == "train/seldom" else 8):
            Image.fromarray(random.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(tmp_path / part / f"{i}.png")
    (tmp_path / "sample_submission.csv").write_text("Image,Id\n" + "".join(f"{i}.png,a\n" for i in range(8)))
    keys = {
        "data": {"dir": str(tmp_path), "labels": None, "unknown_label": None}, "folds": 2, "backbone": "test_resnet",
        "image_size": [32, 32], "batch_size": 4, "stages": [{"epochs": 1, "lr": 0.01}], "tracking": {"wandb": "off"},
    }  # fmt: skip

    def run(name: str, **others: object) -> RunResult:
        folder = RunFolder(tmp_path / "runs" / name)
        train(spec_from_mapping({**keys, **others}, "test"), folder, "")
        result = folder.read_result()
        assert result is not None
        return result

    first = run("first", sampler="pk", pk_labels=2, pk_images=2, grey="all")
    assert (first.images, first.classes) == (17, 3)
    folds = str(tmp_path / "runs/first/folds.csv")
    second = run("second", seed=1, folds_from=folds, balance_to=9, grey="random", minimum_images=2)
    assert second.folds_sha256 == first.folds_sha256
    assert second.classes == 2
    assert f"The folds are those of {folds}." in second.notes
    assert any("1 id has fewer than 2 images (seldom) and is left out of training" in note for note in second.notes)

"""The augmented sheet: what is invented is measured whatever the border looks like, and the key tells what must be looked at."""

import inspect
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from albumentations.augmentations.dropout.transforms import BaseDropout
from PIL import Image

from engine import __main__ as cli
from engine.check_folder import GEOMETRIC, CheckFolder, augmentation_key
from engine.checks.augmented import Augmentation
from engine.contract import DataSpec, OnehourError, RunSpec, Transform
from tests.engine.test_checks_picture import scene

SIZE = (80, 120)


def share(*transforms: Transform, seed: int = 0) -> float:
    _, invented = Augmentation(transforms, SIZE)(np.asarray(scene(1, 120, 80)), seed)
    return float(invented.mean())


def shifted(border_mode: int = 0) -> Transform:
    return Transform(
        name="Affine", args={"translate_percent": {"x": [0.25, 0.25], "y": [0, 0]}, "border_mode": border_mode, "p": 1}
    )


@pytest.mark.parametrize("border_mode", range(5), ids=["constant", "replicate", "reflect", "wrap", "reflect 101"])
def test_a_quarter_moved_out_is_a_quarter_invented_whatever_fills_it(border_mode: int) -> None:
    assert share(shifted(border_mode)) == pytest.approx(0.25, abs=0.01)


def test_what_is_not_invented_is_the_picture_that_training_sees() -> None:
    transforms = (
        Transform(name="Affine", args={"rotate": [-20, 20], "scale": [0.7, 0.9], "border_mode": 4, "p": 1}),
        Transform(name="RandomBrightnessContrast", args={"p": 1}),
        Transform(name="Perspective", args={"p": 0.5}),
    )
    image = np.asarray(scene(1, 120, 80))
    asked = A.Compose(
        [
            A.Affine(rotate=(-20, 20), scale=(0.7, 0.9), border_mode=4, p=1),
            A.RandomBrightnessContrast(p=1),
            A.Perspective(p=0.5),
        ],
        seed=0,
    )
    for seed in range(5):
        made, invented = Augmentation(transforms, SIZE)(image, seed)
        asked.set_random_seed(seed)
        assert (made == asked(image=image)["image"]).all()
        assert 0.05 < invented.mean() < 0.7
        assert not invented[30:50, 45:75].any(), "the middle was there before"


def test_colours_flips_and_dropouts_invent_no_border() -> None:
    assert share() == 0
    assert share(Transform(name="HorizontalFlip", args={"p": 1}), Transform(name="ToGray", args={"p": 1})) == 0
    hole = {
        "num_holes_range": [3, 3],
        "hole_height_range": [20, 20],
        "hole_width_range": [20, 20],
        "fill_mask": 0,
        "p": 1,
    }
    assert share(Transform(name="CoarseDropout", args=hole)) == 0


def test_a_padded_crop_invents_its_padding() -> None:
    grown = Transform(
        name="CropAndPad", args={"percent": 0.25, "sample_independently": False, "border_mode": 1, "p": 1}
    )
    assert share(grown) == pytest.approx(1 - 1 / 1.5**2, abs=0.02)


def test_the_list_of_geometric_transforms_is_the_library_s() -> None:
    modules = {name: item.__module__ for name, item in vars(A).items() if inspect.isclass(item)}
    moving = {
        name
        for name, item in vars(A).items()
        if inspect.isclass(item)
        and issubclass(item, A.DualTransform)
        and not issubclass(item, BaseDropout)
        and any(part in modules[name] for part in (".crops.", ".geometric."))
    }
    assert moving == GEOMETRIC
    bordered = {
        n for n, c in vars(A).items() if inspect.isclass(c) and "border_mode" in inspect.signature(c).parameters
    }
    assert bordered <= GEOMETRIC


def spec(*transforms: Transform, **data: object) -> RunSpec:
    return RunSpec(data=DataSpec(**{"dir": "d", **data}), augment=transforms)


def test_the_key_follows_geometry_and_crop_and_nothing_else(tmp_path: Path) -> None:
    grey = Transform(name="ToGray", args={"p": 0.2})
    key = augmentation_key(spec(shifted()))
    assert augmentation_key(spec(shifted(), grey)) == key
    assert augmentation_key(spec(shifted(), box_margin=0.2)) == key, "without boxes the margin means nothing"
    assert augmentation_key(spec(shifted(4))) != key
    assert augmentation_key(spec(grey)) == augmentation_key(spec()) != key
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\na.jpg,0,0,9,9\n")
    boxes = {"dir": str(tmp_path), "boxes": "boxes.csv"}
    cut = augmentation_key(spec(shifted(), **boxes))
    assert len({key, cut, augmentation_key(spec(shifted(), **boxes, box_margin=0.3))}) == 3
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\na.jpg,0,0,9,8\n")
    assert augmentation_key(spec(shifted(), **boxes)) != cut, "other boxes under the same name are another crop"
    with pytest.raises(OnehourError, match="boxes cannot be read"):
        augmentation_key(spec(boxes="nowhere.csv"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "whales"
    for part, count in (("train", 9), ("test", 1)):
        (root / part).mkdir(parents=True)
        for seed in range(count):
            scene(seed, 120, 80).save(root / part / f"{seed}.jpg")
    (root / "train.csv").write_text("Image,Id\n" + "".join(f"{seed}.jpg,w_{seed // 3}\n" for seed in range(9)))
    (root / "sample_submission.csv").write_text("Image,Id\n0.jpg,w_0\n")
    return root


def test_the_command_draws_the_sheet_and_measures(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = CheckFolder(tmp_path / "c")
    (tmp_path / "spec.yaml").write_text(
        "augment: [{name: Affine, args: {translate_percent: {x: [0.25, 0.25], y: [0, 0]}, border_mode: 4, p: 1}}]\n"
        "image_size: [64, 96]\n"
    )
    arguments = ["sheet", str(tmp_path / "spec.yaml"), "--data", str(data), "--out", str(folder.path)]
    (data / "train" / "4.jpg").write_bytes(b"")  # told by the check; the sheet shows the others
    assert cli.main(arguments) == 0
    assert "mean 25.0%, most 25.0% of an image (64 draws of 8 images)" in capsys.readouterr().out
    made = folder.read_augmented()
    assert made is not None
    assert (made.border_share_mean, made.border_share_max) == (0.25, 0.25)
    assert (made.images, made.draws, made.image_size, made.geometric) == (8, 64, (64, 96), ("Affine",))
    first = folder.augmented_jpg.read_bytes()
    with Image.open(folder.augmented_jpg) as sheet:
        pixels = np.asarray(sheet).astype(int)
    orange = (pixels[..., 0] > 170) & (abs(pixels[..., 1] - 94) < 50) & (pixels[..., 2] < 70)
    assert orange.sum() > 500, "the invented part is outlined"
    assert cli.main(arguments) == 0
    assert folder.augmented_jpg.read_bytes() == first


def test_without_augmentation_nothing_is_invented(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.yaml").write_text("seed: 1\n")
    out = str(tmp_path / "c")
    assert cli.main(["sheet", str(tmp_path / "spec.yaml"), "--data", str(data), "--out", out]) == 0
    assert "mean 0.0%, most 0.0%" in capsys.readouterr().out

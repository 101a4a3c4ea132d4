"""Boxes: their file, the crop they make, and a model that learns them and says where it is unsure."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from engine.__main__ import main
from engine.boxes import drawn, learning
from engine.boxes.apply import apply_boxes
from engine.boxes.model import MODEL, find, iou, load
from engine.boxes.pictures import decode, pictures_below
from engine.boxes.sheet import Shown, write_sheet
from engine.boxes.train import REPORT, SHEET, BoxReport, train_boxes
from engine.check_folder import least_certain
from engine.checks.facts import Entry
from engine.checks.sheets import GAP, TILE
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, DataSpec, OnehourError
from engine.data.boxes import Box, FoundBox, crop_of, read_boxes, write_found
from engine.data.competition import load as load_competition
from engine.data.decode import read_image
from engine.data.given_boxes import given_boxes

TRAIN, TEST = 48, 8
SIZE = (32, 64)


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def picture(rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A pale patch on dark noise, and its box."""
    width, height = int(rng.integers(80, 140)), int(rng.integers(40, 70))
    image = rng.normal(60, 12, (height, width, 3))
    across, down = int(rng.uniform(0.3, 0.6) * width), int(rng.uniform(0.3, 0.6) * height)
    x0, y0 = int(rng.integers(0, width - across)), int(rng.integers(0, height - down))
    image[y0 : y0 + down, x0 : x0 + across] += 130
    return np.clip(image, 0, 255).astype(np.uint8), (x0, y0, x0 + across, y0 + down)


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition whose every picture shows one patch; boxes.csv tells where, for training and test images."""
    folder = tmp_path_factory.mktemp("patches")
    rng = np.random.default_rng(0)
    rows = []
    for part, count in (("train", TRAIN), ("test", TEST)):
        (folder / part).mkdir()
        for i in range(count):
            image, box = picture(rng)
            name = f"{i:02}.png"  # of both parts alike: only the column part tells them apart
            cv2.imwrite(str(folder / part / name), image)
            rows.append((name, part, *box))
    labels = [(f"{i:02}.png", f"w_{i % 4}") for i in range(TRAIN)]
    submission = [(f"{i:02}.png", "new_whale") for i in range(TEST)]
    for name, header, lines in (
        ("boxes.csv", ("image", "part", "x0", "y0", "x1", "y1"), rows),
        ("train.csv", ("Image", "Id"), labels),
        ("sample_submission.csv", ("Image", "Id"), submission),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])
    return folder


@pytest.fixture(scope="module")
def trained(patches: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BoxReport]:
    out = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "LEAST_STEPS", 60)
        report = train_boxes(
            DataSpec(dir=str(patches)),
            patches / "boxes.csv",
            out,
            minutes=2,
            backbone="test_resnet",
            weights="none",
            size=SIZE,
        )
    return out, report


def test_boxes_are_read_by_part_and_without_one_hold_for_either(tmp_path: Path) -> None:
    parts = written(
        tmp_path / "parts.csv", "image,x0,y0,x1,y1,part,certainty", "a.jpg,1,2,3,4,train,0.9", "a.jpg,5,6,7,8.5,test,1"
    )
    assert read_boxes(parts) == {"train": {"a.jpg": (1, 2, 3, 4)}, "test": {"a.jpg": (5, 6, 7, 8.5)}}
    plain = written(tmp_path / "plain.csv", "image,x0,y0,x1,y1", "a.jpg,1,2,3,4")
    assert read_boxes(plain) == {"train": {"a.jpg": (1, 2, 3, 4)}, "test": {"a.jpg": (1, 2, 3, 4)}}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["image,x0,y0,x1", "a.jpg,1,2,3"], "'y1' is missing"),
        (["image,x0,y0,x1,y1", "a.jpg,1,2,x,4"], "line 2: '1, 2, x, 4' are not four numbers"),
        (["image,x0,y0,x1,y1", "a.jpg,1,2,inf,4"], "line 2: the box 1, 2, inf, 4 is empty"),
        (["image,x0,y0,x1,y1", "a.jpg,5,2,5,4"], "line 2: the box 5, 2, 5, 4 is empty. x0 < x1"),
        (["image,x0,y0,x1,y1", "a.jpg,1,2,3,4", "a.jpg,1,2,3,5"], "two boxes: 'a.jpg' in line 3"),
        (["image,part,x0,y0,x1,y1", "a.jpg,valid,1,2,3,4"], "'valid' is not known. Known: train, test"),
    ],
)
def test_a_box_that_means_nothing_is_refused_with_its_line(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(OnehourError) as refused:
        read_boxes(written(tmp_path / "boxes.csv", *lines))
    assert said in str(refused.value)


def test_what_a_model_found_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_found(tmp_path / "found.csv", [FoundBox("a/1.jpg", "test", (1, 2, 30, 40), 0.98765)])
    assert (tmp_path / "found.csv").read_text() == "image,part,x0,y0,x1,y1,certainty\na/1.jpg,test,1,2,30,40,0.9877\n"
    assert read_boxes(tmp_path / "found.csv") == {"train": {}, "test": {"a/1.jpg": (1, 2, 30, 40)}}


@pytest.mark.parametrize(
    ("box", "margin", "crop"),
    [
        ((10, 10, 30, 20), 0, (10, 10, 30, 20)),
        ((10, 10, 30, 20), 0.1, (8, 9, 32, 21)),
        ((10.6, 10.2, 30.1, 20.9), 0, (10, 10, 31, 21)),
        ((-5, 2, 120, 49), 0.2, (0, 0, 100, 50)),
        ((99.5, 10, 150, 20), 0, (99, 10, 100, 20)),
        ((130, -20, 150, -10), 0, (99, 0, 100, 1)),
    ],
)
def test_a_crop_is_the_box_and_its_margin_within_the_picture(box: Box, margin: float, crop: tuple[int, ...]) -> None:
    assert crop_of(box, 100, 50, margin) == crop


def test_iou_is_that_of_rectangles() -> None:
    one = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1]])
    other = torch.tensor([[1.0, 1, 3, 3], [0, 0, 1, 1], [2, 2, 3, 3]])
    assert iou(one, other).tolist() == pytest.approx([1 / 7, 1, 0])


class Bright(nn.Module):
    """Finds what is brighter than the middle, to the pixel: (b, 3, h, w) → (b, 4) in shares."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(128.0))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        boxes = []
        for image in pictures.float().mean(1):
            rows, columns = torch.nonzero(image > self.threshold, as_tuple=True)
            height, width = image.shape
            edges = columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
            boxes.append(torch.stack(edges))
        return torch.stack(boxes)


class Stubborn(Bright):
    """Finds the same box in everything."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.1, 0.2, 0.4, 0.9]]).expand(len(pictures), 4)


def test_a_box_that_all_views_agree_on_is_certain_and_exact() -> None:
    pixels = np.zeros((2, 50, 100, 3), np.uint8)
    pixels[0, 10:30, 20:60] = 255
    pixels[1, 5:40, 50:80] = 255
    boxes, certainty = find(Bright(), pixels)
    assert boxes == pytest.approx(np.array([[0.2, 0.2, 0.6, 0.6], [0.5, 0.1, 0.8, 0.8]]), abs=1e-6)
    assert certainty == pytest.approx(np.ones(2), abs=1e-5)
    assert find(Stubborn(), pixels)[1].max() < 0.6, "what follows neither shift nor mirror saw nothing"


def test_the_model_is_far_better_than_the_mean_box_on_boxes_it_never_saw(trained: tuple[Path, BoxReport]) -> None:
    _, report = trained
    assert report.trained_on + report.held_out == TRAIN + TEST
    assert 8 <= report.held_out <= 14
    assert report.mean_iou > report.mean_box_iou + 0.15
    assert report.mean_box_iou > 0.15
    kept = [one.mean for one in report.kept]
    assert [one.margin for one in report.kept] == [0, 0.05, 0.1]
    assert kept == sorted(kept)
    assert kept[-1] > 0.85


def test_training_leaves_a_report_a_sheet_and_a_model_of_plain_tensors(trained: tuple[Path, BoxReport]) -> None:
    out, report = trained
    assert json.loads((out / REPORT).read_text())["mean_iou"] == report.mean_iou
    sheet = cv2.imread(str(out / SHEET))
    assert sheet.shape[1] > 1200
    assert sheet.std() > 20
    held = torch.load(out / MODEL, weights_only=True)
    assert held["size"] == [32, 64]
    assert load(out).name == "test_resnet"


def test_the_found_boxes_cover_training_and_test_images_and_a_spec_takes_them(
    patches: Path, trained: tuple[Path, BoxReport], tmp_path: Path
) -> None:
    made = apply_boxes(DataSpec(dir=str(patches)), trained[0], patches / "found.csv")
    found = made.found
    assert [one.part for one in found] == ["train"] * TRAIN + ["test"] * TEST
    true, again = read_boxes(patches / "boxes.csv"), read_boxes(patches / "found.csv")
    boxes = [torch.tensor([[of[one.part][one.image] for one in found]], dtype=torch.float32)[0] for of in (true, again)]
    assert iou(*boxes).mean() > trained[1].mean_box_iou + 0.15
    assert all(0 < one.certainty <= 1 for one in found)
    assert cv2.imread(str(made.sheet)) is not None
    data = DataSpec(dir=str(patches), boxes="found.csv")
    given = given_boxes(data, load_competition(data))
    assert None not in given.boxes
    assert given.notes == ()
    apply_boxes(DataSpec(dir=str(patches)), trained[0], tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (patches / "found.csv").read_bytes()


def test_what_the_model_learnt_from_is_told_beside_its_boxes(
    patches: Path, trained: tuple[Path, BoxReport], tmp_path: Path
) -> None:
    made = apply_boxes(DataSpec(dir=str(patches)), trained[0], tmp_path / "found.csv")
    assert sum(made.learnt.values()) == trained[1].trained_on
    assert 0 < made.learnt["test"] <= TEST
    said = f"the boxes of {made.learnt['train']} of 48 training images and {made.learnt['test']} of 8 test images"
    assert f"mean IoU on boxes held out of training: {trained[1].mean_iou:.3f}; " in made.note
    assert said in made.note
    report = json.loads((tmp_path / "found_report.json").read_text())
    assert report == {"boxes": TRAIN + TEST, "learnt": made.learnt, "note": made.note, "skipped": []}
    assert least_certain(tmp_path) == [("Least certain crops of found.csv", made.note, made.sheet)]


def test_a_broken_image_has_no_box_and_is_named_and_folders_may_have_other_names(
    patches: Path, trained: tuple[Path, BoxReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(patches / "train", tmp_path / "pictures")
    shutil.copytree(patches / "test", tmp_path / "asked")
    broken = tmp_path / "pictures" / "07.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    out = tmp_path / "found.csv"
    command = ["boxes", "apply", str(tmp_path), "--model", str(trained[0]), "--out", str(out)]
    assert main(command) == EXIT_BAD_INPUT
    assert "data.train_images" in capsys.readouterr().err
    folders = ["--set", "data.train_images=pictures", "--set", "data.test_images=asked"]
    assert main([*command, *folders]) == EXIT_OK
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        f"no box: {broken}: the image cannot be decoded (truncated). Fetch the file again or remove its row."
    ]
    assert "the model was trained on the boxes of" in told.out
    boxes = read_boxes(out)
    assert sorted(boxes["train"]) == [f"{i:02}.png" for i in range(TRAIN) if i != 7]
    assert len(boxes["test"]) == TEST


def test_a_file_that_no_model_wrote_is_not_replaced(patches: Path, trained: tuple[Path, BoxReport]) -> None:
    before = (patches / "boxes.csv").read_bytes()
    with pytest.raises(OnehourError, match="no box model wrote"):
        apply_boxes(DataSpec(dir=str(patches)), trained[0], patches / "boxes.csv")
    assert (patches / "boxes.csv").read_bytes() == before


def test_the_time_limit_ends_the_training_and_is_told(patches: Path, tmp_path: Path) -> None:
    report = train_boxes(
        DataSpec(dir=str(patches)),
        patches / "boxes.csv",
        tmp_path,
        minutes=0.01,
        backbone="test_resnet",
        weights="none",
        size=SIZE,
    )
    assert report.stopped_by_time
    assert 0 < report.steps < learning.LEAST_STEPS
    assert load(tmp_path).size == SIZE


def test_copies_are_held_out_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "test").mkdir()
    (tmp_path / "train").mkdir()
    for i in range(15):
        image = cv2.resize(rng.integers(0, 255, (6, 12, 3), np.uint8), (120, 60), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "train" / f"{i:02}.png"), image)
        cv2.imwrite(str(tmp_path / "test" / f"{i:02}.jpg"), np.clip(image * 0.95 + 3, 0, 255))  # brighter, saved again
    held = drawn.held_out(pictures_below(DataSpec(dir=str(tmp_path))))
    assert held[:15].tolist() == held[15:].tolist()
    assert held.sum() == 6


def test_an_upright_picture_has_the_size_that_its_boxes_are_measured_in(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("train", "test"):
        (tmp_path / part / "deep").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (80, 30), "red").save(tmp_path / "train" / "deep" / "turned.jpg", exif=exif)
    (one,) = pictures_below(DataSpec(dir=str(tmp_path)))
    assert (one.part, one.image) == ("train", "deep/turned.jpg")
    decoded = decode([one], (16, 32))
    assert decoded.pixels.shape == (1, 16, 32, 3)
    assert decoded.originals.tolist() == [[30, 80]]


def test_a_sheet_shows_the_box_of_a_picture_that_is_decoded_at_half_its_size(tmp_path: Path) -> None:
    large = np.zeros((4000, 6000, 3), np.uint8)  # 24 megapixels
    large[2400:3600, 3600:5400] = 255
    cv2.imwrite(str(tmp_path / "large.png"), large)
    assert read_image(tmp_path / "large.png").shape == (2000, 3000, 3)
    box = (3600, 2400, 5400, 3600)
    write_sheet(tmp_path / "sheet.jpg", [Shown(Entry("train", "large.png", tmp_path / "large.png"), box, "")], 0)
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"), cv2.IMREAD_COLOR_RGB)
    height, left = TILE[1], 2 * GAP + TILE[0]
    inside = (TILE[0] - 195) // 2  # 6000 × 4000 in a tile of 200 × 130
    whole, crop = (sheet[GAP : GAP + height, at + inside : at + inside + 195] for at in (GAP, left))
    assert crop[10:-10, 10:-10].min() > 240, "the crop is the white patch and nothing else"
    orange = (whole[..., 0].astype(int) - whole[..., 2]) > 100
    rows, columns = np.nonzero(orange)
    edges = columns.min() / 195, rows.min() / height, (columns.max() + 1) / 195, (rows.max() + 1) / height
    assert edges == pytest.approx((0.6, 0.6, 0.9, 0.9), abs=0.03)


def test_a_broken_image_with_a_box_is_left_out_of_training_and_named(
    patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "LEAST_STEPS", 2)
    monkeypatch.setattr(learning, "EPOCHS", 0)
    data = tmp_path / "data"
    shutil.copytree(patches, data)
    broken = data / "train" / "07.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    said: list[str] = []
    report = train_boxes(
        DataSpec(dir=str(data)), data / "boxes.csv", tmp_path / "model", 1, backbone="test_resnet", weights="none",
        size=SIZE, say=said.append,
    )  # fmt: skip
    (sentence,) = report.not_decoded
    assert sentence.startswith(f"{broken}: the image cannot be decoded (truncated)")
    assert f"not used: {sentence}" in said
    assert report.trained_on + report.held_out == TRAIN + TEST - 1


def test_what_cannot_be_learnt_from_is_refused(patches: Path, tmp_path: Path) -> None:
    few = written(tmp_path / "few.csv", "image,part,x0,y0,x1,y1", *(f"{i:02}.png,train,1,2,30,20" for i in range(9)))
    with pytest.raises(OnehourError, match="only 9 different pictures have a box"):
        train_boxes(DataSpec(dir=str(patches)), few, tmp_path / "model", 1)
    strange = written(tmp_path / "strange.csv", "image,x0,y0,x1,y1", "99.png,1,2,30,20")
    with pytest.raises(OnehourError, match=r"no box belongs to an image below .* '99.png'"):
        train_boxes(DataSpec(dir=str(patches)), strange, tmp_path / "model", 1)
    outside = written(tmp_path / "outside.csv", "image,x0,y0,x1,y1", "00.png,1000,2,1030,20")
    with pytest.raises(OnehourError, match=r"train/00.png: the box 1000, 2, 1030, 20 lies outside"):
        train_boxes(DataSpec(dir=str(patches)), outside, tmp_path / "model", 1)
    assert not (tmp_path / "model").exists()


def test_a_file_of_something_else_is_no_box_model(tmp_path: Path) -> None:
    with pytest.raises(OnehourError, match="there is no box model"):
        load(tmp_path)
    torch.save({"state": {}}, tmp_path / MODEL)
    with pytest.raises(OnehourError, match="this is no box model"):
        load(tmp_path)
    (tmp_path / MODEL).write_bytes(b"no tensors")
    with pytest.raises(OnehourError, match="this is no box model"):
        load(tmp_path)


def test_both_commands_end_with_a_sentence(
    patches: Path, trained: tuple[Path, BoxReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.csv"
    assert main(["boxes", "apply", str(patches), "--model", str(trained[0]), "--out", str(out)]) == EXIT_OK
    assert f"{out}: {TRAIN + TEST} boxes; look at the least certain in" in capsys.readouterr().out
    asked = ["boxes", "train", str(patches), "--boxes", str(tmp_path / "none.csv"), "--out", str(tmp_path / "model")]
    assert main(asked) == EXIT_BAD_INPUT
    assert "none.csv: there is no such file" in capsys.readouterr().err

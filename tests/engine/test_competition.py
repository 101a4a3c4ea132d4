"""A competition's folder: what is read from a good one, and the sentence for each way in which it can be bad."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.contract import DataSpec, OnehourError
from engine.data.competition import data_sha256, load

pytestmark = pytest.mark.unit
TRAIN = {"a1.jpg": "w_a", "a2.jpg": "w_a", "b1.jpg": "w_b", "n1.jpg": "new_whale"}
TEST = ("t2.jpg", "t1.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "whales"
    rng = np.random.default_rng(0)
    for part, names in (("train", TRAIN), ("test", TEST)):
        (root / part).mkdir(parents=True)
        for name in names:
            Image.fromarray(rng.integers(0, 255, (24, 40, 3), dtype=np.uint8)).save(root / part / name, quality=90)
    rows = "".join(f"{image},{label}\n" for image, label in TRAIN.items())
    (root / "train.csv").write_text(f"Image,Id\n{rows}")
    (root / "sample_submission.csv").write_text("Image,Id\n" + "".join(f"{one},new_whale w_a\n" for one in TEST))
    return root


def refusal(folder: Path, **data: str) -> str:
    with pytest.raises(OnehourError) as caught:
        load(DataSpec(dir=str(folder), **data))
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def test_a_good_folder_is_read_in_the_order_of_its_files(folder: Path) -> None:
    competition = load(DataSpec(dir=str(folder)))
    assert dict(zip(competition.images, competition.labels, strict=True)) == TRAIN
    assert competition.known_labels == ("w_a", "w_b")
    assert competition.test_images == TEST
    assert competition.submission_header == ("Image", "Id")
    assert competition.notes == ()


def test_names_may_leave_out_the_ending_of_their_files_and_a_submission_leaves_it_out_too(folder: Path) -> None:
    for name in ("train.csv", "sample_submission.csv"):
        edit(folder / name, lambda text: text.replace(".jpg,", ","))
    competition = load(DataSpec(dir=str(folder)))
    assert dict(zip(competition.images, competition.labels, strict=True)) == TRAIN
    assert competition.test_images == TEST
    assert competition.test_ids == tuple(name.removesuffix(".jpg") for name in TEST)


def test_a_name_without_its_ending_that_could_be_two_files_is_refused(folder: Path) -> None:
    first = next(iter(TRAIN))
    edit(folder / "train.csv", lambda text: text.replace(".jpg,", ","))
    Image.open(folder / "train" / first).save((folder / "train" / first).with_suffix(".png"))
    assert f"it names an image that is not in {folder / 'train'}: line 2 '{first.removesuffix('.jpg')}'" in refusal(
        folder
    )


def test_a_file_named_with_and_without_its_ending_is_named_twice(folder: Path) -> None:
    first = next(iter(TRAIN))
    edit(folder / "train.csv", lambda text: text + f"{first.removesuffix('.jpg')},w_a\n")
    assert f"{first!r} in lines 2 and" in refusal(folder)


def test_other_names_of_files_folders_and_columns_are_followed(folder: Path) -> None:
    (folder / "train.csv").rename(folder / "labels.csv")
    (folder / "train").rename(folder / "photos")
    edit(folder / "labels.csv", lambda text: text.replace("Image,Id", "file,who"))
    edit(folder / "sample_submission.csv", lambda text: text.replace("Image,Id", "file,predictions"))
    spec = DataSpec(dir=str(folder), labels="labels.csv", train_images="photos", image_col="file", label_col="who")
    assert load(spec).submission_header == ("file", "predictions")


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_fine(folder: Path) -> None:
    for name in ("train.csv", "sample_submission.csv"):
        text = (folder / name).read_text().replace("\n", "\r\n")
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    assert load(DataSpec(dir=str(folder))).images == tuple(TRAIN)


def test_the_data_hash_follows_labels_names_and_sizes(folder: Path) -> None:
    before = data_sha256(load(DataSpec(dir=str(folder))))
    assert data_sha256(load(DataSpec(dir=str(folder)))) == before
    edit(folder / "train.csv", lambda text: text.replace("b1.jpg,w_b", "b1.jpg,w_c"))
    relabelled = data_sha256(load(DataSpec(dir=str(folder))))
    with (folder / "test/t1.jpg").open("ab") as file:
        file.write(b"more")
    assert len({before, relabelled, data_sha256(load(DataSpec(dir=str(folder))))}) == 3


def test_what_is_odd_but_no_error_is_noted(folder: Path) -> None:
    shutil.copy(folder / "train/a1.jpg", folder / "train/extra.jpg")
    (folder / "train/.DS_Store").write_text("")
    edit(folder / "train.csv", lambda text: text.replace("new_whale", "new_whales"))
    unlabelled, unknown = load(DataSpec(dir=str(folder))).notes
    assert unlabelled == "1 image in train/ without a row in train.csv (extra.jpg): not used."
    assert "'new_whale'" in unknown
    assert "Did you mean 'new_whales'?" in unknown


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Imag,Id", ("train.csv, line 1", "'Image' is missing", "Did you mean 'Imag'?", "data.image_col")),
        ("Image,ID", ("train.csv, line 1", "'Id' is missing", "Did you mean 'ID'?")),
        ("Image", ("train.csv, line 1", "'Id' is missing")),
        ("Image,Id,Usage", ("train.csv, line 1", "'Usage' is not known", "'Image', 'Id'")),
        ("Image,Id,Id", ("train.csv, line 1", "'Id' stands there twice")),
    ],
)
def test_a_missing_or_extra_column_is_named(folder: Path, header: str, words: tuple[str, ...]) -> None:
    cells = header.count(",") + 1
    rows = [",".join([image, label, "x"][:cells]) for image, label in TRAIN.items()]
    (folder / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    sentence = refusal(folder)
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("a2.jpg", "a3.jpg"), ("train.csv", "line 3 'a3.jpg'", "Did you mean 'a2.jpg'?")),
        (lambda t: t.replace("b1", "zz").replace("n1", "yy"), ("2 images", "line 4 'zz.jpg', line 5 'yy.jpg'")),
        (lambda t: t + "../test/t1.jpg,w_a\n", ("line 6 '../test/t1.jpg'",)),
        (lambda t: t + "a1.jpg,w_b\n", ("train.csv", "two rows", "'a1.jpg' in lines 2 and 6")),
        (lambda t: t.replace("w_b", ""), ("train.csv", "label is empty", "line 4")),
        (lambda t: t.replace("w_b", "w b"), ("train.csv", "holds a space", "line 4 'w b'")),
        (lambda t: t.replace("b1.jpg,w_b", "b1.jpg"), ("train.csv, line 4", "has 1 cell.", "2 columns")),
        (lambda t: t.replace("b1.jpg,w_b", "b1.jpg,w_b,x"), ("train.csv, line 4", "has 3 cells")),
        (lambda t: "Image,Id\n", ("train.csv", "no row below the header")),
        (lambda t: "", ("train.csv", "is empty")),
        (lambda t: t.replace("w_a", "new_whale").replace("w_b", "new_whale"), ("every image", "'new_whale'")),
        (lambda t: t + 'x.jpg,"w', ("train.csv, line 6", "not CSV")),
    ],
)
def test_a_bad_label_file_is_named_with_its_line(folder: Path, change, words: tuple[str, ...]) -> None:
    edit(folder / "train.csv", change)
    sentence = refusal(folder)
    assert all(word in sentence for word in words), sentence


def test_an_absent_image_with_nothing_near_is_no_riddle(folder: Path) -> None:
    (folder / "train/b1.jpg").unlink()
    assert refusal(folder).endswith("train: line 4 'b1.jpg'. Add what is missing, or remove its rows.")


def test_a_label_file_in_another_encoding_is_named(folder: Path) -> None:
    (folder / "train.csv").write_bytes("Image,Id\na1.jpg,Grüße\n".encode("latin-1"))
    assert "is not UTF-8" in refusal(folder)


def test_many_absent_images_are_counted_and_three_are_named(folder: Path) -> None:
    edit(folder / "train.csv", lambda text: text + "".join(f"z{i}.jpg,w_a\n" for i in range(9)))
    sentence = refusal(folder)
    assert "9 images" in sentence
    assert "line 6 'z0.jpg', line 7 'z1.jpg', line 8 'z2.jpg' and 6 more" in sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace(".jpg", ".jpeg"), ("2 of its 2 ids", "'t2.jpeg'", "2 images", "Did you mean 't2.jpg'?")),
        (lambda t: t.replace("t1.jpg,new_whale w_a\n", ""), ("1 image in", "(t1.jpg)")),
        (lambda t: t + "t9.jpg,new_whale\n", ("1 of its 3 ids", "line 4 't9.jpg'")),
        (lambda t: t + "t1.jpg,new_whale\n", ("'t1.jpg' in lines 3 and 4",)),
        (lambda t: t.replace("Image,Id", "Img,Id"), ("line 1", "'Image' is missing", "Did you mean 'Img'?")),
        (lambda t: t.replace("Image,Id", "Id,Image"), ("line 1", "first column is 'Id'")),
        (lambda t: t.replace("Image,Id", "Image,Id,x").replace("w_a\n", "w_a,1\n"), ("line 1", "'x' is not known")),
        (lambda t: "Image\nt1.jpg\nt2.jpg\n", ("line 1", "predicted labels")),
        (lambda t: "Image,Id\n", ("no row below the header",)),
    ],
)
def test_a_sample_submission_that_does_not_fit_the_test_folder_is_refused(folder: Path, change, words) -> None:
    edit(folder / "sample_submission.csv", change)
    sentence = refusal(folder)
    assert "sample_submission.csv" in sentence
    assert all(word in sentence for word in words), sentence


def test_folders_and_files_that_are_not_there_are_named_with_the_nearest(folder: Path) -> None:
    assert "Did you mean 'train.csv'?" in refusal(folder, labels="trains.csv")
    assert "Did you mean 'test'?" in refusal(folder, test_images="tests")
    assert str(folder / "nowhere") in refusal(folder / "nowhere")


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "train.csv").unlink()
    (folder / "train.csv").mkdir()
    assert "train.csv: the file cannot be read (Is a directory)" in refusal(folder)


def by_folder(folder: Path) -> Path:
    """The same images without a label file: each stands in the folder of its label."""
    for image, label in TRAIN.items():
        (folder / "train" / label).mkdir(exist_ok=True)
        (folder / "train" / image).rename(folder / "train" / label / image)
    (folder / "train.csv").unlink()
    return folder


def test_without_a_label_file_the_folder_of_an_image_is_its_label(folder: Path) -> None:
    competition = load(DataSpec(dir=str(by_folder(folder)), labels=None))
    assert competition.images == ("new_whale/n1.jpg", "w_a/a1.jpg", "w_a/a2.jpg", "w_b/b1.jpg")
    assert competition.labels == ("new_whale", "w_a", "w_a", "w_b")
    assert competition.known_labels == ("w_a", "w_b")
    assert (competition.labels_path, competition.notes) == (None, ())
    before = data_sha256(competition)
    (folder / "train/w_b/b1.jpg").rename(folder / "train/w_a/b1.jpg")
    assert data_sha256(load(DataSpec(dir=str(folder), labels=None))) != before


def test_folders_that_cannot_be_labels_are_refused(folder: Path) -> None:
    assert "an image stands in none: a1.jpg, a2.jpg, b1.jpg and 1 more" in refusal(folder, labels=None)
    by_folder(folder)
    assert "a column of sightings needs a label file" in refusal(folder, labels=None, sightings_col="Seen")
    (folder / "train/w_a").rename(folder / "train/w a")
    assert "the name of a folder holds a space, which separates labels in a submission: 'w a'" in refusal(
        folder, labels=None
    )
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    assert "train: there is no image below it" in refusal(folder, labels=None)


def test_sightings_are_read_where_a_column_has_them(folder: Path) -> None:
    (folder / "train.csv").write_text("Image,Id,Seen\na1.jpg,w_a,s1\na2.jpg,w_a,s1\nb1.jpg,w_b,\nn1.jpg,new_whale,s2\n")
    assert load(DataSpec(dir=str(folder), sightings_col="Seen")).sightings == ("s1", "s1", "", "s2")
    assert "'Seen' is not known" in refusal(folder)
    sentence = refusal(folder, sightings_col="Sen")
    assert "'Sen' is missing. Did you mean 'Seen'? data.image_col, data.label_col and data.sightings_col" in sentence


def test_images_of_one_class_alone_are_refused(folder: Path) -> None:
    edit(folder / "train.csv", lambda text: text.replace("new_whale", "w_a").replace("w_b", "w_a"))
    assert refusal(folder).endswith(
        "train.csv: every image has the label 'w_a'. There must be labels to learn, at least two."
    )

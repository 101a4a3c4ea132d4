"""How a competition's data lies in its folder: found under other names than the usual ones, refused in a sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from app import cli
from app.jobs import data_checks, specs
from app.journal import challenge_settings, challenges
from app.journal.data_layout import DataLayout, layout_of
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import OnehourError
from tests.conftest import competition_folder

pytestmark = pytest.mark.unit

LABELS, SAMPLE = "id,breed\na,corgi\n", "id,breed\nb,corgi\n"


def laid_out(folder: Path, *folders: str, **files: str) -> Path:
    for name in folders:
        (folder / name).mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_the_usual_names_are_the_usual_layout(tmp_path: Path) -> None:
    assert layout_of(competition_folder(tmp_path / "whales"), "Image", "Id") == DataLayout()


@pytest.mark.parametrize(
    ("folders", "files", "found"),
    [
        (
            ("train_images", "test_images"),
            {"train": LABELS, "sample_submission": SAMPLE},
            DataLayout("train.csv", "train_images", "test_images"),
        ),
        (
            ("train", "test"),
            {"labels": LABELS, "sampleSubmission": SAMPLE},
            DataLayout("labels.csv", sample_submission="sampleSubmission.csv"),
        ),
        (
            ("Train", "Test", "masks"),
            {"train_labels": LABELS, "train_sizes": "id,width\na,3\n", "sample_submission": "\ufeff" + SAMPLE},
            DataLayout("train_labels.csv", "Train", "Test"),
        ),
        (("train/corgi", "test"), {"sample_submission": SAMPLE}, DataLayout(None)),
        (("train/corgi", "test"), {"sample_submission": SAMPLE, "truth": LABELS}, DataLayout(None)),
        (("train/corgi", "test"), {"sample_submission": SAMPLE, "labels": LABELS}, DataLayout("labels.csv")),
    ],
)
def test_other_names_that_say_the_same_are_found(
    tmp_path: Path, folders: tuple[str, ...], files: dict[str, str], found: DataLayout
) -> None:
    assert layout_of(laid_out(tmp_path, *folders, **files), "id", "breed") == found


def test_a_table_that_cannot_be_read_is_no_label_file(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, "train", "test", labels=LABELS, sample_submission=SAMPLE, embedding="x" * 200_000)
    assert layout_of(folder, "id", "breed") == DataLayout("labels.csv")


def test_a_file_in_the_place_of_a_folder_holds_no_labels(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, "test", sample_submission=SAMPLE)
    (folder / "train").touch()
    with pytest.raises(OnehourError, match=r"there is no train\.csv"):
        layout_of(folder, "id", "breed")


@pytest.mark.parametrize(
    ("folders", "files", "sentence"),
    [
        ((), {}, r"there is no train\.csv, no sample_submission\.csv, no train/, no test/\. Name the folder that holds them all"),
        (("train", "test"), {"train": LABELS}, r"there is no sample_submission\.csv"),
        (("train", "test"), {"train": "idd,breed\na,b\n", "sample_submission": SAMPLE},
         r"train\.csv, line 1: it has no column 'id'\. Did you mean 'idd'\?"),
        (("train", "test"), {"train": "", "sample_submission": SAMPLE}, r"it has no column 'id'\. Say how the columns"),
        (("train_1", "train_2", "test"), {"train": LABELS, "sample_submission": SAMPLE},
         r"what is train elsewhere could be train_1 or train_2 here\. Call the right one train"),
        (("train", "test"), {"one": LABELS, "two": LABELS, "sample_submission": SAMPLE}, r"could be one\.csv or two\.csv here"),
    ],
)  # fmt: skip
def test_what_is_missing_or_could_be_several_things_is_named(
    tmp_path: Path, folders: tuple[str, ...], files: dict[str, str], sentence: str
) -> None:
    with pytest.raises(OnehourError, match=sentence):
        layout_of(laid_out(tmp_path, *folders, **files), "id", "breed")


def test_a_challenge_keeps_the_layout_and_its_specs_and_checks_have_it(
    home: Home, journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = laid_out(tmp_path / "dogs", "train_images", "test", labels=LABELS, sample_submission=SAMPLE)
    columns = ["--image-col", "id", "--label-col", "breed", "--unknown-label", ""]
    told = ["init", "--competition", "Hunde & Wölfe", "--data", str(folder), "--metric", "accuracy", *columns]
    assert cli.main([*told, "--image-col", "name"]) == 2
    assert "labels.csv, line 1: it has no column 'name'" in capsys.readouterr().err
    assert cli.main(told) == 0
    with journal.reading() as db:
        challenge = challenges.active(db)
    assert (challenge.slug, challenge.labels, challenge.train_images) == ("hunde-wolfe", "labels.csv", "train_images")
    data = specs.resolve(challenge, "cpu-transfer").data
    assert (data.labels, data.train_images, data.image_col) == ("labels.csv", "train_images", "id")
    command = data_checks.check_command(challenge, data_checks.folder(home, challenge))
    assert (
        yaml.safe_load(next(word for word in command if word.startswith("data.labels=")).partition("=")[2])
        == "labels.csv"
    )


def test_another_data_folder_is_looked_through_anew(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    other = laid_out(tmp_path / "other", "train_images", "test", train="Image,Id\n", sample_submission="Image,Id\n")
    changed = challenge_settings.change(journal, data_dir=other)
    assert changed.train_images == "train_images"
    assert dataclasses.asdict(layout_of(other, "Image", "Id")).items() <= changed.model_dump().items()

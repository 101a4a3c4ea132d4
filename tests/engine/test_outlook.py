"""`python -m engine folds`: what a label file alone says, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.__main__ import main

ROWS = ["a1,w_a", "a2,w_a", "a3,w_a", "b1,w_b", "b2,w_b", "c1,w_c", "n1,new_whale", "n2,new_whale"]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text("\n".join(["Image,Id", *ROWS, ""]))
    return path


@pytest.mark.unit
def test_folds_and_balance_plan_are_printed_for_a_person(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["folds", str(labels), "--folds", "2", "--minimum", "3"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "images           8",
        "classes          3",
        "unknown images   2",
        "images per fold  4 4",
        "singletons       1 (classes with one image: their fold's model never saw them)",
        "balance to 3     6 known images, 3 to add for 2 classes, 9 after",
    ]


@pytest.mark.unit
def test_other_columns_and_no_unknown_label(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels.write_text(labels.read_text().replace("Image,Id", "file,who"))
    asked = ["--image-col", "file", "--label-col", "who", "--unknown-label", "", "--folds", "4"]
    assert main(["folds", str(labels), *asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "images": 8,
        "classes": 4,
        "unknown_images": 0,
        "folds": [2, 2, 2, 2],
        "singletons": 1,
        "balance": {"minimum": 20, "rare": 4, "before": 8, "to_add": 72, "after": 80},
    }


@pytest.mark.unit
def test_images_of_a_sighting_share_a_fold_where_set_names_the_column(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *rows = labels.read_text().splitlines()
    labels.write_text(
        "\n".join([f"{head},burst", *(f"{row},{'b1' if i < 5 else ''}" for i, row in enumerate(rows)), ""])
    )
    assert main(["folds", str(labels), "--folds", "2"]) == 2
    assert "the column 'burst' is not known" in capsys.readouterr().err
    assert main(["folds", str(labels), "--folds", "2", "--set", "data.sightings_col=burst", "--json"]) == 0
    assert max(json.loads(capsys.readouterr().out)["folds"]) >= 5
    assert main(["folds", str(labels), "--folds", "5", "--set", "data.sightings_col=burst"]) == 2
    assert "8 images in 4 groups" in capsys.readouterr().err


@pytest.mark.unit
def test_measured_numbers_are_no_classes(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels.write_text("\n".join(["Image,Id", *(f"{i}.jpg,{i / 8}" for i in range(100)), ""]))
    assert main(["folds", str(labels), "--folds", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "images           100",
        "numbers          0 to 12.375, mean 6.188, standard deviation 3.608",
        "images per fold  25 25 25 25",
    ]
    assert lines[3].startswith("mean per fold")
    assert len(lines[3].split()) == 3 + 4


@pytest.mark.unit
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--folds", "9"], ("9 folds cannot be made of 8 different images", "Set folds to 8 or less")),
        (["--folds", "1"], ("--folds",)),
        (["--label-col", "Idd"], ("train.csv, line 1", "'Idd' is missing", "Did you mean 'Id'?")),
    ],
)
def test_what_is_wrong_is_one_sentence(labels: Path, arguments: list[str], words, capsys) -> None:
    assert main(["folds", str(labels), *arguments]) == 2
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1
    assert all(word in sentence for word in words), sentence


def test_neither_torch_nor_opencv_is_loaded_for_it(labels: Path) -> None:
    code = (
        "import sys; from engine.__main__ import main; "
        f"assert main(['folds', {str(labels)!r}]) == 0; "
        "assert not {'torch', 'cv2', 'albumentations'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parents[2])

"""Submissions as the sample submission wants them, and their scores against the truth."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.contract import METRIC_DIRECTIONS, OnehourError, RunSpec
from engine.data.competition import Competition
from engine.inference.metric import Probabilities
from engine.inference.score import score_files
from engine.inference.submission import (
    check_submission,
    read_predictions,
    read_truth,
    refuse_other_answers,
    write_submission,
)
from engine.run_folder import RunFolder

pytestmark = pytest.mark.unit


@pytest.fixture
def competition(tmp_path: Path) -> Competition:
    return Competition(
        root=tmp_path,
        labels_path=tmp_path / "train.csv",
        train_dir=tmp_path / "train",
        test_dir=tmp_path / "test",
        sample_submission_path=tmp_path / "sample_submission.csv",
        images=("a.jpg",),
        labels=("w_a",),
        known_labels=("w_a",),
        unknown_label="new_whale",
        test_images=("t2.jpg", "t,1.jpg"),
        test_ids=("t2.jpg", "t,1.jpg"),
        submission_header=("Image", "Id"),
        notes=(),
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_submission_has_the_samples_header_and_order_and_its_hash_beside_it(competition, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    sha256 = write_submission(
        folder, competition.submission_header, competition.test_ids, [["new_whale", "w_a"], list("abcdefg")]
    )
    raw = folder.submission_csv.read_bytes()
    assert raw == b'Image,Id\nt2.jpg,new_whale w_a\n"t,1.jpg",a b c d e\n'
    assert sha256 == hashlib.sha256(raw).hexdigest()
    assert folder.submission_sha256.read_text() == f"{sha256}  submission.csv\n"
    checked = check_submission(folder.submission_csv, competition)
    assert checked.labels == {"t2.jpg": ("new_whale", "w_a"), "t,1.jpg": tuple("abcde")}


def test_the_samples_own_column_names_are_kept(competition, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    write_submission(folder, ("file", "predictions"), competition.test_ids, [["a"], ["b"]])
    assert folder.submission_csv.read_text().startswith("file,predictions\n")


@pytest.mark.parametrize("predictions", [[["a"]], [["a"], []], [["a"], ["b c"]], [["a"], [""]]])
def test_what_cannot_be_a_submission_is_not_written(competition, tmp_path: Path, predictions) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(ValueError, match=r"shorter|cannot be the predicted labels"):
        write_submission(folder, competition.submission_header, competition.test_ids, predictions)
    assert not folder.submission_csv.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Image,Id\nt2.jpg,a\n", ("1 of the 2 images of sample_submission.csv is missing (t,1.jpg)",)),
        ('Image,Id\nt2.jpg,a\n"t,1.jpg",b\nx.jpg,c\n', ("1 id is not in sample_submission.csv (x.jpg)",)),
        ('Image,Id\nt2.jpg,a\nt2.jpg,a\n"t,1.jpg",b\n', ("two rows", "'t2.jpg' in lines 2 and 3")),
        ('Image,Id\nt2.jpg,\n"t,1.jpg",b\n', ("no label", "line 2 't2.jpg'")),
        ('Image,Id\n,a\n"t,1.jpg",b\n', ("an image is empty", "line 2")),
        ('Image,Id\nt2.jpg,a b c d e f\n"t,1.jpg",b\n', ("more than 5 labels", "t2.jpg has 6")),
        ('Image,Ids\nt2.jpg,a\n"t,1.jpg",b\n', ("line 1", "'Id' is missing", "Did you mean 'Ids'?")),
        ("Image,Id,x\nt2.jpg,a,1\n", ("line 1", "'x' is not known")),
    ],
)
def test_a_submission_that_kaggle_would_refuse_is_refused(competition, tmp_path: Path, text: str, words) -> None:
    path = written(tmp_path / "submission.csv", text)
    with pytest.raises(OnehourError) as caught:
        check_submission(path, competition)
    assert all(word in str(caught.value) for word in (*words, "submission.csv")), str(caught.value)


def test_rows_in_another_order_and_a_byte_order_mark_are_fine(competition, tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_bytes(b'\xef\xbb\xbfImage,Id\n"t,1.jpg",b\nt2.jpg,a\n')
    assert check_submission(path, competition).labels == {"t,1.jpg": ("b",), "t2.jpg": ("a",)}


@pytest.mark.parametrize(
    ("header", "answers", "text"),
    [
        (("id", "grade"), np.array([2.0, 3.5]), "id,grade\na,2\nb,3.5\n"),
        (("id", "label"), Probabilities(("0", "1"), np.array([[0.25, 0.75], [1, 0]])), "id,label\na,0.75\nb,0\n"),
        (("id", "y", "x"), Probabilities(("x", "y"), np.array([[0.25, 0.75], [1, 0]])), "id,y,x\na,0.75,0.25\nb,0,1\n"),
    ],
)
def test_numbers_and_probabilities_fill_the_columns_that_the_header_names(
    tmp_path: Path, header, answers, text: str
) -> None:
    folder = RunFolder(tmp_path / "run")
    write_submission(folder, header, ["a", "b"], answers)
    assert folder.submission_csv.read_text() == text


def asked(metric: str, **keys: str) -> RunSpec:
    return RunSpec.model_validate({"data": {"dir": ".", "unknown_label": None}, "metric": metric, **keys})


@pytest.mark.parametrize(
    ("metric", "changes", "words"),
    [
        ("map5", {"submission_header": ("Image", "a", "b")}, ("2 columns", "map5 fills one")),
        ("auc", {"known_labels": ("a", "b", "c")}, ("3 labels", "a column for each")),
        ("log_loss", {"known_labels": ("a",)}, ("one label", "needs two")),
        ("qwk", {"known_labels": ("a", "1")}, ("no number", "'a'")),
        ("rmse", {"known_labels": tuple("1234"), "images": tuple("abcdefgh")}, ("4 different numbers over 8 images",)),
    ],
)
def test_a_metric_that_the_competition_cannot_answer_is_refused_before_training(
    competition, metric: str, changes, words
) -> None:
    with pytest.raises(OnehourError) as caught:
        refuse_other_answers(asked(metric), replace(competition, **changes))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("metric", "changes"),
    [
        ("map5", {}),
        ("auc", {"known_labels": ("0", "1")}),
        ("log_loss", {"known_labels": ("a", "b"), "submission_header": ("Image", "b", "a")}),
        ("qwk", {"known_labels": ("0", "1"), "images": tuple("abcdefgh")}),
    ],
)
def test_a_metric_that_can_be_answered_is_let_through(competition, metric: str, changes) -> None:
    refuse_other_answers(asked(metric), replace(competition, **changes))


def test_numbers_that_are_all_different_need_a_head_that_predicts_numbers(competition) -> None:
    measured = replace(competition, known_labels=tuple("1234"), images=tuple("abcd"))
    with pytest.raises(OnehourError, match=r"Set head: number and loss: mse"):
        refuse_other_answers(asked("rmse"), measured)
    refuse_other_answers(asked("rmse", head="number", loss="mse"), measured)
    with pytest.raises(OnehourError, match="no number"):
        refuse_other_answers(asked("rmse", head="number", loss="mse"), replace(measured, known_labels=("a", "1")))


@pytest.mark.parametrize(
    ("metric", "truth", "predictions", "expected"),
    [
        ("rmse", "Image,y\n1,2\n2,4\n", "Image,y\n2,4\n1,4\n", 2**0.5),
        ("qwk", "Image,y\n1,0\n2,1\n", "Image,y\n2,0\n1,1\n", -1),
        ("auc", "Image,y\n1,0\n2,1\n", "Image,y\n1,-3.5\n2,7\n", 1),
        ("log_loss", "Image,y\n1,0\n2,1\n", "Image,y\n1,0.5\n2,0.5\n", math.log(2)),
        ("log_loss", "Image,y\n1,a\n2,b\n", "Image,b,c,a\n2,1,0,0\n1,0.5,0,0.5\n", math.log(2) / 2),
        ("macro_f1", "Image,y\n1,a\n2,b\n", "Image,y\n1,a c\n2,b\n", 1),
    ],
)
def test_each_kind_of_answer_is_read_and_scored(tmp_path: Path, metric, truth, predictions, expected) -> None:
    found = score_files(metric, written(tmp_path / "t.csv", truth), written(tmp_path / "p.csv", predictions))
    assert found.all == pytest.approx(expected)
    assert found.direction == METRIC_DIRECTIONS[metric]


@pytest.mark.parametrize(
    ("metric", "predictions", "words"),
    [
        ("log_loss", "Image,y\n1,0.5\n2,1.5\n", ("p.csv", "outside 0 to 1")),
        ("auc", "Image,y\n1,0.5\n2,high\n", ("p.csv", "'2' has no number", "high")),
        ("auc", "Image,y\n1,0.5\n2,nan\n", ("p.csv", "not finite")),
        ("auc", "Image,a,c\n1,0.5,1\n2,1,2\n", ("p.csv", "'b' is missing")),
    ],
)
def test_numbers_that_are_none_are_named(tmp_path: Path, metric: str, predictions: str, words) -> None:
    with pytest.raises(OnehourError) as caught:
        score_files(
            metric, written(tmp_path / "t.csv", "Image,y\n1,a\n2,b\n"), written(tmp_path / "p.csv", predictions)
        )
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_public_private_and_all_are_scored_apart(tmp_path: Path) -> None:
    truth = written(tmp_path / "truth.csv", "Image,Id,USAGE\n1,a,Public\n2,b,PRIVATE\n3,c,private\n")
    predictions = written(tmp_path / "p.csv", "Image,Id\n3,x c\n1,a\n2,x\n")
    scores = score_files("map5", truth, predictions)
    assert (scores.public, scores.private) == (1, 0.25)
    assert scores.all == pytest.approx(0.5)
    assert (scores.metric, scores.direction) == ("map5", "max")


def test_a_truth_without_usage_or_with_one_part_has_no_other_scores(tmp_path: Path) -> None:
    predictions = written(tmp_path / "p.csv", "Image,Id\n1,a\n")
    whole = score_files("map5", written(tmp_path / "t.csv", "Image,Id\n1,a\n"), predictions)
    assert (whole.public, whole.private, whole.all) == (None, None, 1)
    part = score_files("map5", written(tmp_path / "t.csv", "Image,Id,Usage\n1,a,private\n"), predictions)
    assert (part.public, part.private, part.all) == (None, 1, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Image\n1\n", ("line 1", "the columns 'Image'", "Image,Id,Usage")),
        ("Image,Id,Useage\n1,a,public\n", ("line 1", "'Useage'")),
        ("Image,Id,Usage\n1,a,pubic\n", ("usage", "line 2 'pubic'", "public or private")),
        ("Image,Id\n1,\n", ("no label", "line 2 '1'")),
        ("Image,Id\n1,a\n1,a\n", ("two rows", "lines 2 and 3")),
        ("Image,Id\n", ("no row",)),
    ],
)
def test_a_bad_truth_is_named(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(OnehourError) as caught:
        read_truth(written(tmp_path / "truth.csv", text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_predictions_of_other_images_than_the_truth_are_refused(tmp_path: Path) -> None:
    truth = written(tmp_path / "truth.csv", "Image,Id\n1,a\n2,b\n")
    predictions = written(tmp_path / "p.csv", "Image,Id\n1,a\n9,b\n")
    with pytest.raises(OnehourError, match=r"1 of the 2 images of truth\.csv is missing \(2\) and 1 id is not"):
        score_files("map5", truth, predictions)


def test_truth_and_predictions_under_other_column_names_are_both_named(tmp_path: Path) -> None:
    truth = written(tmp_path / "truth.csv", "Image,Whale\n1,a\n")
    predictions = written(tmp_path / "p.csv", "Image,Id\n1,a\n")
    with pytest.raises(OnehourError, match=r"truth\.csv, line 1, and .*p\.csv, line 1: .*'Whale', the predictions"):
        score_files("map5", truth, predictions)
    with pytest.raises(OnehourError, match=r"p\.csv, line 1: the column 'Whale' is missing"):
        score_files("map5", truth, written(tmp_path / "p.csv", "Image,Id,More\n1,a,b\n"))


def test_predictions_need_two_columns(tmp_path: Path) -> None:
    with pytest.raises(OnehourError, match="It needs two"):
        read_predictions(written(tmp_path / "p.csv", "Image\n1\n"))

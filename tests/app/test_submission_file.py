"""What Kaggle would refuse of a submission is found here first, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.scores import submission_file
from engine.contract import OnehourError

pytestmark = pytest.mark.unit

GOOD = b"Image,Id\na.jpg,w_1 new_whale\nb.jpg,w_2\nc.jpg,new_whale\n"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample_submission.csv"
    path.write_text("Image,Id\na.jpg,new_whale\nb.jpg,new_whale\nc.jpg,new_whale\n")
    return path


@pytest.mark.parametrize(
    "content",
    [GOOD, GOOD.replace(b"\n", b"\r\n"), b"Image,Id\nc.jpg,w\na.jpg,w\nb.jpg,w\n", GOOD.rstrip(b"\n"), GOOD + b"\n\n"],
    ids=["as the engine writes it", "lines of Windows", "another order", "no last line end", "blank lines"],
)
def test_what_kaggle_takes_is_taken(tmp_path: Path, sample: Path, content: bytes) -> None:
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    assert submission_file.check(path, sample) == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xef\xbb\xbf" + GOOD, "line 1: it begins with the byte order mark of UTF-8"),
        ("Image,Id\n".encode("utf-16"), "line 1: it begins with the byte order mark of UTF-16"),
        (b"Image,Id\na.jpg,\xff\n", "byte 15 is not UTF-8"),
        (b"", "the submission is empty"),
        (GOOD.replace(b"Image", b"image"), "line 1: the column 'Image' is missing. Did you mean 'image'?"),
        (b"Id,Image\nw,a.jpg\n", "line 1: the header is Id,Image. It must be Image,Id."),
        (GOOD.replace(b"Image,Id", b"Image,Id,x"), "line 1: the header is Image,Id,x. It must be Image,Id."),
        (GOOD.replace(b"w_2", b"w_2,w_3"), "line 3: the row has 3 cells, the header 2"),
        (GOOD + b"a.jpg,w_1\n", "an id has two rows: 'a.jpg' in lines 2 and 5"),
        (GOOD.replace(b"c.jpg", b"d.jpg"), "1 of 3 ids are missing: 'c.jpg'; 1 are not in the sample submission: 'd.jpg' in line 4"),
        (b"Image,Id\na.jpg,w\n", "2 of 3 ids are missing: 'b.jpg', 'c.jpg'"),
        (GOOD.replace(b"w_2", b""), "the column 'Id' has what is no answer: '' in line 3"),
        (GOOD.replace(b"w_2", b"nan"), "the column 'Id' has what is no answer: 'nan' in line 3"),
        (b'Image,Id\n"a.jpg,w\n', "it is no CSV"),
    ],
)  # fmt: skip
def test_what_it_would_refuse_is_named_with_its_place(
    tmp_path: Path, sample: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    with pytest.raises(OnehourError) as refused:
        submission_file.check(path, sample)
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)


def test_where_the_sample_holds_numbers_each_answer_must_be_a_finite_one(tmp_path: Path) -> None:
    sample, path = tmp_path / "sample.csv", tmp_path / "submission.csv"
    sample.write_text("id,dog,cat\n1,0.5,0.5\n2,0.5,0.5\n3,0.5,0.5\n4,0.5,0.5\n")
    path.write_text("id,dog,cat\n1,0.25,1e-3\n2,1,0\n3,.5,5\n4,0,1\n")
    assert submission_file.check(path, sample) == 4
    path.write_text("id,dog,cat\n1,0.25,inf\n2,1,NaN\n3,.5,\n4,0,dog\n")
    with pytest.raises(
        OnehourError, match=r"'cat' has what is no number: 'inf' in line 2, 'NaN' in line 3, '' in line 4 and 1 more"
    ):
        submission_file.check(path, sample)


def test_without_a_sample_nothing_is_judged(tmp_path: Path) -> None:
    (tmp_path / "submission.csv").write_bytes(GOOD)
    with pytest.raises(OnehourError, match="there is no such sample submission"):
        submission_file.check(tmp_path / "submission.csv", tmp_path / "sample_submission.csv")

"""The competition's data comes through the client: resumed, unpacked as the kernels see it, put in place whole."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest

from app.jobs import errands, kaggle_download, kaggle_origin
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand
from engine.contract import OnehourError
from tests.app.at_kaggle import do
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import KaggleServer

SLUG = "humpback-whale-identification"


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


FILES = {
    "train.csv": b"Image,Id\na.jpg,w_1\n",
    "sample_submission.csv": b"Image,Id\nb.jpg,new_whale\n",
    "train.zip": packed({"a.jpg": b"a" * 5_000}),
    "test.zip": packed({"test/b.jpg": b"b" * 5_000}),
}


@pytest.fixture
def competition(kaggle: KaggleServer) -> Competition:
    kaggle.competitions[SLUG] = Competition(SLUG, dict(FILES))
    return kaggle.competitions[SLUG]


def downloaded(journal: Journal, into: Path) -> Errand:
    return do(journal, kaggle_download.ask(journal, SLUG, into).id)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_is_unpacked_as_kaggles_kernels_see_it_and_known_to_be_kaggles(
    journal: Journal, competition: Competition, tmp_path: Path
) -> None:
    into = tmp_path / "data of mine"
    done = downloaded(journal, into)
    assert errands.answer_of(done) == {"account": "tester", "folder": str(into), "files": 4, "kept": []}
    assert names(into) == {
        "train.csv", "sample_submission.csv", "train/a.jpg", "test/b.jpg", kaggle_origin.FILE,
    }  # fmt: skip
    assert kaggle_download.is_there(into, SLUG)
    origin = kaggle_origin.of(into)
    assert origin is not None
    assert origin.changed([(name, into / name) for name in names(into) - {kaggle_origin.FILE}]) == []
    (into / "train.csv").write_text("changed")
    assert [name for name, _ in origin.changed([("train.csv", into / "train.csv")])] == ["train.csv"]
    assert list(tmp_path.glob(".data*")) == []


def test_what_stands_there_stays_and_is_named(journal: Journal, competition: Competition, tmp_path: Path) -> None:
    into = tmp_path / "data"
    (into / "train").mkdir(parents=True)
    (into / "train.csv").write_text("mine")
    (into / "train" / "a.jpg").write_bytes(b"a" * 5_000)
    done = downloaded(journal, into)
    assert errands.answer_of(done)["kept"] == ["train.csv"]
    assert (into / "train.csv").read_text() == "mine"
    assert (into / "test" / "b.jpg").is_file()
    origin = kaggle_origin.of(into)
    assert origin is not None
    assert set(origin.looks) == {"sample_submission.csv", "train/a.jpg", "test/b.jpg"}


def test_a_download_that_was_cut_off_goes_on_where_it_stopped(
    kaggle: KaggleServer, journal: Journal, competition: Competition, tmp_path: Path
) -> None:
    into = tmp_path / "data"
    whole = competition.zipped()
    part = tmp_path / ".data.download"
    part.mkdir()
    (part / f"{SLUG}.zip").write_bytes(whole[:4_000])
    (part / f"{SLUG}.zip.kaggle-partial").write_text(f'{{"validator": "\\"{len(whole)}\\"", "size": {len(whole)}}}')
    assert downloaded(journal, into).state == "done"
    assert kaggle.ranges[-1] == "bytes=4000-"


def test_no_network_is_tried_again_and_nothing_is_lost(
    kaggle: KaggleServer, journal: Journal, competition: Competition, tmp_path: Path
) -> None:
    kaggle.fail("DownloadDataFiles", 503)
    left = downloaded(journal, tmp_path / "data")
    assert (left.state, left.message) == ("open", "Kaggle: it has an error of its own (HTTP 503).")
    assert do(journal, left.id).state == "done"


def test_rules_that_were_not_accepted_name_the_page(journal: Journal, competition: Competition, tmp_path: Path) -> None:
    competition.rules_accepted = False
    done = downloaded(journal, tmp_path / "data")
    assert done.state == "failed"
    assert "You must accept this competition's rules" in done.message
    assert f"Accept the rules on https://www.kaggle.com/competitions/{SLUG}/rules" in done.message


def test_a_competition_that_is_not_there_is_named(kaggle: KaggleServer, journal: Journal, tmp_path: Path) -> None:
    assert f"there is no competition '{SLUG}' at Kaggle" in downloaded(journal, tmp_path / "data").message


def test_the_disk_is_looked_at_first(
    kaggle: KaggleServer, journal: Journal, competition: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_000_000))
    done = downloaded(journal, tmp_path / "data")
    assert (done.state, "0.2 GB are needed and 0.2 GB are free" in done.message) == ("failed", True)
    assert not [call for call in kaggle.calls if call.path.startswith("/files/data/") and call.method == "PUT"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["../escaped.csv", "/tmp/escaped.csv", "train/../../escaped.csv", "train\\..\\x"])
def test_a_file_that_leads_elsewhere_is_refused_with_all_of_it(
    journal: Journal, competition: Competition, tmp_path: Path, name: str
) -> None:
    competition.files[name] = b"x"
    done = downloaded(journal, tmp_path / "data")
    assert done.state == "failed"
    assert "which leads elsewhere" in done.message
    assert not list(tmp_path.rglob("escaped.csv"))
    assert not (tmp_path / "data").exists()


def test_what_is_no_zip_is_fetched_anew(
    kaggle: KaggleServer, journal: Journal, competition: Competition, tmp_path: Path
) -> None:
    part = tmp_path / ".data.download"
    part.mkdir()
    (part / f"{SLUG}.zip").write_bytes(b"no zip")
    (part / "whole").touch()
    left = downloaded(journal, tmp_path / "data")
    assert (left.state, "it is fetched anew" in left.message) == ("open", True)
    assert do(journal, left.id).state == "done"


def test_the_challenges_own_goes_into_its_data_folder_and_another_one_into_one_of_its_name(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    place = kaggle_download.place
    assert place(journal.home, challenge, None, None) == ("humpback", Path(challenge.data_dir))
    address = f"https://www.kaggle.com/competitions/{SLUG}/"
    assert place(journal.home, challenge, address, None) == (SLUG, journal.home.data_dir / SLUG)
    assert place(journal.home, None, SLUG, tmp_path) == (SLUG, tmp_path)
    for challenge_of, name, sentence in (
        (None, None, "there is no challenge yet"),
        (None, "../x y", "is no competition's name"),
    ):
        with pytest.raises(OnehourError, match=sentence):
            place(journal.home, challenge_of, name, None)

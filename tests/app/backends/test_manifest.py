"""What is to be sent: which files, under which names, and how seldom they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.jobs.backends import manifest
from app.jobs.backends.manifest import Hashes, Tree
from app.jobs.programme import DATA, EngineTraining, Input
from app.journal.home import Home
from engine.contract import OnehourError
from engine.run_folder import RunFolder, file_sha256
from tests.app.trainings import small_spec

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train.csv", "a[1]/x.jpg", "a[1]/.hidden.jpg", "a[1]/deep/y.jpg", "test/z.jpg", "other/no.jpg"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


@pytest.fixture
def hashes(home: Home) -> Hashes:
    return Hashes(home.machines_dir / "hashes.db")


def names(tree: Tree) -> list[str]:
    return [file.name for file in tree.files]


def test_the_data_that_a_spec_names_is_sent_and_nothing_else_of_its_folder(folder: Path) -> None:
    spec = small_spec(folder)
    spec = spec.model_copy(
        update={"data": spec.data.model_copy(update={"train_images": "a[1]", "labels": "train.csv"})}
    )
    tree = manifest.of_input(EngineTraining(spec).inputs()[DATA])
    assert names(tree) == ["a[1]/.hidden.jpg", "a[1]/deep/y.jpg", "a[1]/x.jpg", "test/z.jpg", "train.csv"]


def test_a_name_may_be_of_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "test" / os.fsdecode(b"\xff\n'.jpg")).write_text("odd")
    assert os.fsdecode(b"test/\xff\n'.jpg") in names(manifest.of_input(Input(folder)))
    assert len(Tree(manifest.of_input(Input(folder)).files).key) == 64


def test_folders_behind_links_are_sent_as_what_they_hold(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "p.jpg").write_text("p")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(manifest.of_input(Input(folder, ("linked/**/*",)))) == ["linked/p.jpg"]


def test_a_single_file_keeps_its_name(folder: Path) -> None:
    tree = manifest.of_input(Input(folder / "train.csv"))
    assert (names(tree), tree.below) == (["train.csv"], "train.csv")


def test_what_is_not_there_or_lies_outside_is_refused(folder: Path) -> None:
    with pytest.raises(OnehourError, match="there is no such file or folder"):
        manifest.of_input(Input(folder / "none"))
    with pytest.raises(OnehourError, match=r"'../data/train.csv' lies outside of it"):
        manifest.of_input(Input(folder, ("../data/train.csv",)))


def test_the_same_files_have_the_same_key_wherever_they_lie(folder: Path, tmp_path: Path, hashes: Hashes) -> None:
    def key(path: Path) -> str:
        return Tree(hashes.filled(manifest.of_input(Input(path)).files)).key

    first = key(folder)
    folder.rename(tmp_path / "moved")
    assert key(tmp_path / "moved") == first
    (tmp_path / "moved" / "train.csv").write_text("other")
    assert key(tmp_path / "moved") != first


def test_a_file_is_read_once_and_again_when_it_has_changed(
    folder: Path, hashes: Hashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    monkeypatch.setattr(manifest, "file_sha256", counted)
    listed: Callable[[], tuple[manifest.File, ...]] = lambda: manifest.of_input(Input(folder)).files  # noqa: E731
    for path in folder.rglob("*.*"):
        os.utime(path, ns=(10**18, 10**18))
    said: list[int] = []
    hashes.filled(listed(), said.append)
    assert (len(read), said) == (6, [6])
    filled = hashes.filled(listed())
    assert len(read) == 6
    assert {file.name: file.sha256 for file in filled}["train.csv"] == file_sha256(folder / "train.csv")
    (folder / "train.csv").write_text("new")
    hashes.filled(listed())
    hashes.filled(listed())  # written so lately that it may be written again without a trace
    assert read[6:] == [folder / "train.csv"] * 2
    hashes.forget(file_sha256(folder / "test" / "z.jpg"))
    hashes.filled(listed())
    assert folder / "test" / "z.jpg" in read[8:]


def test_what_is_called_off_ends_early(folder: Path, hashes: Hashes) -> None:
    with pytest.raises(OnehourError, match="called off"):
        hashes.filled(manifest.of_input(Input(folder)).files, goes_on=lambda: False)


def test_of_a_runs_folder_goes_what_another_machine_needs(tmp_path: Path) -> None:
    run = tmp_path / "humpback_001-r01"
    for name in ("spec.yaml", "spec.json", "metrics.jsonl", "fold0/last.pt", "log.txt", ".lock", "notes.txt", "x.bin"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    (run / "linked.json").symlink_to("/etc/hostname")
    assert [file.name for file in manifest.of_run(RunFolder(run))] == [
        "log.txt",
        "metrics.jsonl",
        "spec.yaml",
        "fold0/last.pt",
    ]

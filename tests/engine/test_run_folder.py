"""A run's folder: whole files, readable after a kill, one sentence where the disk refuses."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.contract import OnehourError, RunSpec, spec_from_mapping
from engine.run_folder import RunFolder, atomic_file, travels

pytestmark = pytest.mark.unit


@pytest.fixture
def spec() -> RunSpec:
    return spec_from_mapping({"data": {"dir": "d"}, "folds": 2, "stages": [{"epochs": 2, "lr": 0.1}]}, "test")


@pytest.fixture
def folder(tmp_path: Path, spec: RunSpec) -> RunFolder:
    made = RunFolder(tmp_path / "cats_001-r01")
    made.create(spec)
    return made


def below_a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file" / "run"


def with_a_name_too_long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300)


@pytest.mark.parametrize("place", [below_a_file, with_a_name_too_long])
def test_a_folder_that_cannot_be_is_one_sentence_for_reader_and_writer(
    place: Callable[[Path], Path], tmp_path: Path, spec: RunSpec
) -> None:
    folder = RunFolder(place(tmp_path))
    attempts = (folder.exists, folder.read_spec, folder.read_result, lambda: list(folder.metrics()), folder.log_tail)
    for attempt in (*attempts, lambda: folder.create(spec)):
        with pytest.raises(OnehourError, match=r"cannot be (read|written) \((Not a directory|File name too long)\)"):
            attempt()
    assert folder.progress() == 0.0


def as_anybody(attempt: Callable[[], object]) -> str:
    """The sentence that `attempt` is refused with by a person without rights to the folder."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # root may read and write everything
    try:
        with pytest.raises(OnehourError) as refused:
            attempt()
    finally:
        if root:
            os.seteuid(0)
    return str(refused.value)


def test_a_folder_without_rights_is_one_sentence_for_reader_and_writer(folder: RunFolder, spec: RunSpec) -> None:
    folder.path.chmod(0)
    try:
        for attempt in (folder.exists, folder.read_spec, folder.read_result, folder.log_tail):
            assert "Permission denied" in as_anybody(attempt)
        assert "Permission denied" in as_anybody(lambda: folder.create(spec))
    finally:
        folder.path.chmod(0o755)


def test_a_run_in_a_read_only_folder_is_not_gone_on_with(
    folder: RunFolder, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # a read-only disk refuses root, too
    with pytest.raises(OnehourError, match=r"cannot be written \(Permission denied\)"):
        folder.create(spec)


def test_a_spec_of_an_older_version_breaks_no_progress(folder: RunFolder) -> None:
    asked = json.loads(folder.spec_json.read_text()) | {"left_behind": 1}
    folder.spec_json.write_text(json.dumps(asked))
    folder.metrics_jsonl.write_text(
        '{"kind": "epoch", "fold": 0, "epoch": 1}\n{"kind": "batch", "fold": 0, "epoch": 1.5}\n'
        '{"kind": "epoch", "fold": 0, "epoch": 1}\n{"kind": "epo'
    )
    assert folder.progress() == 0.25
    with pytest.raises(OnehourError, match="left_behind"):
        folder.read_spec()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folds": 2, "stages": [1]}', '{"folds": 0, "stages": []}', "{"])
def test_a_spec_that_is_none_breaks_no_progress(folder: RunFolder, text: str) -> None:
    folder.spec_json.write_text(text)
    assert folder.progress() == 0.0
    with pytest.raises(OnehourError):
        folder.read_spec()


def test_a_damaged_result_is_one_sentence(folder: RunFolder) -> None:
    assert folder.read_result() is None
    folder.result_json.write_text('{"run_id": 1}')
    with pytest.raises(OnehourError, match=r"result\.json: the result cannot be read"):
        folder.read_result()


def test_another_spec_is_refused_and_the_same_accepted(folder: RunFolder, spec: RunSpec) -> None:
    folder.create(spec)
    with pytest.raises(OnehourError, match="another spec"):
        folder.create(spec.model_copy(update={"seed": 1}))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(TypeError), atomic_file(file, "w") as half:
        half.writelines(["new", 1])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_the_log_s_end_begins_at_a_line(folder: RunFolder) -> None:
    assert folder.log_tail() == ""
    folder.log_txt.write_text("one\ntwo\nthree\n")
    assert folder.log_tail(max_bytes=8) == "three\n"


@pytest.mark.parametrize(
    "name",
    ["result.json", "metrics.jsonl", "submission.csv.sha256", "fold0/last.pt", "fold12/predictions.npz", "log.txt",
     "wandb/offline-run-1/run-1.wandb", "wandb/offline-run-1/files/config.yaml", "threshold.png"],
)  # fmt: skip
def test_what_a_run_produced_travels(name: str) -> None:
    assert travels(name)


@pytest.mark.parametrize(
    "name",
    ["spec.json", "spec.yaml", "../result.json", "fold0/../../result.json", "/result.json", ".hidden.json", "a.bin",
     "fold0/.last.pt.part", "wandb/tmp/x", "wandb/a/b/c/run.wandb", "deep/result.json", "starts"],
)  # fmt: skip
def test_what_nobody_asked_for_stays(name: str) -> None:
    assert not travels(name)


def test_a_run_goes_on_where_its_files_lie_elsewhere(folder: RunFolder, spec: RunSpec) -> None:
    elsewhere = spec.model_copy(update={"data": spec.data.model_copy(update={"dir": "/other/place"})})
    folder.create(elsewhere)
    with pytest.raises(OnehourError, match="another spec"):
        folder.create(elsewhere.model_copy(update={"seed": 7}))


def test_what_was_kept_is_counted_without_looking_at_a_clock(folder: RunFolder) -> None:
    rows = [
        {"kind": kind, "fold": 0, "epoch": 1, "at": at} for kind, at in (("batch", 9), ("checkpoint", 1), ("epoch", 0))
    ]
    folder.metrics_jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert folder.kept() == 2


def test_folds_that_were_trained_by_processes_of_their_own_are_read_along(folder: RunFolder) -> None:
    for path, fold in ((folder.fold_metrics_jsonl(1), 1), (folder.fold_metrics_jsonl(0), 0), (folder.metrics_jsonl, 2)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"kind": "epoch", "fold": fold, "epoch": 1, "at": 1}) + "\n" + '{"kind": "epo')
    assert sorted(row["fold"] for row in folder.metrics()) == [0, 1, 2]
    assert folder.kept() == 3
    for fold in (1, 0):
        folder.fold_log_txt(fold).write_text("".join(f"fold {fold}, line {number}\n" for number in range(100)))
    folder.log_txt.write_text("merged\n")
    text = folder.log_tail(max_bytes=120)
    assert text.splitlines() == [
        *("=== fold0", "fold 0, line 98", "fold 0, line 99", ""),
        *("=== fold1", "fold 1, line 98", "fold 1, line 99", ""),
        *("=== log.txt", "merged"),
    ]
    assert travels("fold0/metrics.jsonl")
    assert travels("fold0/log.txt")

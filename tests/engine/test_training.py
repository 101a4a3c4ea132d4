"""Whole runs of a tiny net on drawn pictures: complete, repeatable, resumable bit for bit, honest about bad input."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import wandb
import yaml

from engine.__main__ import main
from engine.check_folder import CheckFolder
from engine.checks import facts, picture
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, EXIT_REQUEUE, OnehourError, spec_from_mapping
from engine.data.cache_room import cache_size
from engine.inference.fold_predictions import fold_facts
from engine.inference.metric import map5
from engine.inference.so_far import scores_so_far
from engine.mirror import wandb_run
from engine.run_folder import RunFolder, file_sha256
from engine.training import run as training_run
from engine.training import stop, workplace
from engine.training.loop import build_net
from engine.training.prepare import prepare
from engine.training.run import train

IDS, EACH, UNKNOWN, TEST = 6, 10, 12, 14
IMAGES = IDS * EACH + UNKNOWN + TEST
SPEC: dict[str, Any] = {
    "folds": 2,
    "backbone": "test_resnet",
    "image_size": [32, 32],
    "batch_size": 8,
    "stages": [{"epochs": 1, "lr": 0.01, "freeze": True}, {"epochs": 4, "lr": 0.01}],
    "augment": [{"name": "HorizontalFlip"}, {"name": "RandomBrightnessContrast"}],
    "tracking": {"wandb": "off"},
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition of coloured noise: each id has a colour, new_whale any."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    colours = random.integers(30, 225, (IDS, 3))

    def draw(file: Path, colour: np.ndarray) -> None:
        picture = np.clip(colour + random.normal(0, 25, (40, 48, 3)), 0, 255).astype(np.uint8)
        file.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(file), picture)

    labels = [f"w_{i}" for i in range(IDS) for _ in range(EACH)] + ["new_whale"] * UNKNOWN
    rows = [(f"{i:03}.jpg", label) for i, label in enumerate(labels)]
    for file, label in rows:
        draw(folder / "train" / file, random.integers(0, 255, 3) if label == "new_whale" else colours[int(label[2:])])
    tests = [f"t{i:03}.jpg" for i in range(TEST)]
    for i, file in enumerate(tests):
        draw(folder / "test" / file, colours[i % IDS])
    for name, lines in (("train.csv", rows), ("sample_submission.csv", [(file, "new_whale") for file in tests])):
        with (folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows([("Image", "Id"), *lines])
    return folder


def run(pictures: Path, out: Path, time_limit_s: float | None = None, **keys: Any) -> int:
    spec = spec_from_mapping(SPEC | {"data": {"dir": str(pictures)}} | keys, "test")
    return train(spec, RunFolder(out), "as asked\n", time_limit_s)


def weights(out: Path, folds: int = 2) -> list[str]:
    return [facts.weights_sha256 for facts in fold_facts([RunFolder(out).fold_predictions(f) for f in range(folds)])]


@pytest.fixture(scope="session")
def straight(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("runs") / "straight_001-r01"
    assert run(pictures, out) == EXIT_OK
    return RunFolder(out)


def test_a_run_leaves_one_oof_row_for_every_training_image(straight: RunFolder) -> None:
    with np.load(straight.oof_npz) as oof:
        assert oof["image"].tolist() == [f"{i:03}.jpg" for i in range(IDS * EACH + UNKNOWN)]
        assert set(oof["fold"].tolist()) == {0, 1}
        assert np.isfinite(oof["top_scores"][:, 0]).all()
        assert "new_whale" not in oof["top_labels"]
        # Colours are easy: a row whose own fold had been trained on it would not be needed for this, chance is 0.38.
        known = oof["label"] != "new_whale"
        assert map5(oof["label"][known].tolist(), oof["top_labels"][known].tolist()) > 0.6


def test_a_result_says_what_its_files_say(straight: RunFolder) -> None:
    result = straight.read_result()
    assert result is not None
    assert result.run_id == "straight_001-r01"
    assert (result.images, result.unknown_images, result.test_images) == (72, UNKNOWN, TEST)
    assert result.classes == IDS
    assert result.submission_sha256 == file_sha256(straight.submission_csv)
    assert result.folds_sha256 == file_sha256(straight.folds_csv)
    assert result.cv == pytest.approx(sum(f.score * f.images for f in result.fold_scores) / result.images)
    rows = list(csv.reader(straight.submission_csv.open()))
    assert [row[0] for row in rows[1:]] == [f"t{i:03}.jpg" for i in range(TEST)]
    assert json.loads(straight.threshold_json.read_text())["test"] == result.threshold
    assert straight.threshold_png.read_bytes().startswith(b"\x89PNG")
    assert straight.spec_yaml.read_text() == "as asked\n"


def test_every_epoch_has_its_row_and_the_loss_falls(straight: RunFolder) -> None:
    rows = [row for row in straight.metrics() if row["kind"] == "epoch"]
    assert [(row["fold"], row["epoch"]) for row in rows] == [(fold, epoch) for fold in (0, 1) for epoch in range(1, 6)]
    assert rows[4]["train/loss"] < 0.8 * rows[0]["train/loss"]
    assert {"valid/loss", "valid/map5", "lr", "images/s", "at", "step"} <= rows[0].keys()
    assert straight.progress() == 1.0


def test_a_fold_shows_its_worst_validation_images(pictures: Path, straight: RunFolder) -> None:
    samples = [row for row in straight.metrics() if row["kind"] == "sample"]
    assert [row["fold"] for row in samples] == [0] * 5 + [1] * 5
    labels = dict(list(csv.reader((pictures / "train.csv").open()))[1:])
    for row in samples:
        assert row["label"] == labels[row["image"]] != "new_whale"
        assert len(row["top"]) == 3
        assert row["top"][0][1] >= row["top"][1][1] >= row["top"][2][1]
        assert all(score == row["score"] for label, score in row["top"] if label == row["label"])
    scores = [row["score"] for row in samples[:5]]
    assert scores == sorted(scores)
    with np.load(straight.oof_npz) as oof:
        fold, label = oof["fold"], oof["label"]
        own = np.where(oof["top_labels"] == label[:, None], oof["top_scores"], 0).max(1)
        lowest = own[(fold == 0) & (label != "new_whale")].min()
    assert scores[0] == pytest.approx(lowest, abs=1e-5)


def test_a_finished_run_started_again_changes_nothing(pictures: Path, straight: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in straight.path.rglob("*")}
    assert run(pictures, straight.path) == EXIT_OK
    assert {path: path.stat().st_mtime_ns for path in straight.path.rglob("*")} == before


def so_far(folder: RunFolder) -> dict[int, float]:
    spec = folder.read_spec()
    prepared = prepare(spec, folder.path.parent)
    return scores_so_far(spec, folder, prepared.competition, prepared.folds)


def test_the_scores_of_finished_folds_are_those_of_the_result_and_one_alone_is_flattered(
    straight: RunFolder, tmp_path: Path
) -> None:
    result = straight.read_result()
    assert result is not None
    final = {one.fold: one.score for one in result.fold_scores}
    assert so_far(straight) == pytest.approx(final)
    half = RunFolder(Path(shutil.copytree(straight.path, tmp_path / straight.run_id)))
    half.fold_predictions(1).unlink()
    (only,) = so_far(half).items()
    assert only[0] == 0
    assert only[1] >= final[0]  # its threshold was chosen on itself
    half.fold_predictions(0).unlink()
    assert so_far(half) == {}


def test_a_run_clearly_behind_an_earlier_one_stops_after_its_first_fold_and_says_why(
    pictures: Path, straight: RunFolder, tmp_path: Path
) -> None:
    result = straight.read_result()
    assert result is not None
    rule = {
        "run": straight.run_id,
        "folds_sha256": result.folds_sha256,
        "fold_scores": [one.score for one in result.fold_scores],
        "by": [0.05],
    }
    slow = {"stages": [{"epochs": 1, "lr": 1e-6}], "stop_if_behind": rule}
    behind = RunFolder(tmp_path / "behind_001-r01")
    for _ in range(2):  # started again it stays as it is
        assert run(pictures, behind.path, **slow) == EXIT_OK
        assert behind.stopped().startswith("after fold 0 it is behind straight_001-r01 by 0.")
        assert json.loads(behind.stopped_json.read_text())["fold"] == 0
        assert {row["fold"] for row in behind.metrics()} == {0}
        assert not behind.result_json.exists()
    elsewhere = RunFolder(tmp_path / "elsewhere_001-r01")
    other = slow | {"stop_if_behind": rule | {"folds_sha256": "other"}}
    assert run(pictures, elsewhere.path, **other) == EXIT_OK
    told = elsewhere.read_result()
    assert told is not None
    assert "It was not held against straight_001-r01 fold by fold: its folds are other ones." in told.notes
    assert told.cv < result.cv - 0.05


def test_another_spec_is_refused_in_the_folder_of_a_run(pictures: Path, straight: RunFolder) -> None:
    with pytest.raises(OnehourError, match="another spec"):
        run(pictures, straight.path, seed=5)


def test_loader_processes_change_no_weight(pictures: Path, straight: RunFolder, tmp_path: Path) -> None:
    assert run(pictures, tmp_path / "r", loader_workers=2) == EXIT_OK
    assert weights(tmp_path / "r") == weights(straight.path)


def test_a_run_killed_and_then_stopped_by_a_signal_ends_with_the_same_weights(
    pictures: Path, straight: RunFolder, tmp_path: Path
) -> None:
    out, spec = tmp_path / "r", tmp_path / "spec.yaml"
    offline = {"data": {"dir": str(pictures)}, "tracking": {"wandb": "offline"}}
    spec.write_text(yaml.safe_dump(SPEC | offline))
    killed = interrupted(spec, out, "fold 0 epoch 3", signal.SIGKILL)
    assert killed == -signal.SIGKILL
    assert RunFolder(out).last_checkpoint(0).exists()
    assert not RunFolder(out).fold_predictions(0).exists()
    assert interrupted(spec, out, "fold 1 epoch 1", signal.SIGTERM) == EXIT_REQUEUE
    assert RunFolder(out).fold_predictions(0).exists()
    assert not RunFolder(out).result_json.exists()
    assert run(pictures, out, tracking=offline["tracking"]) == EXIT_OK
    assert weights(out) == weights(straight.path)
    assert RunFolder(out).submission_csv.read_bytes() == straight.submission_csv.read_bytes()


INTERRUPTED = """
import logging, os, sys
from engine.__main__ import main
after, number = sys.argv[1], int(sys.argv[2])
class Interrupts(logging.Handler):
    def emit(self, record):
        if after in record.getMessage():
            os.kill(os.getpid(), number)
logging.getLogger("engine").addHandler(Interrupts())
sys.exit(main(sys.argv[3:]))
"""


def interrupted(spec: Path, out: Path, after: str, number: signal.Signals) -> int:
    """Train in a process of its own that gets `number` at the very moment when it logs `after`. Returns its exit code."""
    command = [sys.executable, "-c", INTERRUPTED, after, str(int(number)), "train", str(spec), "--out", str(out)]
    temporary = out.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)}, check=False
    )
    # Lines of the log alone: no library speaks, and a stop is told in our own words.
    lines = done.stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d (note|fold|CV|stopped: SIG\w+ received;)", line) for line in lines), lines
    assert not list(temporary.glob("*wandb*")), "what a killed run leaves stays in its own folder"
    return done.returncode


class SlowClock:
    """Ten minutes pass between two looks."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        self.now += 600.0
        return self.now


def run_for_looks(looks: int, pictures: Path, out: Path, **keys: Any) -> int:
    """A run with a time limit that allows for so many looks at the clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stop, "time", SlowClock())
        return run(pictures, out, time_limit_s=looks * 600.0, **keys)


def facts_of(pictures: Path, runs: Path) -> list[dict[str, str]]:
    return list(CheckFolder.of_data(pictures, runs).rows_of_facts())


def test_a_time_limit_stops_before_it_and_the_run_is_finished_later(
    pictures: Path, straight: RunFolder, tmp_path: Path
) -> None:
    assert run_for_looks(IMAGES + 15, pictures, tmp_path / "r") == EXIT_REQUEUE
    assert 0 < RunFolder(tmp_path / "r").progress() < 1
    assert run(pictures, tmp_path / "r") == EXIT_OK
    assert weights(tmp_path / "r") == weights(straight.path)


def test_a_time_limit_holds_while_images_are_looked_at_and_the_next_start_goes_on_there(
    pictures: Path, tmp_path: Path
) -> None:
    seen = []
    for _ in range(2):
        assert run_for_looks(30, pictures, tmp_path / "r") == EXIT_REQUEUE
        seen.append(len(facts_of(pictures, tmp_path)))
        assert not (tmp_path / "r").exists()
    assert 0 < seen[0] < seen[1] < IMAGES


def test_a_time_limit_that_never_suffices_to_decode_is_an_error_and_no_endless_requeue(
    pictures: Path, tmp_path: Path
) -> None:
    size = [26, 30]  # not in the cache yet
    assert run_for_looks(IMAGES + 30, pictures, tmp_path / "r", image_size=size) == EXIT_REQUEUE  # all were looked at
    with pytest.raises(
        OnehourError, match=r"^--time-limit: .* nothing was done that a next start could build on\. Give"
    ):
        run_for_looks(40, pictures, tmp_path / "r", image_size=size)
    assert run(pictures, tmp_path / "r", image_size=size) == EXIT_OK


def test_a_time_limit_too_short_for_anything_is_an_error_and_no_endless_requeue(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(OnehourError, match="nothing was done"):
        run(pictures, tmp_path / "r", time_limit_s=0.0)


def test_a_time_limit_counts_from_the_start_of_the_process() -> None:
    code = (
        "import time; late = time.monotonic(); from engine.training.stop import process_started as p; print(p(), late)"
    )
    before = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    started, late = map(float, told.split())
    assert before - 0.02 <= started <= late  # the kernel counts in hundredths


def test_a_signal_stops_the_look_at_the_images_in_good_order(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []

    def look_at(path: Path) -> Any:
        looked.append(path)
        if len(looked) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return picture.look_at(path)

    monkeypatch.setattr(facts, "look_at", look_at)
    before = signal.getsignal(signal.SIGTERM)
    assert run(pictures, tmp_path / "r") == EXIT_REQUEUE
    assert signal.getsignal(signal.SIGTERM) == before
    assert 0 < len(facts_of(pictures, tmp_path)) < IMAGES


def test_a_loss_that_is_no_number_is_one_sentence(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OnehourError,
        match=r"^fold 0: the loss is no longer a number in batch \d of epoch 1 \(\d{3}\.jpg, \d{3}\.jpg, \d{3}\.jpg and 5 "
        r"more\)\. Lower stages\.lr, or look at these images; the last good checkpoint is kept\.$",
    ):
        run(pictures, tmp_path / "r", stages=[{"epochs": 3, "lr": 1e30}])


@pytest.mark.parametrize(
    "keys",
    [
        {
            "head": "arcface",
            "mirrored_identities": True,
            "sampler": "balanced",
            "retrieval_share": 0.5,
            "local_features": True,
        },
        {"unknown_in_training": "class", "expected_unknown_share": 0.3},
    ],
)
def test_every_way_of_training_beats_chance(pictures: Path, tmp_path: Path, keys: dict[str, Any]) -> None:
    assert run(pictures, tmp_path / "r", **keys) == EXIT_OK
    result = RunFolder(tmp_path / "r").read_result()
    assert result is not None
    assert result.cv > 0.5  # new_whale first and then any five: 0.35 at best


def test_wandb_offline_mirrors_each_fold_and_its_failure_harms_nothing(
    pictures: Path, straight: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = {"tracking": {"wandb": "offline"}}
    assert run(pictures, tmp_path / "a", **offline) == EXIT_OK
    mirrored = sorted(path.name.split("-", 3)[3] for path in RunFolder(tmp_path / "a").wandb_dir.glob("offline-run-*"))
    assert mirrored == ["a-f0", "a-f1"]

    wandb.teardown()  # it reads the environment when it starts
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a server that takes calls and never answers
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setitem(wandb_run.QUIET, "init_timeout", 2)
        assert run(pictures, tmp_path / "c", tracking={"wandb": "online"}) == EXIT_OK
        wandb.teardown()
    result = RunFolder(tmp_path / "c").read_result()
    assert result is not None
    assert result.wandb_mode == "offline"
    assert weights(tmp_path / "c") == weights(straight.path)

    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    assert run(pictures, tmp_path / "b", **offline) == EXIT_OK
    result = RunFolder(tmp_path / "b").read_result()
    assert result is not None
    assert result.wandb_mode == "off"
    assert weights(tmp_path / "b") == weights(straight.path)


@pytest.fixture
def nothing_written(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "r"
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("backbone=tst_resnet", "Did you mean 'test_resnet'"),
        ("backbon=resnet18", "unknown key 'backbon'"),
        ("augment=[{name: HorizontalFlp}]", "Did you mean 'HorizontalFlip'"),
        ("data.label_col=Idd", "Id"),
        ("folds=100", "folds"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_folder(
    pictures: Path,
    tmp_path: Path,
    nothing_written: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    sentence: str,
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(SPEC | {"data": {"dir": str(pictures)}}))
    assert main(["train", str(spec), "--out", str(nothing_written), "--set", setting]) == EXIT_BAD_INPUT
    assert sentence in capsys.readouterr().err


def test_an_unknown_label_in_one_fold_is_refused_as_a_class_before_anything_is_trained(
    pictures: Path, tmp_path: Path, nothing_written: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    rows = list(csv.reader((data / "train.csv").open()))
    unknown = [row for row in rows if row[1] == "new_whale"]
    with (data / "train.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([row for row in rows if row not in unknown[1:]])
    with pytest.raises(
        OnehourError,
        match=r"^unknown_in_training: class: all images of 'new_whale' lie in fold \d, whose net could not learn it as a "
        r"class\. Set unknown_in_training to drop or negatives\.$",
    ):
        run(data, nothing_written, unknown_in_training="class")


def test_more_labels_a_batch_than_a_fold_has_are_refused_before_anything_is_trained(
    pictures: Path, nothing_written: Path
) -> None:
    with pytest.raises(
        OnehourError, match=r"pk_labels = 40: fold 0 has \d+ labels to train on\. Set it to \d+ or less"
    ):
        run(pictures, nothing_written, sampler="pk", pk_labels=40, pk_images=1, batch_size=40)


def test_folds_too_thin_to_train_are_refused_before_the_first_one_trains(
    pictures: Path, tmp_path: Path, nothing_written: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    rows = list(csv.reader((data / "train.csv").open()))
    known = [row for row in rows[1:] if row[1] != "new_whale"]
    labels = list(dict.fromkeys(row[1] for row in known))
    three = [next(row for row in known if row[1] == label) for label in labels[:3]]
    with (data / "train.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([rows[0], *three])
    with pytest.raises(OnehourError, match=r"folds = 2: fold \d would have 1 image to train on\. 3 images are too few"):
        run(data, nothing_written, folds=2)


def test_a_full_disk_is_refused_before_anything_is_written(
    pictures: Path, nothing_written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(OnehourError, match="Free some space"):
        run(pictures, nothing_written)


def test_a_run_cut_off_goes_on_where_the_disk_was_just_big_enough(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = [30, 34]  # not in the cache yet
    folder, spec = (
        RunFolder(tmp_path / "r"),
        spec_from_mapping(SPEC | {"data": {"dir": "x"}, "image_size": size}, "test"),
    )
    net_bytes = 4 * sum(one.numel() for one in build_net(spec, 0, IDS + 1).parameters())
    enough = workplace.folder_needed(spec, net_bytes) + IMAGES * 3 * size[0] * size[1]
    before = cache_size()[1]
    room = enough - 1

    def usage(_: object) -> Any:
        return shutil._ntuple_diskusage(10**12, 0, room - workplace.folder_held(folder) - (cache_size()[1] - before))

    class PowerCut(BaseException):
        pass

    def cut(*_: Any, **__: Any) -> None:
        raise PowerCut

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(OnehourError, match="Free some space"):
        run(pictures, folder.path, image_size=size)
    room = enough
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "save_fold", cut)
        with pytest.raises(PowerCut):
            run(pictures, folder.path, image_size=size)
    assert shutil.disk_usage(folder.path).free < enough
    assert run(pictures, folder.path, image_size=size) == EXIT_OK

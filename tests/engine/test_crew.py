"""Several processes on one fold, on the processor by gloo: one net, one record, and the same end after a stop."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.contract import EXIT_BUG, EXIT_INTERRUPTED, EXIT_REQUEUE, OnehourError, spec_from_mapping
from engine.data.balance import Draws
from engine.data.images import EpochLoader, TrainingImages
from engine.inference.fold_predictions import fold_facts
from engine.run_folder import RunFolder
from engine.training import crew
from engine.training.run import train
from engine.training.stop import Stop
from tests.engine.test_training import SPEC, pictures

__all__ = ["pictures"]  # the fixture

EPOCHS = 4
HANGS_S = 540  # two processes that load torch beside much other work have taken more than two minutes
TOGETHER: dict[str, Any] = SPEC | {"stages": [{"epochs": 1, "lr": 0.01, "freeze": True}, {"epochs": 3, "lr": 0.01}]}


def run_until(folder: RunFolder, pictures: Path, condition, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> int:
    """A run of two processes that stops as by SIGTERM once `condition()` holds."""
    checked = Stop.check

    def check(stop: Stop, ahead_s: float = 0.0) -> None:
        if condition():
            stop.signal_name = "SIGTERM"
        checked(stop, ahead_s)

    spec = spec_from_mapping(TOGETHER | {"data": {"dir": str(pictures)}} | keys, "test")
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "check", check)
        return train(spec, folder, "as asked\n", ranks=2)


def test_two_processes_train_one_net_and_go_on_bit_for_bit(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    straight, stopped = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "stopped")
    keys = {"augment": [*SPEC["augment"], {"name": "GaussNoise"}], "mixup": 0.2, "checkpoint_every_s": 1e-9}

    def first_fold_done(folder: RunFolder):
        return folder.fold_predictions(0).exists

    assert run_until(straight, pictures, first_fold_done(straight), monkeypatch, **keys) == EXIT_REQUEUE
    (fact,) = fold_facts([straight.fold_predictions(0)])
    followed = re.findall(r"fold 0: rank 1 of 2 followed for \d+ s to the weights (\w+)", capfd.readouterr().err)
    assert followed == [fact.weights_sha256[:12]], "both processes end with the same weights"
    rows = [row for row in straight.metrics() if row["kind"] == "epoch"]
    assert [(row["fold"], row["epoch"]) for row in rows] == [(0, epoch) for epoch in range(1, EPOCHS + 1)]
    assert rows[-1]["train/loss"] < 0.9 * rows[0]["train/loss"]

    def inside_the_third_epoch() -> bool:
        return sum(row["kind"] == "checkpoint" and row["epoch"] > 2 for row in stopped.metrics()) >= 2

    assert run_until(stopped, pictures, inside_the_third_epoch, monkeypatch, **keys) == EXIT_REQUEUE
    assert not stopped.fold_predictions(0).exists()
    assert run_until(stopped, pictures, first_fold_done(stopped), monkeypatch, **keys) == EXIT_REQUEUE
    assert re.search(r"fold 0 goes on after batch \d of epoch 3 of 4", capfd.readouterr().err)
    assert [one.weights_sha256 for one in fold_facts([stopped.fold_predictions(0)])] == [fact.weights_sha256]


def test_a_process_that_breaks_ends_the_run_instead_of_a_wait_without_end(tmp_path: Path) -> None:
    """Its leader waits inside torch for somebody who will never come; the folder without a spec is what breaks the other."""
    code = (
        "import sys; from pathlib import Path; from engine.run_folder import RunFolder; from engine.training.crew import crew_of\n"
        "with crew_of(RunFolder(Path(sys.argv[1])), 0, 2): print('never')"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS_S)
    assert (done.returncode, done.stdout) == (EXIT_BUG, "")
    assert "the spec cannot be read" in done.stderr
    assert "rank 1 ended with exit code 1" in done.stderr


def test_a_follower_is_gone_with_the_process_that_started_it(tmp_path: Path) -> None:
    RunFolder(tmp_path).create(spec_from_mapping(TOGETHER | {"data": {"dir": "."}}, "test"))
    command = [sys.executable, "-m", "engine.training.follower", str(tmp_path), "0", "1", "2", str(tmp_path)]
    follower = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert follower.stdin is not None
    follower.stdin.close()
    assert follower.wait(HANGS_S) == EXIT_INTERRUPTED, "else it would wait for its leader for a day"


def loader(rank: int, ranks: int) -> EpochLoader:
    images = TrainingImages(
        np.zeros((10, 8, 8, 3), np.uint8), np.arange(10), np.arange(10), 10, mirrored=False, augment=None, seed=1
    )
    draws = Draws(10, lambda random: random.permutation(10))
    return EpochLoader(images, draws, 1, bs=4, rank=rank, ranks=ranks)


def test_the_pieces_of_a_batch_are_the_batch() -> None:
    whole, pieces = loader(0, 1), [loader(rank, 2) for rank in (0, 1)]
    for one in (whole, *pieces):
        one.start(3, batch=1)
    assert len(whole) == len(pieces[0]) == len(pieces[1]) == 2
    batches = [targets.tolist() for _, targets in whole]
    parts = [[targets.tolist() for _, targets in piece] for piece in pieces]
    assert [one + other for one, other in zip(*parts, strict=True)] == batches == [whole.items_of(1)]


def test_what_cannot_be_parted_or_is_not_there_is_refused(tmp_path: Path) -> None:
    spec = spec_from_mapping(TOGETHER | {"data": {"dir": "."}}, "test")
    with pytest.raises(OnehourError, match=r"^--gpus: batch_size = 8 cannot be parted among 3\. Set batch_size"):
        train(spec, RunFolder(tmp_path / "r"), "", ranks=3)
    with pytest.raises(OnehourError, match="leaves one image for each of 8"):
        crew.refuse_uneven(spec, 8)
    pk = spec.model_copy(update={"sampler": "pk", "pk_labels": 5, "pk_images": 4, "batch_size": 20})
    with pytest.raises(OnehourError, match="pk_labels = 5"):
        crew.refuse_uneven(pk, 2)
    with pytest.raises(OnehourError, match=r"^--gpus: 99 GPUs are asked for"):
        crew.refuse_absent(99)


def test_who_asks_for_a_gpu_does_not_train_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OnehourError, match=r"^--gpus: 1 GPU is asked for and torch sees none on .*nvidia-smi"):
        crew.refuse_absent(1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    crew.refuse_absent(2)
    with pytest.raises(OnehourError, match="3 GPUs are asked for and torch sees 2"):
        crew.refuse_absent(3)

"""What only a CUDA device can show: half precision, its scaler across a restart, and the time on the device."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.contract import EXIT_OK, EXIT_REQUEUE, spec_from_mapping
from engine.run_folder import RunFolder
from engine.training.resume import load
from engine.training.run import train
from engine.training.stop import Stop
from tests.engine.test_training import IDS, SPEC, pictures, run

__all__ = ["pictures"]  # the fixture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"head": "arcface", "mirrored_identities": True, "retrieval_share": 0.5},
        {"accumulate": 2, "clip_norm": 5.0, "averaging": "ema", "checkpoint_every_s": 1e-9},
    ],
)
def test_two_folds_stopped_in_the_middle_are_finished_on_the_device(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    folder = RunFolder(tmp_path / "r")

    def check(stop: Stop, ahead_s: float = 0.0) -> None:
        """As SIGTERM would, in the third epoch of the first fold."""
        if sum(row["kind"] == "epoch" for row in folder.metrics()) == 2:
            stop.signal_name = "SIGTERM"
        checked(stop, ahead_s)

    checked = Stop.check
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "check", check)
        assert run(pictures, folder.path, **keys) == EXIT_REQUEUE
    checkpoint = load(folder.last_checkpoint(0))
    assert checkpoint is not None
    assert checkpoint["done"] == 2
    assert checkpoint["scaler"]["scale"] > 1  # there is one with half precision alone

    assert run(pictures, folder.path, **keys) == EXIT_OK
    rows = [row for row in folder.metrics() if row["kind"] == "epoch"]
    assert all(row["gpu/peak_gb"] > 0 for row in rows)
    epochs = [(row["fold"], row["epoch"]) for row in rows]
    assert epochs == [(fold, epoch) for fold in (0, 1) for epoch in range(1, 6)]
    assert "fold 0 goes on after epoch 2 of 5" in folder.log_tail()
    result = folder.read_result()
    assert result is not None
    assert (result.device, result.classes) == ("cuda", IDS)
    assert 0 < result.gpu_s == result.train_s
    assert result.cv > 0.5  # new_whale first and then any five: 0.35 at best


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("keys", [{}, {"accumulate": 2, "clip_norm": 5.0, "averaging": "ema"}])
def test_two_devices_train_a_fold_together(pictures: Path, tmp_path: Path, keys: dict[str, Any]) -> None:
    folder = RunFolder(tmp_path / "r")
    spec = spec_from_mapping(SPEC | {"data": {"dir": str(pictures)}} | keys, "test")
    assert train(spec, folder, "as asked\n", ranks=2) == EXIT_OK
    result = folder.read_result()
    assert result is not None
    assert result.gpu_s == pytest.approx(2 * result.train_s)
    assert result.cv > 0.5

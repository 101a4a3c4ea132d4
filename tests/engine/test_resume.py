"""A fold that was cut off anywhere ends with the same weights, bit for bit: whatever cut it, wherever, with any loader."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.contract import RunSpec, spec_from_mapping
from engine.run_folder import RunFolder
from engine.training import resume
from engine.training.fold import FoldData
from engine.training.loop import train_fold
from engine.training.resume import load, weights_sha256
from engine.training.stop import Stop, Stopped
from engine.training.tracking import FoldLog

IMAGES, CLASSES = 56, 4  # 40 to train on: five batches of eight
SPEC: dict[str, Any] = {
    "data": {"dir": "nowhere"},
    "folds": 2,
    "backbone": "test_resnet",
    "image_size": [32, 32],
    "batch_size": 8,
    "stages": [{"epochs": 1, "lr": 0.01, "freeze": True}, {"epochs": 2, "lr": 0.01}],
    "augment": [{"name": "HorizontalFlip"}, {"name": "RandomBrightnessContrast"}],
    "tracking": {"wandb": "off"},
}
STAGES = [
    {"epochs": 1, "lr": 0.01, "freeze": True, "image_size": [16, 16]},
    {"epochs": 1, "lr": 0.01, "schedule": "flat_cos", "body_lr": 0.1},
    {"epochs": 1, "lr": 0.001, "schedule": "constant"},
]
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stages of their own size and schedule": {"stages": STAGES},
    "two batches a step, clipped, averaged over steps": {"accumulate": 2, "clip_norm": 1.0, "averaging": "ema"},
    "averaged over epochs": {"averaging": "swa"},
    "mixed": {"mixup": 0.4},
    "drawn by label, arcface": {"sampler": "pk", "pk_labels": 2, "pk_images": 4, "head": "arcface"},
}


class PowerCut(BaseException):
    """Nothing that anybody catches on the way out."""


def spec_of(**keys: Any) -> RunSpec:
    return spec_from_mapping(SPEC | keys, "test")


def pixels_at(size: tuple[int, int]) -> np.ndarray:
    """Noise in a colour a class, the same at every size but for its grain."""
    random = np.random.default_rng(0)
    colours = random.integers(30, 225, (CLASSES, 3))[np.arange(IMAGES) % CLASSES]
    noise = random.normal(0, 25, (IMAGES, *size, 3))
    return np.clip(colours[:, None, None] + noise, 0, 255).astype(np.uint8)


def fold_of(spec: RunSpec) -> FoldData:
    targets = np.arange(IMAGES) % CLASSES
    rows = np.arange(IMAGES)
    return FoldData(
        pixels_at(spec.stage_sizes[-1]), tuple(f"{row:02}.jpg" for row in rows), tuple("abcd"),
        rows[:40], targets[:40], rows[40:], targets[40:],
    )  # fmt: skip


def trained(out: Path, stop: Stop | None = None, fold: int = 0, **keys: Any) -> str:
    """Train a fold in `out`, or go on with it. Returns the SHA-256 of the weights that predict."""
    spec, folder = spec_of(**keys), RunFolder(out)
    folder.create(spec)
    with FoldLog(spec, folder, fold) as rows:
        done = train_fold(spec, folder, fold_of(spec), pixels_at, rows, stop or Stop(None, 0.0))
    return weights_sha256(done.net)


def epochs(out: Path) -> list[dict[str, Any]]:
    """The last row of each epoch, but for what is of the clock."""
    found = {row["epoch"]: row for row in RunFolder(out).metrics() if row["kind"] == "epoch"}
    timed = {"at", "images/s", "time/data_s", "time/compute_s"}
    return [{name: value for name, value in found[epoch].items() if name not in timed} for epoch in sorted(found)]


class StopAfter(Stop):
    """As a signal would, after some looks: one an epoch, one a batch."""

    def __init__(self, looks: int) -> None:
        super().__init__(None, 0.0)
        self.looks = looks

    def check(self, ahead_s: float = 0.0) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Stopped("enough")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """name of a way → (weights, epoch rows) of a fold that nothing interrupted."""
    made: dict[str, tuple[str, list[dict[str, Any]]]] = {}

    def of(way: str) -> tuple[str, list[dict[str, Any]]]:
        if way not in made:
            out = tmp_path_factory.mktemp("straight") / "r"
            made[way] = trained(out, **WAYS[way]), epochs(out)
        return made[way]

    return of


@pytest.mark.parametrize("way", WAYS)
def test_a_power_cut_after_any_checkpoint_changes_no_weight_and_no_row(
    way: str, straight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt lives for four checkpoints, of which one falls on each step: the cuts fall all over the fold."""
    expected = straight(way)
    written = resume.save
    lives = 0

    def save(path: Path, value: dict[str, Any]) -> None:
        nonlocal lives
        written(path, value)
        lives += path.name == "last.pt"
        if lives == 4:
            lives = 0
            raise PowerCut

    monkeypatch.setattr(resume, "save", save)
    cuts = []
    for _ in range(10):
        try:
            weights = trained(tmp_path / "r", checkpoint_every_s=1e-9, **WAYS[way])
            break
        except PowerCut:
            checkpoint = load(RunFolder(tmp_path / "r").last_checkpoint(0))
            assert checkpoint is not None
            cuts.append((checkpoint["done"], checkpoint["batch"]))
    assert len(cuts) >= 2
    assert any(batch for _, batch in cuts), "inside an epoch"
    assert (weights, epochs(tmp_path / "r")) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fold_stopped_at_a_batch_goes_on_at_the_next_with_any_number_of_loader_processes(
    workers: int, straight: Any, tmp_path: Path
) -> None:
    places = []
    for looks in (4, 5, 8):  # third batch, a later one, the validation
        with pytest.raises(Stopped):
            trained(tmp_path / "r", StopAfter(looks), loader_workers=workers)
        checkpoint = load(RunFolder(tmp_path / "r").last_checkpoint(0))
        assert checkpoint is not None
        places.append((checkpoint["done"], checkpoint["batch"]))
    assert places == sorted(set(places)), "each attempt got further"
    assert places[0] == (0, 4)
    weights = trained(tmp_path / "r", loader_workers=workers)
    assert (weights, epochs(tmp_path / "r")) == straight("plain")


def test_a_batch_that_was_done_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.data.images import TrainingImages

    read: list[int] = []
    item = TrainingImages.__getitem__

    def noted(self: TrainingImages, index: int) -> Any:
        read.append(index)
        return item(self, index)

    monkeypatch.setattr(TrainingImages, "__getitem__", noted)
    with pytest.raises(Stopped):
        trained(tmp_path / "r", StopAfter(3))
    assert len(read) == 3 * 8
    trained(tmp_path / "r")
    assert len(read) == 3 * 40


def test_without_checkpoints_inside_an_epoch_a_power_cut_costs_the_epoch(
    straight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(StopAfter):
        def check(self, ahead_s: float = 0.0) -> None:
            self.looks -= 1
            if self.looks < 0:
                raise PowerCut

    with pytest.raises(PowerCut):
        trained(tmp_path / "r", Cut(12), checkpoint_every_s=0)
    checkpoint = load(RunFolder(tmp_path / "r").last_checkpoint(0))
    assert checkpoint is not None
    assert (checkpoint["done"], checkpoint["batch"]) == (1, 0)
    assert (trained(tmp_path / "r", checkpoint_every_s=0), epochs(tmp_path / "r")) == straight("plain")


def test_a_step_is_the_mean_over_its_batches_and_the_last_of_an_epoch_takes_what_is_left() -> None:
    from fastai.callback.core import TrainEvalCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import SGD

    from engine.training.schedule import Accumulate

    torch.manual_seed(0)
    inputs, targets = torch.randn(10, 3), torch.randn(10, 1)
    loader = DataLoader(list(zip(inputs, targets, strict=True)), bs=2)
    loader.skipped = 0
    net = torch.nn.Linear(3, 1)
    expected = torch.nn.Linear(3, 1)
    expected.load_state_dict(net.state_dict())
    loss = torch.nn.MSELoss()
    learner = Learner(
        DataLoaders(loader, DataLoader([], bs=2)), net, loss, opt_func=SGD, lr=0.1, default_cbs=False,
        cbs=[TrainEvalCallback(), Accumulate(3)],
    )  # fmt: skip
    learner.fit(2)
    plain = torch.optim.SGD(expected.parameters(), lr=0.1)
    for rows in (slice(0, 6), slice(6, 10)) * 2:
        plain.zero_grad()
        loss(expected(inputs[rows]), targets[rows]).backward()
        plain.step()
    assert torch.allclose(net.weight, expected.weight, atol=1e-6)


def test_the_averaged_weights_are_validated_kept_and_predict(tmp_path: Path) -> None:
    for kind in ("ema", "swa"):
        out = tmp_path / kind
        weights = trained(out, averaging=kind)
        last = load(RunFolder(out).last_checkpoint(0))
        best = torch.load(RunFolder(out).best_checkpoint(0), weights_only=True)
        assert last is not None
        averaged = last["averaging"]["weights"]
        assert not torch.equal(averaged["head.weight"], last["model"]["head.weight"])
        assert weights != trained_plainly(last["model"])
        assert weights == trained_plainly(averaged)
        if best["done"] == last["done"]:
            assert trained_plainly(best["model"]) == weights


def trained_plainly(state: dict[str, torch.Tensor]) -> str:
    class Holder(torch.nn.Module):
        def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
            return state

    return weights_sha256(Holder())


SCRIPT = """
import sys
from pathlib import Path
import logging
logging.basicConfig(level=logging.INFO)
from tests.engine.test_resume import trained
print("weights", trained(Path(sys.argv[1]), loader_workers=2, checkpoint_every_s=1e-9))
"""


def test_a_process_killed_inside_an_epoch_leaves_a_fold_that_ends_as_if_nothing_had_been(
    straight: Any, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "r")], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "checkpoint in epoch 2" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        else:
            pytest.fail("no checkpoint was logged")
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL
    weights = trained(tmp_path / "r", loader_workers=2, checkpoint_every_s=1e-9)
    assert (weights, epochs(tmp_path / "r")) == straight("plain")

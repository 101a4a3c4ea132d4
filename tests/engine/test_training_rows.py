"""What a fold says of itself while it trains, what it does when its loss is lost, what it needs, and the rate to try."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from engine.__main__ import main
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError
from engine.data.cache import Pixels, cached_images
from engine.inference.predict import Predictor
from engine.model.head import Net
from engine.run_folder import RunFolder
from engine.training import loop, lr_find, stop, workplace
from engine.training.loop import build_net, stage_loaders
from engine.training.resume import load
from engine.training.rows import first_lost
from engine.training.schedule import peak_rates, schedule, spans
from engine.training.stop import Stop, Stopped
from tests.engine.test_resume import CLASSES, IMAGES, SPEC, fold_of, pixels_at, spec_of, trained
from tests.engine.test_training import pictures

__all__ = ["pictures"]  # the fixture

SOUND = {"epochs": 1, "lr": 0.01}
WILD = {"epochs": 1, "lr": 1e36, "schedule": "constant"}


def rows(out: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in RunFolder(out).metrics() if row["kind"] == kind]


def test_an_epoch_tells_rates_time_and_speed(tmp_path: Path) -> None:
    trained(tmp_path / "r", stages=[{"epochs": 2, "lr": 0.01, "schedule": "constant", "body_lr": 0.25}])
    for row in rows(tmp_path / "r", "epoch"):
        assert (row["lr"], row["lr/body"]) == (pytest.approx(0.01), pytest.approx(0.0025))
        assert row["time/data_s"] > 0
        assert row["time/compute_s"] > 0
        assert row["images/s"] == pytest.approx(40 / (row["time/data_s"] + row["time/compute_s"]), rel=0.01)


def test_time_that_the_images_take_is_not_the_nets(tmp_path: Path) -> None:
    def slow(keys: dict[str, Any], out: Path) -> dict[str, Any]:
        trained(out, stages=[SOUND], **keys)
        return rows(out, "epoch")[0]

    heavy = [{"name": "ElasticTransform", "args": {"p": 1.0}}] * 8
    light, loaded = slow({"augment": []}, tmp_path / "light"), slow({"augment": heavy}, tmp_path / "heavy")
    assert loaded["time/data_s"] > 3 * light["time/data_s"]


@pytest.mark.parametrize("every_s", [0, 1e-9])
def test_a_lost_loss_names_batch_and_images_and_leaves_the_last_good_checkpoint(every_s: float, tmp_path: Path) -> None:
    stages = [SOUND, WILD]
    with pytest.raises(OnehourError) as refused:
        trained(tmp_path / "r", stages=stages, checkpoint_every_s=every_s)
    assert refused.value.exit_code == 2
    spec = spec_of(stages=stages)
    loaders = stage_loaders(spec, 0, fold_of(spec), pixels_at((32, 32)), (32, 32))
    loaders.train.start(1)
    first = ", ".join(f"{item:02}.jpg" for item in loaders.train.items_of(1)[:3])
    start = f"fold 0: the loss is no longer a number in batch 2 of epoch 2 ({first} and 5 more)."
    assert str(refused.value).startswith(start)
    kept = load(RunFolder(tmp_path / "r").last_checkpoint(0))
    assert kept is not None
    assert (kept["done"], kept["batch"]) == (1, 1 if every_s else 0)
    assert all(bool(tensor.isfinite().all()) for tensor in kept["model"].values())
    assert len(rows(tmp_path / "r", "epoch")) == 1


def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running mean takes no part in training, so that the loss alone would tell nothing until the validation."""

    def poisoned(*arguments: Any) -> Net:
        net = build_net(*arguments)
        net.body.bn1.running_mean[0] = float("nan")
        return net

    monkeypatch.setattr(loop, "build_net", poisoned)
    with pytest.raises(OnehourError, match="the weights are no longer numbers after batch 1 of epoch 1"):
        trained(tmp_path / "r", stages=[SOUND], checkpoint_every_s=1e-9)
    assert not RunFolder(tmp_path / "r").last_checkpoint(0).exists()


def test_a_validation_loss_that_is_lost_names_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(*arguments: Any) -> Net:
        net = build_net(*arguments)
        net.body.bn1.running_mean[0] = float("nan")
        return net

    monkeypatch.setattr(loop, "build_net", poisoned)
    with pytest.raises(OnehourError, match=r"in validation batch 1 of epoch 1 \(40.jpg, 41.jpg, 42.jpg and 13 more\)"):
        trained(tmp_path / "r", stages=[SOUND], checkpoint_every_s=0)


def test_the_first_lost_of_some_losses_is_found() -> None:
    assert first_lost([torch.tensor(value) for value in (1.0, float("inf"), float("nan"))]) == 1
    assert first_lost([torch.tensor(1.0)]) is None
    assert first_lost([]) is None


def test_each_stage_sees_its_own_size_and_validation_that_of_the_last(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def noted(size: tuple[int, int]) -> Pixels:
        asked.append(size)
        return pixels_at(size)

    spec = spec_of(stages=[SOUND | {"image_size": [16, 24]}, SOUND], image_size=[32, 40])
    assert spec.stage_sizes == ((16, 24), (32, 40))
    shapes = []
    for span in spans(spec):
        loaders = stage_loaders(spec, 0, fold_of(spec), noted(span.size), span.size)
        loaders.train.start(0)
        shapes.append((tuple(loaders.train.one_batch()[0].shape[2:]), tuple(loaders.valid.one_batch()[0].shape[2:])))
    assert asked == [(16, 24), (32, 40)]
    assert shapes == [((16, 24), (32, 40)), ((32, 40), (32, 40))]


@pytest.mark.parametrize(
    ("name", "shares"),
    [("one_cycle", (0.04, 1, 1e-5)), ("flat_cos", (1, 1, 1e-5)), ("constant", (1, 1, 1))],
)
def test_a_schedule_starts_peaks_and_ends_as_its_name_says(name: str, shares: tuple[float, float, float]) -> None:
    stage = spec_of(stages=[{"epochs": 1, "lr": 0.02, "schedule": name, "body_lr": 0.5}]).stages[0]
    rate = schedule(stage, pretrained=True).scheds["lr"]
    for at, share in zip((0, 0.25, 1), shares, strict=True):
        np.testing.assert_allclose(rate(at), share * np.array([0.01, 0.02]), rtol=1e-6)


def test_the_body_learns_a_fifth_as_fast_with_weights_and_as_fast_without() -> None:
    stage = spec_of().stages[0]
    assert peak_rates(stage, True).tolist() == pytest.approx([0.002, 0.01])
    assert peak_rates(stage, False).tolist() == [0.01, 0.01]


def test_a_fold_keeps_one_last_and_one_best_file(tmp_path: Path) -> None:
    trained(tmp_path / "r", checkpoint_every_s=1e-9, averaging="ema")
    assert sorted(path.name for path in (tmp_path / "r" / "fold0").iterdir()) == ["best.pt", "last.pt"]


def test_the_disk_a_run_asks_for_holds_what_a_fold_under_way_writes(tmp_path: Path) -> None:
    """`last.pt` twice, for the new one is written beside the old one, `best.pt` twice, and of the other fold both."""
    for averaging in ("none", "ema"):
        spec, out = spec_of(averaging=averaging), tmp_path / averaging
        trained(out, averaging=averaging)
        folder = RunFolder(out)
        state = torch.load(folder.best_checkpoint(0), weights_only=True)["model"]
        net_bytes = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        last, best = (path.stat().st_size for path in (folder.last_checkpoint(0), folder.best_checkpoint(0)))
        assert 2 * last + 2 * best + 2 * net_bytes <= workplace.folder_needed(spec, net_bytes) + 2 * 1_000_000
        slack = 50_000_000
        assert 2 * last <= workplace.folder_needed(spec, net_bytes) - slack


def test_the_cache_needs_each_size_once_and_none_that_is_there(tmp_path: Path) -> None:
    spec = spec_of(stages=[SOUND | {"image_size": [16, 16]}, SOUND, SOUND], image_size=[32, 32])
    paths = [tmp_path / f"{i}.png" for i in range(10)]
    for path in paths:
        assert cv2.imwrite(str(path), np.zeros((20, 20, 3), np.uint8))
    boxes = [(0.0, 0.0, 9.0, 9.0)] + [None] * 9
    assert workplace.cache_needed(spec, paths, boxes) == 10 * 3 * (16 * 16 + 32 * 32)
    cached_images(paths, (16, 16), boxes, spec.data.box_margin)
    cached_images(paths, (32, 32))  # without the box: another set
    assert workplace.cache_needed(spec, paths, boxes) == 10 * 3 * 32 * 32


def test_a_time_limit_leaves_room_for_the_slowest_batch_and_a_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    class Asked(Stop):
        def check(self, ahead_s: float = 0.0) -> None:
            asked.append(ahead_s)

    trained(tmp_path / "r", Asked(None, 0.0))
    assert min(asked) >= 2
    assert asked[-1] > asked[0]


def test_predicting_leaves_room_for_its_slowest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    spec, clock = spec_of(), Clock()
    monkeypatch.setattr(stop, "time", clock)
    net = build_net(spec, 0, CLASSES)
    embed = net.embed

    def slowly(images: torch.Tensor) -> torch.Tensor:
        clock.now += 30
        return embed(images)

    monkeypatch.setattr(net, "embed", slowly)
    predictor = Predictor(net, spec, fold_of(spec), None, None, Stop(100.0, 0.0))
    with pytest.raises(Stopped):
        predictor.best(np.arange(IMAGES))  # four batches
    assert clock.now == 90, "a fourth batch would have ended after the limit"


def test_the_rate_that_is_suggested_lies_where_the_loss_falls() -> None:
    rates = lr_find.LEAST * (lr_find.MOST / lr_find.LEAST) ** (np.arange(100) / 100)
    losses = np.where(rates < 1e-4, 2.0, 2.0 - 0.3 * np.log10(rates / 1e-4)) + np.where(rates > 1e-1, rates * 100, 0)
    losses[90:] = np.nan
    curve = lr_find.curve_of(rates, losses)
    assert 1e-4 < curve.suggested < 1e-1
    assert len(curve.lr) == len(curve.loss) == 90


def test_a_loss_that_is_lost_at_once_gives_no_curve() -> None:
    with pytest.raises(OnehourError, match="the loss was lost after 3 batches"):
        lr_find.curve_of(np.geomspace(1e-7, 1e-6, 10), np.array([1.0] * 3 + [np.nan] * 7))


def test_the_curve_is_written_as_a_plot_with_its_numbers(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEHOUR_HOME", str(tmp_path / "home"))
    spec, out = tmp_path / "spec.yaml", tmp_path / "out" / "lr.png"
    spec.write_text(yaml.safe_dump(SPEC | {"data": {"dir": str(pictures)}, "stages": [SOUND]}))
    assert main(["lr-find", str(spec), "--out", str(out)]) == EXIT_OK
    assert out.read_bytes().startswith(b"\x89PNG")
    written = json.loads(out.with_suffix(".json").read_text())
    assert f"{written['suggested']:.2g}" in capsys.readouterr().out
    assert len(written["lr"]) == len(written["loss"]) >= lr_find.FEWEST
    assert written["lr"] == sorted(written["lr"])
    assert sorted(path.name for path in out.parent.iterdir()) == ["lr.json", "lr.png"]
    assert main(["lr-find", str(spec), "--out", str(tmp_path / "lr.jpg")]) == EXIT_BAD_INPUT
    assert "--out" in capsys.readouterr().err

"""MixUp and CutMix: what a mixed batch is, what it is trained towards, and that its draws depend on its place alone."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback, CancelFitException, TrainEvalCallback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from torch import nn

from engine.contract import RunSpec, spec_from_mapping
from engine.training.losses import loss_of
from engine.training.mixing import mixing

CLASSES, BATCH, BATCHES = 4, 6, 3


def asked(**keys: Any) -> RunSpec:
    return spec_from_mapping({"data": {"dir": "."}} | keys, "test")


class Plain(torch.utils.data.Dataset):
    """Image i has the value 10·i everywhere and the label i modulo CLASSES."""

    def __len__(self) -> int:
        return BATCH * BATCHES

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((3, 16, 16), 10 * int(item), dtype=torch.uint8), torch.tensor(int(item) % CLASSES)


class Pixels(nn.Module):
    """Learns a little from the mean of each image; `noise` draws from torch's generator as dropout does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.noise = nn.Linear(3, CLASSES), nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(self.noise(images.float().mean((2, 3)) / 255))


class Seen(Callback):
    """Counts batches as a run does, and keeps what was trained on; stops before batch `until`."""

    order = 50

    def __init__(self, step: int = 0, until: int | None = None) -> None:
        self.step, self.until = step, until
        self.images: list[torch.Tensor] = []
        self.losses: list[tuple[torch.Tensor, ...]] = []

    def before_batch(self) -> None:
        if self.until == self.step:
            raise CancelFitException
        if self.training:
            self.images.append(self.x.clone())

    def after_batch(self) -> None:
        if self.training:
            self.losses.append((self.learn.pred.detach(), self.y, self.loss.detach()))
            self.step += 1


def fit(spec: RunSpec, seen: Seen, workers: int = 0, skipped: int = 0, seed: int = 0) -> Learner:
    torch.manual_seed(seed)
    loader = DataLoader(Plain(), bs=BATCH, num_workers=workers)
    if skipped:
        order = list(range(skipped * BATCH, BATCH * BATCHES))
        loader = DataLoader(Plain(), bs=BATCH, num_workers=workers, n=len(order), get_idxs=lambda: order)
    learner = Learner(
        DataLoaders(loader, DataLoader(Plain(), bs=BATCH)),
        Pixels(),
        loss_of(spec, np.ones(CLASSES)),
        default_cbs=False,
        cbs=[TrainEvalCallback(), seen, *mixing(spec, 1, lambda: seen.step)],
        train_bn=False,
    )
    learner.fit(1, lr=0.1)
    return learner


MIXED = [{"mixup": 0.4}, {"cutmix": 1.0}]


@pytest.mark.parametrize("keys", MIXED)
def test_loader_processes_and_the_generators_state_change_no_mixed_image(keys: dict[str, Any]) -> None:
    straight, forked, elsewhere = Seen(), Seen(), Seen()
    fit(asked(**keys), straight)
    fit(asked(**keys), forked, workers=2)
    fit(asked(**keys), elsewhere, seed=7)
    assert len(straight.images) == BATCHES
    for other in (forked, elsewhere):
        assert all(torch.equal(a, b) for a, b in zip(straight.images, other.images, strict=True))


@pytest.mark.parametrize("keys", MIXED)
def test_a_batch_after_a_resume_is_mixed_as_it_would_have_been(keys: dict[str, Any]) -> None:
    straight, rest = Seen(), Seen(step=2)
    fit(asked(**keys), straight)
    fit(asked(**keys), rest, skipped=2)
    assert len(rest.images) == 1
    assert torch.equal(rest.images[0], straight.images[2])


@pytest.mark.parametrize("keys", MIXED)
def test_seed_and_step_change_the_mixing_and_dropout_draws_as_without_it(keys: dict[str, Any]) -> None:
    first, other = Seen(), Seen()
    fit(asked(**keys), first)
    fit(asked(**keys, seed=5), other)
    assert not torch.equal(first.images[0], other.images[0])
    shares = [images[:, 0] - images[:, 0].min() for images in first.images]
    assert not torch.equal(shares[0], shares[1])
    after_mixing = torch.rand(1)
    fit(asked(), Seen())
    assert torch.equal(torch.rand(1), after_mixing)


def test_mixup_blends_two_images_of_a_batch_and_weighs_their_losses_alike() -> None:
    seen = Seen()
    spec = asked(mixup=0.4)
    torch.manual_seed(0)
    learner = fit(spec, seen)
    images, (logits, targets, loss) = seen.images[-1], seen.losses[-1]
    mixer = learner.repeatable_mix_up
    first = 10.0 * torch.arange(12, 18)
    share, other = mixer.lam, mixer.yb1[0]
    assert ((share >= 0.5) & (share <= 1)).all()
    assert images.dtype == torch.float32
    partner = (images[:, 0, 0, 0] - share * first) / (1 - share)
    whole = share < 0.99  # else too little of the partner is left to be told
    assert ((partner[whole] / 10).round().long() % CLASSES == other[whole]).all()
    soft = share[:, None] * F.one_hot(targets, CLASSES) + (1 - share)[:, None] * F.one_hot(other, CLASSES)
    torch.testing.assert_close(loss, F.cross_entropy(logits, soft))


def test_cutmix_pastes_one_rectangle_and_weighs_the_losses_by_its_area() -> None:
    for seed in range(8):
        seen = Seen()
        learner = fit(asked(cutmix=1.0, seed=seed), seen)
        images, (logits, targets, loss) = seen.images[-1][:, 0], seen.losses[-1]
        first = 10.0 * torch.arange(12, 18)[:, None, None]
        pasted = (images != first).any(0)  # an image may be its own partner
        rows, columns = pasted.any(1).nonzero().flatten(), pasted.any(0).nonzero().flatten()
        if not len(rows):
            continue
        assert pasted.sum() == len(rows) * len(columns) == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        share = 1 - pasted.sum() / 256
        partner = images[:, rows[0], columns[0]] / 10
        other = partner.long() % CLASSES
        assert torch.equal(other, learner.repeatable_cut_mix.yb1[0])
        soft = share * F.one_hot(targets, CLASSES) + (1 - share) * F.one_hot(other, CLASSES)
        torch.testing.assert_close(loss, F.cross_entropy(logits, soft))
        return
    pytest.fail("no rectangle in eight runs")


@pytest.mark.parametrize("keys", [{"loss": "focal"}, {"loss": "bce"}, {"unknown_in_training": "negatives"}])
def test_every_loss_of_a_linear_head_takes_mixed_images(keys: dict[str, Any]) -> None:
    seen = Seen()
    fit(asked(mixup=0.4, **keys), seen)
    assert np.isfinite([float(loss) for *_, loss in seen.losses]).all()


class Nowhere(Seen):
    """Ends a fit before its first epoch."""

    def before_epoch(self) -> None:
        raise CancelFitException


@pytest.mark.parametrize("seen", [Nowhere(), Seen(until=0), Seen(until=2)])
def test_a_fit_that_ends_early_leaves_the_loss_as_it_was(seen: Seen) -> None:
    assert isinstance(fit(asked(mixup=0.4), seen).loss_func, nn.Module)


def test_nothing_is_mixed_unless_asked() -> None:
    assert mixing(asked(), 0, lambda: 0) == []

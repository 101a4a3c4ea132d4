"""The losses, against numbers worked out by hand and against those of torch and timm."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy
from torch import nn

from engine.contract import OnehourError, RunSpec, spec_from_mapping
from engine.data.images import TrainingImages
from engine.training.losses import TrainingLoss, batch_hard, loss_notes, loss_of, margins_by_frequency


def asked(**keys: Any) -> RunSpec:
    return spec_from_mapping({"data": {"dir": "."}} | keys, "test")


def loss_for(**keys: Any) -> TrainingLoss:
    """The loss of a spec with five labels, of which each has as many images."""
    return loss_of(asked(**keys), np.full(5, 4))


def drawn(rows: int = 6, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, classes, generator=generator) * 3, torch.randint(classes, (rows,), generator=generator)


def test_a_spec_that_asks_for_nothing_gets_torchs_cross_entropy_to_the_bit() -> None:
    logits, targets = drawn()
    assert torch.equal(loss_for()(logits, targets), nn.CrossEntropyLoss()(logits, targets))


def test_label_smoothing_is_timms() -> None:
    logits, targets = drawn()
    found = loss_for(label_smoothing=0.1)(logits, targets)
    torch.testing.assert_close(found, LabelSmoothingCrossEntropy(0.1)(logits, targets))


def test_focal_loss_counts_an_image_by_how_far_it_is_from_sure() -> None:
    """Probabilities 3/4 and 1/4 of the truth: -ln(p)·(1-p)² each."""
    logits = torch.log(torch.tensor([[3.0, 1.0], [3.0, 1.0]]))
    found = loss_for(loss="focal")(logits, torch.tensor([0, 1]))
    assert float(found) == pytest.approx((-math.log(0.75) * 0.25**2 - math.log(0.25) * 0.75**2) / 2)
    steeper = loss_for(loss="focal", focal_gamma=3)(logits, torch.tensor([0, 1]))
    assert float(steeper) == pytest.approx((-math.log(0.75) * 0.25**3 - math.log(0.25) * 0.75**3) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_yes_or_no_for_each_label_is_timms(smoothing: float) -> None:
    logits, targets = drawn()
    found = loss_for(loss="bce", label_smoothing=smoothing)(logits, targets)
    torch.testing.assert_close(found, BinaryCrossEntropy(smoothing, sum_classes=True)(logits, targets))


def test_an_angular_margin_widens_the_true_angle_alone() -> None:
    """Two classes at 60° and 90° from the image, a margin of 30°: both cosines are then 0, a toss-up."""
    loss = loss_for(head="arcface", arcface_scale=10, arcface_margin=math.radians(30))
    logits = 10 * torch.tensor([[0.5, 0.0]])
    assert float(loss(logits, torch.tensor([0]))) == pytest.approx(math.log(2), abs=1e-5)


def test_a_rare_label_has_the_widest_margin_and_none_is_below_the_least() -> None:
    margins = margins_by_frequency(np.array([1, 16, 81, 10**9, 0]), 0.45)
    np.testing.assert_allclose(margins[:3], [0.45, 0.05 + 0.4 / 2, 0.05 + 0.4 / 3], rtol=1e-6)
    assert 0.05 <= margins[3] < 0.06
    assert margins[4] == margins[0], "a label that the fold does not train on is no rarer than the rarest"


def test_margins_by_frequency_are_those_of_each_target_and_of_its_mirror() -> None:
    keys = {"head": "arcface", "arcface_scale": 10.0, "mirrored_identities": True}
    by_frequency = loss_of(asked(**keys, arcface_margin_by_frequency=True, arcface_margin=0.45), np.array([16, 1]))
    logits = 10 * torch.tensor([[0.9, 0.1, -0.2, 0.4]] * 4)
    by_frequency.reduction = "none"
    found = by_frequency(logits, torch.arange(4))
    for target, margin in enumerate([0.25, 0.45, 0.25, 0.45]):
        alone = loss_for(**keys, arcface_margin=margin)(logits[:1], torch.tensor([target]))
        assert float(found[target]) == pytest.approx(float(alone), rel=1e-5)


@pytest.mark.parametrize("keys", [{}, {"head": "arcface"}, {"loss": "focal"}])
def test_a_negative_is_pushed_towards_no_preference_and_known_images_learn_as_before(keys: dict[str, Any]) -> None:
    known = loss_for(**keys)
    with_negatives = loss_for(**keys, unknown_in_training="negatives")
    logits, targets = drawn()
    torch.testing.assert_close(with_negatives(logits, targets), known(logits, targets))
    assert float(with_negatives(torch.full((1, 5), 7.0), torch.tensor([-1]))) == pytest.approx(0, abs=1e-6)

    certain = torch.tensor([[4.0, 0.0, 0.0, 0.0, -2.0]], requires_grad=True)
    with_negatives(certain, torch.tensor([-1])).backward()
    assert certain.grad is not None
    # Descent lowers what stands out and raises what is far below: softmax less 1/5.
    torch.testing.assert_close(certain.grad, F.softmax(certain.detach(), dim=1) - 0.2)


def test_a_negative_answers_no_to_every_label_where_each_is_a_yes_or_no() -> None:
    logits, _ = drawn(1)
    found = loss_for(loss="bce", unknown_in_training="negatives")(logits, torch.tensor([-1]))
    torch.testing.assert_close(found, F.softplus(logits).sum())


def test_a_batch_of_negatives_alone_has_a_loss_and_a_gradient() -> None:
    logits, _ = drawn()
    logits.requires_grad_()
    loss_for(unknown_in_training="negatives")(logits, torch.full((6,), -1)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def at(*degrees: float) -> torch.Tensor:
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])


def test_a_triplet_is_the_furthest_of_the_label_and_the_nearest_of_another() -> None:
    """On a circle of radius 1 points d degrees apart are 2·sin(d/2) apart; their lengths do not matter."""
    embedding = at(0, 60, 90, 180) * torch.tensor([[1.0], [5.0], [0.1], [2.0]])
    found = batch_hard(embedding, torch.tensor([0, 0, 1, -1]))

    def apart(degrees: float) -> float:
        return 2 * math.sin(math.radians(degrees) / 2)

    # The first image is 60 degrees from its like and 90 from the nearest other: content. The second: 60 and 30. The
    # third and fourth have no like.
    assert apart(60) + 0.3 < apart(90)
    assert float(found) == pytest.approx((0 + apart(60) - apart(30) + 0.3) / 2, rel=1e-5)


def test_images_of_the_unknown_label_are_no_pair_but_stand_in_the_way() -> None:
    nobody = batch_hard(at(0, 5, 100, 200), torch.tensor([-1, -1, 0, 1]))
    assert float(nobody) == 0
    between = batch_hard(at(0, 60, 30), torch.tensor([0, 0, -1]))
    apart = batch_hard(at(0, 60, 180), torch.tensor([0, 0, -1]))
    assert float(between) > 0.5 > float(apart) == 0


def test_a_batch_without_pairs_or_with_one_label_alone_has_a_triplet_loss_of_nothing() -> None:
    for targets in ([0, 1, 2], [0, 0, 0]):
        embedding = at(0, 10, 20).requires_grad_()
        loss = batch_hard(embedding, torch.tensor(targets))
        loss.backward()
        assert float(loss.detach()) == 0
        assert embedding.grad is not None
        assert float(embedding.grad.abs().sum()) == 0


def test_two_equal_pictures_in_a_batch_leave_the_triplets_gradient_a_number() -> None:
    embedding = at(0, 0, 40).requires_grad_()
    batch_hard(embedding, torch.tensor([0, 0, 1])).backward()
    assert embedding.grad is not None
    assert torch.isfinite(embedding.grad).all()


def test_triplets_are_added_with_their_weight_in_training_alone() -> None:
    logits, targets = drawn(4)
    embedding = at(0, 60, 90, 180)
    loss = loss_for(triplet_weight=0.5)
    plain = F.cross_entropy(logits, targets)
    torch.testing.assert_close(loss((logits, embedding), targets), plain + 0.5 * batch_hard(embedding, targets))
    torch.testing.assert_close(loss(logits, targets), plain)


@pytest.mark.parametrize(
    "keys",
    [{}, {"head": "arcface"}, {"loss": "focal"}, {"loss": "bce"}, {"unknown_in_training": "negatives"}],
)
def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_images(keys: dict[str, Any]) -> None:
    logits, targets = drawn()
    loss = loss_for(**keys)
    whole = loss(logits, targets)
    loss.reduction = "none"
    rows = loss(logits, targets)
    assert rows.shape == (6,)
    torch.testing.assert_close(rows.mean(), whole)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"triplet_weight": 1.0}, "set sampler: pk"),
        ({"triplet_weight": 1.0, "sampler": "pk", "pk_labels": 32, "pk_images": 1}, "pk_images = 1 draws none"),
        ({"unknown_in_training": "negatives", "sampler": "pk"}, "the negatives count as one"),
    ],
)
def test_a_loss_of_little_use_with_its_batches_is_told(keys: dict[str, Any], sentence: str) -> None:
    (note,) = loss_notes(asked(**keys))
    assert sentence in note


def test_a_loss_with_the_batches_that_it_needs_has_no_note() -> None:
    assert loss_notes(asked()) == ()
    assert loss_notes(asked(triplet_weight=1.0, sampler="pk")) == ()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"focal_gamma": 2}, "focal_gamma is only read with loss: focal, not with loss: cross_entropy"),
        ({"loss": "focal", "label_smoothing": 0.1}, "choose one"),
        ({"loss": "bce", "head": "arcface"}, "set head: linear"),
        ({"arcface_subcentres": 3}, "arcface_subcentres is only read with head: arcface"),
        ({"arcface_margin_by_frequency": True}, "arcface_margin_by_frequency is only read with head: arcface"),
        (
            {"head": "arcface", "arcface_margin": 0.05, "arcface_margin_by_frequency": True},
            "an arcface_margin above 0.05",
        ),
        ({"mixup": 0.4, "cutmix": 1.0}, "mixup and cutmix would mix the same batch twice"),
        ({"mixup": 0.4, "head": "arcface"}, "mixup makes images of two labels"),
        ({"cutmix": 1.0, "triplet_weight": 1.0}, "cutmix makes images of two labels"),
        (
            {"unknown_in_training": "negatives", "data": {"dir": ".", "unknown_label": None}},
            "needs data.unknown_label",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused_in_a_sentence(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OnehourError, match=sentence):
        asked(**keys)


def test_a_negative_is_one_in_the_mirror_too() -> None:
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    images = TrainingImages(pixels, np.arange(3), np.array([0, -1, 1]), 2, mirrored=True, augment=None, seed=0)
    assert [int(images[item][1]) for item in range(len(images))] == [0, -1, 1, 2, -1, 3]

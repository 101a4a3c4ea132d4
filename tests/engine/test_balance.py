"""Balance: the plan's sums, and draws that give every label what it was promised."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.folds import humpback_labels
from engine.contract import OnehourError, RunSpec, spec_from_mapping
from engine.data.balance import (
    BalancePlan,
    balance_plan,
    balanced_draws,
    balanced_epoch,
    draws_of,
    left_out,
    pk_epoch,
)

pytestmark = pytest.mark.unit
sizes = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def items(sizes: list[int], seed: int) -> np.ndarray:
    """A target an item, in random order; targets need not begin at 0 or be dense."""
    targets = np.repeat(np.arange(len(sizes)) * 3 + 2, sizes)
    return np.random.default_rng(seed).permutation(targets)


def test_the_humpback_plan_adds_85180_images_to_reach_the_published_100877() -> None:
    assert balance_plan(humpback_labels(), 20, "new_whale") == BalancePlan(20, 4938, 15_697, 85_180, 100_877)


def test_the_unknown_label_is_not_balanced_and_enough_images_cost_nothing() -> None:
    labels = ["a"] * 3 + ["b"] + ["new_whale"]
    assert balance_plan(labels, 3, "new_whale") == BalancePlan(3, 1, 4, 2, 6)
    assert balance_plan(labels, 1, None) == BalancePlan(1, 0, 5, 0, 5)


def test_labels_below_the_minimum_are_left_out_but_never_all_and_never_the_unknown_one() -> None:
    labels = ["a"] * 3 + ["b"] + ["new_whale"]
    assert left_out(labels, 1, "new_whale") == set()
    assert left_out(labels, 3, "new_whale") == {"b"}
    assert left_out(labels, 2, None) == {"b", "new_whale"}
    with pytest.raises(OnehourError, match="minimum_images = 4 leaves no label to train on: the most frequent has 3"):
        left_out(labels, 4, "new_whale")


@settings(max_examples=60, deadline=None)
@given(sizes=sizes, minimum=st.integers(1, 25), seed=st.integers(0, 3), mirrored=st.booleans())
def test_a_balanced_epoch_draws_every_label_as_often_as_planned(sizes, minimum, seed, mirrored) -> None:
    originals = items(sizes, seed)
    targets = np.concatenate([originals, originals + 1000]) if mirrored else originals
    draws = balanced_epoch(targets, minimum, mirrored, np.random.default_rng(seed))
    assert len(draws) == balanced_draws(targets, minimum, mirrored) == sum(max(size, minimum) for size in sizes)
    item, repetition = draws % len(targets), draws // len(targets)
    drawn = Counter((targets[item] % 1000).tolist())
    assert drawn == {2 + 3 * place: max(size, minimum) for place, size in enumerate(sizes)}
    assert len(set(draws.tolist())) == len(draws)  # the same item drawn again has another number
    for label in drawn:
        own = np.flatnonzero(targets % 1000 == label)
        often = [int((item == one).sum()) for one in own]
        assert max(often) - min(often) <= 1
    assert (repetition < np.bincount(item, minlength=len(targets))[item]).all()


def test_another_epoch_draws_the_rest_of_a_label_elsewhere() -> None:
    targets = np.zeros(3, np.int64)
    seen = {
        tuple(np.bincount(balanced_epoch(targets, 4, False, np.random.default_rng(epoch)) % 3)) for epoch in range(40)
    }
    assert seen == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=12), images=st.integers(1, 5), batches=st.integers(0, 20),
    seed=st.integers(0, 3),
)  # fmt: skip
def test_a_pk_batch_has_p_labels_with_k_images_each(sizes, images, batches, seed) -> None:
    targets = items(sizes, seed)
    draws = pk_epoch(targets, 3, images, batches, np.random.default_rng(seed))
    assert len(draws) == batches * 3 * images
    assert len(set(draws.tolist())) == len(draws)
    for batch in draws.reshape(batches, 3, images):
        held = targets[batch % len(targets)]
        assert (held == held[:, :1]).all()
        assert len(set(held[:, 0].tolist())) == 3
        for row, label in zip(batch % len(targets), held[:, 0], strict=True):
            assert len(set(row.tolist())) == min(images, int((targets == label).sum()))
    for label in set(targets.tolist()):  # an item repeats only after all others of its label
        often = [int((draws % len(targets) == one).sum()) for one in np.flatnonzero(targets == label)]
        assert max(often) - min(often) <= 1


def test_pk_labels_come_equally_often_however_many_images_they_have() -> None:
    targets = items([1, 5, 80, 2], 0)
    draws = pk_epoch(targets, 2, 4, 10, np.random.default_rng(0))
    assert set(Counter(targets[draws % len(targets)].tolist()).values()) == {20}


def test_more_labels_a_batch_than_there_are_is_refused() -> None:
    with pytest.raises(OnehourError, match="pk_labels = 5, but there are 4 labels to train on"):
        pk_epoch(items([1, 5, 80, 2], 0), 5, 4, 10, np.random.default_rng(0))


def test_epochs_follow_their_random_generator_alone() -> None:
    targets = items([1, 5, 30, 2], 0)
    for draw in (
        lambda seed: balanced_epoch(targets, 9, False, np.random.default_rng(seed)),
        lambda seed: pk_epoch(targets, 3, 2, 9, np.random.default_rng(seed)),
    ):
        assert (draw(1) == draw(1)).all()
        assert (draw(1) != draw(2)).any()


def spec(**keys: object) -> RunSpec:
    return spec_from_mapping({"data": {"dir": "."}, **keys}, "test")


def test_every_image_comes_once_unless_the_spec_says_otherwise() -> None:
    """The order of default runs and of sampler: balanced, by which their weights are what they were."""
    targets = items([1, 5, 30, 2], 0)
    draws = draws_of(spec(), targets)
    assert draws.number == 38
    assert (draws.draw(np.random.default_rng(4)) == np.random.default_rng(4).permutation(38)).all()
    mirrored = draws_of(spec(mirrored_identities=True), np.concatenate([targets, targets + 1000]))
    assert (mirrored.draw(np.random.default_rng(4)) == np.random.default_rng(4).permutation(76)[:38]).all()

    random = np.random.default_rng(4)
    weights = np.bincount(targets)[targets] ** -0.5
    strips = (np.arange(38) + random.random(38)) / 38
    before = random.permutation(np.searchsorted(np.cumsum(weights / weights.sum()), strips))
    balanced = draws_of(spec(sampler="balanced"), targets)
    assert (balanced.draw(np.random.default_rng(4)) == before).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_spec_sets_how_many_items_an_epoch_draws(mirrored: bool) -> None:
    targets = np.concatenate([items([1, 5, 30, 2], 0), [-1] * 4])  # the last are negatives of the unknown label
    if mirrored:
        targets = np.concatenate([targets, np.where(targets < 0, -1, targets + 1000)])
    for keys, number in (
        ({}, 42),
        ({"sampler": "balanced"}, 42),
        ({"balance_to": 10}, 70),
        ({"sampler": "pk", "pk_labels": 4, "pk_images": 2, "batch_size": 8}, 40),
        ({"sampler": "pk", "pk_labels": 4, "pk_images": 20, "batch_size": 80}, 80),
    ):
        draws = draws_of(spec(mirrored_identities=mirrored, **keys), targets)
        assert draws.number == number == len(draws.draw(np.random.default_rng(0))), keys


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"sampler": "pk", "batch_size": 64}, ("pk_labels * pk_images = 32 images", "batch_size is 64")),
        ({"sampler": "pk", "balance_to": 20}, ("balance_to is for sampler: shuffle",)),
        ({"minimum_images": 0}, ("minimum_images = 0",)),
        ({"grey": "yes"}, ("grey = 'yes'", "'random'")),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(keys: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(OnehourError) as caught:
        spec(**keys)
    assert all(word in str(caught.value) for word in words), str(caught.value)

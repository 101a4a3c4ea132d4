"""How often the images of rare labels are drawn: the plan beforehand, and the draws of one epoch.

Nothing is copied on disk and nothing is drawn before the folds are made: a draw is an item of a fold's training part, and
the same item drawn again is augmented anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.contract import OnehourError, RunSpec
from engine.data.csv_table import counted


@dataclass(frozen=True)
class BalancePlan:
    """Images of the known labels before balancing, the draws to add, and both together; `rare` labels get draws."""

    minimum: int
    rare: int
    before: int
    to_add: int
    after: int


def balance_plan(labels: Sequence[str], minimum: int, unknown_label: str | None) -> BalancePlan:
    """What bringing every known label to `minimum` images costs. The unknown label stays as it is."""
    sizes = [size for label, size in Counter(labels).items() if label != unknown_label]
    before, lacking = sum(sizes), [minimum - size for size in sizes if size < minimum]
    return BalancePlan(minimum, len(lacking), before, sum(lacking), before + sum(lacking))


def left_out(labels: Sequence[str], minimum: int, unknown_label: str | None) -> frozenset[str]:
    """The known labels with fewer than `minimum` images. They are not trained on, but scored in validation as ever.

    Raises OnehourError when no label remains.
    """
    sizes = Counter(label for label in labels if label != unknown_label)
    few = frozenset(label for label, size in sizes.items() if size < minimum)
    if len(few) == len(sizes):
        raise OnehourError(
            f"minimum_images = {minimum} leaves no label to train on: the most frequent has "
            f"{counted(max(sizes.values(), default=0), 'image')}",
            fix="Set it lower.",
        )
    return few


@dataclass(frozen=True)
class Draws:
    """`number` of items an epoch, and `draw`, which draws as many: item + N × repetition, in the order of training."""

    number: int
    draw: Callable[[np.random.Generator], np.ndarray]


def draws_of(spec: RunSpec, targets: np.ndarray) -> Draws:
    """How an epoch draws from the items with `targets` (N,); with mirrored identities their second half are the mirrors.

    Raises OnehourError when sampler: pk wants more labels than there are.
    """
    mirrored = spec.mirrored_identities
    images = len(targets) // 2 if mirrored else len(targets)
    if spec.sampler == "pk":
        batches = max(1, images // spec.batch_size)
        draw = partial(pk_epoch, targets, spec.pk_labels, spec.pk_images, batches)
        draw(np.random.default_rng(0))  # what it refuses, it refuses before training
        return Draws(batches * spec.batch_size, draw)
    if spec.sampler == "balanced":
        return Draws(images, partial(weighted_epoch, targets, images))
    if spec.balance_to > 1:
        return Draws(
            balanced_draws(targets, spec.balance_to, mirrored),
            partial(balanced_epoch, targets, spec.balance_to, mirrored),
        )
    return Draws(images, lambda random: random.permutation(len(targets))[:images])


def weighted_epoch(targets: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """`draws` items, with replacement, a label weighted by the root of its size."""
    _, which, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    weights = sizes[which] ** -0.5
    share = np.cumsum(weights / weights.sum())
    # One draw in each of n equal strips: every item comes about as often as its weight says, not more by luck.
    strips = (np.arange(draws) + random.random(draws)) / draws
    return random.permutation(np.minimum(np.searchsorted(share, strips), len(share) - 1))


def balanced_draws(targets: np.ndarray, minimum: int, mirrored: bool) -> int:
    """How many draws an epoch has in which each label has its images, or `minimum` where it has fewer.

    `targets` (N,): one an item; with `mirrored`, half of the items are mirror images, which share their label's draws.
    """
    return int(_quotas(_label(targets, mirrored), minimum, mirrored)[1].sum())


def balanced_epoch(targets: np.ndarray, minimum: int, mirrored: bool, random: np.random.Generator) -> np.ndarray:
    """Draws (D,) of one epoch as item + N × repetition: repetition 1 is the second draw of an item, and so on.

    Within a label every item is drawn r or r + 1 times.
    """
    label = _label(targets, mirrored)
    which, quota = _quotas(label, minimum, mirrored)
    items = np.bincount(which)
    rounds = -(-quota // items)[which]  # draws of an item if its label's last round were whole
    item = np.repeat(np.arange(len(targets)), rounds)
    repetition = np.arange(len(item)) - np.repeat(np.cumsum(rounds) - rounds, rounds)
    order = np.lexsort((random.random(len(item)), repetition, which[item]))
    item, repetition = item[order], repetition[order]
    starts = np.searchsorted(which[item], np.arange(len(quota)))
    kept = np.arange(len(item)) - starts[which[item]] < quota[which[item]]
    return random.permutation(item[kept] + len(targets) * repetition[kept])


def pk_epoch(targets: np.ndarray, labels: int, images: int, batches: int, random: np.random.Generator) -> np.ndarray:
    """Draws (batches × labels × images,) of one epoch as item + N × repetition: a batch has `labels` labels, each with `images`.

    Labels come equally often, however many images they have; an item repeats only after all items of its label.
    Raises OnehourError when there are fewer labels than a batch wants.
    """
    found, which, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    if len(found) < labels:
        raise OnehourError(
            f"pk_labels = {labels}, but there are {counted(len(found), 'label')} to train on", fix="Set it lower."
        )
    a_round = len(found) // labels  # batches until every label had its turn, but for a rest that another lot decides
    turns = [random.permutation(len(found))[: a_round * labels] for _ in range(-(-batches // a_round))]
    turn = np.concatenate([np.empty(0, np.int64), *turns])[: batches * labels]
    order = np.lexsort((random.random(len(targets)), which))  # the items of each label, in this epoch's order
    starts = np.cumsum(sizes) - sizes
    by_label = np.argsort(turn, kind="stable")
    nth = np.empty(len(turn), np.int64)  # how often the label had its turn before
    nth[by_label] = np.arange(len(turn)) - np.searchsorted(turn[by_label], turn[by_label])
    place = (nth * images)[:, None] + np.arange(images)
    item = order[starts[turn][:, None] + place % sizes[turn][:, None]]
    return (item + len(targets) * (place // sizes[turn][:, None])).reshape(-1)


def _label(targets: np.ndarray, mirrored: bool) -> np.ndarray:
    """The label of each item, a mirrored one counted with its original: items N/2… are the mirrors of items 0…"""
    return np.tile(targets[: len(targets) // 2], 2) if mirrored else targets


def _quotas(label: np.ndarray, minimum: int, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """(which label each item has, how often each label is drawn)."""
    _, which, items = np.unique(label, return_inverse=True, return_counts=True)
    return which, np.maximum(items // 2 if mirrored else items, minimum)

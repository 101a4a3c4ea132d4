"""Which training images belong together: copies, near copies and bursts, and where a column says so, sightings.

Images of one group share a fold. No option parts them: a near copy in training makes a validation image easy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from engine.data.csv_table import counted, first_few


@dataclass(frozen=True)
class Groups:
    """`number[i]` is the group of image i, counted by first appearance; `notes` say what was grouped and why."""

    number: tuple[int, ...]
    notes: tuple[str, ...]


def group(
    images: Sequence[str],
    labels: Sequence[str],
    content: Sequence[Hashable],
    near_pairs: Iterable[Sequence[int]] = (),
    sightings: Sequence[str] | None = None,
    numbers: bool = False,
) -> Groups:
    """Group images (N,) of equal `content`, those that `near_pairs` (P, 2) connect, and those of one sighting.

    `numbers`: labels are measured, so that those of near copies need not be equal; those of copies should be.

    Which pairs are near is found in engine/checks/copies.py.
    Groups that share an image are one. An empty sighting stands for none.
    """
    same = _Union(len(images))
    by_content = _by(content)
    for items in by_content:
        same.join(items)
    notes = list(_copy_notes(images, labels, by_content))
    pairs = [(int(a), int(b)) for a, b in near_pairs if content[int(a)] != content[int(b)]]
    if pairs:
        near = _Union(len(images))
        for pair in pairs:
            near.join(pair)
            same.join(pair)
        notes += _near_notes(
            images,
            [""] * len(images) if numbers else labels,
            [items for items in _by(near.numbers()) if len(items) > 1],
        )
    if sightings is not None:
        seen = [items for items in _by(sightings) if len(items) > 1 and sightings[items[0]]]
        for items in seen:
            same.join(items)
        if seen:
            notes.append(
                f"{counted(len(seen), 'sighting has', 'sightings have')} more than one image, "
                f"{sum(map(len, seen))} together; images of a sighting share a fold."
            )
    return Groups(same.numbers(), tuple(notes))


def joined(count: int, pairs: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The group of each of 0…count-1 when `pairs` belong together, groups counted by first appearance."""
    same = _Union(count)
    for pair in pairs:
        same.join(pair)
    return same.numbers()


class _Union:
    """Sets of 0…n-1 that grow together."""

    def __init__(self, n: int) -> None:
        self.parent = list(range(n))

    def join(self, items: Sequence[int]) -> None:
        for item in items[1:]:
            self.parent[self._root(item)] = self._root(items[0])

    def numbers(self) -> tuple[int, ...]:
        """The number of each one's set, counted by first appearance."""
        numbers: dict[int, int] = {}
        return tuple(numbers.setdefault(self._root(item), len(numbers)) for item in range(len(self.parent)))

    def _root(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = item = self.parent[self.parent[item]]
        return item


def _by(keys: Sequence[Hashable]) -> list[list[int]]:
    found: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        found[key].append(index)
    return list(found.values())


def _copy_notes(images: Sequence[str], labels: Sequence[str], by_content: list[list[int]]) -> Iterable[str]:
    copies = [items for items in by_content if len(items) > 1]
    if copies:
        named = first_few([" = ".join(images[i] for i in items[:3]) for items in copies])
        yield f"{counted(len(copies), 'picture is', 'pictures are')} there more than once ({named}); copies share a fold."
    if torn := _torn(copies, labels):
        yield (
            f"{counted(len(torn), 'picture carries', 'pictures carry')} different labels: "
            f"{first_few([_with_labels(images, labels, items, ' = ') for items in torn])}."
        )


def _near_notes(images: Sequence[str], labels: Sequence[str], bursts: list[list[int]]) -> Iterable[str]:
    named = first_few([" ~ ".join(images[i] for i in items[:3]) for items in bursts])
    yield (
        f"{counted(len(bursts), 'set', 'sets')} of nearly equal pictures, mirrored or not, "
        f"{sum(map(len, bursts))} images together ({named}); they share a fold."
    )
    if torn := _torn(bursts, labels):
        yield (
            f"{counted(len(torn), 'set', 'sets')} of nearly equal pictures with different labels: "
            f"{first_few([_with_labels(images, labels, items, ' ~ ') for items in torn])}."
        )


def _torn(groups: list[list[int]], labels: Sequence[str]) -> list[list[int]]:
    return [items for items in groups if len({labels[i] for i in items}) > 1]


def _with_labels(images: Sequence[str], labels: Sequence[str], items: list[int], between: str) -> str:
    return between.join(f"{images[i]} ({labels[i]})" for i in items[:3])

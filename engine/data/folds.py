"""Stratified folds over source images; copies of one picture never stand on both sides of a split.

Folds are made before any augmentation, and no option changes that: copies of a validation image in training
once turned a true 0.04 into a 0.69.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError
from engine.data.csv_table import counted, first_few, read_csv_table
from engine.run_folder import file_sha256, write_text

COLUMNS = ("image", "label", "fold", "group")


@dataclass(frozen=True)
class Folds:
    """`fold[i]` is the fold in which training image i is validated; images of one `group` share it."""

    image: tuple[str, ...]
    label: tuple[str, ...]
    fold: tuple[int, ...]
    group: tuple[int, ...]


def make_folds(images: Sequence[str], labels: Sequence[str], content: Sequence[str], folds: int, seed: int) -> Folds:
    """Folds for `images` with `labels` (N,) and content hashes (N,): images of equal content are one group."""
    numbers: dict[str, int] = {}
    groups = tuple(numbers.setdefault(one, len(numbers)) for one in content)
    return Folds(tuple(images), tuple(labels), assign_folds(labels, groups, folds, seed), groups)


def assign_folds(labels: Sequence[str], groups: Sequence[Hashable], folds: int, seed: int) -> tuple[int, ...]:
    """The fold 0…folds-1 of each item, the unknown label spread like any other; depends on the arguments alone.

    Frequent labels are dealt out first and each group goes to the fold that has fewest of its labels, then fewest
    images, then by lot: the many labels with one image come last and even the sizes out.
    Raises OnehourError when there are fewer groups than folds.
    """
    if len(labels) != len(groups):
        raise ValueError(f"{len(labels)} labels but {len(groups)} groups")
    if folds < 2:
        raise OnehourError(f"folds = {folds} leaves nothing to train on", fix="Set folds to 2 or more.")
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    if len(members) < folds:
        raise OnehourError(
            f"{folds} folds cannot be made of {len(members)} different images",
            fix=f"Set folds to {len(members)} or less.",
        )
    rng = random.Random(f"folds {seed}")
    total = Counter(labels)
    # Labels of equal frequency are shuffled among themselves, so that another seed gives another split.
    order = sorted(total)
    rng.shuffle(order)
    rank = {label: place for place, label in enumerate(sorted(order, key=lambda one: -total[one]))}
    dealt = [(Counter(labels[i] for i in items), items) for items in members.values()]
    rng.shuffle(dealt)
    dealt.sort(key=lambda one: (-len(one[0]), min(rank[label] for label in one[0]), -len(one[1])))

    size = [0] * folds
    count: dict[str, list[int]] = {label: [0] * folds for label in total}
    result = [0] * len(labels)
    for held, items in dealt:
        lots = rng.sample(range(folds), folds)
        best = min(
            range(folds),
            key=lambda fold: (
                sum(n * count[label][fold] / total[label] for label, n in held.items()),
                size[fold],
                lots[fold],
            ),
        )
        for label, n in held.items():
            count[label][best] += n
        size[best] += len(items)
        for index in items:
            result[index] = best
    return tuple(result)


def fold_notes(folds: Folds, unknown_label: str | None) -> tuple[str, ...]:
    """What a person should know beside the CV: ids that cannot be answered, copies, copies with different labels."""
    notes = []
    alone = unanswerable_labels(folds.label, folds.fold, unknown_label)
    if alone:
        images = counted(sum(label in alone for label in folds.label), "image is", "images are")
        notes.append(
            f"{counted(len(alone), 'id has', 'ids have')} all images in one fold ({first_few(sorted(alone))}): "
            f"{images} scored in validation though the model of that fold never saw the id."
        )
    by_group: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(folds.group):
        by_group[group].append(index)
    copies = [items for items in by_group.values() if len(items) > 1]
    if copies:
        notes.append(
            f"{counted(len(copies), 'picture is', 'pictures are')} there more than once "
            f"({first_few([' = '.join(folds.image[i] for i in items[:3]) for items in copies])}); copies share a fold."
        )
    torn = [items for items in copies if len({folds.label[i] for i in items}) > 1]
    if torn:
        named = [" = ".join(f"{folds.image[i]} ({folds.label[i]})" for i in items[:3]) for items in torn]
        notes.append(f"{counted(len(torn), 'picture carries', 'pictures carry')} different labels: {first_few(named)}.")
    return tuple(notes)


def unanswerable_labels(labels: Sequence[str], folds: Sequence[int], unknown_label: str | None) -> frozenset[str]:
    """Known labels whose images all lie in one fold: there they are validated by a model that never saw them."""
    where: dict[str, set[int]] = defaultdict(set)
    for label, fold in zip(labels, folds, strict=True):
        where[label].add(fold)
    return frozenset(label for label, seen in where.items() if len(seen) == 1 and label != unknown_label)


def write_folds(path: Path, folds: Folds) -> str:
    """Write folds.csv (image,label,fold,group) whole or not at all; returns its SHA-256."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(folds.image, folds.label, folds.fold, folds.group, strict=True))
    write_text(path, text.getvalue())
    return file_sha256(path)


def read_folds(path: Path) -> Folds:
    """Read what `write_folds` wrote. Raises OnehourError naming the line that is wrong."""
    table = read_csv_table(path)
    table.refuse_columns(COLUMNS)
    numbers: dict[str, list[int]] = {}
    for name in ("fold", "group"):
        numbers[name] = []
        for line, cell in zip(table.lines, table.column(name), strict=True):
            if not cell.isdecimal():
                raise OnehourError(f"the {name} {cell!r} is no number", f"{path}, line {line}")
            numbers[name].append(int(cell))
    return Folds(table.column("image"), table.column("label"), tuple(numbers["fold"]), tuple(numbers["group"]))

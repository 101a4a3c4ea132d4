"""Stratified folds over source images; images of one group never stand on both sides of a split.

Folds are made before any augmentation, and no option changes that: copies of a validation image in training
once turned a true 0.04 into a 0.69. What a group is: engine/data/groups.py.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError, RunSpec
from engine.data.balance import left_out
from engine.data.competition import Competition
from engine.data.csv_table import counted, first_few, read_csv_table, refuse_found, refuse_twice
from engine.data.groups import Groups
from engine.data.measured import binned
from engine.run_folder import file_sha256, write_text

COLUMNS = ("image", "label", "fold", "group")


@dataclass(frozen=True)
class Folds:
    """`fold[i]` is the fold in which training image i is validated; images of one `group` share it."""

    image: tuple[str, ...]
    label: tuple[str, ...]
    fold: tuple[int, ...]
    group: tuple[int, ...]


def folds_of(spec: RunSpec, competition: Competition, groups: Groups) -> Folds:
    """The folds of a run: new ones, or those of spec.folds_from. They depend on the data, spec.folds and spec.fold_seed alone.

    Raises OnehourError where folds_from does not fit, and where minimum_images or few images leave nothing to train on.
    """
    few = left_out(competition.labels, spec.minimum_images, competition.unknown_label)
    learnt = sorted(set(competition.known_labels) - few)
    if len(learnt) == 1 and (spec.unknown_in_training == "drop" or competition.unknown_label not in competition.labels):
        raise OnehourError(
            f"{learnt[0]!r} is the only label to train on, and there is nothing to tell it from",
            fix="Lower minimum_images, or train on the unknown label too (unknown_in_training).",
        )
    if spec.folds_from is None:
        dealt = binned(competition.labels) if spec.head == "number" else competition.labels
        return make_folds(competition.images, competition.labels, groups.number, spec.folds, spec.fold_seed, dealt)
    path = Path(spec.folds_from).expanduser()
    path = path / "folds.csv" if path.is_dir() else path  # a run's folder names its folds, too
    return reuse_folds(path, competition.images, competition.labels, groups.number, spec.folds)


def notes_of(spec: RunSpec, folds: Folds) -> tuple[str, ...]:
    """What a person should know of these folds beside the CV."""
    unknown = spec.data.unknown_label
    few = left_out(folds.label, spec.minimum_images, unknown)
    notes = []
    if spec.folds_from is not None:
        notes.append(f"The folds are those of {spec.folds_from}.")
    if few:
        missed = sum(label in few for label in folds.label)
        notes.append(
            f"{counted(len(few), 'id has', 'ids have')} fewer than {spec.minimum_images} images ({first_few(sorted(few))}) and "
            f"{'is' if len(few) == 1 else 'are'} left out of training: {counted(missed, 'image is', 'images are')} "
            "scored in validation and missed, as on the leaderboard."
        )
    return (*notes, *(size_notes(folds) if spec.head == "number" else fold_notes(folds, unknown, few)))


def make_folds(
    images: Sequence[str], labels: Sequence[str], groups: Sequence[Hashable], folds: int, seed: int,
    dealt: Sequence[str] | None = None,
) -> Folds:  # fmt: skip
    """Folds for `images` with `labels` (N,): images of one of `groups` (N,) share a fold.

    `dealt` (N,): what each fold gets alike instead of the labels.
    """
    numbers: dict[Hashable, int] = {}
    numbered = tuple(numbers.setdefault(one, len(numbers)) for one in groups)
    return Folds(tuple(images), tuple(labels), assign_folds(dealt or labels, numbered, folds, seed), numbered)


def reuse_folds(path: Path, images: Sequence[str], labels: Sequence[str], groups: Sequence[int], folds: int) -> Folds:
    """The folds of an earlier run, for the same images with the same labels, in the order of `images`.

    Raises OnehourError when images, labels or the number of folds differ, and when images of one of `groups` (N,)
    stand in different folds there: an earlier version may not have known that they belong together.
    """
    earlier = read_folds(path)
    at = {image: row for row, image in enumerate(earlier.image)}
    refuse_found(
        sorted(set(images) ^ at.keys()),
        "the images are not those of this run",
        str(path),
        "Take folds.csv of a run on the same data, or leave folds_from out.",
    )
    rows = [at[image] for image in images]
    found = Folds(
        tuple(images), tuple(earlier.label[row] for row in rows), tuple(earlier.fold[row] for row in rows),
        tuple(earlier.group[row] for row in rows),
    )  # fmt: skip
    refuse_found(
        (
            f"{image} was {before!r} and is {now!r}"
            for image, before, now in zip(images, found.label, labels, strict=True)
            if before != now
        ),
        "labels changed since these folds were made",
        str(path),
        "Leave folds_from out.",
    )
    if set(found.fold) != set(range(folds)):
        raise OnehourError(
            f"it holds the folds {first_few([str(one) for one in sorted(set(found.fold))], 8)}, and the spec asks for {folds} folds",
            str(path),
            f"Set folds to {len(set(found.fold))}.",
        )
    first: dict[int, int] = {}
    refuse_found(
        (
            f"{images[first[one]]} and {images[row]}"
            for row, one in enumerate(groups)
            if found.fold[first.setdefault(one, row)] != found.fold[row]
        ),
        "images that belong together (copies, near copies or one sighting) stand in different folds",
        str(path),
        "Leave folds_from out.",
    )
    return found


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
        different = f"{len(members)} different images"
        if len(members) < len(labels):
            different = f"{counted(len(labels), 'image')} in {counted(len(members), 'group')}"
        raise OnehourError(
            f"{folds} folds cannot be made of {different}",
            fix=f"Set folds to {len(members)} or less." if len(members) > 1 else "More images are needed.",
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
        shares = [0.0] * folds
        for label, n in held.items():
            shares = [share + n * here / total[label] for share, here in zip(shares, count[label], strict=True)]
        best = min(zip(shares, size, lots, range(folds), strict=True))[3]
        for label, n in held.items():
            count[label][best] += n
        size[best] += len(items)
        for index in items:
            result[index] = best
    return tuple(result)


def fold_notes(folds: Folds, unknown_label: str | None, left_out: Collection[str] = ()) -> tuple[str, ...]:
    """What a person should know beside the CV: ids that their fold cannot answer, and folds of unequal size."""
    notes = []
    alone = unanswerable_labels(folds.label, folds.fold, unknown_label).difference(left_out)
    if alone:
        number = sum(label in alone for label in folds.label)
        told = f"{counted(len(alone), 'id has', 'ids have')} all images in one fold ({first_few(sorted(alone))})"
        if unknown_label in folds.label:
            images = counted(number, "image counts", "images count")
            why = "the model of that fold never saw the id; the models of the other folds did."
            notes.append(f"{told}: {images} as {unknown_label!r} in the CV, since {why}")
        else:
            images = counted(number, "image is", "images are")
            notes.append(f"{told}: {images} scored in validation though the model of that fold never saw the id.")
    return (*notes, *size_notes(folds))


def size_notes(folds: Folds) -> tuple[str, ...]:
    """A sentence where a group is so large that the folds are of unequal size."""
    sizes = Counter(folds.fold).values()
    largest = max(Counter(folds.group).values())
    if max(sizes) > 1.5 * min(sizes) and largest > min(sizes):
        return (f"The folds have {min(sizes)} to {max(sizes)} images: one group of {largest} images cannot be parted.",)
    return ()


def counted_labels(folds: Folds, unknown_label: str | None, left_out: Collection[str] = ()) -> tuple[str, ...]:
    """The label against which each image is scored in the CV.

    Its own, or the unknown label where the fold's model could not know the id and other folds' models do: as if it were
    a new one. A label that is `left_out` of training altogether keeps its own and is missed, as it is on the leaderboard.
    """
    if unknown_label is None or unknown_label not in folds.label:
        return folds.label
    alone = unanswerable_labels(folds.label, folds.fold, unknown_label).difference(left_out)
    return tuple(unknown_label if label in alone else label for label in folds.label)


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
    refuse_twice(table, table.column("image"))
    numbers: dict[str, list[int]] = {}
    for name in ("fold", "group"):
        numbers[name] = []
        for line, cell in zip(table.lines, table.column(name), strict=True):
            if not cell.isdecimal():
                raise OnehourError(f"the {name} {cell!r} is no number", f"{path}, line {line}")
            numbers[name].append(int(cell))
    return Folds(table.column("image"), table.column("label"), tuple(numbers["fold"]), tuple(numbers["group"]))

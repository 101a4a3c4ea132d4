"""Which images of a label are of one sighting: those that show the same stones and branches around the animal.

Photographs of one sighting in training and validation make a CV that no other sighting keeps: the background tells the
label. Where no column says what was one sighting, the backgrounds do, for the pairs that they can harm: two pictures
whose backgrounds have nothing in common help each other no more than any two.

Pairs of two labels, which seldom are of one sighting, tell how often two backgrounds are the same by chance.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.check_folder import least_certain_jpg
from engine.checks.backgrounds import MATCHES, NOTHING, Background, background_of, matches
from engine.checks.sheets import PAIRS_ACROSS, PAIRS_DOWN, side_by_side, write_jpeg
from engine.checks.survey import entries
from engine.contract import DataSpec, OnehourError
from engine.data import competition as competitions
from engine.data.csv_table import counted, first_few, read_csv_table
from engine.data.given_boxes import given_boxes
from engine.data.groups import joined
from engine.data.progress import progress
from engine.run_folder import write_text

COLUMN = "sighting"
MOST = 200  # images of a label: what has more is no individual
MOST_ACROSS = 2000  # pairs of two labels, whose backgrounds are held until all are found


@dataclass(frozen=True)
class Proposed:
    """`sighting`: one a training image, "" for none. `pairs` of `asked` have the same background, and of `across` pairs of
    two labels, `by_chance` have."""

    images: tuple[str, ...]
    sighting: tuple[str, ...]
    asked: int
    pairs: int
    across: int
    by_chance: int
    skipped: tuple[str, ...]  # labels with too many images
    unreadable: tuple[str, ...]  # images of labels with several that cannot be decoded
    sheet: Path

    @property
    def notes(self) -> tuple[str, ...]:
        number = len(set(self.sighting) - {""})
        together = sum(map(bool, self.sighting))
        told = [
            f"{self.pairs} of {counted(self.asked, 'pair')} of images with one label show the same background: "
            f"{counted(number, 'sighting')}, {counted(together, 'image')}",
            f"of {counted(self.across, 'pair')} with two labels {self.by_chance} do: by chance, or two animals at one place",
        ]
        if self.skipped:
            told.append(
                f"{counted(len(self.skipped), 'label has', 'labels have')} more than {MOST} images and "
                f"{'was' if len(self.skipped) == 1 else 'were'} not looked at"
            )
        if self.unreadable:
            several = len(self.unreadable) > 1
            told.append(
                f"{counted(len(self.unreadable), 'image')} cannot be decoded and {'are' if several else 'is'} of no sighting: "
                f"{first_few(self.unreadable)}"
            )
        return tuple(told)


def propose_sightings(data: DataSpec, out: Path) -> Proposed:
    """Write the label file again with a column `sighting` to `out`, and beside it the pairs that are least certain.

    Raises OnehourError for bad input, where there is no label file or a column of sightings, and where `out` is there.
    """
    if data.sightings_col is not None:
        raise OnehourError("a column says already what is one sighting", "data.sightings_col", "Leave it out.")
    competition = competitions.load(data)
    if competition.labels_path is None:
        raise OnehourError("a column of sightings needs a label file", "data.labels", "Write one: image and label.")
    table = read_csv_table(competition.labels_path)
    if out.exists():
        raise OnehourError("there is a file already", str(out), "Choose another name.")
    pictures, labels = entries(competition)[: len(competition.images)], competition.labels
    boxes = given_boxes(data, competition).boxes
    of_label: dict[str, list[int]] = defaultdict(list)
    for place, label in enumerate(labels):
        if label != competition.unknown_label:  # not one individual
            of_label[label].append(place)
    skipped = tuple(sorted(label for label, places in of_label.items() if len(places) > MOST))
    several = [places for places in of_label.values() if 1 < len(places) <= MOST]
    asked = sum(math.comb(len(places), 2) for places in several)
    across = _across(labels, sorted(itertools.chain(*several)), min(asked, MOST_ACROSS))
    kept = dict.fromkeys(itertools.chain(*across), NOTHING)
    unreadable: set[int] = set()

    def seen(place: int) -> Background:
        try:
            found = background_of(pictures[place], boxes[place])
        except OnehourError:  # a run leaves it out, too
            unreadable.add(place)
            return NOTHING
        if place in kept:
            kept[place] = found
        return found

    def of_one_label(places: Sequence[int]) -> list[tuple[int, tuple[int, int]]]:
        scenes = {place: seen(place) for place in places}  # those of other labels need not be held meanwhile
        return [(matches(scenes[one], scenes[other]), (one, other)) for one, other in itertools.combinations(places, 2)]

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        within: list[tuple[int, tuple[int, int]]] = []
        with progress("comparing backgrounds, label by label", len(several)) as advance:
            for found in pool.map(of_one_label, several):
                within += found
                advance()
        chance = list(pool.map(lambda pair: matches(kept[pair[0]], kept[pair[1]]), across))
    same = [(count, pair) for count, pair in within if count >= MATCHES]
    made = Proposed(
        images=competition.images,
        sighting=_named(joined(len(labels), [pair for _, pair in same])),
        asked=asked,
        pairs=len(same),
        across=len(across),
        by_chance=sum(count >= MATCHES for count in chance),
        skipped=skipped,
        unreadable=tuple(pictures[place].image for place in sorted(unreadable)),
        sheet=least_certain_jpg(out),
    )
    if same:
        shown = [(*pair, f"{count} matches") for count, pair in sorted(same)[: PAIRS_ACROSS * PAIRS_DOWN]]
        write_jpeg(made.sheet, side_by_side(pictures, shown))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*table.columns, COLUMN))
    writer.writerows((*row, sighting) for row, sighting in zip(table.rows, made.sighting, strict=True))
    write_text(out, text.getvalue())
    return made


def _across(labels: Sequence[str], among: Sequence[int], count: int) -> list[tuple[int, int]]:
    """`count` pairs of images (fewer, if there are not as many) of two labels, drawn by lot."""
    if len({labels[place] for place in among}) < 2:
        return []
    random = np.random.default_rng(0)
    drawn = random.choice(np.array(among), (4 * count, 2))
    pairs = ((min(a, b), max(a, b)) for a, b in drawn.tolist() if labels[a] != labels[b])
    return list(itertools.islice(dict.fromkeys(pairs), count))


def _named(groups: Sequence[int]) -> tuple[str, ...]:
    """s0001, s0002, … for each group of two images and more, "" for the others."""
    sizes = np.bincount(groups)
    numbers: Iterator[int] = itertools.count(1)
    names = {group: f"s{next(numbers):04d}" for group in dict.fromkeys(groups) if sizes[group] > 1}
    return tuple(names.get(group, "") for group in groups)

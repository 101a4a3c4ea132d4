"""All images of a run's competition, looked at before it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.check_folder import CheckFolder
from engine.checks.copies import NearPairs, near_pairs
from engine.checks.facts import Entry, look_at_all
from engine.checks.picture import Picture
from engine.contract import OnehourError
from engine.data.competition import Competition, ContentHashes
from engine.data.csv_table import counted, first_few

QUARANTINE_LIMIT = 0.01  # of the images of a part; more means a broken download, not a broken file


@dataclass(frozen=True)
class Survey:
    """What was seen in the images of `competition`, in which the quarantined training images are left out."""

    competition: Competition
    train: tuple[Picture, ...]  # beside competition.images
    test: tuple[Picture, ...]  # beside competition.test_images; `unreadable` says why one has nothing to be seen in
    quarantined: tuple[tuple[Entry, str], ...]  # with the reason
    notes: tuple[str, ...]

    @cached_property
    def content(self) -> ContentHashes:
        return ContentHashes(tuple(one.content for one in self.train), tuple(one.content for one in self.test))

    @cached_property
    def seen(self) -> list[tuple[Entry, Picture]]:
        """The images that can be decoded, with what was seen in them: training images, then test images."""
        everything = zip(entries(self.competition), (*self.train, *self.test), strict=True)
        return [(entry, one) for entry, one in everything if not one.unreadable]

    @property
    def test_whole(self) -> tuple[bool, ...]:
        """Beside competition.test_images: whether it can be decoded."""
        return tuple(not one.unreadable for one in self.test)

    @cached_property
    def near(self) -> NearPairs:
        """Near copies among the images of `seen`, each hash confirmed by the thumbnails."""
        return near_pairs([one for _, one in self.seen])

    def near_in_training(self) -> list[tuple[int, int]]:
        """Near copies as places in competition.images: what may not stand on both sides of a split.

        Searched among these alone: pairs left out of `near` may be connected there through a test image.
        """
        return near_pairs(self.train).pairs()


def survey(competition: Competition, folder: CheckFolder, check: Callable[[], None] = lambda: None) -> Survey:
    """Decode every image to the last pixel, or take from `folder` what was seen when it had the same size and dates.

    `check` is asked after each image: what it raises ends the work, and what was seen until then is kept.
    An image that cannot be decoded is quarantined: written to quarantine.csv and noted. A training image is then left out,
    of the folds too; a test image stays, since a submission must answer it (see engine.inference.prior).
    Raises OnehourError when more than one in a hundred images of either part (and more than one), or all, cannot be decoded.
    """
    seen = look_at_all(entries(competition), folder, check)
    count = len(competition.images)
    broken = [(entry, one.unreadable) for entry, one in seen if one.unreadable]
    if too_many(broken, count, len(competition.test_images)):
        raise OnehourError(
            f"{len(broken)} of {counted(len(seen), 'image')} cannot be decoded: {first_few(named(broken))}",
            str(competition.root),
            "So many mean a broken download: fetch them again, or take training images out of "
            f"{competition.labels_path.name if competition.labels_path else 'their folders'}.",
        )
    kept = [place for place in range(count) if not seen[place][1].unreadable]
    labels = tuple(competition.labels[place] for place in kept)
    usable = competition
    if len(kept) < count:
        usable = dataclasses.replace(
            competition,
            images=tuple(competition.images[place] for place in kept),
            labels=labels,
            known_labels=tuple(sorted(set(labels) - {competition.unknown_label})),
            sightings=competition.sightings and tuple(competition.sightings[place] for place in kept),
        )
    pictures = [one for _, one in seen]
    train, test = tuple(pictures[place] for place in kept), tuple(pictures[count:])
    return Survey(usable, train, test, tuple(broken), _notes(broken, folder))


def entries(competition: Competition) -> list[Entry]:
    """Training images, then test images, each in the competition's order."""
    return [
        Entry("train", image, competition.train_dir / image, label)
        for image, label in zip(competition.images, competition.labels, strict=True)
    ] + [Entry("test", image, competition.test_dir / image) for image in competition.test_images]


def named(broken: Sequence[tuple[Entry, str]]) -> list[str]:
    """`train/a.jpg (truncated)` for each."""
    return [f"{entry.part}/{entry.image} ({reason})" for entry, reason in broken]


def too_many(broken: Sequence[tuple[Entry, str]], train: int, test: int) -> bool:
    """Whether so many of `train` and `test` images are broken that a run refuses the data."""
    of_train = sum(entry.part == "train" for entry, _ in broken)
    return any(
        found and (found > max(1, QUARANTINE_LIMIT * whole) or found == whole)
        for found, whole in ((of_train, train), (len(broken) - of_train, test))
    )


def _notes(broken: Sequence[tuple[Entry, str]], folder: CheckFolder) -> tuple[str, ...]:
    """What becomes of the broken images of each part."""
    fates = {
        "train": ("training image", "neither trained on nor scored in the CV"),
        "test": ("test image", "answered without being seen, by how frequent the labels are"),
    }
    notes = []
    for part, (what, fate) in fates.items():
        if some := [one for one in broken if one[0].part == part]:
            are = "is" if len(some) == 1 else "are"
            notes.append(
                f"{counted(len(some), what)} cannot be decoded and {are} {fate}: {first_few(named(some))}. The list is "
                f"{folder.quarantine_csv}."
            )
    return tuple(notes)

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

QUARANTINE_LIMIT = 0.01  # of the training images; more means a broken download, not a broken file


@dataclass(frozen=True)
class Survey:
    """What was seen in the images of `competition`, in which the quarantined training images are left out."""

    competition: Competition
    train: tuple[Picture, ...]  # beside competition.images
    test: tuple[Picture, ...]  # beside competition.test_images
    quarantined: tuple[tuple[Entry, str], ...]  # with the reason
    notes: tuple[str, ...]

    @cached_property
    def content(self) -> ContentHashes:
        return ContentHashes(tuple(one.content for one in self.train), tuple(one.content for one in self.test))

    @cached_property
    def seen(self) -> list[tuple[Entry, Picture]]:
        """Training images, then test images, with what was seen in them."""
        return list(zip(entries(self.competition), (*self.train, *self.test), strict=True))

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
    A training image that cannot be decoded is quarantined: left out, written to quarantine.csv and noted.
    Raises OnehourError for test images that cannot be decoded, since a submission must answer each, and when more than
    one in a hundred training images (and more than one) cannot be.
    """
    seen = look_at_all(entries(competition), folder, check)
    count = len(competition.images)
    broken = [(entry, one.unreadable) for entry, one in seen if one.unreadable]
    broken_train = sum(entry.part == "train" for entry, _ in broken)
    if broken_train < len(broken) or broken_train > max(1, QUARANTINE_LIMIT * count):
        raise OnehourError(
            f"{len(broken)} of {counted(len(seen), 'image')} cannot be decoded: {first_few(named(broken))}",
            str(competition.root),
            "Replace each by a whole image, or take it out of "
            f"{competition.labels_path.name if competition.labels_path else 'its folder'} if it is a training image.",
        )
    notes: tuple[str, ...] = ()
    if broken:
        notes = (
            f"{counted(len(broken), 'training image')} cannot be decoded and {'is' if len(broken) == 1 else 'are'} "
            f"left out: {first_few(named(broken))}. The list is {folder.quarantine_csv}.",
        )
    kept = [place for place in range(count) if not seen[place][1].unreadable]
    labels = tuple(competition.labels[place] for place in kept)
    usable = competition
    if broken:
        usable = dataclasses.replace(
            competition,
            images=tuple(competition.images[place] for place in kept),
            labels=labels,
            known_labels=tuple(sorted(set(labels) - {competition.unknown_label})),
            sightings=competition.sightings and tuple(competition.sightings[place] for place in kept),
        )
    pictures = [one for _, one in seen]
    return Survey(usable, tuple(pictures[place] for place in kept), tuple(pictures[count:]), tuple(broken), notes)


def entries(competition: Competition) -> list[Entry]:
    """Training images, then test images, each in the competition's order."""
    return [
        Entry("train", image, competition.train_dir / image, label)
        for image, label in zip(competition.images, competition.labels, strict=True)
    ] + [Entry("test", image, competition.test_dir / image) for image in competition.test_images]


def named(broken: Sequence[tuple[Entry, str]]) -> list[str]:
    """`train/a.jpg (truncated)` for each."""
    return [f"{entry.part}/{entry.image} ({reason})" for entry, reason in broken]

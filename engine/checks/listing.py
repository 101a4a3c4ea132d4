"""What lies in a competition's folder, whether or not it could be trained on: a check must tell, not refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.checks.facts import Entry
from engine.checks.survey import entries
from engine.contract import DataSpec, OnehourError
from engine.data import competition as competitions
from engine.data.csv_table import read_csv_table
from engine.data.files import files_below, files_named, is_image


@dataclass(frozen=True)
class Listing:
    """Images to look at, and where label file, sample submission and folders do not fit each other."""

    entries: tuple[Entry, ...]
    refusal: str  # the sentence with which a run would refuse this folder, "" where it would not
    absent: tuple[str, ...]  # in the label file, not in the folder
    unlabelled: tuple[str, ...]  # training images without a row
    foreign: tuple[str, ...]  # files that are no images, by their ending
    test_absent: tuple[str, ...]  # in the sample submission, not in the folder
    test_unnamed: tuple[str, ...]  # test images that the sample submission does not name

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each training image, in their order."""
        return tuple(entry.label for entry in self.entries if entry.part == "train")


def list_folder(data: DataSpec) -> Listing:
    """Raises OnehourError only when there is no folder, or not one image in it."""
    root = Path(data.dir).expanduser()
    if not root.is_dir():
        raise OnehourError(
            "there is no such folder", str(root), "Name the folder that holds train.csv, train/ and test/."
        )
    train_dir, test_dir = root / data.train_images, root / data.test_images
    train_files, test_files = files_below(train_dir), files_below(test_dir)
    train_images = [name for name in train_files if is_image(name)]
    test_images = [name for name in test_files if is_image(name)]
    labels = _labels(data, root, train_images)
    submitted = files_named(_column(root / data.sample_submission, data.image_col), test_files)
    there, tested, named = set(train_files), set(test_files), set(submitted)
    refusal = ""
    try:
        competition = competitions.load(data)
    except OnehourError as error:
        refusal = str(error)
        found = [Entry("train", name, train_dir / name, label) for name, label in labels.items() if name in there]
        found += [Entry("train", name, train_dir / name) for name in train_images if not labels]
        found += [Entry("test", name, test_dir / name) for name in test_images]
    else:
        found = entries(competition)
    if not found:
        raise OnehourError(refusal or "there is no image below it", str(root), "Name the folder of the competition.")
    return Listing(
        entries=tuple(found),
        refusal=refusal,
        absent=tuple(name for name in labels if name not in there),
        unlabelled=tuple(name for name in train_images if name not in labels) if labels else (),
        foreign=tuple(
            f"{folder.name}/{name}"
            for folder, names in ((train_dir, train_files), (test_dir, test_files))
            for name in names
            if not is_image(name) and not (folder == train_dir and name in labels)
        ),
        test_absent=tuple(name for name in submitted if name not in tested),
        test_unnamed=tuple(name for name in test_images if name not in named) if named else (),
    )


def _labels(data: DataSpec, root: Path, train_images: Sequence[str]) -> dict[str, str]:
    """Image → label, as far as they can be read."""
    if data.labels is None:
        return {name: name.partition("/")[0] for name in train_images if "/" in name}
    images = files_named(_column(root / data.labels, data.image_col), train_images)
    return dict(zip(images, _column(root / data.labels, data.label_col), strict=False))


def _column(path: Path, name: str) -> tuple[str, ...]:
    try:
        return read_csv_table(path).column(name)
    except (OnehourError, ValueError):  # the refusal tells why
        return ()

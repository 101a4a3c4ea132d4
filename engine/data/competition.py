"""A competition's folder, read and refused strictly: after `load` every name, label and column is right."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract import DataSpec, OnehourError, nearest
from engine.data.csv_table import CsvTable, counted, first_few, read_csv_table, refuse_found, refuse_twice
from engine.data.files import files_below, files_named, is_image


@dataclass(frozen=True)
class Competition:
    """Training images with their labels, and the test images in the order in which a submission must name them."""

    root: Path
    labels_path: Path | None  # None where the folder below train_dir is the label
    train_dir: Path
    test_dir: Path
    sample_submission_path: Path
    images: tuple[str, ...]  # file names below train_dir, in the order of the label file, sorted where there is none
    labels: tuple[str, ...]  # one label an image
    known_labels: tuple[str, ...]  # sorted, without the unknown label
    unknown_label: str | None
    test_images: tuple[str, ...]  # file names below test_dir, in the order of the sample submission
    test_ids: tuple[str, ...]  # what the sample submission calls them: names of files, or those without their endings
    submission_header: tuple[str, ...]  # the image, then one column, or one a label where probabilities are asked
    notes: tuple[str, ...]  # what is odd but no error
    sightings: tuple[str, ...] | None = None  # one an image where data.sightings_col says so, "" for none


@dataclass(frozen=True)
class ContentHashes:
    """A hash over the decoded pixels of every image: equal for exact copies, whatever the file is called."""

    train: tuple[str, ...]  # beside Competition.images
    test: tuple[str, ...]  # beside Competition.test_images


def load(data: DataSpec) -> Competition:
    """Read label file, sample submission and both folders; images are listed, not opened (engine.checks does).

    Raises OnehourError naming file, line, column or image, and what would be right.
    """
    root = Path(data.dir).expanduser()
    if not root.is_dir():
        raise OnehourError(
            "there is no such folder", str(root), "Set data.dir to the folder of the competition's data."
        )
    train_dir, test_dir = root / data.train_images, root / data.test_images
    train_files, test_files = _files_below(train_dir), _files_below(test_dir)
    labels_path = None if data.labels is None else root / data.labels
    if labels_path is None:
        labelled = _folder_per_class(train_dir, train_files, data.sightings_col)
    else:
        labelled = read_labels(labels_path, data.image_col, data.label_col, data.sightings_col)
    images, labels = files_named(labelled.images, train_files), labelled.labels
    if labelled.table is not None:
        refuse_twice(labelled.table, images)
        _refuse_bad_images(labelled.table, images, train_files, train_dir)
    known = tuple(sorted(set(labels) - {data.unknown_label}))
    if len(set(labels)) == 1:
        raise OnehourError(
            f"every image has the label {labels[0]!r}",
            str(labels_path or train_dir),
            "There must be labels to learn, at least two.",
        )
    sample = _sample_submission(root / data.sample_submission, data.image_col, labels)
    test_ids = sample.column(data.image_col)
    test_images = files_named(test_ids, test_files)
    _refuse_other_ids(sample, test_images, test_files, test_dir)
    return Competition(
        root=root,
        labels_path=labels_path,
        train_dir=train_dir,
        test_dir=test_dir,
        sample_submission_path=sample.path,
        images=images,
        labels=labels,
        known_labels=known,
        unknown_label=data.unknown_label,
        test_images=test_images,
        test_ids=test_ids,
        submission_header=sample.columns,
        notes=tuple(_notes(data, images, labels, known, train_files)),
        sightings=labelled.sightings,
    )


@dataclass(frozen=True)
class Labelled:
    """Images with one label each, and where a column says so their sightings; `table` is the file they were read from."""

    images: tuple[str, ...]
    labels: tuple[str, ...]
    sightings: tuple[str, ...] | None = None
    table: CsvTable | None = None


def read_labels(path: Path, image_col: str, label_col: str, sightings_col: str | None = None) -> Labelled:
    """Read a label file alone. Raises OnehourError naming line and column, and what would be right."""
    table = read_csv_table(path)
    columns = tuple(filter(None, (image_col, label_col, sightings_col)))
    keys = ("data.image_col", "data.label_col", "data.sightings_col")[: len(columns)]
    table.refuse_columns(columns, f"{', '.join(keys[:-1])} and {keys[-1]} say how the columns are called.")
    images, labels = table.column(image_col), table.column(label_col)
    if not images:
        raise OnehourError("there is no row below the header", str(table.path), "It needs one row a training image.")
    _refuse_bad_labels(table, labels)
    refuse_twice(table, images)
    return Labelled(images, labels, table.column(sightings_col) if sightings_col else None, table)


def data_sha256(competition: Competition) -> str:
    """Hash over the label file and the names and sizes of the images: two runs with the same one saw the same data."""
    digest = hashlib.sha256(competition.labels_path.read_bytes() if competition.labels_path else b"")
    for folder, names in (
        (competition.train_dir, competition.images),
        (competition.test_dir, competition.test_images),
    ):
        for name in sorted(names):
            digest.update(f"\0{folder.name}/{name}\0{(folder / name).stat().st_size}".encode())
    return digest.hexdigest()


def _files_below(folder: Path) -> frozenset[str]:
    """Names of the visible files below `folder`. Raises OnehourError where it is not there."""
    if not folder.is_dir():
        beside = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] if folder.parent.is_dir() else []
        raise OnehourError("there is no such folder", str(folder), nearest(folder.name, beside) if beside else "")
    return frozenset(files_below(folder))


def _folder_per_class(folder: Path, files: frozenset[str], sightings_col: str | None) -> Labelled:
    if sightings_col is not None:
        raise OnehourError(
            "a column of sightings needs a label file", "data.sightings_col", "Set data.labels, or leave it out."
        )
    images = tuple(sorted(file for file in files if is_image(file)))
    if not images:
        raise OnehourError("there is no image below it", str(folder), "It needs a folder of images for each label.")
    refuse_found(
        (image for image in images if "/" not in image),
        "without a label file the folder of an image is its label, and an image stands in none",
        str(folder),
        "Move it into a folder named by its label, or set data.labels.",
    )
    labels = tuple(image.partition("/")[0] for image in images)
    refuse_found(
        sorted({repr(label) for label in labels if label.split() != [label]}),
        "the name of a folder holds a space, which separates labels in a submission",
        str(folder),
        "Name the folders without spaces.",
    )
    return Labelled(images, labels)


def _refuse_bad_labels(table: CsvTable, labels: Sequence[str]) -> None:
    refuse_found(
        (f"line {line}" for line, label in zip(table.lines, labels, strict=True) if not label.strip()),
        "a label is empty",
        str(table.path),
        "Write the label, or remove the row.",
    )
    refuse_found(
        (f"line {line} {label!r}" for line, label in zip(table.lines, labels, strict=True) if label.split() != [label]),
        "a label holds a space, which separates labels in a submission",
        str(table.path),
        "Write labels without spaces.",
    )


def _refuse_bad_images(table: CsvTable, images: Sequence[str], files: frozenset[str], folder: Path) -> None:
    absent = [f"line {line} {image!r}" for line, image in zip(table.lines, images, strict=True) if image not in files]
    if absent:
        first = next(image for image in images if image not in files)
        close = nearest(first, files - set(images))
        hint = close if close.startswith("Did") else "Add what is missing, or remove its rows."
        count = "an image that is" if len(absent) == 1 else f"{len(absent)} images that are"
        raise OnehourError(f"it names {count} not in {folder}: {first_few(absent)}", str(table.path), hint)


def _sample_submission(path: Path, image_col: str, labels: Sequence[str]) -> CsvTable:
    table = read_csv_table(path)
    others = [name for name in table.columns if name != image_col]
    a_column_a_label = len(others) > 1 and set(others) == set(labels)
    if image_col not in table.columns or not (len(others) == 1 or a_column_a_label):
        # The second column may be called anything; one that is missing or too many is refused by name.
        table.refuse_columns((image_col, *others[: 1 if image_col in table.columns else 0]))
        raise OnehourError("the column of predicted labels is missing", f"{path}, line 1")
    if table.columns[0] != image_col:
        raise OnehourError(f"the first column is {table.columns[0]!r}", f"{path}, line 1", f"It must be {image_col!r}.")
    if not table.rows:
        raise OnehourError("there is no row below the header", str(path), "It needs one row a test image.")
    return table


def _refuse_other_ids(sample: CsvTable, ids: Sequence[str], files: frozenset[str], folder: Path) -> None:
    refuse_twice(sample, ids)
    absent = [f"line {line} {image!r}" for line, image in zip(sample.lines, ids, strict=True) if image not in files]
    named = set(ids)
    unnamed = sorted(f for f in files - named if is_image(f))
    if not absent and not unnamed:
        return
    parts = []
    if absent:
        parts.append(
            f"{len(absent)} of its {counted(len(ids), 'id')} {'is' if len(absent) == 1 else 'are'} not in {folder} ({first_few(absent)})"
        )
    if unnamed:
        parts.append(
            f"{counted(len(unnamed), f'image in {folder} is', f'images in {folder} are')} not in it ({first_few(unnamed)})"
        )
    first_absent = next((image for image in ids if image not in files), "")
    close = nearest(first_absent, unnamed) if first_absent and unnamed else ""
    fix = close if close.startswith("Did") else "It must name exactly the images of the test folder."
    raise OnehourError(" and ".join(parts), str(sample.path), fix)


def _notes(
    data: DataSpec, images: Sequence[str], labels: Sequence[str], known: Sequence[str], files: frozenset[str]
) -> Iterator[str]:
    left_over = sorted(f for f in files - set(images) if is_image(f))
    if left_over:
        yield (
            f"{counted(len(left_over), 'image')} in {data.train_images}/ without a row in {data.labels} "
            f"({first_few(left_over)}): not used."
        )
    if data.unknown_label is not None and data.unknown_label not in Counter(labels):
        yield (
            f"No training image has the unknown label {data.unknown_label!r}: its threshold cannot be learnt. "
            f"{nearest(data.unknown_label, known)}"
        ).strip()

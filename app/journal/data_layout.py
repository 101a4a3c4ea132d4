"""How a competition's data lies in its folder: which file holds the labels, which folders the pictures. Looked for, by name."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.contract import DataSpec, OnehourError, nearest

USUAL = DataSpec(dir=".")


@dataclass(frozen=True)
class DataLayout:
    """Names relative to the folder. `labels` is None where the folder of a training picture is its label."""

    labels: str | None = USUAL.labels
    train_images: str = USUAL.train_images
    test_images: str = USUAL.test_images
    sample_submission: str = USUAL.sample_submission


USUAL_LAYOUT = DataLayout()


def layout_of(data_dir: Path, image_col: str, label_col: str) -> DataLayout:
    """How the data in a folder lies: under the usual names, or else under the only name that says the same.

    Raises OnehourError where something is missing, could be several things, or the label file lacks one of the columns.
    """
    if not data_dir.is_dir():
        raise OnehourError("there is no such data folder", where=str(data_dir))
    entries = [entry for entry in sorted(data_dir.iterdir()) if not entry.name.startswith(".")]
    folders = [entry.name for entry in entries if entry.is_dir()]
    tables = [entry.name for entry in entries if entry.is_file() and entry.suffix.lower() == ".csv"]
    samples = [name for name in tables if "sample" in name.lower()]
    train, test = (_only(data_dir, usual, _begin(folders, usual)) for usual in (USUAL.train_images, USUAL.test_images))
    sample = _only(data_dir, USUAL.sample_submission, samples)
    # More than one table may tell something of the training pictures: the label file is the one with the columns.
    told = [name for name in tables if name not in samples and {image_col, label_col} <= set(_header(data_dir / name))]
    in_folders = train is not None and USUAL.labels not in tables and _holds_folders_alone(data_dir / train)
    by_name = _begin(told, USUAL.train_images) or _begin(told, "label")
    # Beside folders that may be labels any other table with the columns is rather the truth of the test pictures.
    labels = _only(data_dir, USUAL.labels or "", by_name or ([] if in_folders else told))
    found = DataLayout(labels or (None if in_folders else ""), train or "", test or "", sample or "")
    missing = [
        usual
        for usual, name in (
            (USUAL.labels, found.labels),
            (USUAL.sample_submission, found.sample_submission),
            (f"{USUAL.train_images}/", found.train_images),
            (f"{USUAL.test_images}/", found.test_images),
        )
        if name == ""
    ]
    if missing == [USUAL.labels]:
        _refuse_without_columns(data_dir, [name for name in tables if name not in samples], image_col, label_col)
    if missing:
        raise OnehourError(
            f"there is no {', no '.join(str(name) for name in missing)}",
            where=str(data_dir),
            fix="Name the folder that holds them all, as Kaggle's download unpacks.",
        )
    return found


def _begin(names: Iterable[str], word: str) -> list[str]:
    return [name for name in names if name.lower().startswith(word)]


def _only(data_dir: Path, usual: str, names: list[str]) -> str | None:
    """The usual name where it is there, else the only one of `names`."""
    if usual in names or (usual != USUAL.labels and (data_dir / usual).exists()):
        return usual
    if len(names) > 1:
        raise OnehourError(
            f"what is {usual} elsewhere could be {' or '.join(names)} here",
            where=str(data_dir),
            fix=f"Call the right one {usual}.",
        )
    return names[0] if names else None


def _header(table: Path) -> list[str]:
    """Empty for what cannot be read: it may be any table that lies there."""
    try:
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return [cell.strip() for cell in next(csv.reader(file), [])]
    except (OSError, csv.Error):
        return []


def _holds_folders_alone(folder: Path) -> bool:
    below = [entry for entry in (folder.iterdir() if folder.is_dir() else ()) if not entry.name.startswith(".")]
    return bool(below) and all(entry.is_dir() for entry in below)


def _refuse_without_columns(data_dir: Path, tables: list[str], image_col: str, label_col: str) -> None:
    """Raises OnehourError for the column that the file that should hold the labels lacks."""
    usual = USUAL.labels or ""
    named = usual if usual in tables else next(iter(_begin(tables, USUAL.train_images) or tables), None)
    if named is None:
        return
    header = _header(data_dir / named)
    lacking = next((column for column in (image_col, label_col) if column not in header), None)
    if lacking is not None:
        near = nearest(lacking, header)
        raise OnehourError(
            f"it has no column {lacking!r}",
            where=f"{data_dir / named}, line 1",
            fix=near if near else "Say how the columns of image and label are called.",
        )

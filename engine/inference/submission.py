"""Submissions: written as the sample submission wants them, read back, checked against it, and the truth beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract import OnehourError
from engine.data.competition import Competition
from engine.data.csv_table import CsvTable, counted, first_few, read_csv_table, refuse_found, refuse_twice
from engine.inference.unknown import PLACES
from engine.run_folder import RunFolder, file_sha256, write_text


@dataclass(frozen=True)
class Predictions:
    """Predicted labels of each image, best first, in the order of the file at `path`."""

    path: Path
    columns: tuple[str, str]
    labels: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Truth:
    """The true label of each image, and "public" or "private" for each where the file has a Usage column."""

    path: Path
    columns: tuple[str, str]
    labels: Mapping[str, str]
    usage: Mapping[str, str] | None


def write_submission(folder: RunFolder, competition: Competition, predictions: Sequence[Sequence[str]]) -> str:
    """Write submission.csv for `predictions` (one list a test image, best first, in the order of
    competition.test_images) and its SHA-256 beside it, which is returned.

    Only the first five labels of a list are written. Raises ValueError for lists that cannot be a submission.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(competition.submission_header)
    for image, labels in zip(competition.test_images, predictions, strict=True):
        if not labels or any(label.split() != [label] for label in labels):
            raise ValueError(f"{list(labels)} cannot be the predicted labels of {image}")
        writer.writerow((image, " ".join(labels[:PLACES])))
    write_text(folder.submission_csv, text.getvalue())
    sha256 = file_sha256(folder.submission_csv)
    write_text(folder.submission_sha256, f"{sha256}  {folder.submission_csv.name}\n")
    return sha256


def read_predictions(path: Path, columns: tuple[str, str] | None = None) -> Predictions:
    """Read a CSV of image and space-separated labels; `columns` are their names, any two when None.

    Raises OnehourError for other columns, an image without a label or with two rows.
    """
    table = read_csv_table(path)
    if columns is not None:
        table.refuse_columns(columns)
    elif len(table.columns) != 2:
        raise OnehourError(
            f"it has the columns {', '.join(map(repr, table.columns))}",
            f"{path}, line 1",
            "It needs two: the image and its labels, for example Image,Id.",
        )
    names = columns or (table.columns[0], table.columns[1])
    images, cells = table.column(names[0]), table.column(names[1])
    refuse_twice(table, images)
    _refuse_empty(table, images, cells)
    return Predictions(path, names, {image: tuple(cell.split()) for image, cell in zip(images, cells, strict=True)})


def read_truth(path: Path) -> Truth:
    """Read a CSV of image and true label, by its first two columns, and of Usage (public or private) where a third is there.

    Raises OnehourError for other columns, an empty label, an image with two rows or another usage.
    """
    table = read_csv_table(path)
    third = table.columns[2:]
    if len(table.columns) < 2 or len(third) > 1 or (third and third[0].lower() != "usage"):
        raise OnehourError(
            f"it has the columns {', '.join(map(repr, table.columns))}",
            f"{path}, line 1",
            "It needs the image and its true label and may have Usage, for example Image,Id,Usage.",
        )
    if not table.rows:
        raise OnehourError("there is no row below the header", str(path), "It needs one row a test image.")
    columns = (table.columns[0], table.columns[1])
    images, labels = table.column(columns[0]), table.column(columns[1])
    refuse_twice(table, images)
    _refuse_empty(table, images, labels)
    usage = None
    if third:
        cells = [cell.strip().lower() for cell in table.column(third[0])]
        refuse_found(
            (
                f"line {line} {cell!r}"
                for line, cell in zip(table.lines, cells, strict=True)
                if cell not in ("public", "private")
            ),
            "a usage is not known",
            str(path),
            "It is public or private.",
        )
        usage = dict(zip(images, cells, strict=True))
    return Truth(path, columns, dict(zip(images, (label.strip() for label in labels), strict=True)), usage)


def refuse_other_images(predictions: Predictions, wanted: Iterable[str], source: Path) -> None:
    """Raise OnehourError unless the predictions name exactly the `wanted` images, which `source` holds."""
    wanted = dict.fromkeys(wanted)
    missing = [image for image in wanted if image not in predictions.labels]
    extra = [image for image in predictions.labels if image not in wanted]
    parts = []
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        whole = counted(len(wanted), "image")
        parts.append(f"{len(missing)} of the {whole} of {source.name} {verb} missing ({first_few(missing)})")
    if extra:
        parts.append(f"{counted(len(extra), 'id is', 'ids are')} not in {source.name} ({first_few(extra)})")
    if parts:
        raise OnehourError(
            " and ".join(parts), str(predictions.path), f"It must name each image of {source.name} once."
        )


def check_submission(path: Path, competition: Competition) -> Predictions:
    """Read a submission and hold it against the sample submission: header, ids, and at most five labels a row.

    Raises OnehourError naming what Kaggle would refuse. The order of rows is free.
    """
    predictions = read_predictions(path, competition.submission_header)
    refuse_other_images(predictions, competition.test_images, competition.sample_submission_path)
    refuse_found(
        (f"{image} has {len(labels)}" for image, labels in predictions.labels.items() if len(labels) > PLACES),
        f"an image has more than {PLACES} labels",
        str(path),
        f"Keep the best {PLACES}.",
    )
    return predictions


def _refuse_empty(table: CsvTable, images: Sequence[str], cells: Sequence[str]) -> None:
    rows = list(zip(table.lines, images, cells, strict=True))
    refuse_found(
        (f"line {line}" for line, image, _ in rows if not image.strip()),
        "an image is empty",
        str(table.path),
        "Name it.",
    )
    refuse_found(
        (f"line {line} {image!r}" for line, image, cell in rows if not cell.strip()),
        "an image has no label",
        str(table.path),
        "Each row needs at least one.",
    )

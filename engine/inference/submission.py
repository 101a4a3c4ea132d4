"""Submissions: written as the sample submission wants them, read back, checked against it, and the truth beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract import OnehourError, RunSpec
from engine.data.competition import Competition
from engine.data.csv_table import CsvTable, counted, first_few, read_csv_table, refuse_found, refuse_twice
from engine.data.measured import as_numbers
from engine.inference.answers import Answers
from engine.inference.metric import METRICS, Probabilities
from engine.inference.unknown import PLACES
from engine.run_folder import RunFolder, file_sha256, write_text

IMAGES_PER_NUMBER = 4  # at least, where a number is predicted from the scores of labels


@dataclass(frozen=True)
class Predictions:
    """The cells of each image, in the order of the file at `path`; `columns` are those of the file."""

    path: Path
    columns: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of each image, best first, where the second column holds labels separated by spaces."""
        return {image: tuple(cells[0].split()) for image, cells in self.cells.items()}


@dataclass(frozen=True)
class Truth:
    """The true label of each image, and "public" or "private" for each where the file has a Usage column."""

    path: Path
    columns: tuple[str, str]
    labels: Mapping[str, str]
    usage: Mapping[str, str] | None


def refuse_other_answers(spec: RunSpec, competition: Competition) -> None:
    """Raise OnehourError, before anything is trained, where the spec's metric cannot be answered in this competition.

    Labels and numbers fill one column beside the image. Probabilities fill one of the later of two labels (1 of 0 and 1),
    or one column a label.
    """
    metric = spec.metric
    labels, header = competition.known_labels, competition.submission_header
    path, answer = competition.sample_submission_path, METRICS[metric].answer
    if answer != "probabilities" and len(header) > 2:
        raise OnehourError(
            f"it has {counted(len(header) - 1, 'column')} beside the image", f"{path}, line 1", f"{metric} fills one."
        )
    labelled = str(competition.labels_path or competition.train_dir)
    if answer == "probabilities" and len(labels) < 2:
        raise OnehourError(f"there is one label, {labels[0]!r}", labelled, f"{metric} needs two.")
    if answer == "probabilities" and len(header) == 2 and len(labels) > 2:
        raise OnehourError(
            f"it has one column beside the image and there are {len(labels)} labels",
            f"{path}, line 1",
            f"{metric} needs a column for each label, called like it.",
        )
    if answer == "number":
        as_numbers(labels)
        if spec.head != "number" and len(labels) * IMAGES_PER_NUMBER > len(competition.images):
            raise OnehourError(
                f"{len(labels)} different numbers over {len(competition.images)} images are too many to be labels",
                labelled,
                "Set head: number and loss: mse, which predict the number itself.",
            )


def write_submission(
    folder: RunFolder, header: Sequence[str], images: Sequence[str], answers: Answers, places: int = PLACES
) -> str:
    """Write submission.csv with `header` and the `answers` to `images`, in their order, and its SHA-256 beside it,
    which is returned.

    Labels: the first `places` of a list, separated by spaces. Probabilities: those of the labels that the header names,
    or that of the last of two classes. Raises ValueError for lists that cannot be a submission.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for image, cells in zip(images, _cells(header, images, answers, places), strict=True):
        writer.writerow((image, *cells))
    write_text(folder.submission_csv, text.getvalue())
    sha256 = file_sha256(folder.submission_csv)
    write_text(folder.submission_sha256, f"{sha256}  {folder.submission_csv.name}\n")
    return sha256


def _cells(header: Sequence[str], images: Sequence[str], answers: Answers, places: int) -> Iterator[Sequence[str]]:
    if isinstance(answers, Probabilities):
        asked = header[1:] if len(header) > 2 else answers.classes[-1:]
        columns = [answers.classes.index(label) for label in asked]
        yield from ([f"{value:.6g}" for value in row] for row in answers.values[:, columns].tolist())
    elif isinstance(answers, np.ndarray):
        yield from ([f"{value:.6g}"] for value in answers.tolist())
    else:
        for image, labels in zip(images, answers, strict=True):
            if not labels or any(label.split() != [label] for label in labels):
                raise ValueError(f"{list(labels)} cannot be the predicted labels of {image}")
            yield [" ".join(labels[:places])]


def read_predictions(path: Path, columns: Sequence[str] | None = None) -> Predictions:
    """Read a CSV of image and what is predicted for it; `columns` are their names, any two when None.

    Raises OnehourError for other columns, an empty cell or an image with two rows.
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
    names = tuple(columns or table.columns)
    images = table.column(names[0])
    refuse_twice(table, images)
    others = [table.column(name) for name in names[1:]]
    for cells in others:
        _refuse_empty(table, images, cells)
    return Predictions(path, names, dict(zip(images, zip(*others, strict=True), strict=True)))


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


def check_submission(path: Path, competition: Competition, places: int = PLACES) -> Predictions:
    """Read a submission of labels and hold it against the sample submission: header, ids, at most `places` labels a row.

    Raises OnehourError naming what Kaggle would refuse. The order of rows is free.
    """
    predictions = read_predictions(path, competition.submission_header)
    refuse_other_images(predictions, competition.test_ids, competition.sample_submission_path)
    refuse_found(
        (f"{image} has {len(labels)}" for image, labels in predictions.labels.items() if len(labels) > places),
        f"an image has more than {places} labels",
        str(path),
        f"Keep the best {places}.",
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

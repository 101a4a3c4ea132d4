"""The list of submissions as Kaggle's own tools give it: fileName,date,description,status,publicScore,privateScore."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from app.exchange.csv_rows import CsvRow
from app.exchange.found import Found, FoundSubmission
from app.journal.days import to_ms

NEEDED = {"filename", "date", "publicscore"}


def is_list_of_submissions(columns: list[str]) -> bool:
    return set(columns) >= NEEDED


def read(rows: list[CsvRow]) -> Found:
    """Moments without a zone are UTC, as Kaggle's are. What failed at Kaggle comes without a score."""
    found = Found()
    for row in rows:
        cells = row.cells
        try:
            if not cells["filename"]:
                raise ValueError("a submission without a file name")
            found.submissions.append(
                FoundSubmission(
                    row.where,
                    cells["filename"],
                    cells.get("description", ""),
                    at=_moment(cells["date"]),
                    public=_score(cells["publicscore"]),
                    private=_score(cells.get("privatescore", "")),
                )
            )
        except ValueError as error:
            found.cannot(row.where, str(error))
    return found


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment such as 2019-02-12 18:22:33") from None
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _score(text: str) -> float | None:
    if text.lower() in ("", "none", "null", "nan"):
        return None
    try:
        score = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no score") from None
    if not math.isfinite(score):
        raise ValueError(f"{text!r} is no score")
    return score

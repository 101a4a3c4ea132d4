"""The scoreboard in pages: as many days together as a page takes, the newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from sqlalchemy import select as columns
from sqlmodel import Session, col, func

from app.journal.days import DAY
from app.journal.tables import Challenge, Run
from app.scores import wandb_runs
from app.scores.board import Elsewhere

DAYS_A_PAGE = 60  # a usual challenge stands on one
ROWS_A_PAGE = 400  # more take the server longer to write than a person waits

Page = tuple[date, date]  # its first and last day, inclusive


def of_challenge(db: Session, challenge: Challenge, last: date, elsewhere: Elsewhere) -> list[Page]:
    """The pages from the day `last` back to the challenge's first, the newest first; two queries."""
    rows = Counter(wandb_runs.count_by_day(db, challenge))
    asked = columns(col(Run.local_date), func.count()).where(col(Run.challenge_id) == challenge.id)
    rows.update({on: many for on, many in db.connection().execute(asked.group_by(col(Run.local_date)))})
    rows.update({on: len(sent) for on, sent in elsewhere.items()})
    return pages(rows, challenge.starts_on, last)


def pages(rows: Mapping[date, int], first: date, last: date) -> list[Page]:
    """Each has DAYS_A_PAGE at most, and ROWS_A_PAGE unless one day has more; `rows`: of a day, a day without any takes one."""
    found, newest, on, taken = [], last, last, 0
    while on >= first:
        many = max(1, rows.get(on, 0))
        if taken and (taken + many > ROWS_A_PAGE or (newest - on).days == DAYS_A_PAGE):
            found.append((on + DAY, newest))
            newest, taken = on, 0
        taken += many
        on -= DAY
    return [*found, (first, newest)]

"""The challenge: N days on one competition under rules. One is active at a time."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from sqlmodel import Session, select

from app.journal import checklist
from app.journal.checklist import CompetitionRule
from app.journal.data_layout import USUAL_LAYOUT, DataLayout
from app.journal.days import clock_time, zone
from app.journal.home import COMMAND
from app.journal.rules import STRICTNESSES
from app.journal.store import Journal
from app.journal.tables import Challenge, RestDay
from engine.contract import METRIC_DIRECTIONS, OnehourError, nearest

MODES = ("daily", "weekly")
# Late evenings belong to the day before.
DAY_STARTS_AT = "04:00"
MAX_DAYS = 1_000
MAX_YEAR = 9_000  # dates are counted on from the first day, and end with the year 9999
# What the author of the article behind this project learnt: told wherever a person chooses.
MODE_ADVICE = (
    "A missed day is lost in daily mode; after 60 days its inventor would rather take seven flexible hours a week"
)


@dataclass(frozen=True)
class Rules:
    """What a person agrees to when taking on a challenge. `check` names the first thing that cannot be."""

    competition: str
    data_dir: Path
    starts_on: date
    days: int
    minutes_per_day: float
    reflection_minutes: float
    time_zone: str
    mode: str
    day_starts_at: str = DAY_STARTS_AT
    metric: str = "map5"
    image_col: str = "Image"
    label_col: str = "Id"
    unknown_label: str | None = "new_whale"
    truth_path: Path | None = None
    strictness: str = "strict"
    habit_at: str | None = None
    rest_days: Sequence[date] = ()
    checklist: Sequence[CompetitionRule] = checklist.DEFAULTS  # the competition's own rules
    layout: DataLayout = USUAL_LAYOUT

    def check(self, today: date) -> None:
        if not slug_of(self.competition):
            raise OnehourError(
                f"{self.competition!r} is no competition slug", fix="Use letters and digits, as in humpback."
            )
        if self.mode not in MODES:
            raise OnehourError(f"there is no mode {self.mode!r}", fix=nearest(self.mode, MODES))
        if self.metric not in METRIC_DIRECTIONS:
            raise OnehourError(f"there is no metric {self.metric!r}", fix=nearest(self.metric, METRIC_DIRECTIONS))
        if not self.image_col.strip() or not self.label_col.strip():
            raise OnehourError("a column's name is missing", fix="Name the columns of image and label: Image and Id.")
        strictness_of(self.strictness)
        if self.habit_at is not None:
            clock_time(self.habit_at)
        if not 1 <= self.days <= MAX_DAYS:
            raise OnehourError(f"a challenge of {self.days} days is not possible", fix=f"Use 1 to {MAX_DAYS}.")
        if self.starts_on.year >= MAX_YEAR:
            raise OnehourError(f"{self.starts_on} is too far away", fix="Start in this life.")
        if not 0 < self.minutes_per_day <= 24 * 60:
            raise OnehourError(
                f"{self.minutes_per_day:g} minutes a day are not possible", fix="Use more than 0, at most 1440."
            )
        minutes_of_reflection(self.reflection_minutes)
        zone(self.time_zone)
        clock_time(self.day_starts_at)
        if self.starts_on < today:
            raise OnehourError(f"{self.starts_on} is in the past", fix=f"Start today ({today}) or later.")
        last = self.starts_on + timedelta(days=self.days - 1)
        for on in self.rest_days:
            if not self.starts_on <= on <= last:
                raise OnehourError(
                    f"the day of rest {on} is no day of the challenge", fix=f"It runs from {self.starts_on} to {last}."
                )
        checklist.as_json(self.checklist)
        if self.truth_path is not None and not self.truth_path.is_file():
            raise OnehourError("there is no such truth file", where=str(self.truth_path))
        if not self.data_dir.is_dir():
            raise OnehourError("there is no such data folder", where=str(self.data_dir))


def slug_of(competition: str) -> str:
    """The competition's name as it stands in run keys: ASCII letters, digits and hyphens. Accepts a Kaggle address."""
    name = competition.rstrip("/").rpartition("/")[2].lower()
    name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # ö is o, and not nothing
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:40]


def found(journal: Journal, rules: Rules, today: date) -> Challenge:
    """Take on a challenge. Refused while another is active; a finished challenge of the same name keeps its slug."""
    rules.check(today)
    with journal.writing() as db:
        active_one = find_active(db)
        if active_one is not None:
            raise OnehourError(
                f"the challenge {active_one.slug!r} is still running until {last_day(active_one)}",
                fix=f"One challenge at a time: the hour is yours, not the competition's. End it with: {COMMAND} end-challenge",
            )
        challenge = Challenge(
            slug=_free_slug(db, slug_of(rules.competition)),
            competition=rules.competition,
            data_dir=str(rules.data_dir.resolve()),
            starts_on=rules.starts_on,
            days=rules.days,
            mode=rules.mode,
            minutes_per_day=rules.minutes_per_day,
            reflection_minutes=rules.reflection_minutes,
            time_zone=rules.time_zone,
            day_starts_at=rules.day_starts_at,
            metric=rules.metric,
            image_col=rules.image_col,
            label_col=rules.label_col,
            unknown_label=rules.unknown_label,
            truth_path=None if rules.truth_path is None else str(rules.truth_path.resolve()),
            strictness=rules.strictness,
            habit_at=rules.habit_at,
            **asdict(rules.layout),
            created_at=journal.now(),
        )
        if list(rules.checklist) != list(checklist.DEFAULTS):
            challenge.checklist = checklist.as_json(rules.checklist)
        db.add(challenge)
        db.flush()
        db.add_all(RestDay(challenge_id=challenge.id, local_date=on) for on in sorted(set(rules.rest_days)))
    return challenge


def find_active(db: Session) -> Challenge | None:
    return db.exec(select(Challenge).where(Challenge.archived_at == None)).first()  # noqa: E711 (SQL, not Python)


def active(db: Session) -> Challenge:
    """The running challenge. Raises OnehourError when there is none."""
    challenge = find_active(db)
    if challenge is None:
        raise OnehourError("there is no challenge yet", fix=f"Begin with: {COMMAND} init --competition sample")
    return challenge


def strictness_of(name: str) -> str:
    if name not in STRICTNESSES:
        raise OnehourError(f"there is no strictness {name!r}", fix=nearest(name, STRICTNESSES))
    return name


def minutes_of_reflection(minutes: float) -> float:
    if not 0 <= minutes <= 12 * 60:
        raise OnehourError(f"{minutes:g} minutes of reflection are not possible", fix="Use 0 to 720.")
    return minutes


def archive(journal: Journal) -> Challenge:
    """End the active challenge for good; its record stays."""
    with journal.writing() as db:
        challenge = active(db)
        challenge.archived_at = journal.now()
        db.add(challenge)
    return challenge


def allowed_backends(challenge: Challenge) -> list[str] | None:
    """The backends that runs may use; None: all that are configured."""
    return None if challenge.backends is None else list(json.loads(challenge.backends))


def require_backend(challenge: Challenge, backend: str) -> None:
    """Raises OnehourError when the challenge's rules do not allow it."""
    allowed = allowed_backends(challenge)
    if allowed is not None and backend not in allowed:
        raise OnehourError(
            f"the rules of {challenge.slug!r} do not allow the backend {backend!r}",
            fix=f"Allowed: {', '.join(allowed)}. {COMMAND} settings --backends changes that.",
        )


def last_day(challenge: Challenge) -> date:
    return challenge.starts_on + timedelta(days=challenge.days - 1)


def _free_slug(db: Session, slug: str) -> str:
    taken = set(db.exec(select(Challenge.slug)).all())
    number = 2
    free = slug
    while free in taken:
        free = f"{slug}-{number}"
        number += 1
    return free

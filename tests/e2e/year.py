"""A journal as it is after a year of hours, written in seconds: for benches, and for tests of what must not grow with it.

Rows are written as an import's, with what the app would have derived from them; only today's hour is really begun. The days are
drawn, and the same each time.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlmodel import Session

from app.journal import challenges, days, sessions
from app.journal.days import DAY, MINUTE_MS
from app.journal.home import Home
from app.journal.hour import Event, EventKind, fold
from app.journal.steady import system_clock
from app.journal.store import open_journal
from app.journal.tables import (
    AttemptRow,
    Base,
    Challenge,
    Curve,
    DailySession,
    Experiment,
    FoldScore,
    InboxItem,
    Job,
    LeaderboardScore,
    Note,
    NoteRevision,
    Reference,
    RestDay,
    Run,
    RunReference,
    SessionEvent,
    Submission,
    Todo,
    TodoLink,
)
from app.scores.curve_blobs import epochs_blob, points_blob
from engine.contract import RunSpec
from tests.conftest import MovableClock
from tests.e2e.today import look_at_presets

ZONE = "UTC"
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
FOLDS = 5
OPEN_TODOS = 15
KINDS = ("kernel", "discussion", "paper", "repository", "post")
WORDS = (
    "crop crops fluke margin threshold fold folds loss focal arcface embedding rare whale grey image images rotate flip mirror "
    "blur learning rate warm cosine schedule stage stages backbone resnet efficientnet batch epoch public private leaderboard "
    "score 画像 前処理 学習 損失 the of and with without before after worse better unclear because looks like notch tail tip left right"
)


@dataclass(frozen=True)
class Size:
    days: int
    runs: int
    todos: int
    references: int


YEAR = Size(days=365, runs=10_000, todos=5_000, references=2_000)


def write_year(home: Home, data_dir: Path, size: Size = YEAR) -> None:
    """The last but one day of the challenge is today (so that a year's last week is whole); its hour runs since 18 minutes.

    Of today's runs one runs and two wait. A rare word stands in one note: needle.
    """
    now = system_clock()
    begun_at = now - 18 * MINUTE_MS
    lived = max(1, size.days - 1)
    # The day turns half a day from now, so that no hour straddles it whenever this is called.
    turns_at = days.local(now + 12 * HOUR_MS, ZONE).strftime("%H:00")
    today = days.logical_date(begun_at, ZONE, turns_at)
    starts_on = today - (lived - 1) * DAY
    clock = MovableClock(begun_at - lived * DAY_MS)
    journal = open_journal(home, clock)
    try:
        rules = challenges.Rules("humpback", data_dir, starts_on, size.days, 60, 10, ZONE, "daily", turns_at)
        challenge = challenges.found(journal, rules, starts_on)
        look_at_presets(journal)
        with journal.writing() as db:
            _Writer(db, challenge, size, lived, begun_at, data_dir).write()
        clock.at = begun_at
        sessions.start(journal)
    finally:
        journal.close()


class _Writer:
    """Draws the rows of one challenge. Day 0 is its first day; `_at(day)` is when its hour begins."""

    def __init__(
        self, db: Session, challenge: Challenge, size: Size, lived: int, begun_at: int, data_dir: Path
    ) -> None:
        self.db, self.challenge, self.size, self.lived = db, challenge, size, lived
        self.begun_at, self.data_dir = begun_at, data_dir
        self.draw, self.known_words = random.Random(1), WORDS.split()

    def write(self) -> None:
        self._hours()
        self._notes()
        self._runs()
        self._references()
        self._todos()
        self._put(
            InboxItem,
            [
                self._row(day, body=self._words(9), local_date=self._on(day), outside_hour=day % 2 == 0)
                for day in range(self.lived)
            ],
        )

    def _hours(self) -> None:
        """Five of six days have an hour; of the others every second is one of rest."""
        hours, events = [], []
        for day in range(self.lived - 1):
            if day % 6 == 5:
                continue
            at, session_id = self._at(day), day + 1
            ends_at = days.day_ends(self._on(day), ZONE, self.challenge.day_starts_at)
            said = [(EventKind.START, 0, ""), (EventKind.ACTIVITY, 12, "code"), (EventKind.ACTIVITY, 40, "analyse")]
            said += [(EventKind.PAUSE, 44, "door"), (EventKind.RESUME, 52, "")] if day % 3 == 0 else []
            said += [(EventKind.END, 60, "")] if day % 7 == 0 else []
            happened = [Event(kind, at + minute * MINUTE_MS) for kind, minute, _ in said]
            hour = fold(happened, HOUR_MS, 10 * MINUTE_MS, ends_at)
            hours.append(
                dict(
                    id=session_id,
                    challenge_id=self.challenge.id,
                    local_date=self._on(day),
                    time_zone=ZONE,
                    day_number=day + 1,
                    allowance_ms=HOUR_MS,
                    reflection_ms=10 * MINUTE_MS,
                    day_ends_at=ends_at,
                    started_at=at,
                    running_since=hour.running_since,
                    focus_ends_at=hour.focus_ends_at,
                    reflection_ends_at=hour.reflection_ends_at,
                    used_ms=hour.used_ms,
                    closed_at=hour.closes_at(),
                )
            )
            events += [
                dict(session_id=session_id, kind=kind.value, at=at + minute * MINUTE_MS, detail=detail)
                for kind, minute, detail in said
            ]
        self._put(DailySession, hours)
        self._put(SessionEvent, events)
        rests = [dict(challenge_id=self.challenge.id, local_date=self._on(day)) for day in range(5, self.lived - 1, 12)]
        self._put(RestDay, rests)

    def _notes(self) -> None:
        """One a day with links, about 3 KB, two revisions kept of each; and one outside the days for every nine of them."""
        rows, kept = [], []
        for day in range(self.lived):
            body = self._body(day)
            at = self._at(day) + 50 * MINUTE_MS
            late = day % 11 == 0
            rows.append(
                self._row(day, id=day + 1, local_date=self._on(day), body=body, revision=3, updated_at=at, late=late)
            )
            kept += [
                dict(note_id=day + 1, revision=number, body=body[: 1_000 * number], late=False, saved_at=at - number)
                for number in (1, 2)
            ]
        for number in range(self.lived // 9):
            row = self._row(number * 9, id=self.lived + number + 1, title=f"Idea {number}", kind="idea")
            rows.append(row | dict(body=self._words(120), revision=1, updated_at=self._at(number * 9), local_date=None))
        for row in rows:
            row.setdefault("title", None)
            row.setdefault("kind", "day")
            row.setdefault("late", False)
        self._put(Note, rows)
        self._put(NoteRevision, kept)

    def _body(self, day: int) -> str:
        linked = f"As on [[day-{max(1, day - 6)}]], and &reference-{self.draw.randrange(self.size.references)}."
        run = f"@{self._run_key(self._run_of(day))} #{self.draw.choice(('tta', 'crops', 'folds'))}"
        needle = "a needle\n" if day == self.lived // 2 else ""
        return (
            f"## Tried\n\n{self._words(350)}\n\n{linked} {run}\n\n## Learnt\n\n{needle}{self._words(60)}\n\n"
            f"## Next\n\n{self._words(12)}\n"
        )

    def _runs(self) -> None:
        """As many a day as fit; two or three of an experiment. One in fifteen failed, one in five was submitted."""
        draw, runs, jobs, attempts, scores, curves, sent, board = self.draw, [], [], [], [], [], [], []
        spec = RunSpec.model_validate({"data": {"dir": str(self.data_dir)}, "folds": FOLDS}).model_dump_json()
        experiments = [
            self._row(self._day_of(number), id=number + 1, key=f"humpback_{number + 1:03d}", hypothesis=self._words(8))
            for number in range(0, self.size.runs)
            if number % 5 in (0, 2)
        ]
        epochs = np.arange(1, 21, dtype=np.float32)
        for number in range(self.size.runs):
            run_id, day, waits = number + 1, self._day_of(number), self.size.runs - number
            # One after another through the night; today's were quick.
            pace_ms = 45 * MINUTE_MS if day < self.lived - 1 else MINUTE_MS // 2
            queued_at = self._at(day) + draw.randrange(MINUTE_MS)
            begins_at = self._at(day) + MINUTE_MS + pace_ms * (number - self._run_of(day))
            ran_ms = draw.randrange(pace_ms // 10, pace_ms)
            state = "succeeded" if number % 15 else "failed"
            state = {1: "queued", 2: "queued", 3: "running"}.get(waits, state)
            done = state == "succeeded"
            cv = 0.55 + 0.3 * number / self.size.runs + draw.uniform(-0.05, 0.03)
            started_at = None if state == "queued" else begins_at
            finished_at = begins_at + ran_ms if state in ("succeeded", "failed") else None
            runs.append(
                self._row(
                    day,
                    id=run_id,
                    experiment_id=self._experiment_of(number) + 1,
                    key=self._run_key(number),
                    local_date=self._on(day),
                    spec=spec,
                    spec_source="cpu-transfer",
                    metric="map5",
                    direction="max",
                    cv=cv if done else None,
                    threshold=0.4 if done else None,
                    images=9_850 if done else None,
                    classes=5_005 if done else None,
                    train_s=ran_ms / 1000 if done else None,
                    gpu_s=ran_ms / 1000 if done and number % 2 else None,
                    device="cuda:0" if number % 2 else "cpu",
                    data_sha256=f"{number // 2_000:064x}" if done else None,
                    folds_sha256=f"{number // 2_000:064x}" if done else None,
                    wandb_mode="offline" if done else None,
                    remarks=json.dumps(["one image has no label"]) if number % 9 == 0 else None,
                    started_at=started_at,
                    finished_at=finished_at,
                )
                | dict(created_at=queued_at)
            )
            jobs.append(
                dict(
                    id=run_id,
                    run_id=run_id,
                    state=state,
                    backend="local",
                    slot="cpu" if state == "running" else None,
                    attempt=int(state != "queued"),
                    message="the training ended with exit 1" if state == "failed" else "",
                    estimated_s=600.0,
                    origin="import",
                    queued_at=queued_at,
                    started_at=started_at,
                    first_started_at=started_at,
                    finished_at=finished_at,
                )
            )
            if finished_at is not None:
                held = dict(started_at=started_at, ended_at=finished_at, exit_code=0 if done else 1)
                attempts.append(dict(job_id=run_id, number=1, backend="local", slot="cpu", gpus=number % 2) | held)
            if not done:
                continue
            for fold_number in range(FOLDS):
                score = cv + draw.uniform(-0.01, 0.01)
                scores.append(dict(run_id=run_id, fold=fold_number, score=score, images=1_970))
                points = (score * (1 - np.exp(-epochs / 4))).astype(np.float32)
                curves.append(
                    dict(run_id=run_id, fold=fold_number, metric="valid/map5")
                    | dict(epochs=epochs_blob(epochs.tolist()), points=points_blob(points.tolist()))
                )
            if number % 5 == 1:
                path = f"runs/{self._run_key(number)}/submission.csv"
                submission = self._row(day, id=run_id, run_id=run_id, sha256=f"{run_id:064x}", path=path)
                sent.append(submission | dict(created_at=queued_at + HOUR_MS))
                for source in ("local", "manual")[: 1 + number % 2]:
                    board.append(
                        dict(submission_id=run_id, source=source, public=cv - 0.02, private=cv - 0.03)
                        | dict(origin="import", scored_at=queued_at + 2 * HOUR_MS)
                    )
        for table, rows in (
            (Experiment, experiments),
            (Run, runs),
            (Job, jobs),
            (AttemptRow, attempts),
            (FoldScore, scores),
            (Curve, curves),
            (Submission, sent),
            (LeaderboardScore, board),
        ):
            self._put(table, rows)

    def _references(self) -> None:
        """Spread over the days; one run in three used one."""
        self._put(
            Reference,
            [
                self._row(
                    number * self.lived // self.size.references,
                    id=number + 1,
                    key=f"reference-{number}",
                    url=f"https://example.org/{number}",
                    title=self._words(8),
                    author=self._words(2),
                    licence="Apache 2.0" if number % 3 else "",
                    taken=self._words(12),
                    kind=KINDS[number % len(KINDS)],
                )
                for number in range(self.size.references)
            ],
        )
        used = [
            dict(run_id=number + 1, reference_id=self.draw.randrange(self.size.references) + 1)
            for number in range(0, self.size.runs, 3)
        ]
        self._put(RunReference, used)

    def _todos(self) -> None:
        """Done on their day, but for the last ones; one in ten is linked to a run or reference."""
        rows, linked = [], []
        for number in range(self.size.todos):
            day = number * self.lived // self.size.todos
            open_still = number >= self.size.todos - OPEN_TODOS
            done_at = None if open_still else self._at(day) + 30 * MINUTE_MS
            rows.append(
                self._row(
                    day,
                    id=number + 1,
                    title=self._words(6),
                    minutes=5.0 * (1 + number % 4),
                    planned_on=self._on(day),
                    position=number,
                    done_at=done_at,
                )
            )
            if number % 10 == 0:
                target = dict(run_id=number % self.size.runs + 1, reference_id=None)
                linked.append(dict(todo_id=number + 1) | target)
            elif number % 10 == 5:
                target = dict(run_id=None, reference_id=number % self.size.references + 1)
                linked.append(dict(todo_id=number + 1) | target)
        self._put(Todo, rows)
        self._put(TodoLink, linked)

    def _put(self, table: type[Base], rows: list[dict[str, Any]]) -> None:
        if rows:
            self.db.connection().execute(insert(table), rows)

    def _row(self, day: int, **values: Any) -> dict[str, Any]:
        return {"challenge_id": self.challenge.id, "origin": "import", "created_at": self._at(day), **values}

    def _words(self, count: int) -> str:
        return " ".join(self.draw.choices(self.known_words, k=count))

    def _on(self, day: int) -> date:
        return self.challenge.starts_on + day * DAY

    def _at(self, day: int) -> int:
        return self.begun_at - (self.lived - 1 - day) * DAY_MS

    def _day_of(self, run: int) -> int:
        return run * self.lived // self.size.runs

    def _run_of(self, day: int) -> int:
        """The first run of a day."""
        return -(-day * self.size.runs // self.lived)

    def _experiment_of(self, run: int) -> int:
        """The number of the run that was the first of its experiment."""
        return run - (0, 1, 0, 1, 2)[run % 5]

    def _run_key(self, run: int) -> str:
        first = self._experiment_of(run)
        return f"humpback_{first + 1:03d}-r{run - first + 1:02d}"

"""How CV and leaderboard stand: what was scored in both, the line between them, the alarm with its causes, and the advice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import func
from sqlalchemy import select as columns
from sqlmodel import Session, col

from app.journal.home import Home
from app.journal.tables import Challenge, Run
from app.scores import advice, agreement, causes
from app.scores.advice import Candidate, FinalTwo, SubmitAdvice
from app.scores.agreement import Alarm, Line, Scored
from app.scores.causes import Cause, Evidence
from app.scores.run_rows import spread
from app.scores.submissions import slots
from app.scores.submitted import Submitted, submitted
from app.scores.verdict import Verdict, compare
from engine.contract import METRIC_DIRECTIONS, OnehourError, RunSpec
from engine.run_folder import RunFolder

SEED = 20_190_228  # of the worlds that the final two are tried in: the same advice for the same scores


@dataclass(frozen=True)
class Standing:
    """`scored`, `line` and `outliers` over all that have CV and public score, in the order of sending; `causes` of the newest."""

    submitted: tuple[Submitted, ...]
    scored: tuple[Scored, ...]
    line: Line | None
    outliers: tuple[Scored, ...]
    alarm: Alarm | None
    causes: tuple[Cause, ...]


def read(db: Session, home: Home, challenge: Challenge) -> Standing:
    every = submitted(db, challenge)
    direction = METRIC_DIRECTIONS[challenge.metric]
    scored = tuple(_scored(one) for one in every if one.cv is not None and one.public is not None)
    newest = next((one for one in reversed(every) if one.cv is not None and one.public is not None), None)
    return Standing(
        tuple(every),
        scored,
        agreement.line(scored),
        tuple(agreement.outliers(scored)),
        agreement.alarm(scored, direction),
        tuple(causes.causes(_evidence(db, home, challenge, newest))) if newest is not None else (),
    )


def submit_advice(db: Session, challenge: Challenge, standing: Standing, run_key: str, now: int) -> SubmitAdvice:
    """Whether a run with a submission is worth one of the day's. Raises OnehourError for one without a CV."""
    candidate = next((one for one in standing.submitted if one.run_key == run_key), None)
    if candidate is None or candidate.cv is None:
        raise OnehourError("there is no CV and submission of it to advise on", where=run_key)
    direction = METRIC_DIRECTIONS[challenge.metric]
    others = [one for one in standing.submitted if one.run_key != run_key and one.sent and one.cv is not None]
    scored = [_scored(one) for one in others if one.public is not None]
    return advice.submit(
        _scored(candidate), _against_best(candidate, others, direction), scored, agreement.line(scored),
        slots(db, challenge, now), direction,
    )  # fmt: skip


def final_two(challenge: Challenge, standing: Standing) -> FinalTwo | None:
    """Of what was sent; where nothing was (a leaderboard at home), of all that could have been."""
    sent = [one for one in standing.submitted if one.sent and one.cv is not None]
    among = sent or [one for one in standing.submitted if one.cv is not None]
    candidates = [
        Candidate(one.run_key, one.family, one.cv, tuple(sorted(one.folds.items())), one.public, one.on)
        for one in among
        if one.cv is not None
    ]
    return advice.final_two(candidates, METRIC_DIRECTIONS[challenge.metric], Random(SEED))


def _scored(one: Submitted) -> Scored:
    assert one.cv is not None
    return Scored(one.run_key, one.family, one.cv, spread(list(one.folds.values())), len(one.folds), one.public or 0.0)


def _against_best(candidate: Submitted, sent: list[Submitted], direction: agreement.Direction) -> Verdict | None:
    """The candidate against the best run that was sent on the same data and folds."""
    same = [one for one in sent if one.on == candidate.on and None not in one.on and one.cv is not None]
    if not same:
        return None
    sign = 1 if direction == "max" else -1
    best = max(same, key=lambda one: sign * (one.cv or 0.0))
    return compare(candidate.folds, best.folds, direction, best.run_key)


def _evidence(db: Session, home: Home, challenge: Challenge, newest: Submitted) -> Evidence:
    run = db.get(Run, newest.run_id)
    assert run is not None
    spec = None
    if run.kind == "train":
        try:
            spec = RunSpec.model_validate_json(run.spec)
        except ValueError:  # an Onehour with other keys wrote it
            spec = None
    tried = db.connection().execute(
        columns(func.count()).where(
            col(Run.challenge_id) == challenge.id, col(Run.cv).is_not(None), col(Run.folds_sha256) == run.folds_sha256
        )
    )
    return Evidence(run.kind, spec, _threshold(RunFolder(home.run_dir(run.key))), tried.scalar_one())


def _threshold(folder: RunFolder) -> dict[str, Any]:
    try:
        read = json.loads(folder.threshold_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}

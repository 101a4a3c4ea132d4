"""A leaderboard at home: submissions scored against a truth file, all of them at once for a person, or one by an errand.

Each scoring is a process of its own: the app never loads what it takes, and the worker waits for none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from app.jobs import errands
from app.journal import challenges
from app.journal.home import CHECKOUT
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, LeaderboardScore, Run, Submission
from app.scores.lb_scores import LOCAL, Scored, forget, newest_submission, store, submission_of
from app.scores.runs import submission_path
from engine.contract import OnehourError, nearest

KIND = "home_score"
LONGEST_S = 120


@dataclass(frozen=True)
class AtHome:
    """The submissions that were scored, and those that were not: run's key and reason."""

    scored: list[Scored]
    refused: list[tuple[str, str]]


def use_truth(journal: Journal, path: Path) -> AtHome:
    """Take `path` as the truth of the active challenge's test images and score every submission so far against it.

    A submission that is gone or does not fit is passed over. Nothing is stored where none fits, or when the file itself is
    refused (OnehourError).
    """
    truth = path.expanduser().resolve()
    with journal.reading() as db:
        challenge = challenges.active(db)
        submissions = _submissions(db, challenge)
    _require_truth(truth, challenge)
    scored: list[tuple[Submission, Scored]] = []
    refused: list[tuple[str, str]] = []
    unfit: list[Submission] = []
    for one, run in submissions:
        try:
            scored.append((one, _scored(challenge, truth, submission_path(journal.home, one), run)))
        except OnehourError as error:
            refused.append((run.key, str(error)))
            unfit.append(one)
    if refused and not scored:
        raise OnehourError(refused[0][1], fix="No submission fits this truth file, so it was not taken.")
    with journal.writing() as db:
        stored = db.get(Challenge, challenge.id)
        assert stored is not None
        stored.truth_path = str(truth)
        db.add(stored)
        for submission, found in scored:
            store(db, submission, LOCAL, found, journal.now(), origin="system")
        for submission in unfit:  # another truth file's score would stand beside this one's
            forget(db, submission, LOCAL)
    return AtHome([found for _, found in scored], refused)


def score(journal: Journal, run_key: str) -> Scored | None:
    """Score a run's submission against the challenge's truth file; None when the challenge has none."""
    with journal.reading() as db:
        submission, run = submission_of(db, run_key)
        challenge = db.get(Challenge, run.challenge_id)
    assert challenge is not None
    if challenge.truth_path is None:
        return None
    truth = Path(challenge.truth_path)
    _require_truth(truth, challenge)  # it may have changed since it was taken
    found = _scored(challenge, truth, submission_path(journal.home, submission), run)
    with journal.writing() as db:
        store(db, submission, LOCAL, found, journal.now(), origin="system")
    return found


def ask(journal: Journal, run: Run) -> None:
    """Let a run's submission be scored soon, where the challenge has a truth file and the run a submission."""
    with journal.writing() as db:
        challenge = db.get(Challenge, run.challenge_id)
        assert challenge is not None
        if challenge.truth_path is not None and newest_submission(db, run.id) is not None:
            errands.ask(db, KIND, run.key, journal.now(), challenge_id=challenge.id, origin="system")


def look(journal: Journal, errand: Errand) -> dict[str, Any] | None:
    """The errand: `score` of its run."""
    found = score(journal, errand.subject)
    return None if found is None else {"public": found.public, "private": found.private}


def is_open(db: Session, run_key: str) -> bool:
    """Whether a run's submission is still to be scored."""
    last = errands.newest(db, KIND, run_key)
    return last is not None and last.ended_at is None


def why_none(db: Session, run_key: str) -> str:
    """Why a run's submission could not be scored at home when that was tried last; empty when it was, or nobody tried."""
    last = errands.newest(db, KIND, run_key)
    if last is None or last.state != errands.FAILED:
        return ""
    submission, _ = submission_of(db, run_key)
    scored_at = db.exec(
        select(LeaderboardScore.scored_at).where(
            LeaderboardScore.submission_id == submission.id, LeaderboardScore.source == LOCAL
        )
    ).first()
    return "" if scored_at is not None and scored_at >= (last.ended_at or 0) else last.message


def _submissions(db: Session, challenge: Challenge) -> list[tuple[Submission, Run]]:
    query = select(Submission, Run).join(Run, col(Submission.run_id) == col(Run.id))
    rows = db.exec(query.where(Submission.challenge_id == challenge.id).order_by(col(Submission.id))).all()
    return [(submission, run) for submission, run in rows]


def _require_truth(truth: Path, challenge: Challenge) -> None:
    """The header alone; the rows are checked by whoever scores with them."""
    try:
        with truth.open(encoding="utf-8-sig") as file:
            columns = [name.strip().strip('"') for name in file.readline().strip().split(",")]
    except FileNotFoundError:
        raise OnehourError("there is no such truth file", where=str(truth)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OnehourError(f"the truth file cannot be read ({error})", where=str(truth)) from None
    wanted = [challenge.image_col, challenge.label_col]
    for needed in wanted:
        if needed not in columns:
            raise OnehourError(f"the column {needed!r} is missing", where=str(truth), fix=nearest(needed, columns))
    if columns[:2] != wanted:
        raise OnehourError(
            f"the first two columns are {columns[0]!r} and {columns[1]!r}",
            where=str(truth),
            fix=f"Begin each row with {wanted[0]!r} and {wanted[1]!r}, in this order.",
        )


def _scored(challenge: Challenge, truth: Path, predictions: Path, run: Run) -> Scored:
    """One scoring in a child process: the app itself never loads what it takes."""
    command = [sys.executable, "-m", "engine", "score", "--metric", challenge.metric, "--json"]
    command += ["--truth", str(truth), "--predictions", str(predictions)]
    try:
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise OnehourError(f"scoring took longer than {LONGEST_S} s", where=str(predictions)) from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["the scoring ended without a reason"]
        raise OnehourError(lines[-1])
    scores = json.loads(done.stdout)
    whole = scores["all"] if scores["public"] is None and scores["private"] is None else scores["private"]
    return Scored(run.key, scores["public"], whole)

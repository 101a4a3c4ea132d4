"""Sending a run's submission: asked for in the hour, held against the sample first, sent once by an errand."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, or_, select

from app.jobs import errands, installed, sample_challenge
from app.jobs.kaggle_account import Account, no_key
from app.jobs.kaggle_competition import Competition, Limits, slug_of
from app.jobs.kaggle_errand import patient, told
from app.jobs.patience import Appointed
from app.journal import challenges, rules, sittings
from app.journal.days import MINUTE_MS
from app.journal.home import COMMAND
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, Experiment, Run, Submission
from app.scores import sent_submissions, submission_file
from app.scores.lb_scores import newest_ids, newest_submission, submission_of
from app.scores.runs import submission_path
from app.scores.sent_submissions import ERROR, PENDING
from app.scores.submissions import Slots, keep_allowance, slots
from engine.contract import METRIC_DIRECTIONS, OnehourError
from engine.run_folder import file_sha256

KIND = "submit"
FIRST_LOOK_MS = 15_000  # after sending, for the score


@dataclass(frozen=True)
class Checked:
    """A run's submission whose file was looked through, ready to be written down."""

    run_key: str
    submission_id: int
    message: str
    origin: str


def ask(journal: Journal, run_key: str, words: str = "", *, origin: str = "person") -> Errand:
    """Let a run's submission be sent; without `words` the hypothesis stands beside it. Nothing is sent that Kaggle would refuse.

    Raises AgainstTheRules outside the hour, OnehourError when none is left today, when it was sent, and for what is wrong
    with the file.
    """
    checked = check(journal, run_key, words, origin=origin)
    with journal.writing() as db:
        return write_down(db, checked, journal.now())


def check(journal: Journal, run_key: str, words: str = "", *, origin: str = "person") -> Checked:
    """The part of `ask` that reads files, before the transaction. Raises as `ask` does."""
    with journal.reading() as db:
        challenge = challenges.active(db)
        mine, run = submission_of(db, run_key)
        if run.challenge_id != challenge.id:
            raise OnehourError("this run belongs to a challenge that has ended", where=run_key)
        if origin == "person":
            _require_hour(db, challenge, journal.now())
        experiment = db.get(Experiment, run.experiment_id)
    _require_kaggle(challenge)
    path = submission_path(journal.home, mine)
    _require_same_file(path, mine)
    submission_file.check(path, sample_of(challenge, run))
    message = sent_submissions.message_of(run.key, run.cv, words or (experiment.hypothesis if experiment else ""))
    assert mine.id is not None
    return Checked(run.key, mine.id, message, origin)


def write_down(db: Session, checked: Checked, now: int) -> Errand:
    """The part of `ask` that writes. In a writing transaction; raises as `ask` does, before anything is written."""
    challenge = challenges.active(db)
    if checked.origin == "person":
        _require_hour(db, challenge, now)
    fresh = db.get(Submission, checked.submission_id)
    assert fresh is not None
    _require_unsent(fresh, checked.run_key)
    open_one = _open(db, checked.run_key)
    if open_one is not None:
        return open_one
    if checked.origin == "person":
        _require_slot(db, challenge, now)
    return errands.ask(
        db, KIND, checked.run_key, now,
        challenge_id=challenge.id, origin=checked.origin, message=checked.message, sha256=fresh.sha256,
    )  # fmt: skip


@patient
def submit(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Send it, unless the account's list shows that it was: an answer that was lost sends nothing twice."""
    asked = told(errand)
    with journal.reading() as db:
        mine, run = submission_of(db, errand.subject)
        challenge = db.get(Challenge, run.challenge_id)
        known = set(db.exec(select(Submission.kaggle_ref).where(Submission.challenge_id == run.challenge_id)).all())
    assert challenge is not None
    if mine.kaggle_ref is not None and mine.kaggle_status != ERROR:
        return {"ref": mine.kaggle_ref}
    path = submission_path(journal.home, mine)
    if mine.sha256 != asked["sha256"]:
        raise OnehourError("its submission is another one now than when it was asked for", where=errand.subject)
    _require_same_file(path, mine)
    account = Account()
    competition = Competition(account, slug_of(challenge.competition))
    listed = competition.submissions()
    ref = next((one.ref for one in listed if one.message == asked["message"] and one.ref not in known), None)
    limits = competition.limits()
    if ref is None:
        _require_allowance(journal, challenge, limits, waits=errand.origin == "system")
        ref = competition.send(path, asked["message"])
        limits = Limits(limits.sent_today + 1, max(0, limits.left_today - 1))
    _keep(journal, mine, challenge, ref, asked["message"], limits)
    return {"ref": ref, "account": account.user}


def sample_of(challenge: Challenge, run: Run) -> Path:
    """The sample submission that a run's own is held against."""
    data = json.loads(run.spec).get("data", {})
    name = data.get("sample_submission") if isinstance(data, dict) else None
    path = Path(challenge.data_dir) / (name or challenge.sample_submission)
    if not path.is_file():
        raise OnehourError(
            "there is no sample submission to hold the file against",
            where=str(path),
            fix=f"Kaggle gives it with the data: {COMMAND} data download.",
        )
    return path


def is_possible(challenge: Challenge) -> bool:
    """Whether the challenge is one at Kaggle and there is a key: else no page offers to send."""
    return challenge.competition != sample_challenge.SLUG and bool(installed.kaggle_key())


def submission(db: Session, run_key: str) -> Submission | None:
    """The newest submission of a run; None where it has none yet."""
    run_id = db.exec(select(Run.id).where(Run.key == run_key)).first()
    return None if run_id is None else newest_submission(db, run_id)


def unsent_runs(db: Session, challenge: Challenge, keys: Collection[str] | None = None, limit: int = 100) -> list[str]:
    """The keys of runs, those alone that are among `keys`, whose newest submission was not sent, or was refused, as far as is
    known; the best CV first."""
    which = [col(Submission.challenge_id) == challenge.id]
    if keys is not None:
        which.append(col(Submission.run_id).in_(select(Run.id).where(col(Run.key).in_(keys))))
    unsent = or_(col(Submission.kaggle_ref).is_(None), Submission.kaggle_status == ERROR)
    query = select(Run.key).join(Submission, col(Submission.run_id) == col(Run.id))
    best = col(Run.cv).desc() if METRIC_DIRECTIONS[challenge.metric] == "max" else col(Run.cv)
    return list(
        db.exec(query.where(col(Submission.id).in_(newest_ids(*which)), unsent).order_by(best).limit(limit)).all()
    )


def newest(db: Session, run_key: str) -> Errand | None:
    """What became of the last wish to send a run's submission."""
    return errands.newest(db, KIND, run_key)


def under_way(db: Session, challenge: Challenge) -> set[str]:
    """The keys of the runs whose submission is about to be sent: each takes a place before it is."""
    query = select(Errand.subject).where(Errand.kind == KIND, Errand.challenge_id == challenge.id)
    return set(db.exec(query.where(col(Errand.state).in_((errands.OPEN, errands.RUNNING)))).all())


def slots_left(db: Session, challenge: Challenge, now: int) -> Slots | None:
    """As `submissions.slots`, less those that are about to be sent."""
    known = slots(db, challenge, now)
    if known is None:
        return None
    return Slots(max(0, known.left - len(under_way(db, challenge))), known.a_day, known.resets_in_ms)


def _require_hour(db: Session, challenge: Challenge, now: int) -> None:
    rules.require(rules.Action.WORK, sittings.sitting(db, challenge, now).moment, "Submitting")


def _require_kaggle(challenge: Challenge) -> None:
    if challenge.competition == sample_challenge.SLUG:
        raise OnehourError("the sample is no competition at Kaggle", fix="Its leaderboard is the one at home.")
    if not installed.kaggle_key():
        raise no_key()


def _require_same_file(path: Path, mine: Submission) -> None:
    if not path.is_file():
        raise OnehourError("the submission is not there any more", where=str(path))
    if mine.sha256 and file_sha256(path) != mine.sha256:
        raise OnehourError("this is not the file that the run wrote", where=str(path), fix="Run it again.")


def _require_unsent(mine: Submission, run_key: str) -> None:
    if mine.kaggle_ref is not None and mine.kaggle_status != ERROR:
        raise OnehourError(f"it was sent and is number {mine.kaggle_ref} at Kaggle", where=run_key)


def _require_slot(db: Session, challenge: Challenge, now: int) -> None:
    left = slots_left(db, challenge, now)
    if left is not None and left.left == 0:
        raise OnehourError(
            f"none of today's {left.a_day} submissions is left", fix=f"The next ones come in {_in(left)}."
        )


def _require_allowance(journal: Journal, challenge: Challenge, limits: Limits, *, waits: bool) -> None:
    """What the account itself says; a standing order waits for the next UTC day."""
    if limits.left_today > 0:
        return
    with journal.writing() as db:
        keep_allowance(db, challenge.id, limits.sent_today, limits.left_today, journal.now())
        left = slots(db, challenge, journal.now())
    assert left is not None
    what = f"Kaggle takes no more submissions today, {limits.sent_today} were sent"
    if waits:
        raise Appointed(what, left.resets_in_ms / 1000 + 60)
    raise OnehourError(what, fix=f"The next ones come in {_in(left)}.")


def _in(left: Slots) -> str:
    minutes = round(left.resets_in_ms // MINUTE_MS)
    return f"{minutes // 60} h {minutes % 60} min (UTC)"


def _open(db: Session, run_key: str) -> Errand | None:
    query = select(Errand).where(Errand.kind == KIND, Errand.subject == run_key)
    return db.exec(query.where(col(Errand.state).in_((errands.OPEN, errands.RUNNING)))).first()


def _keep(journal: Journal, mine: Submission, challenge: Challenge, ref: int, message: str, limits: Limits) -> None:
    now = journal.now()
    with journal.writing() as db:
        row = db.get(Submission, mine.id)
        assert row is not None
        row.kaggle_ref, row.kaggle_status, row.kaggle_error = ref, PENDING, None
        row.description, row.sent_at = message, now
        db.add(row)
        keep_allowance(db, challenge.id, limits.sent_today, limits.left_today, now)
        errands.ask(
            db, "scores", slug_of(challenge.competition), now,
            challenge_id=challenge.id, origin="system", due_at=now + FIRST_LOOK_MS,
        )  # fmt: skip

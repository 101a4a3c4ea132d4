"""When Kaggle is asked without anybody asking: at most once an hour, while a challenge is active and there is a key."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.jobs import configured, errands, kaggle_position, kaggle_scores, sample_challenge, submitting
from app.jobs.backends.settings import KaggleSettings
from app.jobs.kaggle_competition import slug_of
from app.journal import challenges
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand
from engine.contract import OnehourError

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
AFTER_FAILURE_MS = 24 * HOUR_MS
KINDS = (kaggle_scores.KIND, kaggle_position.KIND, submitting.KIND, "download")


@dataclass(frozen=True)
class AccountStatus:
    """Of the newest errands: who answered last, and what went wrong since. Moments in milliseconds UTC; None: never."""

    user: str = ""
    last_contact_at: int | None = None
    error: str = ""
    error_at: int | None = None


class Looks:
    """Those of one worker."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.next_at = journal, 0

    def tick(self) -> None:
        """Write down what is due; looked at once a minute."""
        now = self.journal.now()
        if now < self.next_at:
            return
        self.next_at = now + MINUTE_MS
        with self.journal.reading() as db:
            challenge = challenges.find_active(db)
            if challenge is None or not submitting.is_possible(challenge):
                return
            due = [kind for kind in (kaggle_scores.KIND, kaggle_position.KIND) if _is_due(db, kind, challenge, now)]
            probes = [name for name in backends(self.journal.home) if _is_old(errands.newest(db, "probe", name), now)]
        if due or probes:
            with self.journal.writing() as db:
                for kind in due:
                    _ask(db, kind, challenge, now, origin="system")
                for name in probes:
                    errands.ask(db, "probe", name, now, origin="system")


def ask_now(journal: Journal) -> list[int]:
    """Ask for submissions, scores and the leaderboard at once; the errands to wait for. Raises OnehourError where none can be."""
    with journal.writing() as db:
        challenge = challenges.active(db)
        if challenge.competition == sample_challenge.SLUG:
            raise OnehourError("the sample is no competition at Kaggle", fix="Its leaderboard is the one at home.")
        both = [_ask(db, kind, challenge, journal.now()) for kind in (kaggle_scores.KIND, kaggle_position.KIND)]
        return [errand.id for errand in both]


def backends(home: Home) -> list[str]:
    """The backends that are Kaggle's. None of a config.toml that cannot be read: whoever uses it is told."""
    try:
        names = configured.names(home)
    except OnehourError:
        return []
    return [name for name in names if _is_kaggle(home, name)]


def account_status(db: Session) -> AccountStatus:
    """What the newest errands say of the account."""
    ours = col(Errand.kind).in_(KINDS)
    done = db.exec(select(Errand).where(ours, Errand.state == errands.DONE).order_by(col(Errand.id).desc())).first()
    user = "" if done is None else str((errands.answer_of(done) or {}).get("account", ""))
    contact_at = None if done is None else done.ended_at
    failed = db.exec(
        select(Errand)
        .where(ours, col(Errand.state).in_((errands.FAILED, errands.OPEN)), Errand.message != "")
        .order_by(col(Errand.id).desc())
    ).first()
    if failed is None or (contact_at is not None and (failed.ended_at or failed.started_at or 0) <= contact_at):
        return AccountStatus(user, contact_at)
    return AccountStatus(user, contact_at, failed.message, failed.ended_at or failed.started_at)


def _ask(db: Session, kind: str, challenge: Challenge, now: int, origin: str = "person") -> Errand:
    return errands.ask(db, kind, slug_of(challenge.competition), now, challenge_id=challenge.id, origin=origin)


def _is_due(db: Session, kind: str, challenge: Challenge, now: int) -> bool:
    return _is_old(errands.newest(db, kind, slug_of(challenge.competition)), now)


def _is_old(errand: Errand | None, now: int) -> bool:
    """One that failed will not do better in an hour: it is left for a day, unless somebody asks."""
    if errand is None:
        return True
    if errand.state in (errands.OPEN, errands.RUNNING):
        return False
    return now - errand.asked_at >= (AFTER_FAILURE_MS if errand.state == errands.FAILED else HOUR_MS)


def _is_kaggle(home: Home, name: str) -> bool:
    try:
        return isinstance(configured.settings_of(home, name), KaggleSettings)
    except OnehourError:
        return False

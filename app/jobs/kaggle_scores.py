"""The errand that asks the account for its submissions: states, scores, what was sent elsewhere, and what may still be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, select

from app.jobs import errands
from app.jobs.kaggle_account import Account
from app.jobs.kaggle_competition import Competition, slug_of
from app.jobs.kaggle_errand import patient, told
from app.journal import challenges
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand
from app.scores import sent_intake
from app.scores.sent_submissions import PENDING, AtKaggle, Ours, match, worth_reading
from app.scores.submissions import keep_allowance

KIND = "scores"
DAY_MS = 86_400_000
# Between two looks while a score is to come: the first, doubled each time up to the longest.
SHORTEST_S, LONGEST_S = 15.0, 600.0
MOST_READ = 20  # files of unknown origin at a look


@patient
def look(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Take in what the account says of its submissions; while a score is to come, have it asked again later."""
    with journal.reading() as db:
        challenge = db.get(Challenge, errand.challenge_id) if errand.challenge_id else challenges.active(db)
        assert challenge is not None
        mine = sent_intake.ours(db, journal.home, challenge)
    account = Account()
    competition = Competition(account, slug_of(challenge.competition))
    listed = competition.submissions()
    matched = match(listed, mine)
    matched |= by_content(competition, worth_reading(listed, mine, matched)[:MOST_READ], mine)
    limits = competition.limits()
    found = sent_intake.take_in(journal, challenge.id, listed, matched)
    with journal.writing() as db:
        keep_allowance(db, challenge.id, limits.sent_today, limits.left_today, journal.now())
        pending = any(one.status == PENDING and journal.now() - one.at < DAY_MS for one in listed)
        if pending and not _is_asked(db, errand):
            waited_s = float(told(errand).get("after_s", SHORTEST_S / 2))
            after_s = min(LONGEST_S, 2 * waited_s)
            errands.ask(
                db, KIND, errand.subject, journal.now(), challenge_id=challenge.id, origin="system",
                due_at=journal.now() + round(after_s * 1000), after_s=after_s,
            )  # fmt: skip
    return {
        "account": account.user,
        "submissions": len(listed),
        "pending": len(found.pending),
        "without_run": [ref for ref in found.new if ref not in matched],
    }


def _is_asked(db: Session, errand: Errand) -> bool:
    """Whether another look is to come in any case."""
    same = Errand.kind == KIND, Errand.subject == errand.subject, Errand.state == errands.OPEN
    return db.exec(select(Errand.id).where(*same).limit(1)).first() is not None


def by_content(competition: Competition, listed: Sequence[AtKaggle], mine: Sequence[Ours]) -> dict[int, int]:
    """The id of ours for each that holds the same bytes; each of ours once."""
    unsent = {one.sha256: one.id for one in mine if one.ref is None and one.run_key and one.sha256}
    found = {}
    for each in sorted(listed, key=lambda one: one.at):
        sha256 = hashlib.sha256(competition.content(each.ref)).hexdigest()
        if sha256 in unsent:
            found[each.ref] = unsent.pop(sha256)
    return found

"""The errand that takes a snapshot of the competition's leaderboard: our rank among the teams, and the medals' lines."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from app.jobs.kaggle_account import Account
from app.jobs.kaggle_competition import Competition, slug_of
from app.jobs.kaggle_errand import patient
from app.journal import challenges, days
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, LeaderboardSnapshot
from app.scores import position
from app.scores.sent_submissions import AtKaggle

KIND = "leaderboard"


@patient
def look(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Read the leaderboard and keep the day's snapshot; after the end the final one with the public one beside it."""
    with journal.reading() as db:
        challenge = db.get(Challenge, errand.challenge_id) if errand.challenge_id else challenges.active(db)
    assert challenge is not None
    account = Account()
    competition = Competition(account, slug_of(challenge.competition))
    facts = competition.facts()
    public = competition.leaderboard()
    team = _team(competition.submissions())
    has_ended = facts.deadline_at is not None and facts.deadline_at < journal.now()
    final = competition.final_leaderboard() if has_ended else []
    board, is_over = final or public, bool(final)  # what the public one says is not called final
    ours = position.place_of(board, team, facts.rank)
    lines = position.lines_of(board, facts.awards_medals)
    position.keep(
        journal,
        LeaderboardSnapshot(
            challenge_id=challenge.id,
            local_date=days.logical_date(journal.now(), challenge.time_zone, challenge.day_starts_at),
            seen_at=journal.now(),
            teams=len(board),
            rank=ours.rank,
            score=ours.score,
            gold_score=lines["gold"],
            silver_score=lines["silver"],
            bronze_score=lines["bronze"],
            is_over=is_over,
            public_rank=position.place_of(public, team).rank if is_over else None,
            deadline_at=facts.deadline_at,
        ),
    )
    if facts.a_day is not None:
        _keep_daily_number(journal, challenge.id, facts.a_day)
    return {"account": account.user, "teams": len(board), "rank": ours.rank}


def _team(listed: list[AtKaggle]) -> str:
    """Ours, as the account's newest submission names it; empty without one."""
    return listed[0].team if listed else ""


def _keep_daily_number(journal: Journal, challenge_id: int, a_day: int) -> None:
    """How many submissions a day the competition takes, where nobody has said it yet."""
    with journal.writing() as db:
        unknown = select(Challenge).where(Challenge.id == challenge_id, col(Challenge.submissions_per_day).is_(None))
        row = db.exec(unknown).first()
        if row is not None:
            row.submissions_per_day = a_day
            db.add(row)

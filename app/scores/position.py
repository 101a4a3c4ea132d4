"""Where we stand on the competition's leaderboard: rank among the teams, and how far the medals are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlmodel import Session, col, select

from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardSnapshot
from app.scores import medals
from engine.contract import METRIC_DIRECTIONS


@dataclass(frozen=True)
class TeamScore:
    """A line of a leaderboard, which is in the order of its ranks. `score` is None where it tells none."""

    team: str
    score: float | None


@dataclass(frozen=True)
class Place:
    """Ours on one leaderboard; None where we are not on it."""

    rank: int | None
    score: float | None


@dataclass(frozen=True)
class MedalLine:
    """The last score that gets the medal, and how much is missing to it: negative when we are above it."""

    medal: str
    score: float
    missing: float | None


@dataclass(frozen=True)
class Position:
    """The newest snapshot, as it is told."""

    seen_at: int
    teams: int
    rank: int | None
    score: float | None
    lines: tuple[MedalLine, ...]
    is_over: bool
    public_rank: int | None

    @property
    def percentile(self) -> float | None:
        """Share of the teams that are as good or better, 0…1: 0.1 is the top 10 %."""
        return None if self.rank is None or not self.teams else self.rank / self.teams

    @property
    def next_line(self) -> MedalLine | None:
        """The nearest medal that is missing; that of gold when none is."""
        missing = [line for line in self.lines if line.missing is not None and line.missing > 0]
        return missing[-1] if missing else next(iter(self.lines), None)

    @property
    def medal(self) -> str | None:
        """The medal of our rank; None where it gets none or the competition awards none."""
        return medals.ranks(self.teams).of(self.rank) if self.rank is not None and self.lines else None

    @property
    def climbed(self) -> int | None:
        """Places won from the public to the private leaderboard; negative: lost. None while the competition runs."""
        return None if self.public_rank is None or self.rank is None else self.public_rank - self.rank


def place_of(board: Sequence[TeamScore], team: str, rank: int | None = None) -> Place:
    """Ours, by `rank` where the account tells it and the name there is ours or unknown, else by the team's name."""
    if rank and rank <= len(board) and team in ("", board[rank - 1].team):
        return Place(rank, board[rank - 1].score)
    found = next((number for number, line in enumerate(board, start=1) if team and line.team == team), None)
    return Place(rank or None, None) if found is None else Place(found, board[found - 1].score)


def lines_of(board: Sequence[TeamScore], awards_medals: bool) -> dict[str, float | None]:
    """The score of the last team that gets each medal."""
    last = medals.ranks(len(board) if awards_medals else 0)
    return {name: board[rank - 1].score if rank else None for name, rank in last.lines()}


def keep(journal: Journal, snapshot: LeaderboardSnapshot) -> None:
    """One a day stays: the last one."""
    with journal.writing() as db:
        db.merge(snapshot)


def newest(db: Session, challenge: Challenge) -> Position | None:
    query = select(LeaderboardSnapshot).where(LeaderboardSnapshot.challenge_id == challenge.id)
    row = db.exec(query.order_by(col(LeaderboardSnapshot.local_date).desc()).limit(1)).first()
    return None if row is None else _told(row, METRIC_DIRECTIONS[challenge.metric])


def rank_by_day(db: Session, challenge: Challenge) -> dict[date, tuple[int, int]]:
    """Our rank and the number of teams on each day on which we were on the leaderboard."""
    snapshot = LeaderboardSnapshot
    rows = db.exec(
        select(col(snapshot.local_date), col(snapshot.rank), col(snapshot.teams))
        .where(snapshot.challenge_id == challenge.id, col(snapshot.rank).is_not(None))
        .order_by(col(snapshot.local_date))
    ).all()
    return {on: (rank, teams) for on, rank, teams in rows if rank is not None}


def _told(row: LeaderboardSnapshot, direction: Literal["max", "min"]) -> Position:
    lines = []
    for medal, score in (("gold", row.gold_score), ("silver", row.silver_score), ("bronze", row.bronze_score)):
        if score is not None:
            missing = None if row.score is None else score - row.score if direction == "max" else row.score - score
            lines.append(MedalLine(medal, score, missing))
    return Position(row.seen_at, row.teams, row.rank, row.score, tuple(lines), row.is_over, row.public_rank)


def words(found: Position) -> str:
    """`rank 231 of 2120 (top 10.9 %), LB 0.812; bronze at 0.824, 0.012 away`."""
    if found.rank is None:
        return f"not on the leaderboard of {found.teams} teams yet"
    score = "" if found.score is None else f", LB {found.score:.4g}"
    parts = [f"rank {found.rank} of {found.teams}{share_words(found)}{score}"]
    line = found.next_line
    if line is not None and line.missing is not None:
        parts.append(line_words(line))
    if found.climbed is not None:
        parts.append(f"from rank {found.public_rank} on the public leaderboard: {climb_words(found.climbed)}")
    return "; ".join(parts)


def share_words(found: Position) -> str:
    """` (top 10.9%)`"""
    return "" if found.percentile is None else f" (top {max(found.percentile, 0.001):.1%})"


def climb_words(climbed: int) -> str:
    """`7 places lost`"""
    if not climbed:
        return "no place moved"
    return f"{abs(climbed)} place{'s' * (abs(climbed) > 1)} {'won' if climbed > 0 else 'lost'}"


def line_words(line: MedalLine) -> str:
    """`bronze at 0.824, 0.012 away`."""
    if line.missing is None:
        return f"{line.medal} at {line.score:.4g}"
    away = (
        f"{line.missing:.3g} away"
        if line.missing > 0
        else f"{-line.missing:.3g} above it"
        if line.missing < 0
        else "reached"
    )
    return f"{line.medal} at {line.score:.4g}, {away}"

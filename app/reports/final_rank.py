"""Where the challenge ended on the competition's leaderboard, or stands so far: a cell for a table, and a sentence of the story."""

from __future__ import annotations

from app.journal.days import local
from app.journal.tables import Challenge
from app.scores import position
from app.scores.position import Position

AT_HOME = "not ranked: the leaderboard is a truth file at home"


def short(found: Position | None, challenge: Challenge) -> str:
    """`13 of 101 (top 12.9%) on the private leaderboard, silver`; empty where nothing is known of a leaderboard."""
    if found is None or found.rank is None:
        return _without_rank(found, challenge)
    where = "private leaderboard" if found.is_over else "public leaderboard so far"
    return f"{found.rank} of {found.teams}{position.share_words(found)} on the {where}{_medal(found, ', ')}"


def sentence(found: Position | None, challenge: Challenge) -> str:
    """`Final rank 13 of 101 teams (top 12.9%) on the private leaderboard, with 0.9885: silver; gold at 0.991, 0.0025 away.`

    Then what the end changed, where that is known. Empty without a rank.
    """
    if found is None or found.rank is None:
        return ""
    seen_on = local(found.seen_at, challenge.time_zone).date()
    where = "on the private leaderboard" if found.is_over else f"on the public leaderboard of {seen_on}"
    score = "" if found.score is None else f", with {found.score:.4g}"
    word = "Final rank" if found.is_over else "Rank"
    rank = f"{word} {found.rank} of {found.teams} teams{position.share_words(found)}"
    line = found.next_line
    missing = f"; {position.line_words(line)}" if line is not None and (line.missing or 0) > 0 else ""
    said = f"{rank} {where}{score}{_medal(found, ': ')}{missing}."
    if found.climbed is not None:
        said += f" It was rank {found.public_rank} on the public leaderboard: {position.climb_words(found.climbed)}."
    return said


def _without_rank(found: Position | None, challenge: Challenge) -> str:
    if challenge.truth_path is not None:
        return AT_HOME
    return "" if found is None else f"not on the leaderboard of {found.teams} teams"


def _medal(found: Position, before: str) -> str:
    """Empty where the competition awards none."""
    return f"{before}{found.medal or 'no medal'}" if found.lines else ""

"""The competition's own rules as a checklist: sentences, each with whether it is kept. Stored as JSON in challenge.checklist."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from app.journal.tables import Challenge
from engine.contract import OnehourError

MAX_RULES = 50
MAX_CHARACTERS = 300


@dataclass(frozen=True)
class CompetitionRule:
    text: str
    kept: bool = False


# The article's; a person adds those of the competition at hand.
DEFAULTS = (
    CompetitionRule("Only the compute, data and models that the competition allows are used"),
    CompetitionRule("The public leaderboard is for standing only; decisions are made by CV"),
    CompetitionRule("Every source is listed as a reference and credited"),
)


def of(challenge: Challenge) -> list[CompetitionRule]:
    """The checklist of a challenge; the defaults until it was changed."""
    if challenge.checklist is None:
        return list(DEFAULTS)
    return [CompetitionRule(**item) for item in json.loads(challenge.checklist)]


def as_json(rules: Sequence[CompetitionRule]) -> str:
    """What is stored. Raises OnehourError naming the rule that is empty, too long or there twice."""
    if len(rules) > MAX_RULES:
        raise OnehourError(f"a checklist of {len(rules)} rules is not kept by anybody", fix=f"At most {MAX_RULES}.")
    for place, rule in enumerate(rules, start=1):
        if not rule.text.strip():
            raise OnehourError(f"rule {place} of the checklist is empty")
        if len(rule.text) > MAX_CHARACTERS:
            raise OnehourError(
                f"rule {place} of the checklist has {len(rule.text)} characters", fix=f"At most {MAX_CHARACTERS}."
            )
        if rule.text in (earlier.text for earlier in rules[: place - 1]):
            raise OnehourError(f"the rule {rule.text!r} is on the checklist already")
    return json.dumps([asdict(rule) for rule in rules], ensure_ascii=False)


def lines(text: str) -> list[CompetitionRule]:
    """A rule on each line that is not empty."""
    return [CompetitionRule(line.strip()) for line in text.splitlines() if line.strip()]


def added(rules: Sequence[CompetitionRule], text: str) -> list[CompetitionRule]:
    return [*rules, CompetitionRule(text.strip())]


def dropped(rules: Sequence[CompetitionRule], number: int) -> list[CompetitionRule]:
    """Without the rule `number`, counted from 1."""
    found = _rule(rules, number)
    return [rule for rule in rules if rule is not found]


def marked(rules: Sequence[CompetitionRule], number: int, kept: bool) -> list[CompetitionRule]:
    """With the rule `number` (from 1) kept or not."""
    found = _rule(rules, number)
    return [replace(rule, kept=kept) if rule is found else rule for rule in rules]


def _rule(rules: Sequence[CompetitionRule], number: int) -> CompetitionRule:
    if not 1 <= number <= len(rules):
        raise OnehourError(f"there is no rule {number} on the checklist", fix=f"It has {len(rules)}.")
    return rules[number - 1]

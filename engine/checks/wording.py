"""How a check is worded: the sentence that fits what was found, and the examples that it names."""

from __future__ import annotations

from collections.abc import Sequence

from engine.check_folder import Check, Verdict
from engine.data.csv_table import counted

EXAMPLES = 24  # named in checks.json; all stand in facts.csv


def check_of(
    name: str, verdict: Verdict, examples: Sequence[str], sentence: str, fine: str, sheet: str | None = None
) -> Check:
    """`verdict` and `sentence` where there are examples, else ok and `fine`."""
    count = len(examples)
    if not count:
        return Check(name=name, verdict="ok", count=0, sentence=fine)
    return Check(
        name=name, verdict=verdict, count=count, sentence=sentence, examples=tuple(examples[:EXAMPLES]), sheet=sheet
    )


def are(found: Sequence[object], what: str) -> str:
    return counted(len(found), f"{what} is", f"{what}s are")

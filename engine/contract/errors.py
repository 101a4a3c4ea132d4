"""How either half refuses: one sentence that a person can act on, and the exit codes that say the same to a script."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_BUG = 1
EXIT_BAD_INPUT = 2
EXIT_AGAINST_RULES = 3
EXIT_REQUEUE = 75  # "stopped in good order before the time limit: start me again"
EXIT_INTERRUPTED = 130


class OnehourError(Exception):
    """What is wrong, where, and what would be right, as one sentence a person can act on."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        sentence = f"{where}: {what}" if where else what
        end = "" if sentence.endswith("?") else "."
        self.sentence = f"{sentence.rstrip('.')}{end} {fix}".strip()
        super().__init__(self.sentence)

    def __str__(self) -> str:
        return self.sentence  # fastai writes its own words into the arguments of whatever passes through a callback


def nearest(word: str, known: Iterable[str]) -> str:
    """A fix for a misspelt `word`: the nearest of `known`, or the whole list when nothing is near and the list is short."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(choices)}." if 0 < len(choices) <= 30 else ""

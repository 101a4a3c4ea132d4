"""What a training said at its end."""

from __future__ import annotations

import re


def last_words(log_text: str) -> str:
    """The last line of the newest attempt that says something: the engine's one sentence, or a traceback's last line."""
    newest = log_text.rpartition("--- attempt ")[2].partition("\n")[2]
    for line in reversed(newest.splitlines()):
        words = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.rpartition("\r")[2]).strip()
        if words and not words.startswith("wandb:"):
            return words[:500]
    return ""

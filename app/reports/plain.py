"""A person's words inside a Markdown file of ours: they read as they were typed, on one line."""

from __future__ import annotations

import re


def plain(words: str) -> str:
    """`words` with everything escaped that Markdown would take for markup; runs of white space become one space."""
    inline = re.sub(r"([\\`*_\[\]<>~|]|&(?=#?\w+;))", r"\\\1", " ".join(words.split()))
    # What would make the line a heading, a list or a rule.
    return re.sub(r"^(\d*)([-+#.)])(?=\s|$|[#-])", r"\1\\\2", inline)

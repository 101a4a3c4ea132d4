"""Options of sbatch as a person writes them into config.toml: which may stand there, and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Options of sbatch that Onehour sets itself, or that would make another thing of the job; and those that are settings.
TAKEN = (
    "array", "chdir", "clusters", "dependency", "error", "export", "export-file", "get-user-env", "help", "input", "job-name",
    "no-requeue", "nodes", "ntasks", "output", "parsable", "requeue", "signal", "test-only", "usage", "version", "wait", "wrap",
)  # fmt: skip
SETTINGS_OF = {"partition": "partition", "gres": "gres", "time": "time_limit", "account": "account", "qos": "qos"}
SHORT = {
    "J": "job-name", "a": "array", "o": "output", "e": "error", "i": "input", "D": "chdir", "d": "dependency", "W": "wait",
    "M": "clusters", "N": "nodes", "n": "ntasks", "h": "help", "V": "version", "p": "partition", "t": "time", "A": "account",
    "q": "qos",
}  # fmt: skip


def sbatch_option(option: str) -> str:
    """One option of sbatch with its value, as one word of its command line. Nothing in it is seen by a shell."""
    found = re.fullmatch(r"--([a-z][a-z-]+)(=.*)?|-([A-Za-z])(.*)", option)
    if found is None or not option.isprintable():
        raise ValueError(f"{option!r} is no option of sbatch: write each with its value, as --mem=32G")
    long, short = found[1], found[3]
    asked = SHORT.get(short, "") if short else long
    # sbatch understands the beginning of a name, too.
    meant = [name for name in (*TAKEN, *SETTINGS_OF) if asked and name.startswith(asked)]
    key = next((SETTINGS_OF[name] for name in meant if name in SETTINGS_OF), None)
    if asked in SETTINGS_OF or (meant and key and len(meant) == 1):
        raise ValueError(f"{option!r} has a key of its own: {SETTINGS_OF.get(asked, key)}")
    if meant:
        raise ValueError(f"{option!r} is set by Onehour itself")
    return option


def one_word(value: str) -> str:
    if not value.isprintable() or re.search(r"\s", value):
        raise ValueError(f"{value!r} is not one word")
    return value


def gpus_of_job(gres: str, options: Sequence[str]) -> int:
    """How many GPUs a job of these settings holds."""
    counted = 0
    for word in gres.split(","):
        if found := re.fullmatch(r"gpu(?::[^:]+?)??(?::(\d+))?", word):
            counted += int(found[1] or 1)
    for option in options:
        if found := re.fullmatch(r"(?:--gpus(?:-per-(?:node|task))?=|-G)(?:[^:]+:)?(\d+)", option):
            counted += int(found[1])
    return counted

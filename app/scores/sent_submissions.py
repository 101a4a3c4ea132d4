"""Submissions as the account lists them, joined to ours: by their number, their message, their name, or their content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PENDING, COMPLETE, ERROR = "pending", "complete", "error"
MOST_CHARACTERS = 200  # of a message


@dataclass(frozen=True)
class AtKaggle:
    """A line of the account's list. `at` in milliseconds UTC; a score is None until there is one."""

    ref: int
    at: int
    file_name: str
    message: str
    size: int
    status: str
    public: float | None = None
    private: float | None = None
    error: str = ""
    team: str = ""


@dataclass(frozen=True)
class Ours:
    """A submission of the journal. `size` in bytes and `sha256` of its file; None and empty where it is not here."""

    id: int
    run_key: str  # empty: no run of ours made it
    ref: int | None
    name: str
    message: str
    sent_at: int | None
    size: int | None = None
    sha256: str = ""


def message_of(run_key: str, cv: float | None, words: str) -> str:
    """`humpback_004-r02 | CV 0.8423 | larger images`: what ties a submission to its run, wherever it is read."""
    parts = [run_key, "" if cv is None else f"CV {cv:.4f}", " ".join(words.split())]
    return " | ".join(part for part in parts if part)[:MOST_CHARACTERS].rstrip()


def match(listed: Sequence[AtKaggle], ours: Sequence[Ours]) -> dict[int, int]:
    """The id of ours for each number at Kaggle that can be told without looking at the file; each of ours once.

    By the number itself; for one that has none yet by our message, by a run's key at its head, by moment and name of an
    imported one, by a run's key in the file's name.
    """
    found = {one.ref: one.id for one in ours if one.ref is not None and any(each.ref == one.ref for each in listed)}
    open_ones = {one.id: one for one in ours if one.ref is None}
    for same in (_same_message, _same_key, _same_import, _key_in_name):
        # The oldest first: when a file was sent twice, it is the first one that belongs to it.
        for each in sorted(listed, key=lambda one: one.at):
            if each.ref in found:
                continue
            one = next((one for one in open_ones.values() if same(each, one)), None)
            if one is not None:
                found[each.ref] = one.id
                del open_ones[one.id]
    return found


def worth_reading(listed: Iterable[AtKaggle], ours: Iterable[Ours], matched: Mapping[int, int]) -> list[AtKaggle]:
    """Those whose content may tell whose they are: unknown, and as long as a file of ours that was not sent as far as we know."""
    sizes = {one.size for one in ours if one.ref is None and one.run_key and one.id not in matched.values()}
    return [each for each in listed if each.ref not in matched and each.size in sizes]


def _same_message(each: AtKaggle, one: Ours) -> bool:
    return bool(one.run_key and one.message) and " ".join(each.message.split()) == one.message


def _same_key(each: AtKaggle, one: Ours) -> bool:
    return bool(one.run_key) and each.message.partition("|")[0].strip() == one.run_key


def _same_import(each: AtKaggle, one: Ours) -> bool:
    if one.run_key or one.sent_at is None:
        return False
    return abs(each.at - one.sent_at) < 1000 and (each.file_name, each.message) == (one.name, one.message)


def _key_in_name(each: AtKaggle, one: Ours) -> bool:
    return bool(one.run_key) and one.run_key in re.split(r"[^A-Za-z0-9_-]+", each.file_name)

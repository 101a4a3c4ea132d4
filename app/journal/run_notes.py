"""What a person writes about a run: a note and tags. Part of the hour, like all thinking."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from app.journal import challenges, sittings
from app.journal.rules import Action, require
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Run
from engine.contract import OnehourError

DOING = "A note about a run"
MAX_NOTE = 20_000
MAX_TAG = 60
MAX_TAGS = 20
_TAG = re.compile(r"[^\W_][\w/.+-]*")


def write(
    journal: Journal,
    run_key: str,
    *,
    note: str | None = None,
    tags: Iterable[str] | None = None,
    instead_of: str | None = None,
) -> Run:
    """Replace the note, or the tags, or both of a run of the active challenge; None leaves what is there.

    `instead_of`: the note that the person saw when they wrote this one. Raises OnehourError where another one stands there now, for an
    unknown run, a note or tag that is too long, a tag that is no word, and outside the hour.
    """
    kept = None if tags is None else [*dict.fromkeys(_tag(tag) for tag in tags)]
    if kept is not None and len(kept) > MAX_TAGS:
        raise OnehourError(f"{len(kept)} tags are too many for one run", where=run_key, fix=f"At most {MAX_TAGS}.")
    if note is not None and len(note) > MAX_NOTE:
        raise OnehourError(
            f"the note has {len(note)} characters", where=run_key, fix=f"At most {MAX_NOTE}; the day's note takes more."
        )
    with journal.writing() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        require(Action.WORK, at.moment, DOING)
        run = run_named(db, run_key, at.challenge)
        if note is not None:
            if instead_of is not None and run.note not in (instead_of, note.strip()):
                raise OnehourError(
                    f"its note was changed elsewhere: {run.note!r}",
                    where=run_key,
                    fix="Take over what you want, then keep it again.",
                )
            run.note = note.strip()
        if kept is not None:
            run.tags = json.dumps(kept, ensure_ascii=False)
        db.add(run)
    return run


def split(typed: str) -> list[str]:
    """The tags in what a person typed: apart by spaces or commas, with or without #."""
    return [word.lstrip("#") for word in re.split(r"[\s,]+", typed) if word.strip("#")]


def _tag(tag: str) -> str:
    tag = tag.strip().lstrip("#")
    if not _TAG.fullmatch(tag) or len(tag) > MAX_TAG:
        raise OnehourError(
            f"{tag!r} is no tag", fix=f"A tag is one word of at most {MAX_TAG} letters, digits and - _ / . + signs."
        )
    return tag

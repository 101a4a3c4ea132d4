"""onehour search: full-text search over all that was said and queued."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from app.commands.terminal import AsJson, date_of, opened_journal
from app.journal import challenges
from app.journal import search as full_text
from engine.contract import OnehourError

app = typer.Typer()


@app.command()
def search(
    words: Annotated[list[str] | None, typer.Argument(help="all of them must stand somewhere in what is found")] = None,
    kind: Annotated[str, typer.Option(help=" | ".join(full_text.KINDS))] = "",
    tag: Annotated[str, typer.Option(help="without #")] = "",
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="not before this day")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="not after this day")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Find notes, todos, references, runs, submissions and thoughts, newest first."""
    asked = full_text.Asked(
        " ".join(words or ()),
        date_of(first) if first else None,
        date_of(last) if last else None,
        tag.lstrip("#"),
        kind,
        limit,
    )
    if asked.is_empty:
        raise OnehourError("there is nothing to look for", fix="Give words, --kind, --tag, --from or --to.")
    with opened_journal() as journal, journal.reading() as db:
        hits = full_text.search(db, challenges.active(db), asked)
    if as_json:
        print(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False, default=str))
        return
    for hit in hits:
        print("  ".join(part for part in (str(hit.local_date), hit.kind, hit.title, hit.snippet) if part))

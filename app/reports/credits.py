"""The credits: whom the challenge learnt from, as a Markdown page."""

from __future__ import annotations

from sqlmodel import Session

from app.journal import references
from app.journal.tables import Challenge, Reference
from app.reports.plain import plain

HEADINGS = {
    "paper": "Papers",
    "kernel": "Kernels",
    "discussion": "Discussions",
    "repository": "Repositories",
    "post": "Posts",
}


def page(db: Session, challenge: Challenge) -> str:
    """Every reference under its kind, oldest first: title, author, licence, what was taken, which runs used it."""
    known = list(reversed(references.every(db, challenge)))
    used = references.users(db, challenge)
    parts = [f"# Credits · {challenge.competition}\n"]
    if not known:
        parts.append("No references yet.\n")
    for kind, heading in HEADINGS.items():
        lines = [_line(row, used.get(row.id, [])) for row in known if row.kind == kind]
        if lines:
            parts.append(f"## {heading}\n\n" + "".join(lines))
    return "\n".join(parts)


def _line(row: Reference, runs: list[str]) -> str:
    said = [f"- [{plain(row.title)}](<{row.url}>)"]
    said.append(f" by {plain(row.author)}" if row.author else "")
    said.append(f" ({plain(row.licence) or 'licence not noted'}).")
    if row.taken:
        said.append(f" Taken: {plain(row.taken).rstrip('.')}.")
    if runs:
        said.append(f" Used by {', '.join(runs)}.")
    return "".join(said) + "\n"

"""Full-text search over all that was said and queued: notes, todos, references, runs (W&B's too), submissions, the inbox.

Every word asked for must occur somewhere in a thing's title or words, in any place of a word and in any script; "two words" in
quotes stand together. Three characters and more go through the trigram index, fewer through LIKE. Newest first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlmodel import Session

from app.journal import links
from app.journal.tables import Challenge
from engine.contract import OnehourError, nearest

KINDS = ("note", "todo", "reference", "run", "submission", "inbox", "wandb")
INDEXED_LENGTH = 3
AROUND = 70
READ_AROUND = 2_000  # links and pictures are longer than the words that they leave
MAX_WORDS = 500


@dataclass(frozen=True)
class Asked:
    """What is looked for. Days are inclusive; a tag is written without #; empty filters let everything through."""

    words: str = ""
    first: date | None = None
    last: date | None = None
    tag: str = ""
    kind: str = ""
    limit: int = 50

    @property
    def terms(self) -> list[str]:
        pairs = re.findall(r'"([^"]+)"|([^\s"]+)', self.words[:MAX_WORDS].replace("\0", " "))
        return [term for pair in pairs for term in [" ".join((pair[0] or pair[1]).split())] if term]

    @property
    def is_empty(self) -> bool:
        return not (self.terms or self.first or self.last or self.tag or self.kind)


@dataclass(frozen=True)
class Hit:
    """A thing that was found: its first matching words, and where it is read."""

    kind: str
    title: str
    snippet: str
    local_date: date | None
    address: str


def search(db: Session, challenge: Challenge, asked: Asked) -> list[Hit]:
    """The newest things that hold all the terms and pass the filters. Raises OnehourError for a kind that there is not."""
    if asked.kind and asked.kind not in KINDS:
        raise OnehourError(f"nothing of kind {asked.kind!r} can be found", fix=nearest(asked.kind, KINDS))
    if asked.is_empty:
        return []
    conditions = ["r.challenge_id = :challenge"]
    values: dict[str, object] = {"challenge": challenge.id}
    needles = [*asked.terms, *([f"#{asked.tag}"] if asked.tag else [])]
    indexed = [term for term in needles if len(term) >= INDEXED_LENGTH]
    if indexed:
        # Quoted, a term is only text to FTS5: no word of a person is taken for its query language.
        values["match"] = " ".join('"' + term.replace('"', '""') + '"' for term in indexed)
        conditions.append("r.id IN (SELECT rowid FROM search_text WHERE search_text MATCH :match)")
    for number, term in enumerate(term for term in needles if len(term) < INDEXED_LENGTH):
        values[f"like{number}"] = "%" + re.sub(r"([\\%_])", r"\\\1", term) + "%"
        conditions.append(rf"(r.title LIKE :like{number} ESCAPE '\' OR r.body LIKE :like{number} ESCAPE '\')")
    for name, operator, value in (
        ("first", "r.local_date >=", asked.first and asked.first.isoformat()),
        ("last", "r.local_date <=", asked.last and asked.last.isoformat()),
        ("kind", "r.kind =", asked.kind),
    ):
        if value:
            conditions.append(f"{operator} :{name}")
            values[name] = value
    # A tag's bounds are known only to the parser of links; what it does not let through does not count.
    limit = "" if asked.tag else f"LIMIT {int(asked.limit)}"
    rows = db.connection().execute(
        text(
            "SELECT r.kind, r.target, r.local_date, r.title, r.body FROM search_row r"
            f" WHERE {' AND '.join(conditions)} ORDER BY r.local_date DESC, r.id DESC {limit}"
        ),
        values,
    )
    hits: list[Hit] = []
    for kind, target, on, title, body in rows:
        if asked.tag and not _tagged(f"{title}\n{body}", asked.tag):
            continue
        local_date = None if on is None else date.fromisoformat(on)
        snippet = _snippet(body, needles)
        hits.append(Hit(kind, title, snippet, local_date, _address(kind, target, local_date)))
        if len(hits) == asked.limit:
            break
    return hits


def marked(snippet: str, terms: list[str]) -> list[tuple[str, bool]]:
    """A snippet in pieces, each with whether it is one of the terms."""
    if not terms:
        return [(snippet, False)]
    pattern = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    pieces = re.split(f"({pattern})", snippet, flags=re.IGNORECASE)
    return [(piece, number % 2 == 1) for number, piece in enumerate(pieces) if piece]


def _tagged(body: str, tag: str) -> bool:
    return tag.casefold() in (found.casefold() for found in links.targets(body, links.LinkKind.TAG))


def _snippet(body: str, terms: list[str]) -> str:
    """The words around the first place where one of the terms stands, on one line; addresses are left out."""
    at = _first_place(body, terms, otherwise=0)
    before, behind = max(0, at - READ_AROUND), at + READ_AROUND
    read = links.words_of(body[before:behind])
    at = _first_place(read, terms, otherwise=len(links.words_of(body[before:at])))
    start, end = max(0, at - AROUND), at + 2 * AROUND
    words = " ".join(read[start:end].split())
    return ("… " if before or start else "") + words + (" …" if behind < len(body) or end < len(read) else "")


def _first_place(body: str, terms: list[str], otherwise: int) -> int:
    places = [found.start() for term in terms for found in [re.search(re.escape(term), body, re.IGNORECASE)] if found]
    return min(places, default=otherwise)


def _address(kind: str, target: str, on: date | None) -> str:
    if kind == "reference":
        return links.reference_address(target)
    if kind in ("run", "submission"):
        return links.run_address(target) if target else "/scores"
    if kind == "wandb":
        return links.wandb_run_address(int(target))
    if kind == "note" and target.isdigit():
        return links.note_address(int(target))
    return f"/journal?day={on}"

"""Links inside a note: [[day-12]], [[title of a note]], #tag, @run and &reference. Pure.

`find` reads them, outside code and addresses; `linked` makes them links of Markdown, and makes plain text of HTML and of
addresses that a browser would execute.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from urllib.parse import quote


class LinkKind(StrEnum):
    DAY = "day"  # target: the day's number
    NOTE = "note"  # target: the title
    TAG = "tag"
    RUN = "run"  # target: a run's or an experiment's key
    REFERENCE = "reference"


@dataclass(frozen=True)
class Link:
    kind: LinkKind
    target: str
    start: int  # where it stands in the note, first character and the one behind the last
    end: int


@dataclass(frozen=True)
class Known:
    """What links can lead to; what is not among it stays text. Titles are casefolded, with the note's number."""

    starts_on: date
    days: int
    notes: dict[str, int]
    runs: Collection[str]
    references: Collection[str]


# Code, fenced or inline, and addresses: nothing in them is a link of ours.
_OPAQUE = re.compile(
    r"""
      ^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*(?:\n.*?(?:^[ ]{0,3}(?P=fence)[`~]*[ ]*$|\Z)|\Z)   # a fenced block, closed or not
    | (?<!`)(?P<ticks>`+)(?!`).{1,2000}?(?<!`)(?P=ticks)(?!`)                                      # inline code
    | \]\([^()\n]*\)                                                                        # a Markdown link's address
    | \b(?:https?|ftp|mailto):[^\s<>]*                                                      # a bare address
    | ^[ ]{0,3}\[[^\]\n]+\]:[ ]*\S+                                                         # where a Markdown link leads
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(
    r"""
      \[\[day-(?P<day>\d{1,4})\]\]
    | \[\[(?P<note>[^\[\]\n]{1,200})\]\]
    | (?<![\w\\/#&@])\#(?P<tag>[^\W\d_][\w/-]{0,59})
    | (?<![\w\\/#&@.])@(?P<run>[a-z0-9][a-z0-9-]*_\d{3,}(?:-r\d{2,})?)(?![\w-])
    | (?<![\w\\/#&@])&(?P<reference>[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?)(?![\w;-])
    """,
    re.VERBOSE,
)
_PICTURE_OR_LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\[\]\n]{0,300})\]\([^()\n]{0,2000}\)")
_HEADING = re.compile(r"^[ ]{0,3}#{1,6}[ \t]+", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]*\|[ \t:|-]+$|(?<=[ \t])\|(?=[ \t])|^\||\|[ \t]*$", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]{1,300})(?<=\S)\1(?![\w*])")
_ALLOWED_SCHEMES = "https?:|mailto:|ftp:"
_SCHEME = rf"[\s\x00-\x20]*(?!{_ALLOWED_SCHEMES})[a-z][a-z0-9+.\s-]*(?::|&\#|&colon)"
_UNSAFE = re.compile(
    rf"\]\((?=\s*<?\s*(?:{_SCHEME}|&\#))|^(?P<define>[ ]{{0,3}})\[(?=[^\]\n]+\]:\s*<?\s*(?:{_SCHEME}|&\#))|<(?=[a-z/!?])",
    re.IGNORECASE | re.MULTILINE,
)
_AUTOLINK = re.compile(r"<(?:https?:|mailto:)[^\s<>]*>", re.IGNORECASE)


def find(body: str) -> list[Link]:
    """The links of a note, in order."""
    found = []
    for start, end in _open_stretches(body):
        for match in _LINK.finditer(body, start, end):
            kind = str(match.lastgroup)
            target = match[kind] if kind != LinkKind.DAY else str(int(match[kind]))
            found.append(Link(LinkKind(kind), target.strip(), match.start(), match.end()))
    return found


def targets(body: str, kind: LinkKind) -> list[str]:
    """What links of one kind lead to, each once, in order."""
    return list(dict.fromkeys(link.target for link in find(body) if link.kind is kind))


def day_address(on: date) -> str:
    return f"/journal?day={on}"


def note_address(note_id: int) -> str:
    return f"/journal?note={note_id}"


def tag_address(tag: str) -> str:
    return f"/journal?tag={quote(tag)}"


def run_address(run_key: str) -> str:
    return f"/runs?run={quote(run_key)}"


def wandb_run_address(row_id: int) -> str:
    """Of a run that was not started here."""
    return f"/runs?wandb={row_id}"


def reference_address(key: str) -> str:
    return f"/references?reference={quote(key)}"


def linked(body: str, known: Known) -> str:
    """The note as Markdown in which its links lead somewhere and nothing can be executed."""
    parts, done = [], 0
    for link in find(body):
        address = _address(link, known)
        if address is not None:
            words = body[link.start : link.end].strip("[]")
            parts += [body[done : link.start], f"[{_escaped(words)}]({address})"]
            done = link.end
    return harmless("".join(parts) + body[done:])


def harmless(body: str) -> str:
    """Markdown whose HTML tags and executable addresses are shown as text; code stays as it is."""
    return "".join(text if is_code else _UNSAFE.sub(_made_text, text) for text, is_code in _pieces(body))


def words_of(body: str) -> str:
    """A stretch of a note as its words: pictures as their name, links as their text, no marks of headings, emphasis or tables."""
    named = _PICTURE_OR_LINK.sub(lambda match: match["words"].strip() or ("picture" if match["picture"] else ""), body)
    return _EMPHASIS.sub(r"\2", _TABLE_RULE.sub("", _HEADING.sub("", named)))


def _made_text(match: re.Match[str]) -> str:
    if match[0] == "](":
        return "]\\("
    if match[0] == "<":
        # <https://…> is an address as people write it; any other tag is text.
        return "<" if _AUTOLINK.match(match.string, match.start()) else "\\<"
    return f"{match['define']}\\["


def _address(link: Link, known: Known) -> str | None:
    match link.kind:
        case LinkKind.DAY:
            number = int(link.target)
            return day_address(known.starts_on + timedelta(days=number - 1)) if 1 <= number <= known.days else None
        case LinkKind.NOTE:
            note_id = known.notes.get(link.target.casefold())
            return None if note_id is None else note_address(note_id)
        case LinkKind.TAG:
            return tag_address(link.target)
        case LinkKind.RUN:
            return run_address(link.target) if link.target in known.runs else None
        case LinkKind.REFERENCE:
            return reference_address(link.target) if link.target in known.references else None


def _escaped(words: str) -> str:
    return re.sub(r"([\\`*_\[\]<>~$|])", r"\\\1", words)


def _pieces(body: str) -> Iterator[tuple[str, bool]]:
    """The note in pieces, each with whether it is code."""
    done = 0
    for match in _OPAQUE.finditer(body):
        yield body[done : match.start()], False
        yield match[0], bool(match["fence"] or match["ticks"])
        done = match.end()
    yield body[done:], False


def _open_stretches(body: str) -> Iterator[tuple[int, int]]:
    done = 0
    for match in _OPAQUE.finditer(body):
        yield done, match.start()
        done = match.end()
    yield done, len(body)

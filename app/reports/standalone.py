"""A page of Markdown as one HTML file that needs nothing beside it and executes nothing of a person's."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.journal import attachments, links
from app.journal.home import Home
from app.journal.links import LinkKind
from app.reports.plain import plain

FIGURE = "figure:"  # the address of a drawing of ours: ![Scores](figure:scores)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #ddd; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } pre { overflow-x: auto; }
img { max-width: 100%; }
"""


def html(home: Home, title: str, markdown: str, *, drawings: Mapping[str, str] | None = None, end: str = "") -> str:
    """What a person wrote as HTML or as a script's address is shown as text. Pictures of the journal lie inside the file.

    `drawings`: SVG of ours by the name behind FIGURE; `end`: HTML of ours that stands last.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                _take_in(home, child, drawings or {})
    body = reader.renderer.render(tokens, reader.options, {})
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n{end}</body></html>\n"
    )


def links_in_words(body: str) -> str:
    """A note with `[[day-2]]` as `day 2` and `[[a title]]` as its title: outside the journal they lead nowhere.

    #tag, @run and &reference are words already.
    """
    parts, done = [], 0
    for link in links.find(body):
        if link.kind in (LinkKind.DAY, LinkKind.NOTE):
            words = f"day {link.target}" if link.kind is LinkKind.DAY else plain(link.target)
            parts += [body[done : link.start], words]
            done = link.end
    return "".join(parts) + body[done:]


def _take_in(home: Home, image: Token, drawings: Mapping[str, str]) -> None:
    """Put a kept picture into the page itself. One that is not ours, or gone, becomes its words and its address."""
    address = str(image.attrs["src"])
    if address.removeprefix(FIGURE) in drawings and address.startswith(FIGURE):
        drawn = b64encode(drawings[address.removeprefix(FIGURE)].encode()).decode()
        image.attrs["src"] = f"data:image/svg+xml;base64,{drawn}"
        return
    path = attachments.find(home, address.rsplit("/", 1)[-1])
    if path is not None:
        media_type = attachments.MEDIA_TYPES[path.suffix.removeprefix(".")]
        image.attrs["src"] = f"data:{media_type};base64,{b64encode(path.read_bytes()).decode()}"
    elif not address.startswith("data:"):
        image.type, image.children = "text", None
        image.content = f"{image.content} ({address})".strip()

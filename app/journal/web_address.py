"""A web address, and what it alone tells about the reference behind it; nothing is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from engine.contract import OnehourError

MOST_CHARACTERS = 2_000


@dataclass(frozen=True)
class Guess:
    """What an address alone tells about a reference."""

    kind: str
    key: str
    title: str
    author: str = ""


def guess(url: str) -> Guess:
    """Kind, key, title and author as far as the address tells them; nothing is fetched. Raises OnehourError for no web address."""
    address = web_address(url)
    host = (address.hostname or "").removeprefix("www.")
    parts = [unquote(part) for part in address.path.split("/") if part]
    match host, parts:
        case "kaggle.com", ["code" | "kernels", author, slug, *_]:
            return Guess("kernel", key_of(slug), _words(slug), author)
        case "kaggle.com", [*_, "discussion" | "discussions", number] if number.isdigit():
            place = parts[1] if len(parts) > 2 else "kaggle"
            return Guess("discussion", key_of(f"discussion-{number}"), f"Discussion {number} of {_words(place)}")
        case "arxiv.org", ["abs" | "pdf" | "html", *number] if number:
            name = re.sub(r"(v\d+)?(\.pdf)?$", "", "/".join(number))
            return Guess("paper", key_of(f"arxiv-{name}"), f"arXiv {name}")
        case "github.com" | "gitlab.com" | "codeberg.org", [owner, name, *_]:
            name = name.removesuffix(".git")
            return Guess("repository", key_of(name), f"{owner}/{name}", owner)
    last = re.sub(r"\.(html?|php|pdf|md)$", "", parts[-1]) if parts else host
    return Guess("post", key_of(last if parts else host), _words(last), host)


def web_address(url: str) -> SplitResult:
    """The parts of a web address. Raises OnehourError for anything a browser could execute or cannot open."""
    url = url.strip()
    try:
        address = urlsplit(url)
        hostname = address.hostname
    except ValueError:
        hostname = None
    if not hostname or address.scheme not in ("http", "https") or re.search(r"[\s<>\"\\\x00-\x1f]", url):
        raise OnehourError(f"{url[:100]!r} is no web address", fix="It begins with https:// and holds no spaces.")
    if len(url) > MOST_CHARACTERS:
        raise OnehourError(f"an address holds at most {MOST_CHARACTERS} characters")
    return address


def key_of(words: str) -> str:
    """What stands behind & in a note: lower-case ASCII letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60].strip("-") or "reference"


def _words(slug: str) -> str:
    words = " ".join(re.split(r"[-_\s]+", slug)).strip()
    return words[:1].upper() + words[1:]

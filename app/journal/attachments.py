"""Pictures of notes: recognised by their content, kept under the hash of it, found only in our own folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from app.journal.home import Home
from engine.contract import OnehourError
from engine.run_folder import atomic_file

MAX_BYTES = 5_000_000
TOO_LARGE = f"A picture holds at most {MAX_BYTES // 1_000_000} MB"
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
_NAME = re.compile(r"[0-9a-f]{64}\.(png|jpg|gif|webp)")


def keep(home: Home, picture: bytes) -> str:
    """Keep a picture and return its name. Raises OnehourError for what is no picture or larger than 5 MB."""
    if len(picture) > MAX_BYTES:
        raise OnehourError(TOO_LARGE)
    suffix = suffix_of(picture)
    if suffix is None:
        raise OnehourError("this is no PNG, JPEG, GIF or WebP image", fix="Convert it first; its name does not count.")
    name = f"{hashlib.sha256(picture).hexdigest()}.{suffix}"
    target = home.attachments_dir / name
    if not target.is_file():
        with atomic_file(target) as file:
            file.write(picture)
    return name


def suffix_of(picture: bytes) -> str | None:
    """png, jpg, gif or webp by the first bytes; None for anything else."""
    if picture.startswith(b"\x89PNG\r\n\x1a\n") and picture[12:16] == b"IHDR":
        return "png"
    if picture.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if picture.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if picture.startswith(b"RIFF") and picture[8:15] == b"WEBPVP8":
        return "webp"
    return None


def find(home: Home, name: str) -> Path | None:
    """The file of a kept picture; None for any name that `keep` did not give."""
    if not _NAME.fullmatch(name):
        return None
    path = home.attachments_dir / name
    return path if path.is_file() else None

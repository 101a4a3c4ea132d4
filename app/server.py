"""The dashboard's server: `streamlit run app/server.py`.

Streamlit serves the pages; a few small routes serve what runs in the browser between reruns. Routes of ours get none of
Streamlit's protection, so a guard stands before everything: only this machine's names as Host, only our own pages as Origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import streamlit as st
from pydantic import Field, ValidationError, model_validator
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.components.clock import reading
from app.journal import attachments, challenges, notes, sessions, sittings
from app.journal.rules import AgainstTheRules
from app.views.desk import current_journal
from engine.contract import Frozen, OnehourError

HOSTS = ["127.0.0.1", "localhost"]
SWEEP_EVERY_S = 5.0
# JSON writes a character in up to six bytes.
MAX_BODY_BYTES = 6 * notes.MAX_BYTES + 10_000

log = logging.getLogger(__name__)


class Draft(Frozen):
    """The whole note of a `day`, or the one outside any day with the number `note`, written on top of `revision` by a tab."""

    day: date | None = None
    note: int | None = None
    body: str
    revision: int
    writer: str = Field("", max_length=100)

    @model_validator(mode="after")
    def names_one_note(self) -> Draft:
        if (self.day is None) == (self.note is None):
            raise ValueError("it names either a day or a note")
        return self


class SameOrigin:
    """Refuse requests and websockets that a page of another origin makes; browsers name it in the Origin header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = HTTPConnection(scope).headers
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                await PlainTextResponse("another page may not ask this", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class OwnFramesOnly:
    """Let no page of another origin show ours in a frame, where a click could be stolen."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("content-security-policy", "frame-ancestors 'self'")
            await send(message)

        await self.app(scope, receive, send_guarded)


async def clock(_request: Request) -> JSONResponse:
    """GET /api/clock: what time it is for the hour (app.components.clock.reading).

    404 while there is no challenge · 503 when the journal cannot be read, with the reason in `error`.
    """
    try:
        told = await run_in_threadpool(_reading)
    except (OnehourError, SQLAlchemyError) as error:
        reason = error if isinstance(error, OnehourError) else f"The journal cannot be read ({type(error).__name__})."
        return _refused(str(reason), 503)
    return JSONResponse(told, 200 if told else 404, {"cache-control": "no-store"})


async def draft(request: Request) -> JSONResponse:
    """POST /api/draft: save a note.

    200 with the new revision · 403 another origin · 409 with the text that stands there · 413 too big · 415 not JSON ·
    422 not a draft · 423 against the rules of the hour · 507 the journal cannot be written. What failed says why in `error`.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return _refused("A draft is sent as application/json.", 415)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return _refused(f"A note holds at most {notes.MAX_BYTES // 1000} KB.", 413)
    try:
        asked = Draft.model_validate_json(body)
    except ValidationError as error:
        return _refused(f"This is no draft: {error.errors()[0]['msg']}.", 422)
    return await run_in_threadpool(_save, asked)


async def take_image(request: Request) -> JSONResponse:
    """POST /api/image?day=DATE (or without, for a note outside any day): keep a pasted picture.

    200 with its name · 413 too big · 415 not sent as an image · 422 no image, or no day · 423 the note is not open now ·
    507 it cannot be written. What failed says why in `error`.
    """
    if not request.headers.get("content-type", "").startswith("image/"):
        return _refused("Only images can be put into a note.", 415)
    try:
        day = date.fromisoformat(request.query_params["day"]) if "day" in request.query_params else None
    except ValueError:
        return _refused("This is no day.", 422)
    picture = b""
    async for chunk in request.stream():
        picture += chunk
        if len(picture) > attachments.MAX_BYTES:
            return _refused(f"{attachments.TOO_LARGE}.", 413)
    return await run_in_threadpool(_keep, day, picture)


def give_image(request: Request) -> Response:
    """GET /api/image/NAME: a kept picture, and nothing else of this machine."""
    path = attachments.find(current_journal().home, request.path_params["name"])
    if path is None:
        return PlainTextResponse("there is no such picture", 404)
    headers = {
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, max-age=31536000, immutable",
    }
    return FileResponse(path, media_type=attachments.MEDIA_TYPES[path.suffix.removeprefix(".")], headers=headers)


def _keep(day: date | None, picture: bytes) -> JSONResponse:
    journal = current_journal()
    try:
        notes.require_writable(journal, day)
        return JSONResponse({"name": attachments.keep(journal.home, picture)})
    except AgainstTheRules as error:
        return _refused(str(error), 423)
    except OnehourError as error:
        return _refused(str(error), 422)
    except OSError as error:
        return _refused(f"The picture cannot be kept ({error.strerror}).", 507)


def _reading() -> dict[str, Any]:
    journal = current_journal()
    with journal.reading() as db:
        challenge = challenges.find_active(db)
        return {} if challenge is None else reading(sittings.sitting(db, challenge, journal.now()))


def _save(asked: Draft) -> JSONResponse:
    journal = current_journal()
    try:
        if asked.day is not None:
            saved = notes.save(journal, asked.day, asked.body, asked.revision, asked.writer)
        else:
            saved = notes.save_outside(journal, asked.note or 0, asked.body, asked.revision, asked.writer)
    except notes.StaleNote as error:
        return _refused(str(error), 409, revision=error.note.revision, body=error.note.body)
    except AgainstTheRules as error:
        return _refused(str(error), 423)
    except OnehourError as error:
        return _refused(str(error), 507 if isinstance(error.__cause__, OperationalError) else 422)
    return JSONResponse({"revision": saved.revision, "late": saved.late, "saved_at": saved.saved_at})


def _refused(sentence: str, status: int, **more: Any) -> JSONResponse:
    return JSONResponse({"error": sentence, **more}, status)


async def _sweeping() -> None:
    """Write down hours that ended while nobody looked. Every reader derives the same; this only keeps the record tidy."""
    while True:
        try:
            await run_in_threadpool(lambda: sessions.sweep(current_journal()))
        except (OnehourError, OperationalError) as error:
            log.warning("%s", error)
        await asyncio.sleep(SWEEP_EVERY_S)


@contextlib.asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
    current_journal()  # opened, and migrated if needed, before the first page asks
    sweeper = asyncio.create_task(_sweeping())
    try:
        yield {}
    finally:
        sweeper.cancel()


app = st.App(
    Path(__file__).with_name("dashboard.py"),
    lifespan=lifespan,
    middleware=[
        Middleware(OwnFramesOnly),
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
        Middleware(SameOrigin),
    ],
    routes=[
        Route("/api/clock", clock),
        Route("/api/draft", draft, methods=["POST"]),
        Route("/api/image", take_image, methods=["POST"]),
        Route("/api/image/{name}", give_image),
    ],
)

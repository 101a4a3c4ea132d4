"""The dashboard's server: `streamlit run app/server.py`.

Streamlit serves the pages; two small routes serve what runs in the browser between reruns. Routes of ours get none of
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
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.components.clock import reading
from app.journal import challenges, notes, sessions
from app.journal.rules import AgainstTheRules
from app.views.desk import current_journal
from engine.contract import Frozen, OnehourError

HOSTS = ["127.0.0.1", "localhost"]
SWEEP_EVERY_S = 5.0
# JSON writes a character in up to six bytes.
MAX_BODY_BYTES = 6 * notes.MAX_BYTES + 10_000

log = logging.getLogger(__name__)


class Draft(Frozen):
    """The whole note of a day, written on top of `revision`."""

    day: date
    body: str
    revision: int


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


async def clock(_request: Request) -> JSONResponse:
    """GET /api/clock: what time it is for the hour (app.components.clock.reading); 404 while there is no challenge."""
    told = await run_in_threadpool(_reading)
    return JSONResponse(told, 200 if told else 404, {"cache-control": "no-store"})


async def draft(request: Request) -> JSONResponse:
    """POST /api/draft: save a day's note.

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


def _reading() -> dict[str, Any]:
    journal = current_journal()
    with journal.reading() as db:
        challenge = challenges.find_active(db)
        return {} if challenge is None else reading(sessions.sitting(db, challenge, journal.now()))


def _save(asked: Draft) -> JSONResponse:
    try:
        saved = notes.save(current_journal(), asked.day, asked.body, asked.revision)
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
    middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(SameOrigin)],
    routes=[Route("/api/clock", clock), Route("/api/draft", draft, methods=["POST"])],
)

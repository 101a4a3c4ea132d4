"""Pictures and notes outside days over the routes: what is taken, what is refused with its reason, what is given back."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from app import server
from app.journal import attachments, notes, sessions
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views import desk
from tests.app.test_notes import PNG

pytestmark = pytest.mark.unit

DAY = "2026-03-02"


@pytest.fixture
def client(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    return TestClient(server.app, base_url="http://127.0.0.1")


def put(
    client: TestClient, body: bytes, kind: str = "image/png", day: str | None = DAY, **more: str
) -> tuple[int, str]:
    where = "/api/image" if day is None else f"/api/image?day={day}"
    answer = client.post(where, content=body, headers={"content-type": kind, **more})
    return answer.status_code, answer.json().get("name") or answer.json()["error"]


def test_a_picture_is_taken_and_given_back_as_what_it_is(
    client: TestClient, journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    status, name = put(client, PNG, "image/jpeg")
    assert (status, name[-4:]) == (200, ".png")
    given = client.get(f"/api/image/{name}")
    assert given.content == PNG
    assert given.headers["content-type"] == "image/png"
    assert given.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["journal.db", "..%2fjournal.db", f"{'0' * 64}.png", "%2e%2e%2fjournal.db"])
def test_nothing_else_is_given(client: TestClient, challenge: Challenge, name: str) -> None:
    assert client.get(f"/api/image/{name}").status_code in (400, 404)


@pytest.mark.parametrize(
    ("body", "kind", "day", "status", "sentence"),
    [
        (b"hello", "image/png", DAY, 422, "this is no PNG, JPEG, GIF or WebP image"),
        (b"<svg/>", "image/svg+xml", DAY, 422, "this is no PNG, JPEG, GIF or WebP image"),
        (PNG, "text/plain", DAY, 415, "Only images"),
        (PNG, "image/png", "soon", 422, "This is no day"),
        (PNG + bytes(attachments.MAX_BYTES), "image/png", DAY, 413, "A picture holds at most 5 mb"),
    ],
)
def test_what_is_refused_says_why_and_leaves_nothing(
    client: TestClient,
    journal: Journal,
    challenge: Challenge,
    body: bytes,
    kind: str,
    day: str,
    status: int,
    sentence: str,
) -> None:
    sessions.start(journal)
    told = put(client, body, kind, day)
    assert told[0] == status
    assert told[1].casefold().startswith(sentence.casefold())
    assert not journal.home.attachments_dir.exists()


def test_a_picture_is_taken_only_while_its_note_is_open(
    client: TestClient, journal: Journal, challenge: Challenge
) -> None:
    assert put(client, PNG)[0] == 423
    assert put(client, PNG, day=None)[0] == 200, "a thought outside the days is always possible"
    assert put(client, PNG, day="2026-03-01")[0] == 200, "a past day is written late"
    sessions.start(journal)
    sessions.pause(journal)
    assert put(client, PNG) == (
        423, "Writing the day's note is part of the hour, and the hour is paused. Resume it first."
    )  # fmt: skip


def test_another_page_may_not_leave_a_picture(client: TestClient, journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    answer = client.post(
        f"/api/image?day={DAY}", content=PNG, headers={"content-type": "image/png", "origin": "http://evil.example"}
    )
    assert answer.status_code == 403


def test_a_folder_that_cannot_be_written_is_said(client: TestClient, journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    journal.home.attachments_dir.write_text("a file where the folder should be")
    status, sentence = put(client, PNG)
    assert (status, sentence.startswith("The picture cannot be kept")) == (507, True)


def test_a_note_outside_the_days_is_saved_over_the_route(
    client: TestClient, journal: Journal, challenge: Challenge
) -> None:
    note = notes.create(journal, "flukes")
    draft = {"note": note.id, "body": "mirrored", "revision": 1, "writer": "tab"}
    assert client.post("/api/draft", json=draft).json()["late"] is True
    stale = client.post("/api/draft", json={**draft, "body": "other"})
    assert (stale.status_code, stale.json()["body"]) == (409, "mirrored")
    assert client.post("/api/draft", json={**draft, "day": DAY}).status_code == 422
    assert client.post("/api/draft", json={"body": "", "revision": 0}).status_code == 422

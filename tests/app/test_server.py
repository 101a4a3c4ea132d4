"""The routes beside the pages: what the browser asks between reruns, and who may ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient, WebSocketDenialResponse

from app import server
from app.journal import challenges, notes, sessions
from app.journal.home import Home
from app.journal.store import Journal, open_journal
from app.journal.tables import Challenge, Note
from app.views import desk
from tests.conftest import MovableClock

DAY = "2026-03-02"
HERE = "http://127.0.0.1"


@pytest.fixture
def client(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The real app on the test's journal; without its lifespan, which belongs to a served Streamlit."""
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    return TestClient(server.app, base_url=HERE)


@pytest.fixture
def running(journal: Journal, challenge: Challenge) -> Challenge:
    sessions.start(journal)
    return challenge


def draft(body: str, revision: int = 0, day: str = DAY) -> dict[str, object]:
    return {"day": day, "body": body, "revision": revision}


def stored(journal: Journal, challenge: Challenge) -> Note | None:
    with journal.reading() as db:
        return notes.of_day(db, challenge, challenge.starts_on)


def test_the_clock_tells_the_deadline_and_changes_its_token_when_the_hour_is_over(
    client: TestClient, journal: Journal, running: Challenge, clock: MovableClock
) -> None:
    first = client.get("/api/clock").json()
    assert first["state"] == "focus"
    assert first["ends_at"] - first["now"] == 3_600_000
    clock.move(3_600)
    second = client.get("/api/clock").json()
    assert second["state"] == "reflection"
    assert second["ends_at"] - second["now"] == 600_000
    assert second["token"] != first["token"]


def test_the_clock_keeps_its_token_while_nothing_changes(
    client: TestClient, running: Challenge, clock: MovableClock
) -> None:
    first = client.get("/api/clock").json()["token"]
    clock.move(59)
    assert client.get("/api/clock").json()["token"] == first


def test_there_is_no_clock_before_the_first_challenge(client: TestClient) -> None:
    assert client.get("/api/clock").status_code == 404


def test_a_draft_is_saved_with_the_next_revision(client: TestClient, journal: Journal, running: Challenge) -> None:
    answer = client.post("/api/draft", json=draft("## Tried\nä"))
    assert (answer.status_code, answer.json()["revision"], answer.json()["late"]) == (200, 1, False)
    note = stored(journal, running)
    assert note is not None
    assert note.body == "## Tried\nä"


def test_a_stale_revision_is_refused_with_the_text_that_stands_there(
    client: TestClient, journal: Journal, running: Challenge
) -> None:
    client.post("/api/draft", json=draft("theirs"))
    answer = client.post("/api/draft", json=draft("mine"))
    assert answer.status_code == 409
    assert (answer.json()["revision"], answer.json()["body"]) == (1, "theirs")
    assert "changed elsewhere" in answer.json()["error"]
    note = stored(journal, running)
    assert note is not None
    assert note.body == "theirs"


def test_a_draft_outside_the_hour_is_refused_with_the_sentence(
    client: TestClient, journal: Journal, challenge: Challenge
) -> None:
    answer = client.post("/api/draft", json=draft("too early"))
    assert answer.status_code == 423
    assert answer.json()["error"] == "Writing the day's note is part of the hour. Start the hour first."
    assert stored(journal, challenge) is None


def test_a_draft_after_the_day_was_closed_is_kept_and_flagged_late(
    client: TestClient, running: Challenge, clock: MovableClock
) -> None:
    clock.move(3_600 + 600 + 60)
    answer = client.post("/api/draft", json=draft("afterthought"))
    assert (answer.status_code, answer.json()["late"]) == (200, True)


def test_the_note_of_a_day_to_come_is_refused(client: TestClient, running: Challenge) -> None:
    answer = client.post("/api/draft", json=draft("x", day="2026-03-03"))
    assert answer.status_code == 422
    assert answer.json()["error"] == "2026-03-03 has not come yet. Today is 2026-03-02."


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"day": "2026-03-02", "body": "x"}', '{"day": "x", "body": "x", "revision": 0}']
)
def test_what_is_no_draft_is_refused(client: TestClient, running: Challenge, body: str) -> None:
    answer = client.post("/api/draft", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("This is no draft: ")


def test_a_form_of_another_page_cannot_pass_as_a_draft(client: TestClient, running: Challenge) -> None:
    answer = client.post("/api/draft", content='{"day": 1}', headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_a_note_that_is_too_big_is_refused_before_it_is_read_whole(client: TestClient, running: Challenge) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 3 * server.MAX_BODY_BYTES:
            sent += 100_000
            yield b" " * 100_000

    answer = client.post("/api/draft", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"] == "A note holds at most 1000 KB."


def test_a_note_above_the_limit_is_refused_by_its_size(client: TestClient, running: Challenge) -> None:
    answer = client.post("/api/draft", json=draft("x" * 1_200_000))
    assert answer.status_code == 422
    assert answer.json()["error"] == "a note holds at most 1000 KB, this is 1200 KB."


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7:8501"])
def test_another_host_is_refused(client: TestClient, running: Challenge, host: str) -> None:
    for answer in (
        client.get("/api/clock", headers={"host": host}),
        client.post("/api/draft", json=draft("x"), headers={"host": host, "origin": f"http://{host}"}),
    ):
        assert answer.status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "http://localhost", "null"])
def test_another_origin_is_refused_and_nothing_is_written(
    client: TestClient, journal: Journal, running: Challenge, origin: str
) -> None:
    answer = client.post("/api/draft", json=draft("x"), headers={"origin": origin})
    assert answer.status_code == 403
    assert stored(journal, running) is None


def test_a_websocket_of_another_origin_is_refused(client: TestClient, running: Challenge) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("ws://127.0.0.1/_stcore/stream", headers={"origin": "http://localhost:9999"}),
    ):
        pass
    assert refused.value.status_code == 403


def test_the_own_origin_is_welcome(client: TestClient, running: Challenge) -> None:
    assert client.post("/api/draft", json=draft("x"), headers={"origin": HERE}).status_code == 200


def test_a_full_disk_is_said_and_the_text_stays_with_the_browser(
    home: Home, clock: MovableClock, rules: challenges.Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(home, clock)
    challenges.found(journal, rules, rules.starts_on)
    sessions.start(journal)

    @event.listens_for(journal.engine, "checkout")
    def no_page_more(connection: object, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    answer = TestClient(server.app, base_url=HERE).post("/api/draft", json=draft("x" * 300_000))
    assert answer.status_code == 507
    assert "database or disk is full" in answer.json()["error"]
    journal.close()


def test_a_journal_that_cannot_be_read_is_said_instead_of_a_crash(
    client: TestClient, journal: Journal, running: Challenge
) -> None:
    with journal.writing() as db:
        db.connection().exec_driver_sql("ALTER TABLE session_event RENAME TO gone")
    answer = client.get("/api/clock")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("The journal cannot be read")


def test_no_page_of_another_origin_may_frame_ours(client: TestClient, running: Challenge) -> None:
    for answer in (client.get("/api/clock"), client.get("/api/clock", headers={"host": "evil.example"})):
        assert answer.headers["content-security-policy"] == "frame-ancestors 'self'"

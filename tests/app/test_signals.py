"""Signals to desktop and phone: when they are due, that each is sent once, and that a real receiver hears them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
from sqlmodel import select

from app.jobs import backlog, orders, signals
from app.jobs.backends.local import LocalBackend
from app.jobs.reconciler import Reconciler
from app.journal import challenges, sessions, sittings
from app.journal.store import Journal
from app.journal.tables import Challenge, Job, Run
from tests.app.trainings import small_spec, training, until
from tests.conftest import MovableClock, ms

FIRST = date(2026, 3, 2)


def due(journal: Journal) -> list[str]:
    with journal.reading() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
    return [signal.kind for signal in signals.due(at, ())]


@pytest.fixture
def with_habit(journal: Journal, rules: challenges.Rules) -> None:
    challenges.found(journal, replace(rules, habit_at="20:00"), FIRST)


@pytest.mark.unit
@pytest.mark.usefixtures("with_habit")
def test_the_habit_is_recalled_at_its_time_and_not_much_later(journal: Journal, clock: MovableClock) -> None:
    seen = {}
    for text in ("19:59", "20:00", "20:14", "20:16"):
        clock.at = ms(f"2026-03-02 {text}")
        seen[text] = due(journal)
    assert seen == {"19:59": [], "20:00": ["habit"], "20:14": ["habit"], "20:16": []}
    clock.at = ms("2026-03-02 20:00")
    sessions.start(journal)
    assert due(journal) == []


@pytest.mark.unit
@pytest.mark.usefixtures("with_habit")
def test_the_last_five_minutes_and_the_end_are_told(journal: Journal, clock: MovableClock) -> None:
    sessions.start(journal)
    seen = []
    for seconds in (54 * 60, 60, 4 * 60, 60, 20 * 60):
        clock.move(seconds)
        seen.append(due(journal))
    assert seen == [[], ["five minutes"], ["five minutes"], ["time is up"], []]


@pytest.mark.unit
@pytest.mark.usefixtures("with_habit")
def test_who_ends_the_hour_by_hand_is_not_told_so(journal: Journal, clock: MovableClock) -> None:
    sessions.start(journal)
    clock.move(60)
    sessions.end(journal)
    assert due(journal) == []


@pytest.fixture
def phone() -> Iterator[tuple[str, Queue[bytes]]]:
    """A receiver on loopback: its apprise address and what it heard."""
    heard: Queue[bytes] = Queue()

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Ear)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", heard
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("with_habit")
def test_a_phone_hears_each_signal_once(
    journal: Journal, phone: tuple[str, Queue[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, heard = phone
    assert signals.send_due(journal) == [], "without an address nothing is sent"
    monkeypatch.setenv(signals.ADDRESSES, address)
    assert [signal.kind for signal in signals.send_due(journal)] == ["habit"]
    assert b"Your hour on humpback can begin." in heard.get(timeout=20)
    assert signals.send_due(journal) == []


def test_a_phone_hears_that_a_run_goes_on_and_what_came_of_it_once_each(
    journal: Journal, challenge: Challenge, phone: tuple[str, Queue[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, heard = phone
    monkeypatch.setenv(signals.ADDRESSES, address)
    sessions.start(journal)
    key = orders.queue_run(journal, "x", small_spec(Path(challenge.data_dir)), "a").run_key
    jobs = Reconciler(journal, LocalBackend(journal.home), training("requeue"))

    def job() -> Job:
        with journal.reading() as db:
            return backlog.job_of(db, key)

    until(lambda: job().finished_at is not None, jobs.tick)
    told = [json.loads(heard.get(timeout=20)) for _ in range(2)]
    assert {one["title"] for one in told} == {f"{key} goes on in another attempt", f"{key} succeeded"}
    assert "CV 0.6250" in next(one["message"] for one in told if "succeeded" in one["title"])
    with journal.reading() as db:
        run = db.exec(select(Run)).one()
    assert signals.send_job(journal, job(), run, "succeeded", "") is None
    assert heard.empty()

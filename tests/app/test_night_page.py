"""The Night page, the queue form's second click, and a run that is watched while it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.jobs import backlog, orders
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views import desk, long_list
from engine.run_folder import RunFolder, write_text
from tests.app.test_views import page, ran, texts
from tests.app.trainings import small_spec, write_epoch
from tests.conftest import MovableClock

HOUR_S = 3_600


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


@pytest.fixture
def keys(journal: Journal, challenge: Challenge) -> list[str]:
    sessions.start(journal)
    spec = small_spec(Path(challenge.data_dir))
    return [orders.queue_run(journal, "x", spec, said).run_key for said in ("a", "b", "c")]


def selected(at: AppTest, *places: int) -> AppTest:
    """The page with rows of the queue's table selected, as a click does it."""
    at.session_state[long_list.table_key("queue", at.dataframe[0].value["Run"].tolist())] = {
        "selection": {"rows": list(places), "columns": [], "cells": []}
    }
    return ran(at)


def order(journal: Journal) -> list[str]:
    with journal.reading() as db:
        return [row.run_key for row in backlog.list_jobs(db, open_only=True)]


def test_an_empty_night_says_what_to_do(challenge: Challenge) -> None:
    assert "Nothing waits. Queue the night's runs on Today" in texts(page("night"))


def test_the_queue_is_told_row_by_row_with_its_ends(journal: Journal, keys: list[str]) -> None:
    at = page("night")
    table = at.dataframe[0].value
    assert table["Run"].tolist() == keys
    assert all("before your next hour" in when for when in table["When"])
    assert "Nobody starts the jobs of local just now" in texts(at)


def test_what_stands_in_the_way_is_told_in_whole_sentences_once_for_all_that_say_it(
    journal: Journal, keys: list[str]
) -> None:
    with journal.writing() as db:
        for key in keys:
            backlog.say(db, backlog.job_of(db, key), "box: no connection ($(touch x), *Connection* refused).")
    said = [each.value for each in page("night").caption if "no connection" in each.value]
    assert said == [f"{', '.join(keys[:3])}: box: no connection (\\$(touch x), \\*Connection\\* refused)."]


def test_rows_are_run_first_or_last_or_cancelled(journal: Journal, keys: list[str]) -> None:
    at = selected(page("night"), 1, 2)
    ran(at.button(key="queue_Run first").click())
    assert order(journal) == [keys[1], keys[2], keys[0]]
    at = selected(page("night"), 0)
    ran(at.button(key="queue_Run last").click())
    assert order(journal) == [keys[2], keys[0], keys[1]]
    at = selected(page("night"), 0, 1)
    ran(at.button(key="queue_Cancel").click())
    assert order(journal) == [keys[1]]


def test_a_run_that_would_pass_a_limit_there_is_moved_by_the_same_click_once_more(
    journal: Journal, keys: list[str]
) -> None:
    box = '[backends.box]\nkind = "ssh"\nhost = "box"\ndir = "/there"\nslots = 1\ntime_limit = 1\n'
    journal.home.config_toml.write_text(box)
    at = selected(page("night"), 0)
    ran(at.selectbox(key="move_to_backend").set_value("box"))
    ran(at.button(key="queue_Move there").click())
    assert "Move it once more to have it all the same" in at.warning[0].value
    assert at.button(key="queue_Move there").label == "All the same"
    ran(at.button(key="queue_Move there").click())
    with journal.reading() as db:
        assert backlog.job_of(db, keys[0]).backend == "box"


def test_nothing_selected_leaves_the_buttons_grey(journal: Journal, keys: list[str]) -> None:
    at = page("night")
    assert all(at.button(key=f"queue_{label}").disabled for label in ("Run first", "Run last", "Cancel"))


def test_the_hours_that_experiments_took_stand_below(journal: Journal, keys: list[str], clock: MovableClock) -> None:
    with journal.writing() as db:
        job = backlog.claim(db, "local", "cuda:0", clock.at, gpus=1)
        assert job is not None
    clock.move(2 * HOUR_S)
    with journal.writing() as db:
        backlog.finish(db, backlog.job_of(db, keys[0]), backlog.FAILED, clock.at)
    took = page("night").dataframe[-1].value
    assert took[["Experiment", "GPU", "Where"]].to_numpy().tolist() == [["humpback_001", "2 h", "local"]]


def test_what_passes_a_limit_wants_the_same_click_twice(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    journal.home.config_toml.write_text('[backends.local]\ntime_limit = "1min"\n')
    at = page()
    at.text_input(key="overrides").input("augment=[]")
    ran(at.text_input(key="hypothesis").input("it takes long"))
    assert "it will pass the limit of 1 min of local" in texts(at)
    assert "a crude guess: nothing like it has finished there" in texts(at)
    assert at.button(key="queue").label == "Queue a run"
    ran(at.button(key="queue").click())
    assert "It will pass the limit of 1 min of local" in at.warning[0].value
    assert order(journal) == []
    assert at.button(key="queue").label == "All the same"
    ran(at.text_input(key="overrides").input("augment=[] seed=2"))
    assert at.button(key="queue").label == "Queue a run", "another form is another question"
    ran(at.text_input(key="overrides").input("augment=[]"))
    ran(at.button(key="queue").click())
    assert order(journal) == ["humpback_001-r01"]


def test_a_comparison_is_queued_from_the_page(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    at.text_input(key="overrides").input("augment=[]")
    at.text_input(key="hypothesis").input("seeds differ")
    ran(at.text_input(key="axes").input("seed=1,2,3"))
    assert "3 runs: queued now the last ends about" in texts(at)
    ran(at.button(key="queue").click())
    assert len(order(journal)) == 3


def test_a_run_is_watched_while_it_trains(journal: Journal, keys: list[str], challenge: Challenge) -> None:
    with journal.writing() as db:
        job = backlog.claim(db, "local", "cpu:0", journal.now())
        assert job is not None
        backlog.run_on(db, job, journal.now())
    folder = RunFolder(journal.home.run_dir(keys[0]))
    folder.create(small_spec(Path(challenge.data_dir)))
    write_epoch(folder, 1)
    with folder.metrics_jsonl.open("a") as file:
        file.write('{"kind": "batch", "gpu/busy": 0.87, "gpu/peak_gb": 6.12, "images/s": 214.2,')
        file.write(' "time/data_s": 3, "time/compute_s": 97}\n')
    write_text(folder.log_txt, "epoch 1 of 2\n")
    at = page("runs")
    assert f"**{keys[0]}**" in texts(at), "what runs is shown first"
    assert "GPU 87% busy, 6.1 GB · 214 images/s, 3% of the time waiting for data" in texts(at)
    assert "50%, 2 folds begun, epoch 1, ends about" in str([each.proto for each in at.get("progress")])
    assert at.code[0].value == "epoch 1 of 2"
    assert at.get("plotly_chart")

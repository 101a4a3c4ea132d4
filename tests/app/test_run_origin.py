"""What is shown of where a run comes from, on Runs and in a terminal, and running it again from there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from app import cli
from app.jobs import as_queued, backlog, orders
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Run
from app.reports import lineage
from app.views import desk, long_list
from app.views.run_words import STATE_SHAPES
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.app.repositories import Repository, repository
from tests.app.test_views import page, ran
from tests.app.test_views import texts as escaped
from tests.app.trainings import small_spec
from tests.conftest import MovableClock
from tests.e2e.past import finish


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Onehour's own checkout, as it were."""
    made = repository(tmp_path / "onehour", engine_py="print(1)\n")
    made.git("remote", "add", "origin", "git@github.com:me/onehour.git")
    monkeypatch.setattr(as_queued, "CHECKOUT", made.path)
    return made


@pytest.fixture
def queue(journal: Journal, challenge: Challenge) -> Callable[[str], str]:
    sessions.start(journal)
    spec = small_spec(Path(challenge.data_dir))
    return lambda hypothesis: orders.queue_run(journal, "cpu-transfer", spec, hypothesis).run_key


def run_of(journal: Journal, key: str) -> Run:
    with journal.reading() as db:
        return db.exec(select(Run).where(Run.key == key)).one()


def texts(at: AppTest) -> str:
    """What the page says, as a person reads it."""
    return escaped(at).replace("\\", "")


def selected(at: AppTest, newest: int, *places: int) -> AppTest:
    """The page with rows of its table selected, as a click does it; `newest`: the number of the run in its first row."""
    at.session_state[long_list.table_key("runs", ("newest", *range(newest, 0, -1)))] = {
        "selection": {"rows": list(places), "columns": [], "cells": []}
    }
    return ran(at)


def test_the_commit_is_a_link_and_what_was_not_committed_is_shown_when_asked_for(
    journal: Journal, checkout: Repository, queue: Callable[[str], str]
) -> None:
    checkout.write("engine.py", "print(2)\n")
    key = queue("a")
    commit = checkout.git("rev-parse", "HEAD")
    at = page("runs")
    linked = f"Code [`{commit[:10]}`](https://github.com/me/onehour/commit/{commit}) on main, 1 file not committed"
    assert linked in texts(at)
    assert not any("print(2)" in block.value for block in at.code)
    ran(at.toggle(key=f"diff_{key}").set_value(True))
    assert any("+print(2)" in block.value for block in at.code)


def test_a_run_is_run_again_or_varied_from_its_page(
    journal: Journal, checkout: Repository, queue: Callable[[str], str]
) -> None:
    first = queue("a")
    at = page("runs")
    assert at.button(key="again").label == "Run again"
    ran(at.button(key="again").click())
    assert f"{first.replace('-r01', '-r02')} is queued." in texts(at)
    at = selected(page("runs"), 2, 1)
    checkout.write("engine.py", "print(2)\n")
    ran(at.text_input(key=f"again_changes_{first}").set_value("seed=3"))
    assert at.button(key="again").label == "Queue a variation"
    at.checkbox(key=f"again_present_{first}").set_value(True)  # and clicked before the page was drawn again
    ran(at.button(key="again").click())
    third = first.replace("-r01", "-r03")
    runs = [run_of(journal, key) for key in (first, first.replace("-r01", "-r02"), third)]
    assert [run.parent_id for run in runs] == [None, runs[0].id, runs[0].id]
    assert json.loads(runs[2].spec)["seed"] == 3
    assert f"Once more after {first}, with seed: 0 → 3, other code" in texts(page("runs"))


def test_what_cannot_be_changed_so_is_refused_on_the_page(queue: Callable[[str], str]) -> None:
    first = queue("a")
    at = page("runs")
    ran(at.text_input(key=f"again_changes_{first}").set_value("sed=3"))
    ran(at.button(key="again").click())
    assert "Did you mean 'seed'" in at.warning[0].value


def test_after_the_hour_nothing_is_run_again(queue: Callable[[str], str], clock: MovableClock) -> None:
    queue("a")
    clock.move(61 * 60)
    at = page("runs")
    assert at.button(key="again").disabled
    assert "The hour is over" in texts(at)


def test_selected_runs_are_offered_to_be_blended(journal: Journal, queue: Callable[[str], str]) -> None:
    for hypothesis in ("a", "b"):
        finish(journal, queue(hypothesis), cv=0.5)
    assert not any(button.key == "blend" for button in page("runs").button)
    at = selected(page("runs"), 2, 0, 1)
    assert at.button(key="blend").label == "Blend 2 runs"
    ran(at.text_input(key="blend_hypothesis").set_value("both"))
    ran(at.button(key="blend").click())
    # What is in the folders of this test are no predictions: the engine would not have to look.
    assert "has left no out-of-fold predictions" in at.warning[0].value


def test_every_state_has_its_words_and_a_stopped_run_says_why(
    journal: Journal, queue: Callable[[str], str], clock: MovableClock
) -> None:
    states = {backlog.QUEUED, *backlog.ACTIVE, backlog.SUCCEEDED, backlog.FAILED, backlog.CANCELLED, backlog.STOPPED}
    assert STATE_SHAPES.keys() == states
    key, why = queue("a"), "after fold 0 it is behind h_001-r01 by 0.0500"
    with journal.writing() as db:
        backlog.finish(db, backlog.job_of(db, key), backlog.STOPPED, clock.move(2 * 60 * 60), why)
    assert why in texts(page("today"))
    assert why in texts(page("runs"))
    assert page("scores").dataframe[0].value["State"].tolist() == ["stopped"]
    clock.move(22 * 60 * 60)
    assert f":orange[■] stopped: {why}" in texts(page("today"))
    assert ":orange[■] stopped" in texts(page("week"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main([*arguments]) == EXIT_OK
    return capsys.readouterr().out


def test_a_terminal_is_told_all_that_is_known_of_a_run(
    tmp_path: Path, checkout: Repository, capsys: pytest.CaptureFixture[str], migrated_home: object
) -> None:
    data = tmp_path / "competition"
    for name in ("train", "test"):
        (data / name).mkdir(parents=True)
    for name in ("train.csv", "sample_submission.csv"):
        (data / name).write_text("Image,Id\na.jpg,w\n")
    told(capsys, "init", "--competition", "humpback", "--data", str(data), "--time-zone", "UTC")
    told(capsys, "session", "start")
    told(capsys, "queue", "cpu-transfer", "--looked-at", "--hypothesis", "it works")
    checkout.write("engine.py", "print(2)\n")
    said = told(capsys, "again", "humpback_001-r01", "--set", "seed=4")
    assert "humpback_001-r02 queued" in said
    assert "The code was changed since: it is built again from" in said
    commit = checkout.git("rev-parse", "HEAD")
    page_of = told(capsys, "run", "show", "humpback_001-r02").splitlines()
    assert page_of == [
        "humpback_001-r02  queued",
        "it works",
        "train: cpu-transfer",
        "once more after humpback_001-r01, with seed: 0 → 4",
        f"code: {commit[:10]} on main, https://github.com/me/onehour/commit/{commit}",
    ]
    found = json.loads(told(capsys, "run", "show", "humpback_001-r02", "--json"))
    assert (found["kind"], found["parent"], found["state"]) == ("train", "humpback_001-r01", "queued")
    assert found["changes"] == [{"key": "seed", "before": 0, "after": 4}]
    assert (found["code"]["commit"], found["code"]["diff"], found["spec"]["seed"]) == (commit, "", 4)
    told(capsys, "queue", "--command", "true", "--cwd", str(checkout.path), "--hypothesis", "my own")
    page_of = told(capsys, "run", "show", "humpback_002-r01").splitlines()
    assert page_of[2:] == [
        f"command: true, in {checkout.path}",
        f"code: {commit[:10]} on main, 1 file not committed, https://github.com/me/onehour/commit/{commit}",
    ]
    assert cli.main(["run", "show", "humpback_02-r01"]) == EXIT_BAD_INPUT
    assert "Did you mean 'humpback_002-r01'" in capsys.readouterr().err


def test_the_form_says_what_a_run_would_be_stopped_by(journal: Journal, queue: Callable[[str], str]) -> None:
    finish(journal, queue("a"), cv=0.5)
    with journal.writing() as db:
        run = db.exec(select(Run)).one()
        run.spec = json.dumps(json.loads(run.spec) | {"folds": 2, "seed": 0})
        db.add(run)
    at = page("today")
    at.selectbox(key="preset").set_value("sample-quick")
    ran(at.text_input(key="overrides").set_value("folds=2 augment=[]"))
    ran(at.toggle(key="stops").set_value(True))
    assert "It stops by itself when it is behind humpback_001-r01 by more than" in texts(at)
    at.text_input(key="hypothesis").set_value("b")
    at.text_input(key="overrides").set_value(
        "folds=2 augment=[] batch_size=8"
    )  # clicked before the page was drawn again
    ran(at.button(key="queue").click())
    queued = json.loads(run_of(journal, "humpback_002-r01").spec)
    rule = queued["stop_if_behind"]
    assert (rule["run"], len(rule["by"]), queued["batch_size"]) == ("humpback_001-r01", 1, 8)
    ran(at.text_input(key="overrides").set_value("folds=3 augment=[]"))
    assert "there is no finished run on the same data and folds" in texts(at)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name one thing to run: a SPEC, --command LINE or --notebook FILE"),
        (["cpu-transfer", "--command", "true"], "SPEC and --command: name one thing to run"),
        (["cpu-transfer", "--cwd", "."], "SPEC: --cwd can only be said of your own code"),
        (["--command", "true", "--grid", "seed=1,2"], "--command: --grid can only be said of a SPEC"),
        (
            ["--command", "true", "--stop-if-behind", "--behind-by", "1"],
            "--command: --stop-if-behind and --behind-by can only be said of a SPEC",
        ),
    ],
)
def test_one_thing_is_queued_at_a_time_with_the_options_that_fit_it(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["queue", *arguments, "--hypothesis", "x"]) == EXIT_BAD_INPUT
    assert sentence in capsys.readouterr().err


def test_specs_are_compared_key_by_key() -> None:
    before = {
        "seed": 0,
        "data": {"dir": "a", "labels": "x"},
        "tracking": {"run_id": "1"},
        "search_path": "/a",
        "old": 1,
    }
    after = {
        "seed": 0,
        "data": {"dir": "b", "labels": "x"},
        "tracking": {"run_id": "2"},
        "search_path": "/b",
        "new": [1],
    }
    found = [(one.key, one.before, one.after) for one in lineage._changes(lineage._flat(before), lineage._flat(after))]
    assert found == [("data.dir", "a", "b"), ("new", None, [1]), ("old", 1, None)]

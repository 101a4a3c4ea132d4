"""A run starts with the code that it was queued with: here an engine of a few lines, in a checkout of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import select

from app.jobs import again, as_queued, backlog, code_record, orders, supervisor
from app.jobs.backends.local import LocalBackend
from app.jobs.reconciler import Reconciler
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Run, RunCode
from engine.run_folder import RunFolder
from tests.app.repositories import Repository, repository
from tests.app.trainings import small_spec, until

# It knows no key that was added since, as an engine of some weeks ago would not.
ENGINE = """
import json, os, sys
from pathlib import Path
spec, out = sys.argv[2], Path(sys.argv[4])
kept = json.loads((out / "spec.json").read_text())
if "{unknown}" in kept:
    sys.exit("unknown key {unknown}")
result = dict(run_id=out.name, metric="map5", direction="max", cv={cv}, fold_scores=[], images=2, classes=1, test_images=0,
    submission_sha256="", data_sha256="d", folds_sha256="f", train_s=1.0, started_at=1, finished_at=2)
(out / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = repository(tmp_path / "onehour", engine_py="")
    made.write("engine/__main__.py", ENGINE.format(cv=0.25, unknown="stages"))
    made.write("engine/__init__.py", "")
    (made.path / "engine.py").unlink()
    monkeypatch.setattr(as_queued, "CHECKOUT", made.path)
    return made


@pytest.fixture
def first(journal: Journal, challenge: Challenge, checkout: Repository) -> str:
    sessions.start(journal)
    spec = small_spec(Path(challenge.data_dir))
    return orders.queue_run(journal, "cpu-transfer", spec, "what was queued runs").run_key


def done(journal: Journal, key: str) -> tuple[str, str]:
    works = Reconciler(journal, LocalBackend(journal.home))
    works.slots = ("cpu:0",)

    def job() -> tuple[str, str, int | None]:
        with journal.reading() as db:
            found = backlog.job_of(db, key)
        return found.state, found.message, found.finished_at

    until(lambda: job()[2] is not None, works.tick)
    for attempt in journal.home.jobs_dir.glob("*-*"):
        supervisor.clear(str(attempt.resolve()))
    return job()[:2]


def test_an_engine_that_was_changed_since_is_built_from_the_record(
    journal: Journal, checkout: Repository, first: str
) -> None:
    checkout.write("engine/__main__.py", ENGINE.format(cv=0.5, unknown="nothing"))
    assert done(journal, first) == ("failed", "unknown key stages")
    with journal.reading() as db:
        code = db.exec(select(RunCode)).one()
    assert (code.root, b"engine/__main__.py" in as_queued.recorded(code).patch) == (str(checkout.path), True)
    second = again.again(journal, first, present_code=True).run_key
    assert done(journal, second) == ("succeeded", "")
    assert [path.name for path in journal.home.code_dir.iterdir()] == [as_queued.recorded(code).key]


def test_a_repetition_keeps_the_keys_of_its_time(journal: Journal, checkout: Repository, first: str) -> None:
    """The first run's spec lacks a key that the present contract fills in: so does what the old engine is given."""
    with journal.writing() as db:
        run = db.exec(select(Run)).one()
        run.spec = run.spec.replace('"local_features":false,', "")
        db.add(run)
    second = again.again(journal, first, ["seed=3"]).run_key
    assert done(journal, first)[0] == "failed"
    assert done(journal, second)[0] == "failed"
    for key in (first, second):
        folder = RunFolder(journal.home.run_dir(key))
        assert "local_features" not in folder.spec_json.read_text()
        assert "local_features" not in folder.spec_yaml.read_text()
        assert '"pooling"' in folder.spec_json.read_text()
    assert '"seed": 3' in RunFolder(journal.home.run_dir(second)).spec_json.read_text()


def test_a_checkout_that_was_moved_is_built_from_where_it_lies_now(
    journal: Journal, checkout: Repository, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Repository(checkout.path.rename(tmp_path / "moved"))
    monkeypatch.setattr(as_queued, "CHECKOUT", moved.path)
    moved.write("engine/__main__.py", ENGINE.format(cv=0.5, unknown="nothing"))
    second = again.again(journal, first).run_key
    assert done(journal, second) == ("failed", "unknown key stages")
    assert [path.name for path in journal.home.code_dir.iterdir()] != []


def test_code_that_is_as_recorded_runs_in_place(journal: Journal, checkout: Repository, first: str) -> None:
    checkout.commit("what was not committed when it was queued")
    assert done(journal, first) == ("failed", "unknown key stages")
    assert not journal.home.code_dir.exists()


def test_a_run_whose_diff_was_too_large_fails_rather_than_run_the_commit_alone(
    journal: Journal, challenge: Challenge, checkout: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_record, "MOST_DIFF_BYTES", 10)
    sessions.start(journal)
    checkout.write("engine/__main__.py", ENGINE.format(cv=0.5, unknown="nothing"))
    key = orders.queue_run(journal, "cpu-transfer", small_spec(Path(challenge.data_dir)), "too much").run_key
    checkout.write("engine/__main__.py", ENGINE.format(cv=0.75, unknown="nothing"))
    state, message = done(journal, key)
    assert state == "failed"
    assert "was too large to be recorded" in message

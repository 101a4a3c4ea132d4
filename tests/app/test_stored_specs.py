"""Runs recorded before folds had a seed of their own: it was the run's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlmodel import select

from app.jobs import again, orders
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Run, RunCode
from app.reports import lineage
from app.scores.stored_specs import stored_spec
from tests.app.trainings import small_spec

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("told", "fold_seed"),
    [
        ({"seed": 3, "folds": 5}, 3),
        ({"seed": 3, "folds": 5, "folds_from": None}, 3),
        ({"seed": 3, "folds": 5, "folds_from": "folds.csv"}, 0),
        ({"seed": 3, "folds": 5, "fold_seed": 1}, 1),
        ({"line": "python train.py", "seed": 3}, None),
    ],
)
def test_folds_were_made_by_the_runs_seed(told: dict[str, object], fold_seed: int | None) -> None:
    assert stored_spec(json.dumps(told)).get("fold_seed") == fold_seed


@pytest.fixture
def earlier(journal: Journal, challenge: Challenge) -> str:
    """The key of a run of seed 3 whose spec knows no fold_seed."""
    sessions.start(journal)
    spec = small_spec(Path(challenge.data_dir)).model_copy(update={"seed": 3})
    key = orders.queue_run(journal, "x", spec, "a").run_key
    with journal.writing() as db:
        run = db.exec(select(Run)).one()
        run.spec = json.dumps({name: value for name, value in json.loads(run.spec).items() if name != "fold_seed"})
        db.add(run)
    return key


def test_the_code_of_now_is_told_the_seed_of_its_folds_and_the_code_of_then_is_not(
    journal: Journal, earlier: str
) -> None:
    asked = {}
    for present in (True, False):
        key = again.again(journal, earlier, ["seed=4"], present_code=present).run_key
        with journal.reading() as db:
            asked[present] = json.loads(db.exec(select(Run.spec).where(Run.key == key)).one())
            assert lineage.lineages(db, [key], {})[key].words.split(",")[0] == "seed: 3 → 4"
    assert (asked[True]["seed"], asked[True]["fold_seed"]) == (4, 3)
    assert "fold_seed" not in asked[False]


def test_without_a_record_of_its_code_it_is_the_code_of_now(journal: Journal, earlier: str) -> None:
    with journal.writing() as db:
        db.delete(db.exec(select(RunCode)).one())
    key = again.again(journal, earlier).run_key
    with journal.reading() as db:
        assert json.loads(db.exec(select(Run.spec).where(Run.key == key)).one())["fold_seed"] == 3
        assert lineage.differing(db, [earlier, key]) == []

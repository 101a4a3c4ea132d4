"""Which run a new one is held against while it trains, and how far behind is clearly behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlmodel import select

from app.jobs import orders, stop_rules
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, FoldScore, Run
from engine.contract import OnehourError, RunSpec, StopIfBehind
from engine.run_folder import file_sha256
from tests.app.trainings import small_spec

pytestmark = pytest.mark.unit

FOLDS = (0.80, 0.82, 0.81, 0.79, 0.83)
Train = Callable[..., str]


@pytest.fixture
def spec(challenge: Challenge) -> RunSpec:
    return small_spec(Path(challenge.data_dir)).model_copy(update={"folds": 5})


@pytest.fixture
def train(journal: Journal, spec: RunSpec) -> Train:
    """A run with fold scores moved by `by`, whose folds have the hash `folds`."""
    sessions.start(journal)

    def trained(
        by: float = 0.0, folds: str = "f", kind: str = "train", scores: tuple[float, ...] = FOLDS, **keys: Any
    ) -> str:
        key = orders.queue_run(journal, "x", spec.model_copy(update=keys), "idea").run_key
        with journal.writing() as db:
            run = db.exec(select(Run).where(Run.key == key)).one()
            run.cv, run.data_sha256, run.folds_sha256, run.kind = 0.81 + by, "d", folds, kind
            db.add(run)
            for fold, score in enumerate(scores):
                db.add(FoldScore(run_id=run.id, fold=fold, score=score + by, images=10))
        return key

    return trained


def rule(journal: Journal, challenge: Challenge, spec: RunSpec, by: float | None = None) -> StopIfBehind:
    with journal.reading() as db:
        found = stop_rules.with_rule(db, challenge, spec, by).stop_if_behind
    assert found is not None
    return found


def test_it_is_the_best_run_on_the_same_folds(
    journal: Journal, challenge: Challenge, spec: RunSpec, train: Train
) -> None:
    train(0.01)
    best = train(0.02, backbone="resnet34")
    train(0.9, folds="others", fold_seed=1)
    train(0.9, folds="f", kind="blend")
    found = rule(journal, challenge, spec)
    assert (found.run, found.folds_sha256) == (best, "f")
    assert found.fold_scores == pytest.approx([score + 0.02 for score in FOLDS])
    # s = 0.01581; t(4) = 2.776; after one fold s · t · sqrt(1 + 1/4)
    assert found.by == pytest.approx((0.04907, 0.03802, 0.03352, 0.03104), abs=1e-5)
    assert stop_rules.rule_words(found) == (
        f"stops by itself when it is behind {best} by more than 0.0491 after its first fold"
    )
    assert rule(journal, challenge, spec, 0.02).by == (0.02,)


def test_a_run_from_before_fold_seeds_had_folds_of_its_own_seed(
    journal: Journal, challenge: Challenge, spec: RunSpec, train: Train
) -> None:
    keys = {seed: train(0.01 * seed, folds=f"of seed {seed}", seed=seed) for seed in (0, 3)}
    with journal.writing() as db:
        for run in db.exec(select(Run)).all():
            run.spec = json.dumps({key: value for key, value in json.loads(run.spec).items() if key != "fold_seed"})
            db.add(run)
    assert rule(journal, challenge, spec).run == keys[0]
    assert rule(journal, challenge, spec.model_copy(update={"fold_seed": 3})).run == keys[3]


def test_folds_of_an_earlier_run_are_known_by_their_file(
    journal: Journal, challenge: Challenge, spec: RunSpec, train: Train, tmp_path: Path
) -> None:
    file = tmp_path / "earlier" / "folds.csv"
    file.parent.mkdir()
    file.write_text("image,label,fold,group\n")
    earlier = train(fold_seed=1, folds=file_sha256(file))
    train(0.5)
    for where in (file, file.parent):
        assert rule(journal, challenge, spec.model_copy(update={"folds_from": str(where)})).run == earlier


def test_without_such_a_run_it_is_refused(journal: Journal, challenge: Challenge, spec: RunSpec, train: Train) -> None:
    train(fold_seed=1, folds="others")
    with pytest.raises(OnehourError, match="there is no finished run on the same data and folds"):
        rule(journal, challenge, spec)
    train(scores=(0.5,) * 5)
    with pytest.raises(OnehourError, match=r"do not differ, so nothing tells .* Say it: --behind-by"):
        rule(journal, challenge, spec)
    assert rule(journal, challenge, spec, 0.1).by == (0.1,)


def test_with_two_folds_chance_reaches_so_far_that_nothing_is_stopped() -> None:
    assert stop_rules.margins((0.80, 0.82)) == pytest.approx((0.254,), abs=1e-3)
    assert stop_rules.margins((0.8,)) == stop_rules.margins((0.8, 0.8)) == ()


def stopped(behind: float, runs: int, shared: float = 0.5) -> tuple[float, float]:
    """The shares of runs, worse by `behind` in units of the folds' chance, that are stopped after one fold, and at all."""
    draw, after_one, at_all = Random(7), 0, 0
    for _ in range(runs):
        common = [draw.gauss(0, shared**0.5) for _ in range(5)]
        theirs, mine = ([one + draw.gauss(0, (1 - shared) ** 0.5) for one in common] for _ in range(2))
        held = StopIfBehind(run="x", folds_sha256="f", fold_scores=tuple(theirs), by=stop_rules.margins(theirs))
        found = [held.why_stop({fold: mine[fold] - behind for fold in range(seen)}, "max") for seen in range(1, 5)]
        after_one += bool(found[0])
        at_all += any(found)
    return after_one / runs, at_all / runs


def test_a_run_of_equal_worth_is_seldom_stopped_and_a_much_worse_one_nearly_always() -> None:
    after_one, at_all = stopped(0.0, 2_000)
    assert after_one < 0.03
    assert at_all < 0.06
    assert stopped(0.0, 1_000, shared=0.8)[1] < at_all
    assert stopped(6.0, 500)[0] > 0.85

"""A blend is a job like any other: asked for by run keys, made by the real engine on the runs' folders, taken in with its parents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from app.jobs import again, backlog, blends, orders, specs, supervisor
from app.jobs.as_queued import of_run
from app.jobs.backends.local import LocalBackend
from app.jobs.programme import Places
from app.jobs.reconciler import Reconciler
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Run, Submission
from app.scores import runs
from app.scores.verdict import verdicts
from engine.contract import OnehourError
from engine.run_folder import RunFolder
from tests.app.trainings import small_spec, until
from tests.engine.test_blend import finished


@pytest.fixture(autouse=True)
def nothing_left(home: Home) -> Iterator[None]:
    yield
    for attempt in home.jobs_dir.glob("*-*"):
        supervisor.clear(str(attempt.resolve()))


Train = Callable[..., str]


@pytest.fixture
def train(journal: Journal, challenge: Challenge) -> Train:
    """A run that was trained, with real predictions."""
    sessions.start(journal)

    def trained(hypothesis: str, noise: float = 1.5, **keys: int) -> str:
        spec = small_spec(Path(challenge.data_dir))
        queued = orders.queue_run(journal, "cpu-transfer", spec, hypothesis)
        finished(journal.home.run_dir(queued.run_key), len(hypothesis), noise, **keys)
        runs.take_in(journal, run_of(journal, queued.run_key), RunFolder(journal.home.run_dir(queued.run_key)))
        with journal.writing() as db:
            backlog.finish(db, backlog.job_of(db, queued.run_key), backlog.SUCCEEDED, journal.now())
        return queued.run_key

    return trained


def run_of(journal: Journal, key: str) -> Run:
    with journal.reading() as db:
        return db.exec(select(Run).where(Run.key == key)).one()


def done(journal: Journal, key: str) -> tuple[str, str]:
    works = Reconciler(journal, LocalBackend(journal.home))
    works.slots = ("cpu:0",)

    def over() -> bool:
        with journal.reading() as db:
            return backlog.job_of(db, key).finished_at is not None

    until(over, works.tick)
    with journal.reading() as db:
        job = backlog.job_of(db, key)
        return job.state, job.message


def test_a_blend_has_its_own_cv_parents_and_submission_and_no_run_is_held_against_it(
    journal: Journal, challenge: Challenge, train: Train
) -> None:
    parents = [train("a"), train("bb")]
    queued = blends.queue(journal, parents, "they err elsewhere")
    assert queued.forecast.duration.seconds < 60
    assert done(journal, queued.run_key) == ("succeeded", "")
    run = run_of(journal, queued.run_key)
    assert (run.kind, run.metric, run.spec_source) == ("blend", "map5", f"blend of {parents[0]} and {parents[1]}")
    assert run.cv is not None
    assert run.cv > max(run_of(journal, key).cv or 0 for key in parents)
    assert all(f"{key} 0." in json.loads(run.remarks or "")[0] for key in parents)
    with journal.reading() as db:
        assert db.exec(select(Submission.path).where(Submission.run_id == run.id)).one().startswith(f"runs/{run.key}/")
        later = train("a later run", noise=1.4)
        found = verdicts(db, challenge, [run.id, run_of(journal, later).id])
    assert [verdict.against in parents for verdict in found.values()] == [True, True]


def test_a_blend_made_once_more_is_the_same_and_one_by_rank_another(journal: Journal, train: Train) -> None:
    first = blends.queue(journal, [train("a"), train("bb")], "they err elsewhere").run_key
    second, third = again.again(journal, first).run_key, again.again(journal, first, ["how.by=rank"]).run_key
    assert [done(journal, key)[0] for key in (first, second, third)] == ["succeeded"] * 3
    cvs = [run_of(journal, key).cv for key in (first, second, third)]
    assert cvs[0] == cvs[1] != cvs[2]
    with pytest.raises(OnehourError, match=r"unknown key 'how\.bye'"):
        again.again(journal, first, ["how.bye=rank"])


def test_it_reads_its_runs_wherever_they_lie(journal: Journal, train: Train) -> None:
    run = run_of(journal, blends.queue(journal, [train("a"), train("bb")], "x").run_key)
    programme = of_run(run)
    inputs = programme.inputs()
    assert [inputs[name].path.name for name in ("run0", "run1")] == list(getattr(specs.of_run(run), "runs", ()))
    assert {name for name in inputs["run0"].only if not (inputs["run0"].path / name).is_file()} == set()
    argv = programme.argv(Places("python3", "/there/out", {"code": "/c", "run0": "/there/a", "run1": "/there/b"}))
    assert argv[:8] == ["python3", "-m", "engine", "blend", "/there/a", "/there/b", "--out", "/there/out"]
    assert argv[8:] == ["--set", "by=score", "--set", "weights=oof", "--set", "families=none"]


def test_what_cannot_be_blended_is_refused_before_it_waits(
    journal: Journal, challenge: Challenge, train: Train
) -> None:
    first, second = train("a"), train("other folds", fold_seed=1)
    waiting = orders.queue_run(journal, "x", small_spec(Path(challenge.data_dir)), "not trained yet").run_key
    for keys, sentence in (
        ([first], "a blend needs two different runs or more"),
        ([first, first], "a blend needs two different runs or more"),
        ([first, second], f"{second}: it has other folds than {first}"),
        ([first, waiting], f"{waiting}: it is not finished"),
        ([first, first.replace("-r01", "-r1")], f"Did you mean '{first}'"),
    ):
        with pytest.raises(OnehourError, match=sentence):
            blends.queue(journal, keys, "x")
    with pytest.raises(OnehourError, match=r"there is no preset 'rank' of a blend\. Did you mean 'ranks'"):
        blends.queue(journal, [first, train("c")], "x", preset="rank")

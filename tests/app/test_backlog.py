"""Asking for a run: its keys, its rows, the hour it belongs to, and the order in which jobs are taken."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from sqlmodel import select

from app.jobs import again, attempts, backlog, blends, forecast, night, orders, wandb_push
from app.journal import challenges, sessions, sittings, todos
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, Job, Run
from app.reports import run_record
from app.scores.run_rows import run_rows
from engine.contract import OnehourError, RunSpec
from engine.run_folder import RunFolder
from tests.app.trainings import small_spec
from tests.conftest import MovableClock, ms

pytestmark = pytest.mark.unit


@pytest.fixture
def spec(tmp_path: Path, challenge: Challenge) -> RunSpec:
    return small_spec(tmp_path / "data")


@pytest.fixture
def hour(journal: Journal, challenge: Challenge) -> sittings.Sitting:
    return sessions.start(journal)


def queue(journal: Journal, spec: RunSpec, hypothesis: str = "larger images help") -> orders.Queued:
    return orders.queue_run(journal, "cpu-transfer", spec, hypothesis)


def test_a_queued_run_has_an_experiment_a_run_and_a_job(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, challenge: Challenge
) -> None:
    queued = queue(journal, spec)
    assert (queued.experiment_key, queued.run_key) == ("humpback_001", "humpback_001-r01")
    with journal.reading() as db:
        run = db.exec(select(Run)).one()
        rows = backlog.list_jobs(db, challenge.id or 0)
    assert (run.spec_source, run.metric, run.direction, run.origin) == ("cpu-transfer", "map5", "max", "person")
    assert run.local_date == hour.local_date
    tracking = RunSpec.model_validate_json(run.spec).tracking
    assert (tracking.run_id, tracking.tags, tracking.notes) == ("humpback_001-r01", ("day-1",), "larger images help")
    assert [(row.run_key, row.state, row.hypothesis) for row in rows] == [
        ("humpback_001-r01", "queued", "larger images help")
    ]


def test_the_same_hypothesis_is_the_same_experiment(journal: Journal, spec: RunSpec, hour: sittings.Sitting) -> None:
    keys = [queue(journal, spec, said).run_key for said in ("a", "b", " A ", "b  ")]
    assert keys == ["humpback_001-r01", "humpback_002-r01", "humpback_001-r02", "humpback_002-r02"]
    named = orders.queue_run(journal, "cpu-transfer", spec, "", experiment_key="humpback_001")
    assert named.run_key == "humpback_001-r03"
    with pytest.raises(OnehourError, match="Did you mean 'humpback_001'"):
        orders.queue_run(journal, "cpu-transfer", spec, "a", experiment_key="humpback_01")


def test_a_key_whose_folder_stands_there_is_not_used_again(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting
) -> None:
    journal.home.run_dir("humpback_001-r01").mkdir(parents=True)
    assert queue(journal, spec).run_key == "humpback_002-r01"


@pytest.mark.parametrize("hypothesis", ["", "  \n"])
def test_a_run_without_hypothesis_is_refused(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, hypothesis: str
) -> None:
    with pytest.raises(OnehourError, match="a run needs a hypothesis"):
        queue(journal, spec, hypothesis)


def test_a_run_on_a_folder_that_is_not_there_is_refused(
    journal: Journal, hour: sittings.Sitting, tmp_path: Path
) -> None:
    with pytest.raises(OnehourError, match="nowhere: there is no such data folder"):
        queue(journal, small_spec(tmp_path / "nowhere"))


def test_relative_paths_are_taken_from_the_current_folder(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    queue(journal, small_spec(Path("data")))
    with journal.reading() as db:
        assert json.loads(db.exec(select(Run)).one().spec)["data"]["dir"] == str(tmp_path / "data")


def test_outside_the_hour_queueing_is_refused_and_nothing_is_written(
    journal: Journal, spec: RunSpec, challenge: Challenge, clock: MovableClock
) -> None:
    with pytest.raises(AgainstTheRules, match="Queueing a run is part of the hour"):
        queue(journal, spec)
    sessions.start(journal)
    clock.move(60 * 60)
    with pytest.raises(AgainstTheRules, match="The hour is over"):
        queue(journal, spec)
    with journal.reading() as db:
        assert [db.exec(select(table)).all() for table in (Experiment, Run, Job)] == [[], [], []]


def test_outside_the_hour_the_database_refuses_a_persons_job(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, clock: MovableClock
) -> None:
    queue(journal, spec)
    clock.move(60 * 60)
    with journal.reading() as db:
        run = db.exec(select(Run)).one()
    with pytest.raises(AgainstTheRules, match="queueing a run is part of the hour"), journal.writing() as db:
        db.add(Job(run_id=run.id, state="queued", backend="local", origin="person", queued_at=clock.at))


def test_what_was_queued_in_the_hour_is_claimed_and_cancelled_at_any_time(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, clock: MovableClock
) -> None:
    key = queue(journal, spec).run_key
    clock.move(5 * 60 * 60)
    with journal.writing() as db:
        claimed = backlog.claim(db, "local", "cpu:0", clock.at)
    assert claimed is not None
    assert (claimed.state, claimed.attempt, claimed.started_at) == ("starting", 1, clock.at)
    assert backlog.cancel(journal, key) == "starting"
    with journal.reading() as db:
        assert [(row.state, row.says) for row in backlog.list_jobs(db)] == [("starting", "cancelling")]
    with journal.writing() as db:
        backlog.requeue(db, backlog.job_of(db, key), "stopped", 75, clock.at, counts_as_lost=False)
    with journal.reading() as db:
        assert backlog.job_of(db, key).state == "cancelled"


def test_jobs_are_claimed_by_priority_then_by_age_one_a_slot(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, clock: MovableClock, challenge: Challenge
) -> None:
    keys = []
    for said in ("a", "b", "c"):
        clock.move(1)
        keys.append(queue(journal, spec, said).run_key)
    backlog.move(journal, keys[2], 5)
    with journal.reading() as db:
        assert [row.run_key for row in backlog.list_jobs(db, challenge.id or 0, open_only=True)] == [
            keys[2],
            keys[0],
            keys[1],
        ]
        assert backlog.free_slots(db, "local", ("cuda:0", "cuda:1")) == ["cuda:0", "cuda:1"]
    claimed = []
    for slot in ("cuda:0", "cuda:0", "cuda:1"):
        with journal.writing() as db:
            job = backlog.claim(db, "local", slot, clock.at)
            run = None if job is None else db.get(Run, job.run_id)
            claimed.append(None if run is None else run.key)
    assert claimed == [keys[2], None, keys[0]]
    with pytest.raises(OnehourError, match="only a waiting run can be moved"):
        backlog.move(journal, keys[0], 1)


def test_an_unknown_run_is_named_with_the_nearest(journal: Journal, spec: RunSpec, hour: sittings.Sitting) -> None:
    queue(journal, spec)
    with pytest.raises(OnehourError, match="Did you mean 'humpback_001-r01'"):
        backlog.cancel(journal, "humpback_001-r1")


def test_the_guess_of_the_end_counts_what_waits_before_it(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, clock: MovableClock
) -> None:
    first, second = queue(journal, spec, "a"), queue(journal, spec, "b")
    assert first.forecast.ends_at == clock.at + round(first.forecast.duration.seconds * 1000)
    assert second.forecast.ends_at == first.forecast.ends_at + round(second.forecast.duration.seconds * 1000)
    assert second.forecast.next_hour_at == clock.at + 24 * 60 * 60 * 1000
    assert second.forecast.fits is True


def test_the_end_is_said_with_its_date_unless_that_is_today() -> None:
    ends_at = ms("2026-03-03 03:10")
    assert night.end_text(ends_at, ms("2026-03-03 02:00"), "UTC") == "03:10"
    assert night.end_text(ends_at, ms("2026-03-02 20:00"), "UTC") == "03:10 on 03 Mar"
    assert night.end_text(ends_at, ms("2026-03-02 20:00"), "America/New_York") == "22:10"


def test_a_run_of_a_challenge_that_has_ended_is_on_the_queue_and_in_the_guess(
    journal: Journal,
    spec: RunSpec,
    hour: sittings.Sitting,
    clock: MovableClock,
    rules: challenges.Rules,
    challenge: Challenge,
) -> None:
    old = queue(journal, spec)
    with journal.writing() as db:
        backlog.claim(db, "local", "cpu:0", clock.at)
    challenges.archive(journal)
    new = challenges.found(journal, rules, hour.local_date)
    with journal.reading() as db:
        assert [row.run_key for row in backlog.list_jobs(db, new.id, open_only=True)] == [old.run_key]
        assert backlog.list_jobs(db, new.id) == []
        (guess,) = forecast.forecast(db, journal.home, sittings.sitting(db, new, clock.at), [spec])
    assert guess.ends_at == old.forecast.ends_at + round(guess.duration.seconds * 1000)


def test_what_queueing_reads_from_disk_keeps_nobody_from_writing(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting
) -> None:
    labels = Path(spec.data.dir) / "train.csv"
    os.mkfifo(labels)
    keys: list[str] = []
    queueing = threading.Thread(target=lambda: keys.append(queue(journal, spec).run_key))
    queueing.start()
    with labels.open("w"):  # opens when it is being read, and keeps the reader waiting
        todos.add(journal, "meanwhile")
    queueing.join()
    assert keys == ["humpback_001-r01"]


def test_a_run_that_goes_on_counts_from_its_first_start_and_ends_by_the_pace_of_this_attempt(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, clock: MovableClock, challenge: Challenge
) -> None:
    key = queue(journal, spec).run_key
    folder = RunFolder(journal.home.run_dir(key))
    folder.create(spec.model_copy(update={"stages": (spec.stages[0].model_copy(update={"epochs": 10}),)}))

    def train(fold: int, epochs: range) -> None:
        with folder.metrics_jsonl.open("a") as file:
            for epoch in epochs:
                at = clock.move(60)
                file.write(json.dumps({"kind": "epoch", "fold": fold, "epoch": epoch, "at": at}) + "\n")

    def claim() -> int:
        with journal.writing() as db:
            job = backlog.claim(db, "local", "cpu:0", clock.at)
            assert job is not None
            attempts.found(db, job, folder.kept())
            backlog.run_on(db, job, clock.at)
        return clock.at

    def until() -> int:
        with journal.reading() as db:
            (row,) = backlog.list_jobs(db, open_only=True)
        return night.running_until(journal.home, row, clock.at)

    first_start = claim()
    train(0, range(10))  # half of it, a minute an epoch
    assert until() == clock.at + 10 * 60_000
    with journal.writing() as db:
        backlog.requeue(db, backlog.job_of(db, key), "stopped", 75, clock.at, counts_as_lost=False)
    clock.move(5 * 60 * 60)
    claim()
    train(1, range(5))
    assert until() == clock.at + 5 * 60_000
    with journal.writing() as db:
        backlog.finish(db, backlog.job_of(db, key), backlog.SUCCEEDED, clock.at)
    with journal.reading() as db:
        (row,) = run_rows(db, challenge)
    assert row.minutes == (clock.at - first_start) / 60_000 == 315


def test_a_waiting_run_is_moved_before_or_after_all_others(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting, clock: MovableClock
) -> None:
    keys = []
    for said in ("a", "b", "c"):
        clock.move(1)
        keys.append(queue(journal, spec, said).run_key)

    def order() -> list[str]:
        with journal.reading() as db:
            return [row.hypothesis for row in backlog.list_jobs(db, open_only=True)]

    assert (backlog.move(journal, keys[2], "first"), order()) == (1, ["c", "a", "b"])
    assert (backlog.move(journal, keys[0], "last"), order()) == (3, ["c", "b", "a"])
    assert (backlog.move(journal, keys[0], "first"), order()) == (1, ["a", "c", "b"])
    assert (backlog.move(journal, keys[0], 0), order()) == (2, ["c", "a", "b"])


def test_the_row_of_one_run_is_as_in_the_queue_until_it_is_over(
    journal: Journal, spec: RunSpec, hour: sittings.Sitting
) -> None:
    queue(journal, spec, "a")
    key = queue(journal, spec, "b").run_key
    with journal.reading() as db:
        assert backlog.queue_row(db, key) == backlog.list_jobs(db, open_only=True)[1]
    backlog.cancel(journal, key)
    with journal.reading() as db:
        assert backlog.queue_row(db, key) is None


def test_a_run_is_named_with_or_without_the_at_of_a_note(
    journal: Journal, challenge: Challenge, spec: RunSpec, hour: sittings.Sitting
) -> None:
    queue(journal, spec, "a")
    key = queue(journal, spec, "b").run_key
    assert backlog.move(journal, f"@{key}", "first") == 1
    assert orders.move_to(journal, f"@{key}", "local") == "queued"
    assert again.again(journal, f"@{key}").experiment_key == "humpback_002"
    with journal.reading() as db:
        assert run_record.read(db, challenge, f"@{key}").run.row.run_key == key
        with pytest.raises(OnehourError, match="it is not finished"):
            blends.asked(db, journal.home, challenge, [f"@{key}", "@humpback_001-r01"])
        with pytest.raises(OnehourError, match=r"there is no run 'humpback_02-r01'\. Did you mean 'humpback_002-r01'"):
            backlog.job_of(db, "humpback_02-r01")
    with pytest.raises(OnehourError, match=f"{key} is not over"):
        wandb_push.unsent(journal, [f"@{key}"])
    assert backlog.cancel(journal, f"@{key}") == "cancelled"

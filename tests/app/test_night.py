"""The night as it is laid out: the order in which workers claim, on the slot that is free first, within limits and quotas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import select

from app.jobs import backlog, errands, forecast, grid, ledger, night, orders, presence
from app.jobs.backends.interface import Probe, Quota
from app.jobs.configured import MachineFacts
from app.jobs.night import Load, lay_out
from app.jobs.orders import SecondThought
from app.jobs.probing import Look
from app.journal import challenges, sessions, sittings
from app.journal.store import Journal
from app.journal.tables import AttemptRow, Challenge, Run
from engine.contract import OnehourError, RunSpec
from engine.run_folder import RunFolder
from tests.app.trainings import small_spec, write_epoch
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

BOX = MachineFacts("box", ("box/cuda:0", "box/cuda:1"), {"box/cuda:0": 1, "box/cuda:1": 1}, None, True)
LIMITED = MachineFacts("kernels", ("kernels/1",), {"kernels/1": 1}, 3600.0, True)


def load(key: str, seconds: float, slot: str | None = None, backend: str = "box") -> Load:
    return Load(key, "", "running" if slot else "queued", backend, slot, seconds, seconds / 2, seconds * 2)


def bars(found: night.Night) -> dict[str, list[tuple[str, int, int]]]:
    return {lane.slot: [(bar.load.run_key, bar.starts_at, bar.ends_at) for bar in lane.bars] for lane in found.lanes}


def test_a_waiting_job_takes_the_slot_that_is_free_first() -> None:
    found = lay_out(0, None, [BOX], [load("a", 100, "box/cuda:0"), load("b", 10), load("c", 20), load("d", 1)])
    assert bars(found) == {
        "box/cuda:0": [("a", 0, 100_000)],
        "box/cuda:1": [("b", 0, 10_000), ("c", 10_000, 30_000), ("d", 30_000, 31_000)],
    }


def test_the_spread_of_those_before_adds_up() -> None:
    two = [load("b", 100, backend="kernels"), load("c", 100, backend="kernels")]
    bar_of_c = lay_out(0, None, [LIMITED], two).bar_of("c")
    assert bar_of_c is not None
    assert (bar_of_c.low_ends_at, bar_of_c.ends_at, bar_of_c.high_ends_at) == (100_000, 200_000, 400_000)


def test_a_run_over_the_limit_goes_on_by_itself_and_pays_for_it() -> None:
    assert [night.restarts(seconds, 3600) for seconds in (1, 3600, 3601, 7200, 7201)] == [0, 0, 1, 1, 2]
    found = lay_out(0, None, [LIMITED], [load("a", 4000, backend="kernels")])
    (bar,) = found.lanes[0].bars
    assert (bar.restarts, bar.ends_at) == (1, 4_020_000)


def test_backends_do_not_wait_for_each_other_and_unknown_ones_are_told_apart() -> None:
    loads = [load("a", 50, backend="kernels"), load("b", 10), load("x", 5, backend="gone")]
    found = lay_out(0, None, [BOX, LIMITED], loads)
    assert found.bar_of("a").starts_at == found.bar_of("b").starts_at == 0
    assert [one.run_key for one in found.stranded] == ["x"]


def test_a_backend_that_has_not_told_its_slots_has_one_lane() -> None:
    found = lay_out(0, None, [MachineFacts("box", (), {}, None, False)], [load("a", 10), load("b", 10)])
    assert bars(found) == {"–": [("a", 0, 10_000), ("b", 10_000, 20_000)]}


def test_gpu_hours_are_those_of_the_slots() -> None:
    found = lay_out(0, None, [BOX], [load("a", 100, "box/cuda:0"), load("b", 10)])
    assert night.gpu_seconds(found, [BOX]) == {"box": 110.0}


@pytest.fixture
def spec(journal: Journal, challenge: Challenge) -> RunSpec:
    sessions.start(journal)
    return small_spec(Path(challenge.data_dir))


def forecasts(journal: Journal, specs: list[RunSpec], backend: str = "local") -> list[forecast.Forecast]:
    with journal.reading() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        return forecast.forecast(db, journal.home, at, specs, backend)


def test_a_forecast_stands_behind_what_is_queued(journal: Journal, spec: RunSpec) -> None:
    first = orders.queue_run(journal, "x", spec, "a").forecast
    (second,) = forecasts(journal, [spec])
    assert second.bar.starts_at == first.ends_at
    both = forecasts(journal, [spec, spec])
    assert both[1].bar.starts_at == both[0].ends_at == second.ends_at


def test_a_running_job_ends_by_its_pace_whatever_the_clock_of_its_machine_says(
    journal: Journal, spec: RunSpec, clock: MovableClock
) -> None:
    key = orders.queue_run(journal, "x", spec, "a").run_key
    with journal.writing() as db:
        job = backlog.claim(db, "local", "cpu:0", journal.now())
        assert job is not None
        backlog.run_on(db, job, journal.now())
    folder = RunFolder(journal.home.run_dir(key))
    folder.create(spec)
    write_epoch(folder, 1)  # one of two epochs in both folds, with times of another clock
    clock.move(600)
    with journal.reading() as db:
        found = night.plan(db, journal.home, challenges.active(db), clock.at, backlog.list_jobs(db, open_only=True))
    bar = found.bar_of(key)
    assert bar is not None
    assert bar.ends_at == clock.at + 600_000


def limited(journal: Journal, seconds: int) -> None:
    journal.home.config_toml.write_text(f"[backends.local]\ntime_limit = {seconds}\n")


def test_what_waits_in_a_queue_elsewhere_has_all_of_its_time_before_it_and_takes_no_gpu_yet(
    journal: Journal, challenge: Challenge, spec: RunSpec, clock: MovableClock
) -> None:
    key = orders.queue_run(journal, "x", spec, "a").run_key
    with journal.writing() as db:
        assert backlog.claim(db, "local", "cuda:0", journal.now(), gpus=1) is not None

    def left_s() -> tuple[float, list[float]]:
        with journal.reading() as db:
            (row,) = backlog.list_jobs(db, open_only=True)
            told = [each.gpu_s for each in ledger.by_backend(db, challenge, journal.now())]
        assert row.estimated_s is not None
        return (night.running_until(journal.home, row, journal.now()) - journal.now()) / 1000 - row.estimated_s, told

    clock.move(36_000)
    assert left_s() == (pytest.approx(0, abs=0.001), [])
    with journal.writing() as db:
        backlog.run_on(db, backlog.job_of(db, key), journal.now())
    clock.move(5)
    assert left_s() == (pytest.approx(-5, abs=0.001), [5.0])
    with journal.writing() as db:
        backlog.finish(db, backlog.job_of(db, key), backlog.FAILED, journal.now(), "no")
    with journal.reading() as db:
        assert db.exec(select(Run.gpu_s)).one() == 5.0


def test_what_passes_the_limit_asks_for_a_second_click_and_says_where(journal: Journal, spec: RunSpec) -> None:
    long = spec.model_copy(update={"stages": (spec.stages[0].model_copy(update={"epochs": 100}),), "folds": 5})
    (guess,) = forecasts(journal, [long])
    limited(journal, int(guess.duration.seconds * 0.55))
    with pytest.raises(
        SecondThought, match=r"of local in fold 3 of 5 at epoch 7[4-6], and go on by itself. Queue it once more"
    ):
        orders.queue_run(journal, "x", long, "a")
    queued = orders.queue_run(journal, "x", long, "a", sure=True)
    assert queued.forecast.bar.restarts == 1
    with journal.reading() as db:
        assert backlog.job_of(db, queued.run_key).estimated_high_s == pytest.approx(guess.duration.high_s)


BOX_TABLE = '[backends.box]\nkind = "ssh"\nhost = "box"\ndir = "/there"\nslots = 1\ntime_limit = {}\n'


def test_a_run_that_is_moved_is_held_against_the_limit_there_and_its_length_guessed_anew(
    journal: Journal, spec: RunSpec
) -> None:
    long = spec.model_copy(update={"stages": (spec.stages[0].model_copy(update={"epochs": 100}),), "folds": 5})
    queued = orders.queue_run(journal, "x", long, "a")
    whole_s = queued.forecast.duration.seconds
    with journal.writing() as db:
        job = backlog.job_of(db, queued.run_key)
        job.estimated_s, job.estimated_low_s, job.estimated_high_s = 1.0, 1.0, 1.0
        db.add(job)
    journal.home.config_toml.write_text(BOX_TABLE.format(int(whole_s * 0.9)))
    with pytest.raises(SecondThought, match=r"of box in fold 5 of 5 .*\. Move it once more to have it all the same"):
        orders.move_to(journal, queued.run_key, "box")
    folder = RunFolder(journal.home.run_dir(queued.run_key))
    folder.create(long)
    for epoch in range(60):
        write_epoch(folder, epoch + 1)  # in both of two folds: 120 of 500 epochs
    assert orders.move_to(journal, queued.run_key, "box") == "queued"
    with journal.reading() as db:
        moved = backlog.job_of(db, queued.run_key)
    assert (moved.backend, moved.estimated_s) == ("box", pytest.approx(whole_s))
    journal.home.config_toml.write_text(BOX_TABLE.format(int(whole_s * 0.7)))
    orders.move_to(journal, queued.run_key, "local")
    with pytest.raises(SecondThought, match=r"of box in fold 5 of 5 at epoch [67]\d,"):
        orders.move_to(journal, queued.run_key, "box")
    assert orders.move_to(journal, queued.run_key, "box", sure=True) == "queued"


def test_what_passes_the_quota_asks_for_a_second_click(journal: Journal, spec: RunSpec) -> None:
    journal.home.config_toml.write_text("[backends.local]\n")
    quota = {"used_s": 107_000, "allowed_s": 108_000, "resets_at": 1772841600000}
    told = {
        "python": "3.11",
        "versions": {},
        "gpus": ["cuda:0"],
        "free_bytes": 1,
        "clock_ahead_s": 0,
        "quota": quota,
        "problems": [],
    }
    with journal.writing() as db:
        errand = errands.ask(db, "probe", "local", journal.now())
        errand.state, errand.answer, errand.ended_at = errands.DONE, json.dumps(told), journal.now()
        db.add(errand)
    assert forecasts(journal, [spec])[0].cautions == ()  # the processor has no quota
    with presence.present(presence.worker_lock(journal.home), "a worker", {"slots": ["cuda:0"]}):
        assert forecasts(journal, [spec])[0].cautions == ()  # some minutes fit
        cautions = forecasts(journal, [spec] * 10)[9].cautions
        with pytest.raises(SecondThought, match="what is then queued on local takes about"):
            orders.queue_runs(journal, "x", [spec] * 10, "ten seeds")
    (sentence,) = cautions
    assert sentence.endswith(" of its GPUs, and 17 min are left until Saturday 00:00")


def test_a_quota_that_was_renewed_since_it_was_told_counts_no_more() -> None:
    quota = Quota(107_000, 108_000, resets_at=1000)
    look = Look(Probe("3.11", {}, (), None, 0.0, quota))
    assert (look.quota_at(999), look.quota_at(1000)) == (quota, None)
    assert Look(replace(look.probe, quota=replace(quota, resets_at=None))).quota_at(1000) is not None
    assert Look().quota_at(0) is None


def test_a_comparison_is_one_experiment_of_all_combinations_or_nothing(journal: Journal, spec: RunSpec) -> None:
    asked = [spec.model_copy(update={"seed": seed}) for seed in (1, 2, 3)]
    queued = orders.queue_runs(journal, "x", asked, "seeds differ")
    assert [one.run_key for one in queued] == ["humpback_001-r01", "humpback_001-r02", "humpback_001-r03"]
    broken = spec.model_copy(update={"data": spec.data.model_copy(update={"dir": "/nowhere"})})
    with pytest.raises(OnehourError, match="no such data folder"):
        orders.queue_runs(journal, "x", [spec, broken], "another")
    with journal.reading() as db:
        assert len(backlog.list_jobs(db)) == 3


def test_a_grid_names_every_combination_in_order() -> None:
    assert grid.combinations([]) == [[]]
    assert grid.combinations(["backbone=resnet18,resnet34", "image_size=[64,64],[64,128]"]) == [
        ['backbone="resnet18"', "image_size=[64, 64]"],
        ['backbone="resnet18"', "image_size=[64, 128]"],
        ['backbone="resnet34"', "image_size=[64, 64]"],
        ['backbone="resnet34"', "image_size=[64, 128]"],
    ]
    assert grid.combinations(["stages.0.lr=0.001,0.003"]) == [["stages.0.lr=0.001"], ["stages.0.lr=0.003"]]


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        ("backbone", r"'backbone' is no key=a,b,c"),
        ("stages=[1],[2]", "stages holds epochs, and a comparison would tell which run trained longer"),
        ("stages.0.epochs=1,2", r"Compare another key of a stage, as in --grid stages\.0\.lr=0\.001,0\.003"),
        ("data.dir=a,b", r"data\.dir must be the same in all runs of a comparison"),
        ("seed=1", "names fewer than two values. Or --set seed=1"),
        ("seed=1,1", "fewer than two values"),
        ("seed=1,[", "the values of 'seed' are not YAML"),
        ("seed=" + ",".join(map(str, range(33))), "this grid has 33 runs. At most 32"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_is_named(axis: str, sentence: str) -> None:
    with pytest.raises(OnehourError, match=sentence):
        grid.combinations([axis])


def test_the_ledger_adds_attempts_up_by_backend_and_experiment_and_since_a_moment_their_parts(
    journal: Journal, challenge: Challenge, spec: RunSpec, clock: MovableClock
) -> None:
    first = orders.queue_run(journal, "x", spec, "a").job_id
    second = orders.queue_run(journal, "x", spec, "b").job_id
    now, hour = clock.at, 3_600_000
    rows = [(first, 1, "box", 1, 0, 2 * hour, None), (first, 2, "kernels", 2, hour, 2 * hour, None),
            (second, 1, "local", 0, now - hour, None, None), (second, 2, "box", 1, 0, hour, 900.0)]  # fmt: skip
    names = ("job_id", "number", "backend", "gpus", "started_at", "ended_at", "gpu_s")
    with journal.writing() as db:
        db.add_all(AttemptRow(**dict(zip(names, row, strict=True)), slot="s") for row in rows)
    with journal.reading() as db:
        told = [(each.backend, each.held_s / 3600, each.gpu_s / 3600) for each in ledger.by_backend(db, challenge, now)]
        dear = [
            (each.hypothesis, each.runs, each.gpu_s / 3600, each.held_s / 3600)
            for each in ledger.by_experiment(db, challenge, now)
        ]
        recent = ledger.by_backend(db, challenge, now, since=now - hour // 2)
        parts = [
            (each.backend, each.held_s / 3600, each.gpu_s)
            for each in ledger.by_backend(db, challenge, now, since=hour // 2)
        ]
    assert told == [("box", 3.0, 2.25), ("kernels", 1.0, 2.0), ("local", 1.0, 0.0)]
    assert dear == [("a", 1, 4.0, 3.0), ("b", 1, 0.25, 2.0)]
    assert [(each.backend, each.held_s) for each in recent] == [("local", 1800.0)]
    assert parts == [("box", 2.0, 1.5 * 3600 + 450.0), ("kernels", 1.0, 7200.0), ("local", 1.0, 0.0)]

"""The guess of a run's length: crude, but it learns from what has finished here."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import col, select

from app.jobs import estimate
from app.jobs.estimate import Duration, Finished, Shape
from app.jobs.specs import Blend, Spec
from app.journal import challenge_settings, challenges, sessions
from app.journal.store import Journal
from app.journal.tables import AttemptRow, Challenge, Experiment, Job, Run
from engine.contract import CommandSpec, RunSpec
from tests.app.trainings import small_spec
from tests.conftest import MovableClock, ms

pytestmark = pytest.mark.unit

HOUR_MS = 3_600_000


def finished(
    clock: MovableClock, journal: Journal, challenge: Challenge, spec: RunSpec, seconds: float, device: str, images: int,
    backend: str = "local",
) -> None:  # fmt: skip
    """A run that took `seconds`, later than those before it."""
    ended = clock.move(1_000_000)
    now = ended - round(seconds * 1000)
    with journal.writing() as db:
        number = len(db.exec(select(Run)).all())
        experiment = Experiment(
            challenge_id=challenge.id, key=f"e{number}", hypothesis=f"h{number}", origin="import", created_at=now
        )
        db.add(experiment)
        db.flush()
        run = Run(
            challenge_id=challenge.id,
            experiment_id=experiment.id,
            key=f"e{number}-r01",
            local_date=challenge.starts_on,
            spec=spec.model_dump_json(),
            spec_source="test",
            origin="import",
            created_at=now,
            metric="map5",
            direction="max",
            images=images,
            device=device,
        )
        db.add(run)
        db.flush()
        job = Job(
            run_id=run.id, state="succeeded", backend=backend, attempt=2, origin="import", queued_at=now,
            started_at=now, first_started_at=now, finished_at=ended,
        )  # fmt: skip
        db.add(job)
        db.flush()
        middle = (now + ended) // 2  # two attempts: the second one went on from a checkpoint
        for attempt, begun, over in ((1, now - 50_000, middle - 50_000), (2, middle, ended)):
            db.add(AttemptRow(job_id=job.id, number=attempt, backend=backend, slot="", started_at=begun, ended_at=over))


def duration(journal: Journal, spec: Spec, backend: str = "local") -> Duration:
    with journal.reading() as db:
        return estimate.estimate(db, spec, backend)


def guess(journal: Journal, spec: RunSpec) -> float:
    return duration(journal, spec).seconds


def with_rows(spec: RunSpec, rows: int) -> RunSpec:
    (Path(spec.data.dir) / "train.csv").write_text("Image,Id\n" + "a.jpg,w\n" * rows)
    return spec


def test_before_any_run_the_default_speed_counts(journal: Journal, challenge: Challenge) -> None:
    spec = with_rows(small_spec(Path(challenge.data_dir)), 100)
    # 100 images, one of two folds trained on at a time: 100 × 2 epochs × 128 × 192 pixels
    assert guess(journal, spec) == pytest.approx(20 + 100 * 2 * 128 * 192 * 2e-6, abs=0.1)


def test_a_label_file_out_of_reach_means_a_usual_number_of_images(journal: Journal, challenge: Challenge) -> None:
    assert estimate.labelled_images(small_spec(Path(challenge.data_dir))) == estimate.DEFAULT_IMAGES


def test_finished_runs_teach_the_speed(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    spec = small_spec(Path(challenge.data_dir))
    for seconds in (120, 220, 100_020):
        finished(clock, journal, challenge, spec, seconds, "cpu", 1000)
    assert guess(journal, spec) == pytest.approx(220, abs=0.1)
    twice_the_pixels = spec.model_copy(update={"image_size": (256, 192)})
    assert guess(journal, twice_the_pixels) == pytest.approx(420, abs=0.1)
    four_folds = spec.model_copy(update={"folds": 4})  # three parts of the images, four times, instead of one, twice
    assert guess(journal, four_folds) == pytest.approx(620, abs=0.1)


def test_own_code_takes_as_long_as_the_same_command_did_whatever_its_options(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    spec = small_spec(Path(challenge.data_dir))

    def own(line: str, seconds: float) -> None:
        finished(clock, journal, challenge, spec, seconds, "cpu", 1000)
        with journal.writing() as db:
            newest = db.exec(select(Run).order_by(col(Run.id).desc())).first()
            assert newest is not None
            newest.kind, newest.spec_source = "command", line
            db.add(newest)

    def asked(*argv: str) -> tuple[float, int, str]:
        found = duration(journal, CommandSpec(argv=argv, cwd="/"))
        return found.seconds, found.runs, found.like

    assert asked("python", "train.py") == (3_600, 0, "")
    own("python other.py", 5_000)
    assert asked("python", "train.py") == (5_000, 1, "kind")
    own("python train.py --lr 0.1", 100)
    own("python train.py --lr 0.2 --size 9", 300)
    assert asked("python", "train.py", "--lr", "0.3") == (200, 2, "command")
    assert guess(journal, spec) != 200  # and says nothing of the engine's trainings
    assert duration(journal, Blend(runs=("a", "b"), folders=("a", "b"), metric="map5")).seconds == 20


def test_a_finished_run_whose_spec_is_not_understood_teaches_nothing(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    spec = small_spec(Path(challenge.data_dir))
    finished(clock, journal, challenge, spec, 120, "cpu", 1000)
    finished(clock, journal, challenge, spec, 900, "cpu", 1000)
    with journal.writing() as db:
        newest = db.exec(select(Run).where(Run.key == "e1-r01")).one()
        newest.spec = newest.spec.replace('"backbone"', '"network"')
        db.add(newest)
    assert guess(journal, spec) == pytest.approx(120, abs=0.1)


def test_runs_on_another_device_or_with_another_backbone_count_less(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    spec = small_spec(Path(challenge.data_dir))
    finished(clock, journal, challenge, spec, 9020, "cpu", 1000)
    finished(clock, journal, challenge, spec, 120, "cuda", 1000)
    assert guess(journal, spec) == pytest.approx(120, abs=0.1)
    larger = spec.model_copy(update={"backbone": "resnet50"})
    assert guess(journal, larger) == pytest.approx(120, abs=0.1)
    finished(clock, journal, challenge, larger, 320, "cuda", 1000)
    assert guess(journal, larger) == pytest.approx(320, abs=0.1)
    assert guess(journal, spec) == pytest.approx(120, abs=0.1)


def test_another_backends_runs_teach_nothing(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    spec = small_spec(Path(challenge.data_dir))
    finished(clock, journal, challenge, spec, 120, "cuda", 1000, backend="gpu-box")
    assert duration(journal, spec, "gpu-box").seconds == pytest.approx(120, abs=0.1)
    assert duration(journal, spec).like == ""


SHAPE = Shape("resnet18", 10_000, 1.0, "/d")


def test_the_spread_is_that_of_the_similar_runs() -> None:
    def among(*rates: float, backbone: str = "resnet18", area: int = 10_000) -> list[Finished]:
        return [Finished(backbone, area, rate) for rate in rates]

    three = estimate.from_finished(SHAPE, 100, among(1, 2, 5))
    assert (three.seconds - 20, three.low_s - 20, three.high_s - 20) == (200, 100, 500)
    assert (three.runs, three.like) == (3, "backbone")
    one = estimate.from_finished(SHAPE, 100, among(2))
    assert (one.low_s - 20, one.high_s - 20) == pytest.approx((200 / 1.3, 260))
    ten = estimate.from_finished(SHAPE, 100, among(0.01, 2, 2, 2, 2, 2, 2, 2, 2, 900))
    assert (ten.low_s - 20, ten.high_s - 20) == pytest.approx((200 / 1.1, 220))  # one of ten on each side is left out
    other = estimate.from_finished(SHAPE, 100, among(1, 2, backbone="vgg16"))
    assert (other.seconds - 20, other.high_s - 20, other.like) == (150, 450, "backend")
    of_size = estimate.from_finished(SHAPE, 100, [*among(9, area=90_000), *among(1, 2, 3)])
    assert (of_size.seconds - 20, of_size.runs) == (200, 3)


def test_nothing_known_is_a_wide_guess() -> None:
    nothing = estimate.from_finished(SHAPE, 10**9, [])
    assert nothing.high_s - 20 == pytest.approx(25 * (nothing.low_s - 20))
    assert (nothing.runs, nothing.like) == (0, "")


def test_the_end_of_a_running_job_follows_its_progress() -> None:
    assert estimate.end_of_running(0, 100.0, 0.0, now=5_000) == 100_000
    assert estimate.end_of_running(0, 100.0, 0.0, now=150_000) == 150_000
    assert estimate.end_of_running(0, 100.0, 0.5, now=80_000) == 160_000


def test_what_earlier_attempts_did_does_not_count_for_the_pace_of_this_one() -> None:
    assert estimate.end_of_running(100_000, 100.0, 0.5, now=110_000, before=0.5) == 150_000
    assert estimate.end_of_running(100_000, 100.0, 0.75, now=150_000, before=0.5) == 200_000


def test_the_habits_time_is_when_the_next_hour_is_expected(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    challenge_settings.change(journal, habit_at="21:30")
    with journal.reading() as db:
        assert estimate.next_hour_at(db, challenges.active(db), clock.at) == ms("2026-03-02 21:30")
        assert estimate.next_hour_at(db, challenges.active(db), clock.at + 2 * HOUR_MS) == ms("2026-03-03 21:30")
    clock.move(5400)
    sessions.start(journal)
    with journal.reading() as db:
        assert estimate.next_hour_at(db, challenges.active(db), clock.at) == ms("2026-03-03 21:30")


def test_the_next_hour_is_expected_when_the_newest_one_began(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    with journal.reading() as db:
        assert estimate.next_hour_at(db, challenge, clock.at) is None
    sessions.start(journal)
    with journal.reading() as db:
        assert estimate.next_hour_at(db, challenge, clock.at) == ms("2026-03-03 20:00")
        assert estimate.next_hour_at(db, challenge, clock.at + 20 * HOUR_MS) == ms("2026-03-03 20:00")
        assert estimate.next_hour_at(db, challenge, clock.at + 24 * HOUR_MS) == ms("2026-03-04 20:00")

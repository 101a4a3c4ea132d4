"""The ledger of ideas and the standing of CV against the leaderboard, from runs in a journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from sqlmodel import select

from app.journal import challenge_settings, challenges, sessions
from app.journal.days import DAY
from app.journal.store import Journal
from app.journal.tables import (
    AttemptRow,
    Challenge,
    Experiment,
    FoldScore,
    Job,
    LeaderboardScore,
    Run,
    Submission,
)
from app.reports import standing, what_helped
from app.reports.what_helped import Idea
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

HOUR_MS = 3_600_000
SPREAD = (-0.006, -0.002, 0.001, 0.003, 0.004)
Made = Callable[..., str]


@pytest.fixture
def made(journal: Journal, challenge: Challenge, clock: MovableClock) -> Made:
    """`made(idea, cv, …)`: a finished run of an experiment, with fold scores around its CV. Returns its key."""

    def make(
        idea: str, cv: float | None, *, gain: tuple[float, ...] = (0.0,) * 5, folds: str = "f", metric: str = "map5",
        on: date | None = None, hours: float = 0.0, lb: float | None = None, kind: str = "train", spec: str = "{}",
    ) -> str:  # fmt: skip
        with journal.writing() as db:
            now = journal.now()
            experiment = next((each for each in db.exec(select(Experiment)) if each.hypothesis == idea), None)
            if experiment is None:
                number = len(list(db.exec(select(Experiment)))) + 1
                experiment = Experiment(
                    challenge_id=challenge.id, key=f"h_{number:03d}", hypothesis=idea, origin="import", created_at=now
                )
                db.add(experiment)
                db.flush()
            number = len(list(db.exec(select(Run)))) + 1
            run = Run(
                challenge_id=challenge.id, experiment_id=experiment.id, key=f"r{number}", local_date=on or challenge.starts_on,
                spec=spec, spec_source="x", origin="import", created_at=now, metric=metric, direction="max", cv=cv, kind=kind,
                data_sha256="d" if cv is not None else None, folds_sha256=folds if cv is not None else None,
            )  # fmt: skip
            db.add(run)
            db.flush()
            job = Job(run_id=run.id, state="succeeded", backend="local", attempt=1, origin="import", queued_at=now)
            db.add(job)
            db.flush()
            ended = now + round(hours * HOUR_MS)
            db.add(
                AttemptRow(
                    job_id=job.id, number=1, backend="local", slot="cuda:0", gpus=1, started_at=now, ended_at=ended
                )
            )
            for fold, (shift, more) in enumerate(zip(SPREAD, gain, strict=True)):
                if cv is not None:
                    db.add(FoldScore(run_id=run.id, fold=fold, score=cv + shift + more, images=10))
            if lb is not None:
                clock.move(60)
                sent = Submission(
                    challenge_id=challenge.id, run_id=run.id, path=f"{run.key}.csv", sent_at=clock.at, origin="import",
                    created_at=clock.at,
                )  # fmt: skip
                db.add(sent)
                db.flush()
                db.add(
                    LeaderboardScore(
                        submission_id=sent.id, source="manual", public=lb, origin="import", scored_at=clock.at
                    )
                )
            return run.key

    return make


def told(journal: Journal, challenge: Challenge) -> dict[str, Idea]:
    with journal.reading() as db:
        return {idea.hypothesis: idea for idea in what_helped.ideas(db, challenge, journal.now())}


def test_an_idea_is_held_against_the_best_run_before_its_first(
    journal: Journal, challenge: Challenge, made: Made
) -> None:
    made("baseline", 0.80)
    made("crops", 0.83)
    made("crops", 0.82)
    made("focal loss", 0.815)
    found = told(journal, challenge)
    assert (found["crops"].runs, found["crops"].best_run) == (2, "r2")
    assert found["crops"].verdict is not None
    assert (found["crops"].verdict.word, found["crops"].verdict.against) == ("helped", "r1")
    assert found["focal loss"].verdict is not None
    assert (found["focal loss"].verdict.word, found["focal loss"].verdict.against) == ("hurt", "r2")
    assert (found["baseline"].verdict, found["baseline"].why_none) == (
        None,
        "no earlier run on the same data and folds",
    )


def test_the_newest_ideas_alone_are_told_as_among_all(
    journal: Journal, challenge: Challenge, made: Made, clock: MovableClock
) -> None:
    sessions.start(journal)
    made("baseline", 0.80)
    made("best so far", 0.85)
    made("other folds", 0.9, folds="g")
    made("worse than the best", 0.83)
    clock.move(86_400)
    sessions.start(journal)
    clock.move(600)
    second = challenge.starts_on + DAY
    made("other folds, better", 0.92, folds="g", on=second)
    made("baseline", 0.81, on=second)
    made("failed", None, on=second)
    made("worse again", 0.84, on=second)
    with journal.reading() as db:
        every = what_helped.ideas(db, challenge, journal.now())
        newest = [what_helped.ideas(db, challenge, journal.now(), limit=limit) for limit in (1, 3, 4, 9)]
    assert [idea.hypothesis for idea in newest[1]] == ["worse again", "failed", "other folds, better"]
    assert newest == [every[:1], every[:3], every[:4], every]
    assert every[0].verdict is not None
    assert every[0].verdict.against == "r2"
    assert every[0].work_ms == 600_000 / 4


def test_a_second_run_of_an_idea_is_not_held_against_its_first(
    journal: Journal, challenge: Challenge, made: Made
) -> None:
    made("baseline", 0.80)
    made("crops", 0.79)
    made("crops", 0.81)
    found = told(journal, challenge)["crops"]
    assert found.verdict is not None
    assert (found.best_run, found.verdict.against) == ("r3", "r1")


def test_other_folds_another_metric_and_no_cv_have_no_verdict_and_say_why(
    journal: Journal, challenge: Challenge, made: Made
) -> None:
    made("baseline", 0.80)
    made("other folds", 0.9, folds="g")
    made("other metric", 0.9, metric="accuracy")
    made("failed", None)
    found = told(journal, challenge)
    assert [(found[each].verdict, found[each].why_none) for each in ("other folds", "other metric", "failed")] == [
        (None, "no earlier run on the same data and folds"),
        (None, "another metric than the challenge's"),
        (None, "no CV yet"),
    ]


def test_among_an_ideas_runs_the_one_that_can_be_compared_counts(
    journal: Journal, challenge: Challenge, made: Made
) -> None:
    made("baseline", 0.80)
    made("crops", 0.9, folds="g")
    made("crops", 0.82)
    assert told(journal, challenge)["crops"].best_run == "r3"


def test_work_is_shared_by_the_ideas_of_a_day_and_gives_the_gain_an_hour(
    journal: Journal, challenge: Challenge, clock: MovableClock, made: Made
) -> None:
    made("baseline", 0.80)
    sessions.start(journal)
    clock.move(30 * 60)
    made("crops", 0.83, hours=3.0)
    sessions.end(journal)
    found = told(journal, challenge)
    assert (found["crops"].work_ms, found["baseline"].work_ms) == (15 * 60_000, 15 * 60_000)
    assert (found["crops"].gpu_s, found["crops"].held_s) == (3 * 3600, 3 * 3600)
    assert found["crops"].gain_an_hour == pytest.approx(0.03 / 0.25)
    assert found["baseline"].gain_an_hour is None


def read(journal: Journal, challenge: Challenge) -> standing.Standing:
    with journal.reading() as db:
        return standing.read(db, journal.home, challenge)


def test_the_standing_joins_cv_and_lb_in_the_order_of_sending(
    journal: Journal, challenge: Challenge, made: Made
) -> None:
    made("a", 0.60, lb=0.50)
    made("b", 0.65, lb=0.55)
    made("never sent", 0.9)
    found = read(journal, challenge)
    assert [(one.run_key, one.cv, one.lb) for one in found.scored] == [("r1", 0.60, 0.50), ("r2", 0.65, 0.55)]
    assert (found.line, found.alarm) == (None, None)
    made("c", 0.80, lb=0.54)
    found = read(journal, challenge)
    assert found.line is not None
    assert found.alarm is not None
    assert found.causes


def test_advice_is_given_on_a_run_with_a_submission(journal: Journal, challenge: Challenge, made: Made) -> None:
    challenge = challenge_settings.change(journal, submissions_per_day=5)
    made("a", 0.60, lb=0.50)
    made("b", 0.70, lb=0.60)
    better = made("c", 0.75, lb=0.66)
    found = read(journal, challenge)
    with journal.reading() as db:
        advised = standing.submit_advice(db, challenge, found, better, journal.now())
    assert advised.word == "send"
    assert any("the best that was sent" in reason for reason in advised.reasons)
    assert any("2 of 5 left today" in reason for reason in advised.reasons)


def test_the_final_two_come_from_what_was_sent_and_from_two_families(
    journal: Journal, challenge: Challenge, made: Made
) -> None:
    resnet, vgg = '{"backbone": "resnet34"}', '{"backbone": "vgg16"}'
    made("a", 0.80, lb=0.7, spec=resnet)
    made("b", 0.81, lb=0.7, spec=resnet)
    made("c", 0.78, lb=0.7, spec=vgg)
    made("d", 0.90, spec=vgg)  # never sent
    two = standing.final_two(challenge, read(journal, challenge))
    assert two is not None
    assert [one.run_key for one in two.chosen] == ["r2", "r3"]
    again = standing.final_two(challenge, read(journal, challenge))
    assert again is not None
    assert again.expected_loss == two.expected_loss, "the same scores, the same advice"


def test_less_is_better_where_the_metric_says_so(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    losses = challenges.found(journal, replace(rules, metric="log_loss", unknown_label=None), rules.starts_on)
    with journal.writing() as db:
        for number, cv in enumerate((0.9, 0.8, 0.85), start=1):
            experiment = Experiment(
                challenge_id=losses.id, key=f"h{number}", hypothesis=f"idea {number}", origin="import", created_at=0
            )
            db.add(experiment)
            db.flush()
            run = Run(
                challenge_id=losses.id, experiment_id=experiment.id, key=f"r{number}", local_date=losses.starts_on, spec="{}",
                spec_source="x", origin="import", created_at=0, metric="log_loss", direction="min", cv=cv, data_sha256="d",
                folds_sha256="f",
            )  # fmt: skip
            db.add(run)
            db.flush()
            for fold, shift in enumerate(SPREAD):
                db.add(FoldScore(run_id=run.id, fold=fold, score=cv + shift, images=10))
    found = told(journal, losses)
    verdicts = [found[f"idea {number}"].verdict for number in (2, 3)]
    assert [(one.word, one.against) for one in verdicts if one is not None] == [("helped", "r1"), ("hurt", "r2")]

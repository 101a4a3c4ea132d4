"""Scoreboard, week and the page of a day, from rows as the worker leaves them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from app.journal import challenges, notes, rest_days, sessions, todos
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, FoldScore, Job, LeaderboardScore, Run, Submission
from app.reports import day as day_report
from app.reports import week as week_report
from app.scores import board_pages
from app.scores.board import (
    SentElsewhere,
    best,
    best_before,
    best_cv_by_day,
    best_lb_by_day,
    board_days,
    board_runs,
    gain,
)
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

FIRST = date(2026, 3, 2)


def add_run(
    journal: Journal,
    challenge: Challenge,
    number: int,
    on: date,
    cv: float | None,
    folds: tuple[float, ...] = (),
    lb: dict[str, tuple[float | None, float]] | None = None,
) -> None:
    with journal.writing() as db:
        db.add(
            Experiment(
                id=number,
                challenge_id=challenge.id,
                key=f"h_{number:03d}",
                hypothesis=f"idea {number}",
                origin="system",
                created_at=0,
            )
        )
        db.flush()
        db.add(
            Run(
                id=number, challenge_id=challenge.id, experiment_id=number, key=f"h_{number:03d}-r01", local_date=on,
                spec="{}", spec_source="p", origin="system", created_at=0, metric="map5", direction="max", cv=cv, wandb_mode="offline",
            )
        )  # fmt: skip
        db.flush()
        state = "running" if cv is None else "succeeded"
        db.add(Job(run_id=number, state=state, backend="local", slot=f"s{number}", origin="system", queued_at=0))
        for fold, score in enumerate(folds):
            db.add(FoldScore(run_id=number, fold=fold, score=score, images=10))
        if lb:
            db.add(
                Submission(
                    id=number,
                    challenge_id=challenge.id,
                    run_id=number,
                    sha256="0",
                    path="runs/x",
                    origin="system",
                    created_at=0,
                )
            )
            db.flush()
            for source, (public, private) in lb.items():
                db.add(
                    LeaderboardScore(
                        submission_id=number,
                        source=source,
                        public=public,
                        private=private,
                        origin="system",
                        scored_at=0,
                    )
                )


def test_each_day_shows_its_hours_and_its_runs_with_cv_beside_lb(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(1_800)
    add_run(journal, challenge, 1, FIRST, 0.5, (0.4, 0.6), {"local": (0.45, 0.44)})
    add_run(journal, challenge, 2, FIRST, None)
    with journal.reading() as db:
        newest, first = board_days(db, challenge, FIRST, FIRST + timedelta(days=1), clock.at, {})
    assert (newest.used_ms, newest.runs, first.number, first.used_ms) == (None, (), 1, 1_800_000)
    scored, running = first.runs
    assert (scored.row.cv, scored.public, scored.private, scored.lb_source) == (0.5, 0.45, 0.44, "local")
    assert scored.row.spread == pytest.approx(0.1414, abs=1e-4)
    assert (running.row.state, running.row.cv, running.row.spread, running.public) == ("running", None, None, None)
    assert (
        day_report.run_line(scored, None)
        == 'h_001-r01 "idea 1": CV 0.500 ± 0.141, LB 0.450 / 0.440 (local), W&B offline'
    )


def test_a_score_typed_in_from_the_real_leaderboard_stands_before_the_local_one(
    journal: Journal, challenge: Challenge
) -> None:
    add_run(journal, challenge, 1, FIRST, 0.5, (), {"local": (0.45, 0.44), "manual": (0.6, 0.61)})
    with journal.reading() as db:
        (run,) = board_runs(db, challenge, FIRST, FIRST)
    assert (run.public, run.private, run.lb_source) == (0.6, 0.61, "manual")


def test_better_is_what_the_metric_says() -> None:
    assert best([0.3, None, 0.5], "max") == 0.5
    assert best([0.3, None, 0.5], "min") == 0.3
    assert best([None], "max") is None
    assert gain(0.3, 0.5, "min") == pytest.approx(0.2)
    assert gain(0.3, 0.5, "max") == pytest.approx(-0.2)
    assert gain(0.3, None, "max") is None


def test_the_week_counts_hours_used_and_lost_and_the_change_of_the_best_scores(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    add_run(journal, challenge, 1, FIRST, 0.5, (), {"local": (0.45, 0.44)})
    clock.move(7 * 86_400)
    sessions.start(journal)
    todos.add(journal, "look at crops", 10)
    clock.move(3_600)
    clock.move(2 * 86_400)
    add_run(journal, challenge, 2, FIRST + timedelta(days=7), 0.62, (), {"local": (0.44, 0.44)})
    sessions.start(journal)
    clock.move(600)
    with journal.reading() as db:
        week = week_report.of_day(db, challenge, FIRST + timedelta(days=9), clock.at)
    assert (week.number, week.first, week.last) == (2, date(2026, 3, 9), date(2026, 3, 15))
    assert [mark for _, mark, _ in week.marks] == ["full", "lost", "today", "to come", "to come", "to come", "to come"]
    assert (week.used_ms, week.planned_ms, week.lost_days) == (4_200_000, 7 * 3_600_000, 1)
    assert week.lost_ms == 3_600_000
    assert (week.cv.score, week.public.score) == (0.62, 0.44)
    assert week.cv.gain == pytest.approx(0.12)
    assert week.public.gain == pytest.approx(-0.01)
    assert [todo.title for todo in week.open_todos] == ["look at crops"]
    assert [run.row.run_key for run in week.runs] == ["h_002-r01"]


def test_in_weekly_mode_a_free_day_is_not_lost(journal: Journal, rules: challenges.Rules, clock: MovableClock) -> None:
    challenge = challenges.found(journal, replace(rules, mode="weekly", days=10), FIRST)
    sessions.start(journal)
    clock.move(2 * 3_600)
    sessions.end(journal)
    clock.move(8 * 86_400 - 2 * 3_600)
    with journal.reading() as db:
        week = week_report.of_day(db, challenge, FIRST + timedelta(days=8), clock.at)
        before = week_report.of_day(db, challenge, FIRST, clock.at)
    assert (week.lost_days, week.last, week.planned_ms) == (0, date(2026, 3, 11), 3 * 3_600_000)
    assert [mark for _, mark, _ in week.marks] == ["free", "today", "to come"]
    assert (week.lost_ms, before.lost_ms) == (0, 5 * 3_600_000)
    assert [mark for _, mark, _ in before.marks] == ["full", *["free"] * 6]


def test_a_day_of_rest_is_neither_planned_nor_lost(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    rest_days.plan(journal, FIRST + timedelta(days=1))
    clock.move(3 * 86_400)
    with journal.reading() as db:
        week = week_report.of_day(db, challenge, FIRST, clock.at)
    assert [mark for _, mark, _ in week.marks][:4] == ["lost", "rest", "lost", "today"]
    assert (week.planned_ms, week.lost_ms, week.lost_days) == (6 * 3_600_000, 2 * 3_600_000, 2)


def test_an_hour_that_runs_past_the_days_turn_has_lost_nothing_yet(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.move(7 * 3_600 + 1_800)
    sessions.start(journal)
    clock.move(2_400)
    with journal.reading() as db:
        week = week_report.of_day(db, challenge, FIRST, clock.at)
    assert (week.marks[0][1], week.lost_ms) == ("today", 0)


def test_the_page_of_a_day_tells_the_hour_the_work_the_runs_and_the_note(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    todos.done(journal, todos.add(journal, "look at crops").id)
    notes.save(journal, FIRST, "## Tried\n\nThe left tip is cut.", 0)
    add_run(journal, challenge, 1, FIRST, 0.5)
    clock.move(3_600)
    with journal.reading() as db:
        page = day_report.page(db, challenge, FIRST, clock.at)
        empty = day_report.page(db, challenge, FIRST + timedelta(days=1), clock.at)
    assert page.splitlines()[0] == "# Day 1 of 60 · humpback · 2026-03-02"
    for part in ("60 of 60 minutes", "- look at crops", '- h_001-r01 "idea 1": CV 0.500', "The left tip is cut."):
        assert part in page
    assert "written late" not in page
    assert "no hour was used" in empty


def test_the_page_of_a_day_before_the_first_has_its_date_and_no_number(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    with journal.reading() as db:
        page = day_report.page(db, challenge, FIRST - timedelta(days=3), clock.at)
    assert page.startswith("# 2026-02-27, before day 1 · humpback\n")


def test_a_typed_private_score_leaves_the_public_one_of_home_where_it_is(
    journal: Journal, challenge: Challenge
) -> None:
    add_run(journal, challenge, 1, FIRST, 0.5, lb={"local": (0.45, 0.44), "manual": (None, 0.46)})
    with journal.reading() as db:
        (run,) = board_runs(db, challenge, FIRST, FIRST)
        before = best_before(db, challenge, FIRST + timedelta(days=1))
    assert (run.public, run.private, run.lb_source) == (0.45, 0.46, "local")
    assert (before.cv, before.public) == (0.5, 0.45)


def test_a_run_in_another_metric_is_no_best_of_the_challenge(journal: Journal, challenge: Challenge) -> None:
    add_run(journal, challenge, 1, FIRST, 0.5)
    add_run(journal, challenge, 2, FIRST, 0.9)
    with journal.writing() as db:
        other = db.get(Run, 2)
        other.metric = "accuracy"
        db.add(other)
    with journal.reading() as db:
        assert best_before(db, challenge, FIRST + timedelta(days=1)).cv == 0.5
        assert best_cv_by_day(db, challenge) == {FIRST: 0.5}


def test_the_best_leaderboard_scores_of_a_day_are_those_of_its_runs_newest_submissions(
    journal: Journal, challenge: Challenge
) -> None:
    add_run(journal, challenge, 1, FIRST, 0.5, lb={"local": (0.45, 0.49), "manual": (0.41, None)})
    add_run(journal, challenge, 2, FIRST, 0.6, lb={"local": (0.43, 0.44)})
    add_run(journal, challenge, 3, FIRST + timedelta(days=1), 0.6, lb={"kaggle": (None, 0.30)})
    add_run(journal, challenge, 4, FIRST, 0.9, lb={"local": (0.9, 0.9)})
    with journal.writing() as db:
        db.get(Run, 4).metric = "accuracy"
        # Sent again, and worth less: what the first one got is gone.
        db.add(
            Submission(id=9, challenge_id=challenge.id, run_id=2, sha256="1", path="y", origin="system", created_at=1)
        )
        db.flush()
        db.add(
            LeaderboardScore(submission_id=9, source="local", public=0.40, private=0.41, origin="system", scored_at=1)
        )
    with journal.reading() as db:
        found = best_lb_by_day(db, challenge)
    assert found == {FIRST: (0.41, 0.49), FIRST + timedelta(days=1): (None, 0.30)}
    with journal.writing() as db:
        challenge.metric = "log_loss"
        for number in (1, 2, 3):
            db.get(Run, number).metric = "log_loss"
    with journal.reading() as db:
        assert best_lb_by_day(db, challenge)[FIRST] == (0.40, 0.41)


@pytest.mark.parametrize(
    ("rows", "days", "wanted"),
    [
        ({}, 1, [(0, 0)]),
        ({}, 60, [(0, 59)]),
        ({}, 130, [(70, 129), (10, 69), (0, 9)]),
        ({5: 390, 4: 10, 3: 1}, 6, [(4, 5), (0, 3)]),
        ({2: 9_000, 1: 1}, 4, [(3, 3), (2, 2), (0, 1)]),
    ],
)
def test_a_page_of_the_board_holds_sixty_days_or_four_hundred_rows(
    rows: dict[int, int], days: int, wanted: list[tuple[int, int]]
) -> None:
    def on(day: int) -> date:
        return FIRST + timedelta(days=day)

    pages = board_pages.pages({on(day): many for day, many in rows.items()}, FIRST, on(days - 1))
    assert pages == [(on(first), on(last)) for first, last in wanted]


def test_the_pages_count_runs_and_what_was_sent_elsewhere(
    journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_pages, "ROWS_A_PAGE", 3)
    for number in range(2):
        add_run(journal, challenge, number + 1, FIRST, 0.5)
    later = FIRST + timedelta(days=1)
    with journal.reading() as db:
        assert board_pages.of_challenge(db, challenge, later, {}) == [(FIRST, later)]
        sent = [SentElsewhere("a.csv", "", 0.5, None), SentElsewhere("b.csv", "", 0.5, None)]
        assert board_pages.of_challenge(db, challenge, later, {later: sent}) == [(later, later), (FIRST, FIRST)]

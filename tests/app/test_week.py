"""The week's review: what it counts, its page, its file, its command, its three questions."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from app import cli
from app.commands import terminal
from app.jobs import orders
from app.journal import challenges, corrections, notes, references, rest_days, sessions, todos
from app.journal.activities import Activity
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardScore, Submission
from app.reports import week as week_report
from app.reports import week_page
from engine.contract import OnehourError
from tests.app.trainings import small_spec
from tests.conftest import MovableClock
from tests.e2e.past import finish

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60


def the_week(journal: Journal, challenge: Challenge, clock: MovableClock, number: int = 1) -> week_report.Week:
    with journal.reading() as db:
        on = challenge.starts_on + timedelta(days=7 * (number - 1))
        return week_report.of_day(db, challenge, on, clock.at)


def a_finished_run(journal: Journal, challenge: Challenge, clock: MovableClock, idea: str, cv: float) -> str:
    key = orders.queue_run(journal, "sample-quick", small_spec(Path(challenge.data_dir)), idea).run_key
    clock.move(MINUTE_S)
    finish(journal, key, cv=cv)
    return key


@pytest.fixture
def lived(journal: Journal, challenge: Challenge, clock: MovableClock) -> Challenge:
    """Two weeks: an hour with a run in the first, one of half an hour with a better run in the second."""
    challenge = challenges.change(journal, target_split="read=25 plan=25 code=25 analyse=25")
    sessions.start(journal)
    a_finished_run(journal, challenge, clock, "a first <b>idea</b>", 0.80)
    clock.move(7 * DAY_S)
    sessions.start(journal)
    clock.move(10 * MINUTE_S)
    corrections.switch(journal, "code")
    clock.move(19 * MINUTE_S)
    a_finished_run(journal, challenge, clock, "a margin of 8 %", 0.83)
    references.add(journal, "https://arxiv.org/abs/1801.07698", title="ArcFace")
    todos.add(journal, "look at the worst crops", 15)
    todos.add(journal, "blend both", 20, on=challenge.starts_on + timedelta(days=15))
    rest_days.plan(journal, challenge.starts_on + timedelta(days=16))
    sessions.end(journal)
    clock.move(HOUR_S)
    return challenge


def test_the_week_counts_its_own_hours_and_holds_its_scores_against_all_weeks_before(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    week = the_week(journal, lived, clock, 2)
    assert (week.number, week.used_ms) == (2, 30 * 60_000)
    assert week.split == {Activity.READ: 0, Activity.PLAN: 600_000, Activity.CODE: 1_200_000, Activity.ANALYSE: 0}
    assert week.target[Activity.CODE] == 0.25
    assert week.cv.score == pytest.approx(0.83)
    assert week.cv.gain == pytest.approx(0.03)
    assert week.gain_an_hour(week.cv) == pytest.approx(0.06)
    (verdict,) = week.verdicts.values()
    assert (verdict.word, verdict.against) == ("helped", "humpback_001-r01")
    assert [reference.title for reference in week.collected] == ["ArcFace"]
    assert [(each.backend, each.gpu_s) for each in week.machines] == [("local", 0.0)]


def test_what_is_planned_for_the_next_week_stands_there_and_not_under_still_open(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    week = the_week(journal, lived, clock, 2)
    assert [todo.title for todo in week.open_todos] == ["look at the worst crops"]
    assert week.next_week is not None
    assert [todo.title for todo in week.next_week.todos] == ["blend both"]
    assert (week.next_week.minutes, week.next_week.planned_ms) == (20, 6 * 3_600_000)
    assert week.next_week.rest_days == (lived.starts_on + timedelta(days=16),)


def test_the_first_week_has_no_gain_and_the_last_no_week_after_it(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    first = the_week(journal, lived, clock, 1)
    assert (first.cv.gain, first.gain_an_hour(first.cv)) == (None, None)
    assert the_week(journal, lived, clock, 9).next_week is None


def test_its_review_is_begun_once_with_three_questions_and_kept_as_a_note(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    begun = notes.begin_week(journal, 2)
    assert (begun.kind, begun.title, begun.late) == ("week", "Week 2", True)
    assert begun.body.count("?") == 3
    notes.save_outside(journal, begun.id, "## What brought the score forward?\n\nThe margin.\n", 1)
    assert notes.begin_week(journal, 2).body.endswith("The margin.\n")
    assert the_week(journal, lived, clock, 2).note.title == "Week 2"  # type: ignore[union-attr]
    with pytest.raises(OnehourError, match="weeks 1 to 9"):
        notes.begin_week(journal, 10)


def test_nobody_makes_a_review_by_hand(journal: Journal, challenge: Challenge) -> None:
    with pytest.raises(OnehourError, match="no kind of note 'week'"):
        notes.create(journal, "Week 1", "week")


def test_the_markdown_page_tells_all_of_it(journal: Journal, lived: Challenge, clock: MovableClock) -> None:
    note = notes.begin_week(journal, 2)
    notes.save_outside(journal, note.id, "The margin helped.", 1)
    page = week_page.page(lived, the_week(journal, lived, clock, 2))
    for said in (
        "# Week 2 of 9 · humpback · 2026-03-09 to 2026-03-15",
        "0.5 of 7.0 hours used",
        "| plan | 10 | 33% | 25% |",
        "- Best CV: 0.830, +0.030 against all weeks before, +0.0600 an hour",
        '- humpback_002-r01 "a margin of 8 %": CV 0.830',
        "helped (+0.030",
        "- local: ",
        "- [ArcFace](<https://arxiv.org/abs/1801.07698>)",
        "- look at the worst crops",
        "6.0 hours, rest on 2026-03-18, 20 minutes of them planned",
        "- 2026-03-17: blend both (20 min)",
        "The margin helped.",
    ):
        assert said in page


def test_the_html_file_holds_its_figures_and_executes_nothing_of_a_persons(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    note = notes.begin_week(journal, 1)
    notes.save_outside(journal, note.id, "<script>alert(1)</script> [x](javascript:alert(2))", 1)
    with journal.reading() as db:
        html = week_page.html(db, lived, the_week(journal, lived, clock, 1))
    assert "&lt;script&gt;alert(1)" in html
    assert "a first &lt;b&gt;idea" in html
    assert 'href="javascript' not in html
    assert html.count('class="plotly-graph-div"') == 3
    assert not re.search(r'<(script|link)[^>]+(src|href)="http', html), "it needs no network"


def test_an_imported_score_counts_for_the_week_in_which_it_was_sent(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    for sent_at, public in ((clock.at - 7 * DAY_S * 1000, 0.70), (clock.at, 0.74)):
        with journal.writing() as db:
            sent = Submission(challenge_id=lived.id, path="s.csv", sent_at=sent_at, origin="import", created_at=sent_at)
            db.add(sent)
            db.flush()
            db.add(
                LeaderboardScore(
                    submission_id=sent.id, source="manual", public=public, origin="import", scored_at=sent_at
                )
            )
    week = the_week(journal, lived, clock, 2)
    assert week.public.score == 0.74
    assert week.public.gain == pytest.approx(0.04)


@pytest.fixture
def same_clock(monkeypatch: pytest.MonkeyPatch, clock: MovableClock) -> None:
    opened = terminal.open_journal
    monkeypatch.setattr(terminal, "open_journal", lambda home: opened(home, clock))


@pytest.mark.usefixtures("same_clock")
def test_the_command_shows_answers_and_exports(
    journal: Journal, lived: Challenge, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def said(*arguments: str, code: int = 0) -> str:
        assert cli.main(["week", *arguments]) == code
        out = capsys.readouterr()
        return (out.err if code else out.out).strip()

    assert said("show").startswith("# Week 2 of 9")
    assert json.loads(said("show", "--week", "1", "--json"))["cv"] == pytest.approx(0.80)
    assert said("write", "The margin helped.") == "week 2, revision 2, flagged late"
    assert said("show").endswith("The margin helped.")
    for name, begins in (("w.md", "# Week 2"), ("w.html", "<!doctype html>")):
        said("export", str(tmp_path / name))
        assert (tmp_path / name).read_text().startswith(begins)
        assert "there already" in said("export", str(tmp_path / name), code=2)
    assert ".html" in said("export", str(tmp_path / "w.pdf"), code=2)
    assert "no such folder" in said("export", str(tmp_path / "none" / "w.md"), code=2)
    assert "Weeks 1 to 2" in said("show", "--week", "3", code=2)


def test_a_todo_for_the_next_week_needs_the_hour_or_the_reflection(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    next_week = challenge.starts_on + timedelta(days=8)
    with pytest.raises(AgainstTheRules):
        todos.add(journal, "blend", on=next_week)
    sessions.start(journal)
    clock.move(HOUR_S)
    assert todos.add(journal, "blend", on=next_week).planned_on == next_week

"""The week's review: what it counts, its page, its file, its command, its three questions."""

from __future__ import annotations

import io
import json
import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from app import cli
from app.commands import terminal
from app.jobs import backlog, orders
from app.journal import (
    attachments,
    challenge_settings,
    challenges,
    corrections,
    notes,
    references,
    rest_days,
    reviews,
    sessions,
    todos,
)
from app.journal.activities import Activity
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardScore, Run, Submission
from app.reports import day as day_report
from app.reports import week as week_report
from app.reports import week_figures, week_page
from app.scores import leaderboard
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


def sent_elsewhere(journal: Journal, challenge: Challenge, sent_at: int, public: float, name: str = "s.csv") -> None:
    with journal.writing() as db:
        sent = Submission(challenge_id=challenge.id, path=name, sent_at=sent_at, origin="import", created_at=sent_at)
        db.add(sent)
        db.flush()
        score = {"submission_id": sent.id, "source": "manual", "public": public}
        db.add(LeaderboardScore(**score, origin="import", scored_at=sent_at))


def the_figures(journal: Journal, challenge: Challenge, clock: MovableClock, number: int = 1) -> str:
    with journal.reading() as db:
        return week_figures.as_html(db, challenge, the_week(journal, challenge, clock, number))


@pytest.fixture
def lived(journal: Journal, challenge: Challenge, clock: MovableClock) -> Challenge:
    """Two weeks: an hour with a run in the first, one of half an hour with a better run in the second."""
    challenge = challenge_settings.change(journal, target_split="read=25 plan=25 code=25 analyse=25")
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


def test_a_run_in_another_metric_is_no_best_of_the_week(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    with journal.writing() as db:
        run = db.exec(select(Run).where(Run.key == "humpback_002-r01")).one()
        run.metric = "accuracy"
        db.add(run)
    assert the_week(journal, lived, clock, 2).cv.score is None


def test_the_first_week_has_no_gain_and_the_last_no_week_after_it(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    first = the_week(journal, lived, clock, 1)
    assert (first.cv.gain, first.gain_an_hour(first.cv)) == (None, None)
    assert the_week(journal, lived, clock, 9).next_week is None


def test_its_review_is_begun_once_with_three_questions_and_kept_as_a_note(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    begun = reviews.begin_week(journal, 2)
    assert (begun.kind, begun.title, begun.late) == ("week", "Week 2", True)
    assert begun.body.count("?") == 3
    notes.save_outside(journal, begun.id, "## What brought the score forward?\n\nThe margin.\n", 1)
    assert reviews.begin_week(journal, 2).body.endswith("The margin.\n")
    assert the_week(journal, lived, clock, 2).note.title == "Week 2"  # type: ignore[union-attr]
    with pytest.raises(OnehourError, match="weeks 1 to 9"):
        reviews.begin_week(journal, 10)


def test_nobody_makes_a_review_by_hand(journal: Journal, challenge: Challenge) -> None:
    with pytest.raises(OnehourError, match="no kind of note 'week'"):
        notes.create(journal, "Week 1", "week")


def test_the_markdown_page_tells_all_of_it(journal: Journal, lived: Challenge, clock: MovableClock) -> None:
    note = reviews.begin_week(journal, 2)
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
        "- look at the worst crops (15 min)",
        "6.0 hours, rest on Wed 18, 20 minutes of them planned",
        "- Tue 17: blend both (20 min)",
        "The margin helped.",
    ):
        assert said in page


def test_the_html_file_holds_its_figures_and_executes_nothing_of_a_persons(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    note = reviews.begin_week(journal, 1)
    notes.save_outside(journal, note.id, "<script>alert(1)</script> [x](javascript:alert(2))", 1)
    with journal.reading() as db:
        html = week_page.html(db, journal.home, lived, the_week(journal, lived, clock, 1))
    assert "&lt;script&gt;alert(1)" in html
    assert "a first &lt;b&gt;idea" in html
    assert 'href="javascript' not in html
    assert html.count('class="plotly-graph-div"') == 3
    assert not re.search(r'<(script|link)[^>]+(src|href)="http', html), "it needs no network"


def test_an_imported_score_counts_for_the_week_in_which_it_was_sent(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    sent_elsewhere(journal, lived, clock.at - 7 * DAY_S * 1000, 0.70)
    sent_elsewhere(journal, lived, clock.at, 0.74)
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
    for nowhere in ("/proc/w.md", str(tmp_path / f"{'w' * 300}.md")):
        refusal = said("export", nowhere, code=2)
        assert "the file cannot be written" in refusal
        assert nowhere in refusal


@pytest.mark.usefixtures("same_clock")
@pytest.mark.parametrize("decoded", ["strict", "surrogateescape"], ids=["a language", "no language"])
def test_a_review_that_is_no_text_is_refused_before_the_note_is_begun(
    journal: Journal, lived: Challenge, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, decoded: str
) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b"gr\xfc\xdfe"), encoding="utf-8", errors=decoded)
    monkeypatch.setattr("sys.stdin", typed)
    assert cli.main(["week", "write", "-"]) == 2
    assert the_week(journal, lived, clock, 2).note is None


def test_a_todo_for_the_next_week_needs_the_hour_or_the_reflection(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    next_week = challenge.starts_on + timedelta(days=8)
    with pytest.raises(AgainstTheRules):
        todos.add(journal, "blend", on=next_week)
    sessions.start(journal)
    clock.move(HOUR_S)
    assert todos.add(journal, "blend", on=next_week).planned_on == next_week


def test_a_week_gone_by_tells_what_was_open_at_its_end(journal: Journal, lived: Challenge, clock: MovableClock) -> None:
    """All of them were written in week 2; in week 3 one is done and another begun."""
    clock.move(7 * DAY_S)
    sessions.start(journal)
    with journal.reading() as db:
        planned = next(todo for todo in todos.open_ones(db, lived) if todo.title == "blend both")
    todos.done(journal, planned.id)
    todos.add(journal, "written later", 5)
    before, gone_by, present = (the_week(journal, lived, clock, number) for number in (1, 2, 3))
    assert before.next_week is not None
    assert (before.open_todos, before.next_week.todos) == ((), ())
    assert gone_by.next_week is not None
    assert [todo.title for todo in gone_by.open_todos] == ["look at the worst crops"]
    assert [todo.title for todo in gone_by.next_week.todos] == ["blend both"]
    assert [todo.title for todo in present.open_todos] == ["look at the worst crops", "written later"]


def test_a_todo_ticked_off_in_an_hour_past_the_days_turn_is_done_in_that_week(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.move(6 * DAY_S + 7.5 * HOUR_S)  # Monday, 03:30; the day turns at 04:00
    sessions.start(journal)
    todo = todos.add(journal, "a long thought")
    clock.move(45 * MINUTE_S)
    todos.done(journal, todo.id)
    clock.move(DAY_S)
    assert the_week(journal, challenge, clock, 1).open_todos == ()
    with journal.reading() as db:
        pages = [day_report.page(db, challenge, challenge.starts_on + timedelta(days=n), clock.at) for n in (6, 7)]
    assert ["a long thought" in page for page in pages] == [True, False]


def test_the_html_file_holds_the_reviews_pictures_and_says_its_links_in_words(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0" * 17
    kept = attachments.keep(journal.home, picture)
    body = f"![a tail](/api/image/{kept}) ![far](https://example.org/a.png) ![gone](/api/image/{'0' * 64}.png)\n\n"
    note = reviews.begin_week(journal, 1)
    notes.save_outside(journal, note.id, body + "See [[day-2]] and [[A <b> *title*]], not `[[day-3]]`.\n", 1)
    with journal.reading() as db:
        html = week_page.html(db, journal.home, lived, the_week(journal, lived, clock, 1))
    assert f'<img src="data:image/png;base64,{b64encode(picture).decode()}" alt="a tail"' in html
    assert "far (https://example.org/a.png)" in html
    assert f"gone (/api/image/{'0' * 64}.png)" in html
    assert html.count("<img ") == 1
    assert "See day 2 and A &lt;b&gt; *title*, not <code>[[day-3]]</code>." in html


def test_titles_of_todos_and_references_stay_words_in_the_file(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    references.add(journal, "https://arxiv.org/abs/1708.02002", title="Focal [Loss] <b>")
    todos.add(journal, "# not a heading, *not* bold")
    page = week_page.page(challenge, the_week(journal, challenge, clock))
    assert r"- [Focal \[Loss\] \<b\>](<https://arxiv.org/abs/1708.02002>)" in page
    assert r"- \# not a heading, \*not\* bold" in page


def test_the_figure_of_scores_shows_what_was_sent_elsewhere_until_the_week(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    sent_elsewhere(journal, lived, clock.at, 0.74, name="blend</script>.csv")
    assert "LB public, imported" not in the_figures(journal, lived, clock, 1)
    figures = the_figures(journal, lived, clock, 2)
    assert "LB public, imported" in figures
    assert "blend</script>" not in figures


def test_the_figure_of_scores_counts_whole_days_though_they_all_fall_on_one(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    assert week_figures.MOST_TICKS >= 7
    sent_elsewhere(journal, challenge, clock.at, 0.74)
    figures = the_figures(journal, challenge, clock)
    axis = json.loads(re.findall(r'"xaxis":(\{"type":"date".*?\})', figures)[0])
    assert axis == {
        "type": "date",
        "range": ["2026-03-01T12:00:00", "2026-03-08T12:00:00"],
        "tick0": "2026-03-02T00:00:00",
        "dtick": DAY_S * 1000,
        "tickformat": "%d %b",
    }


def test_the_score_typed_in_counts_and_not_the_one_computed_at_home(
    journal: Journal, lived: Challenge, clock: MovableClock
) -> None:
    with journal.writing() as db:
        sent = db.exec(select(Submission).join(Run).where(Run.key == "humpback_002-r01")).one()
        score = LeaderboardScore(submission_id=sent.id, source="local", public=0.9, origin="system", scored_at=clock.at)
        db.add(score)
    assert the_week(journal, lived, clock, 2).public.score == 0.9
    leaderboard.enter_by_hand(journal, "humpback_002-r01", 0.7, None)
    week = the_week(journal, lived, clock, 2)
    assert (week.public.score, week.runs[0].lb_source) == (0.7, "manual")


def test_a_run_that_failed_or_was_cancelled_on_a_gpu_counts_as_time_on_it(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    for idea, slot, state in (
        ("breaks", "cuda:0", backlog.FAILED),
        ("stopped", "cuda:1", backlog.CANCELLED),
        ("by hand", "cpu:0", backlog.FAILED),
    ):
        orders.queue_run(journal, "sample-quick", small_spec(Path(challenge.data_dir)), idea)
        with journal.writing() as db:
            job = backlog.claim(db, "local", slot, clock.at, gpus=int("cuda" in slot))
            assert job is not None
        clock.move(18 * MINUTE_S)
        with journal.writing() as db:
            held = backlog.held(db, job)
            assert held is not None
            if state == backlog.CANCELLED:  # between two attempts
                backlog.requeue(db, held, "stopped in good order", 75, clock.at, counts_as_lost=False)
            backlog.finish(db, held, state, clock.at)
    (line,) = week_page.machine_lines(the_week(journal, challenge, clock))
    assert line == "local: 0.9 h of this week's runs, 0.6 h of it on a GPU"


def test_a_machine_that_counts_its_gpu_time_is_believed(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    orders.queue_run(journal, "sample-quick", small_spec(Path(challenge.data_dir)), "an array of folds")
    with journal.writing() as db:
        job = backlog.claim(db, "local", "cluster/1", clock.at, gpus=1)
        assert job is not None
    clock.move(60 * MINUTE_S)
    with journal.writing() as db:
        held = backlog.held(db, job)
        assert held is not None
        backlog.finish(db, held, backlog.SUCCEEDED, clock.at, gpu_s=4.5 * 3600)
    (line,) = week_page.machine_lines(the_week(journal, challenge, clock))
    assert line == "local: 1.0 h of this week's runs, 4.5 h of it on a GPU"


def test_the_last_week_may_be_short_and_a_day_of_rest_takes_its_hour_out(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenge = challenges.found(journal, replace(rules, days=10), rules.starts_on)
    rest_days.plan(journal, challenge.starts_on + timedelta(days=8))
    clock.move(9 * DAY_S)
    week = the_week(journal, challenge, clock, 2)
    assert [mark for _, mark, _ in week.marks] == ["lost", "rest", "today"]
    page = week_page.page(challenge, week)
    assert page.startswith("# Week 2 of 2 · humpback · 2026-03-09 to 2026-03-11")
    assert "0.0 of 2.0 hours used, 1.0 lost (1 day without an hour)." in page
    assert "| Tue 2026-03-10 | rest | 0 |" in page
    assert "Next week" not in page


def test_weekly_mode_holds_no_day_against_an_hour(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenge = challenges.found(journal, replace(rules, mode="weekly"), rules.starts_on)
    sessions.start(journal)
    clock.move(150 * MINUTE_S)
    sessions.end(journal)
    page = week_page.page(challenge, the_week(journal, challenge, clock))
    assert "2.5 of 7.0 hours used, 0.0 lost." in page
    assert "an hour as planned" not in the_figures(journal, challenge, clock)
    with journal.reading() as db:
        assert "\n150 minutes\n" in day_report.page(db, challenge, challenge.starts_on, clock.at)


def test_daily_mode_holds_each_day_against_its_hour(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(30 * MINUTE_S)
    assert "an hour as planned" in the_figures(journal, challenge, clock)
    with journal.reading() as db:
        assert "\n30 of 60 minutes\n" in day_report.page(db, challenge, challenge.starts_on, clock.at)

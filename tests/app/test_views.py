"""The pages as Streamlit runs them, without a browser: what they show and grey out in each state of the hour."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Widget

from app.jobs import backlog, orders, sample_challenge
from app.journal import challenges, inbox, notes, sessions, todos
from app.journal.home import CHECKOUT
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views import desk
from tests.app.trainings import small_spec
from tests.conftest import MovableClock
from tests.e2e.past import finish

DASHBOARD = str(CHECKOUT / "app" / "dashboard.py")
HOUR_S, DAY_S = 3_600, 86_400


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


def page(name: str = "today") -> AppTest:
    """The dashboard with one page open."""
    script = f"from app.views import {name} as view\n{SHOW}"
    return ran(AppTest.from_string(script))


SHOW = """
from app.journal import challenges, sessions
from app.views import desk
from app.views.session_bar import session_bar
journal = desk.current_journal()
with journal.reading() as db:
    at = sessions.sitting(db, challenges.active(db), journal.now())
session_bar(journal, at)
desk.say_refusal()
view.show(journal, at)
"""


def ran(acted: AppTest | Widget) -> AppTest:
    """Run the page after what was done to it or to one of its widgets."""
    at = acted.run(timeout=20)
    assert not at.exception, at.exception
    return at


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.caption, *at.warning))


def queued(journal: Journal, challenge: Challenge, hypothesis: str = "larger is better") -> str:
    return orders.queue_run(journal, "cpu-transfer", small_spec(Path(challenge.data_dir)), hypothesis).run_key


def test_the_first_start_shows_the_two_doors_and_nothing_else() -> None:
    at = ran(AppTest.from_file(DASHBOARD))
    assert [button.label for button in at.button] == ["Draw the data and begin", "Take it on"]
    assert "seven flexible hours a week" in texts(at)


def test_my_competition_founds_the_challenge_and_opens_today(journal: Journal, tmp_path: Path) -> None:
    at = ran(AppTest.from_file(DASHBOARD))
    at.text_input(key="competition").input("https://www.kaggle.com/c/humpback-whale-identification")
    at.text_input(key="data_dir").input(str(tmp_path))
    at.text_input(key="time_zone").input("Europe/Berlin")
    at.number_input(key="minutes").set_value(45)
    at.radio(key="mode").set_value("weekly")
    ran(at.button[1].click())
    with journal.reading() as db:
        challenge = challenges.active(db)
    assert (challenge.slug, challenge.mode, challenge.minutes_per_day) == (
        "humpback-whale-identification",
        "weekly",
        45,
    )
    assert challenge.time_zone == "Europe/Berlin"
    assert "**Day 1 of 60** · humpback-whale-identification" in texts(at)


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("data_dir", "", "the folder of the competition's data is missing"),
        ("data_dir", "/no/such/folder", "/no/such/folder: there is no such data folder."),
        ("competition", "", "'' is no competition slug"),
        ("time_zone", "Europe/Berln", "Did you mean 'Europe/Berlin'?"),
    ],
)
def test_what_cannot_be_taken_on_is_said_and_the_form_keeps_its_text(
    field: str, text: str, sentence: str, tmp_path: Path
) -> None:
    at = ran(AppTest.from_file(DASHBOARD))
    at.text_input(key="competition").input("humpback")
    at.text_input(key="data_dir").input(str(tmp_path))
    at.text_input(key=field).input(text)
    ran(at.button[1].click())
    assert sentence in at.warning[0].value
    assert at.text_input(key=field).value == text


def test_the_sample_door_draws_the_data_and_its_leaderboard(journal: Journal) -> None:
    at = AppTest.from_file(DASHBOARD)
    ran(at)
    at.button(key="sample").click().run(timeout=60)
    with journal.reading() as db:
        challenge = challenges.active(db)
    assert challenge.truth_path == str(journal.home.data_dir / "sample" / "truth.csv")
    assert Path(challenge.data_dir, "train.csv").is_file()
    assert f"the preset {sample_challenge.PRESET}" in texts(at)
    assert at.selectbox(key="preset").value == sample_challenge.PRESET
    assert not list(journal.home.data_dir.glob(".*"))


def test_before_the_hour_all_but_start_and_the_inbox_is_greyed_with_the_reason(challenge: Challenge) -> None:
    at = page()
    assert not at.button(key="hour_Start").disabled
    assert at.button(key="queue").disabled
    assert at.text_input(key="hypothesis").disabled
    assert at.text_input(key="todo_title").disabled
    assert not at.text_input(key="thought").disabled
    assert "Queueing a run is part of the hour. Start the hour first." in texts(at)
    assert "Planning is part of the hour. Start the hour first." in texts(at)


def test_a_whole_hour_from_start_to_close(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    at = page()
    ran(at.button(key="hour_Start").click())
    assert not at.button(key="queue").disabled
    ran(at.button(key="hour_Pause").click())
    assert at.button(key="queue").disabled
    assert "Queueing a run is part of the hour, and the hour is paused. Resume it first." in texts(at)
    ran(at.button(key="hour_Resume").click())
    clock.move(HOUR_S)
    ran(at)
    assert "Hour used. Your note stays open until 21:10" in texts(at)
    assert "What is the first step tomorrow" in texts(at)
    assert at.button(key="queue").disabled
    assert at.text_input(key="todo_title").placeholder == "Add for tomorrow"
    ran(at.button(key="hour_Close the day").click())
    assert "Next hour: tomorrow." in texts(at)
    assert "Planning is part of the hour, and today's hour is used." in texts(at)
    assert not [button.key for button in at.button if str(button.key).startswith("hour_")]


def test_a_click_on_a_page_that_is_out_of_date_is_refused_with_the_reason(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    at = page()
    sessions.start(journal)
    sessions.close(journal)
    ran(at.button(key="hour_Start").click())
    assert at.warning[0].value == (
        "Today's hour was already started; a second one is not possible. Next hour: tomorrow."
    )


def test_before_its_first_day_and_after_its_last_a_challenge_cannot_be_started(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.move(-DAY_S)
    at = page()
    assert at.button(key="hour_Start").disabled
    assert "The challenge starts on 2026-03-02" in texts(at)
    clock.move(61 * DAY_S)
    at = page()
    assert at.button(key="hour_Start").disabled
    assert "The challenge ended on 2026-04-30" in texts(at)


def test_todos_are_added_ticked_and_weighed_against_the_time_left(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    for title, minutes in (("look at *crops*", "50"), ("read", "25")):
        at.text_input(key="todo_title").input(title)
        at.text_input(key="todo_minutes").input(minutes)
        ran(at.button[-2].click())
    assert "75 planned, 15 too many" in texts(at)
    ran(at.checkbox(key="todo_1").check())
    assert [box.label for box in at.checkbox] == ["read · 25 min", r"~~look at \*crops\*~~"]
    assert "25 planned" in texts(at)


def test_minutes_that_are_no_number_are_refused_by_name(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    at.text_input(key="todo_title").input("read")
    at.text_input(key="todo_minutes").input("soon")
    ran(at.button[-2].click())
    assert at.warning[0].value == "'soon' is no number of minutes. Write 15, or leave it empty."


def test_in_reflection_a_todo_is_planned_for_tomorrow(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    sessions.end(journal)
    at = page()
    at.text_input(key="todo_title").input("compare margins")
    ran(at.button[-2].click())
    with journal.reading() as db:
        (todo,) = todos.open_ones(db, challenge)
    assert str(todo.planned_on) == "2026-03-03"


def test_a_thought_outside_the_hour_is_kept_and_flagged(journal: Journal, challenge: Challenge) -> None:
    at = page()
    ran(at.text_input(key="thought").input("mirror the flukes"))
    assert "mirror the flukes :orange[outside the hour]" in texts(at)
    with journal.reading() as db:
        assert [item.outside_hour for item in inbox.latest(db, challenge)] == [True]


def test_a_run_is_queued_with_its_changes_and_can_be_cancelled(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    at.selectbox(key="preset").select("sample-quick")
    at.text_input(key="hypothesis").input("five folds are steadier")
    ran(at.text_input(key="overrides").input("folds=5 seed=3"))
    assert "before your next hour" in texts(at)
    ran(at.button(key="queue").click())
    assert "`humpback_001-r01`" in texts(at)
    assert ":orange[○] queued" in texts(at)
    assert "no worker is running" in texts(at)
    assert at.text_input(key="hypothesis").value == ""
    ran(at.button(key="cancel_humpback_001-r01").click())
    assert ":gray[–] cancelled" in texts(at)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [("fold=5", "Did you mean 'folds'?"), ("folds", "'folds' is no key=value"), ("seed='3", "cannot be read")],
)
def test_changes_that_make_no_spec_are_said_before_and_after_the_click(
    journal: Journal, challenge: Challenge, changes: str, sentence: str
) -> None:
    sessions.start(journal)
    at = page()
    at.text_input(key="hypothesis").input("it works")
    ran(at.text_input(key="overrides").input(changes))
    assert sentence in texts(at)
    ran(at.button(key="queue").click())
    assert sentence in at.warning[0].value
    assert at.text_input(key="hypothesis").value == "it works"
    with journal.reading() as db:
        assert backlog.list_jobs(db, challenge.id) == []


def test_the_resume_card_shows_the_next_step_what_finished_since_and_the_first_todo(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    at_start = sessions.start(journal)
    notes.save(journal, at_start.local_date, "## Tried\nx\n## Next\n- check the *grey* crops\n", 0)
    todos.add(journal, "worst crops first")
    key = queued(journal, challenge)
    clock.move(5 * HOUR_S)
    finish(journal, key, cv=0.842)
    clock.move(DAY_S - 5 * HOUR_S)
    shown = texts(page())
    assert r"Yesterday you wrote: **check the \*grey\* crops** · First on the list: worst crops first" in shown
    assert f"`{key}` · larger is better · :green[✓] succeeded · **CV 0.842 ± 0.006**" in shown


@pytest.mark.parametrize(
    ("typed", "escaped"),
    [
        ("write-up of 4th place (20:15)", "write-up of 4th place (20:15)"),
        ("crops [of] *grey* $x$", r"crops \[of\] \*grey\* \$x\$"),
        (":smile: and :red[x]", r"\:smile: and \:red\[x\]"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
    ],
)
def test_a_persons_words_are_shown_as_typed(typed: str, escaped: str) -> None:
    assert desk.plain(typed) == escaped


def test_the_runs_page_says_what_to_do_while_there_is_none(challenge: Challenge) -> None:
    assert "No run yet. Start the hour on Today" in texts(page("runs"))


def test_the_runs_page_shows_the_newest_run_with_folds_remarks_log_and_submission(
    journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    finish(journal, queued(journal, challenge), cv=0.842)
    at = page("runs")
    table = at.dataframe[0].value
    assert table[["Run", "State", "CV"]].to_numpy().tolist() == [["humpback_001-r01", "succeeded", 0.842]]
    assert "two images are copies" in texts(at)
    assert at.table[0].value.to_numpy().tolist() == [["0.8380", "0.8460"]]
    path, log = (block.value for block in at.code)
    assert path.endswith("runs/humpback_001-r01/submission.csv")
    assert log.startswith("fold 0 epoch 2/2")


def test_an_open_run_can_be_cancelled_on_the_runs_page(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    queued(journal, challenge)
    at = page("runs")
    assert at.code[0].value == "Nothing is written yet."
    ran(at.button(key="cancel").click())
    assert ":gray[–] cancelled" in texts(at)


@pytest.mark.parametrize("name", ["scores", "week"])
def test_the_other_pages_open_on_a_first_day_and_with_a_run(journal: Journal, challenge: Challenge, name: str) -> None:
    page(name)
    sessions.start(journal)
    finish(journal, queued(journal, challenge), cv=0.842)
    shown = page(name)
    assert shown.dataframe or "0.842" in "\n".join([texts(shown), *(text.value for text in shown.text)])

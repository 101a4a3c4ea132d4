"""The pages as Streamlit runs them, without a browser: what they show and grey out in each state of the hour."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from sqlmodel import select
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button, Widget

from app.components.clock import reading as clock_reading
from app.exchange import intake, submissions_csv
from app.exchange.csv_rows import CsvRow
from app.exchange.found import Found, FoundSubmission
from app.jobs import backlog, data_checks, orders, sample_challenge, specs
from app.journal import (
    challenge_settings,
    challenges,
    checklist,
    corrections,
    inbox,
    notes,
    rest_days,
    reviews,
    sessions,
    sittings,
    todos,
)
from app.journal.days import DAY
from app.journal.home import CHECKOUT, COMMAND
from app.journal.hour import State
from app.journal.store import Journal
from app.journal.tables import Challenge, DailySession, LeaderboardSnapshot, Run
from app.reports import day as day_report
from app.scores import leaderboard, position, run_rows
from app.views import desk
from engine.run_folder import RunFolder
from tests.app.trainings import small_spec
from tests.conftest import MovableClock, competition_folder
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
from app.journal import challenges, sittings
from app.views import desk
from app.views.session_bar import session_bar
journal = desk.current_journal()
with journal.reading() as db:
    at = sittings.sitting(db, challenges.active(db), journal.now())
session_bar(journal, at)
desk.say_refusal()
view.show(journal, at)
"""


def ran(acted: AppTest | Widget) -> AppTest:
    """Run the page after what was done to it or to one of its widgets."""
    at = acted.run(timeout=20)
    assert not at.exception, at.exception
    return at


def named(at: AppTest, label: str) -> Button:
    (found,) = (button for button in at.button if button.label == label)
    return found


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.caption, *at.warning, *at.info))


def standing(journal: Journal) -> sittings.Sitting:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now())


def queued(journal: Journal, challenge: Challenge, hypothesis: str = "larger is better") -> str:
    return orders.queue_run(journal, "cpu-transfer", small_spec(Path(challenge.data_dir)), hypothesis).run_key


def test_the_first_start_shows_the_two_doors_and_nothing_else() -> None:
    at = ran(AppTest.from_file(DASHBOARD))
    assert [button.label for button in at.button] == ["Draw the data and begin", "Take it on"]
    assert "seven flexible hours a week" in texts(at)


def test_my_competition_founds_the_challenge_and_opens_today(journal: Journal, tmp_path: Path) -> None:
    at = ran(AppTest.from_file(DASHBOARD))
    at.text_input(key="competition").input("https://www.kaggle.com/c/humpback-whale-identification")
    at.text_input(key="data_dir").input(str(competition_folder(tmp_path / "data")))
    at.text_input(key="time_zone").input("Europe/Berlin")
    at.number_input(key="minutes").set_value(45)
    at.radio(key="mode").set_value("weekly")
    tomorrow = (at.date_input(key="starts_on").value + DAY).isoformat()
    at.text_input(key="rest_days").input(tomorrow)
    at.text_area(key="checklist").input("no external data\n\n one GPU ")
    ran(at.button[1].click())
    with journal.reading() as db:
        challenge = challenges.active(db)
    assert (challenge.slug, challenge.mode, challenge.minutes_per_day) == (
        "humpback-whale-identification",
        "weekly",
        45,
    )
    assert challenge.time_zone == "Europe/Berlin"
    with journal.reading() as db:
        assert [str(on) for on in rest_days.of(db, challenge)] == [tomorrow]
    assert [rule.text for rule in checklist.of(challenge)] == ["no external data", "one GPU"]
    assert "**Day 1 of 60** · humpback-whale-identification" in texts(at)


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("data_dir", "", "The folder of the competition's data is missing"),
        ("data_dir", "/no/such/folder", "/no/such/folder: there is no such data folder."),
        ("competition", "", "'' is no competition slug"),
        ("time_zone", "Europe/Berln", "Did you mean 'Europe/Berlin'?"),
        ("rest_days", "sunday", "'sunday' is no date"),
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
    assert "The challenge starts on Monday, 02 March 2026. Until then the inbox takes thoughts." in texts(at)
    ran(at.text_input(key="thought").input("mirror the flukes"))
    clock.move(60 * DAY_S)
    sessions.start(journal)
    notes.save(journal, challenges.last_day(challenge), "what the sixty days taught", 0)
    clock.move(20 * DAY_S)
    at = page()
    assert at.button(key="hour_Start").disabled
    assert f"The challenge ended on 2026-04-30. `{COMMAND} end-challenge` files it away" in texts(at)
    assert "its 60 days ended on Thursday, 30 April 2026" in texts(at)
    assert "what the sixty days taught" in texts(at)
    assert "mirror the flukes" in texts(at)
    for word in ("Plan for", "Day 80", "Day -"):
        assert word not in texts(at)


def test_the_scoreboard_ends_with_the_challenge(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    clock.move(79 * DAY_S)
    table = page("scores").dataframe[0].value
    assert (len(table), table["Day"].tolist()[0]) == (60, 60)


@pytest.mark.parametrize(
    ("mode", "day", "sentence"),
    [
        ("daily", 0, "About 60 minutes are left and will be lost."),
        ("weekly", 0, "About 420 minutes are left; they stay in the week's budget until Sunday."),
        ("weekly", 6, "About 420 minutes are left; they stay in the week's budget until the day turns at 04:00."),
    ],
)
def test_ending_early_says_what_becomes_of_the_minutes(
    journal: Journal, rules: challenges.Rules, clock: MovableClock, mode: str, day: int, sentence: str
) -> None:
    challenges.found(journal, replace(rules, mode=mode), rules.starts_on)
    clock.move(day * DAY_S)
    sessions.start(journal)
    assert sentence in texts(page())


@pytest.mark.parametrize("day", [0, 6])
@pytest.mark.parametrize("state", [State.REFLECTION, State.CLOSED])
def test_a_weeks_minutes_are_taken_up_again_on_the_same_day_while_the_note_is_open_and_after_it(
    journal: Journal, rules: challenges.Rules, clock: MovableClock, state: State, day: int
) -> None:
    challenges.found(journal, replace(rules, mode="weekly"), rules.starts_on)
    clock.move(day * DAY_S)
    sessions.start(journal)
    clock.move(1_800)
    (sessions.end if state is State.REFLECTION else sessions.close)(journal)
    at = page()
    assert standing(journal).state is state
    assert "About 390 minutes are left" in texts(at)
    assert "Hour used" not in texts(at)
    assert clock_reading(standing(journal))["words"] == (
        "of reflection" if state is State.REFLECTION else "sitting over"
    )
    ran(at.button(key="hour_Start").click())
    assert standing(journal).state is State.FOCUS
    assert standing(journal).left_ms == 390 * 60_000


def test_a_weeks_last_hour_that_outlasts_its_day_cannot_be_taken_up_again(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenges.found(journal, replace(rules, mode="weekly"), rules.starts_on)
    clock.move(6 * DAY_S + 4 * HOUR_S)
    sessions.start(journal)
    clock.move(5 * HOUR_S)
    assert "About 120 minutes are left and will be lost." in texts(page())
    sessions.end(journal)
    assert "hour_Start" not in [button.key for button in page().button]


def test_the_activity_is_switched_and_the_pressed_one_has_its_own_shape(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    at = page()
    labels = [button.label for button in at.button if str(button.key).startswith("activity_")]
    assert labels == ["○ read", "● plan", "○ code", "○ analyse"]
    clock.move(600)
    ran(at.button(key="activity_code").click())
    assert (at.button(key="activity_plan").label, at.button(key="activity_code").label) == ("○ plan", "● code")
    clock.move(1_200)
    assert {each.value: ms / 60_000 for each, ms in standing(journal).split.items() if ms} == {"plan": 10, "code": 20}


def test_a_pause_has_a_reason_and_pauses_are_counted(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    ran(at.button(key="hour_Pause").click())
    assert "1 pause" in [caption.value for caption in at.caption]
    ran(at.button(key="hour_Resume").click())
    at.text_input(key="pause_reason").input("the *door* bell")
    ran(named(at, "Pause now").click())
    assert r"2 pauses: the \*door\* bell" in texts(at)
    assert standing(journal).state is State.PAUSED


def test_minutes_away_are_given_back_and_more_than_were_counted_are_refused(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(1_800)
    at = page()
    for minutes in (40, 12):
        at.number_input(key="away_minutes").set_value(minutes)
        at.text_input(key="away_reason").input("a telephone call")
        ran(named(at, "Correct the hour").click())
        if minutes == 40:
            assert at.warning[0].value.startswith("40 minutes away do not fit: 30.0 minutes were counted")
    assert standing(journal).left_ms == 42 * 60_000
    assert "Plan for 42 minutes" in texts(at)


def test_after_the_hour_its_division_is_held_against_the_target_and_put_right(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    with journal.writing() as db:
        challenge.target_split = '{"read": 0.1, "plan": 0.1, "code": 0.5, "analyse": 0.3}'
        db.add(challenge)
    sessions.start(journal)
    clock.move(1_800)
    assert "min were spent" not in texts(page())
    sessions.end(journal)
    at = page()
    inputs = [box for box in at.slider if str(box.key).startswith("split_")]
    assert [(box.label, box.value) for box in inputs] == [
        ("read 0% · target 10%", 0),
        ("plan 100% · target 10%", 30),
        ("code 0% · target 50%", 0),
        ("analyse 0% · target 30%", 0),
    ]
    kept = len(standing(journal).marks)
    ran(named(at, "Keep").click())
    assert len(standing(journal).marks) == kept, "sliders that nobody moved leave the counted seconds"
    inputs = [box for box in at.slider if str(box.key).startswith("split_")]
    inputs[1].set_value(0)
    ran(named(at, "Keep").click())
    assert "The activities add up to 0 minutes. 30 minutes were used." in at.warning[0].value
    inputs = [box for box in at.slider if str(box.key).startswith("split_")]
    inputs[1].set_value(4)
    inputs[2].set_value(20)
    ran(named(at, "Keep").click())
    # Together 24 of 30 minutes: what the sliders say is their proportion.
    assert {each.value: ms / 60_000 for each, ms in standing(journal).split.items() if ms} == {"plan": 5, "code": 25}
    assert "code 83% · target 50%" in [box.label for box in at.slider]


def test_the_last_ten_minutes_ask_for_the_nights_jobs_and_tomorrows_first_step(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(50 * 60 - 1)
    at = page()
    assert "Ten minutes left" not in texts(at)
    before = clock_reading(standing(journal))
    assert before["turns_at"] == clock.at + 1_000
    clock.move(1)
    assert clock_reading(standing(journal))["token"] != before["token"]
    assert "Ten minutes left: queue the night's jobs, write tomorrow's first step." in texts(ran(at))
    clock.move(600)
    assert "Ten minutes left" not in texts(ran(at))


def test_a_page_is_out_of_date_when_the_terminal_switches_the_activity(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    before = clock_reading(standing(journal))["token"]
    corrections.switch(journal, "code")
    assert clock_reading(standing(journal))["token"] != before


def test_overtime_is_flagged_on_the_days_todos_and_runs(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenge = challenges.found(journal, replace(rules, strictness="honour"), rules.starts_on)
    sessions.start(journal)
    todos.add(journal, "in time")
    queued(journal, challenge, "queued in time")
    assert ":orange[overtime]" not in texts(page())
    clock.move(2 * HOUR_S)
    todos.add(journal, "too late")
    queued(journal, challenge, "queued too late")
    at = page()
    assert [box.label for box in at.checkbox] == ["in time", "too late · :orange[overtime]"]
    assert "queued too late :orange[overtime]" in texts(at)
    assert "queued in time :orange" not in texts(at)
    ran(at.checkbox(key="todo_1").check())
    assert "in time :orange[overtime]" in [box.label for box in at.checkbox]


def test_a_moved_system_clock_is_said(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    assert "system clock" not in texts(page())
    with journal.writing() as db:
        session = db.exec(select(DailySession)).one()
        session.clock_moved_ms = -23 * 60_000
        db.add(session)
    assert "The system clock was moved back by 23 minutes; the hour did not follow it." in texts(page())


def test_todos_are_added_ticked_and_weighed_against_the_time_left(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    for title, minutes in (("look at *crops*", "50"), ("read", "25")):
        at.text_input(key="todo_title").input(title)
        at.text_input(key="todo_minutes").input(minutes)
        ran(named(at, "Add").click())
    assert "75 planned, 15 too many" in texts(at)
    ran(at.checkbox(key="todo_1").check())
    assert [box.label for box in at.checkbox] == ["read · 25 min", r"look at \*crops\*"]
    assert "25 planned" in texts(at)


def test_minutes_that_are_no_number_are_refused_by_name(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    at.text_input(key="todo_title").input("read")
    at.text_input(key="todo_minutes").input("soon")
    ran(named(at, "Add").click())
    assert at.warning[0].value == "'soon' is no number of minutes. Write 15, or leave it empty."


def test_in_reflection_a_todo_is_planned_for_tomorrow(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    sessions.end(journal)
    at = page()
    at.text_input(key="todo_title").input("compare margins")
    ran(named(at, "Add").click())
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
    assert "▲] Before its first run: its crop and geometry" in texts(at)
    ran(at.button(key="queue").click())
    assert "This run waits for a look at its augmented pictures" in texts(at)
    data_checks.looked_at(journal, specs.resolve(challenge, "sample-quick", ["folds=5"]))
    ran(at)
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


def test_with_nothing_to_resume_the_card_asks_for_a_first_run_only_while_one_can_be_queued(
    journal: Journal, challenge: Challenge
) -> None:
    assert "Nothing to resume yet. Start the hour, write the plan, queue a first run." in texts(page())
    sessions.start(journal)
    assert "Nothing to resume yet. In this hour, write the plan, queue a first run." in texts(page())
    sessions.end(journal)
    assert "Nothing to resume yet.\n" in texts(page())


def test_the_resume_card_shows_the_next_step_what_finished_since_and_the_first_todo(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    challenge_settings.change(journal, submissions_per_day=5)
    at_start = sessions.start(journal)
    finish(journal, queued(journal, challenge, "smaller"), cv=0.821)
    notes.save(journal, at_start.local_date, "## Tried\nx\n## Next\n- check the *grey* crops\n", 0)
    todos.add(journal, "worst crops first")
    key = queued(journal, challenge)
    clock.move(5 * HOUR_S)
    finish(journal, key, cv=0.842)
    clock.move(DAY_S - 5 * HOUR_S)
    shown = texts(page())
    assert r"Yesterday you wrote: **check the \*grey\* crops** · First on the list: worst crops first" in shown
    helped = ":green[▲] helped (+0.021 ± 0.000 against humpback_001-r01)"
    assert f"`{key}` · larger is better · **CV 0.842 ± 0.006** · {helped}" in shown
    assert "5 of 5 submissions left today (UTC, for another 4 h 0 min)" in shown


@pytest.mark.parametrize(
    ("typed", "escaped"),
    [
        ("write-up of 4th place (20:15)", "write-up of 4th place (20:15)"),
        ("crops [of] *grey* $x$", r"crops \[of\] \*grey\* \$x\$"),
        (":smile: and :red[x]", r"\:smile: and \:red\[x\]"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("first\n# second\n2. third\n\tfourth", "first\n\\# second\n2\\. third\nfourth"),
        ("first\n---\nsecond\n==", "first\n\\---\nsecond\n\\=="),
        ("R&D &lt; &#42;", r"R&D \&lt; \&#42;"),
        (":+1: :100: 20:15", r"\:+1: \:100: 20:15"),
    ],
)
def test_a_persons_words_are_shown_as_typed(typed: str, escaped: str) -> None:
    assert desk.plain(typed) == escaped


def test_a_refusal_that_repeats_a_persons_words_shows_them_as_typed(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = page()
    at.text_input(key="todo_title").input("read")
    at.text_input(key="todo_minutes").input("**5**")
    ran(named(at, "Add").click())
    assert at.warning[0].value.startswith(r"'\*\*5\*\*' is no number")


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


def test_the_runs_page_shows_where_the_threshold_lies_once_there_is_a_picture_of_it(
    journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    key = queued(journal, challenge)
    finish(journal, key, cv=0.842)
    assert not page("runs").get("image")
    Image.new("RGB", (8, 4)).save(RunFolder(journal.home.run_dir(key)).threshold_png)
    assert [one.proto.imgs[0].caption for one in page("runs").get("image")] == [
        "Where the unknown label goes: its threshold, chosen on OOF"
    ]


def test_an_open_run_can_be_cancelled_on_the_runs_page(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    queued(journal, challenge)
    at = page("runs")
    assert at.code[0].value == "Nothing is written yet."
    ran(at.button(key="cancel").click())
    assert ":gray[–] cancelled" in texts(at)


def test_the_scoreboard_shows_cv_beside_lb_and_links_to_wandb(journal: Journal, challenge: Challenge) -> None:
    assert page("scores").dataframe[0].value["What"].tolist() == ["–"]
    sessions.start(journal)
    key = queued(journal, challenge)
    finish(journal, key, cv=0.842)
    leaderboard.enter_by_hand(journal, key, 0.825, None)
    table = page("scores").dataframe[0]
    assert table.value[["CV", "LB", "W&B"]].to_numpy().tolist() == [["0.842 ± 0.006", "0.825 / – manual", "offline"]]
    assert table.proto.placeholder == ""
    with journal.writing() as db:
        run = db.exec(select(Run)).one()
        run.wandb_url = "https://wandb.example/run"
        db.add(run)
    for name, column in (("scores", "Page"), ("runs", "W&B")):
        table = page(name).dataframe[0]
        assert table.value[column].tolist() == ["https://wandb.example/run"]
        assert json.loads(table.proto.columns)[column]["type_config"]["type"] == "link"


def test_imported_submissions_stand_on_their_day_and_the_days_minutes_once(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    for cv in (0.8, 0.9):
        finish(journal, queued(journal, challenge), cv=cv)
    clock.move(1_800)
    found = submissions_csv.read(
        [CsvRow("list.csv:2", {"filename": "blend.csv", "date": "2026-03-02 20:10:00", "description": "two of them",
                               "publicscore": "0.81", "privatescore": ""})]
    )  # fmt: skip
    intake.take_in(journal, found)
    table = page("scores").dataframe[0].value
    assert table["Run"].tolist()[2] == "blend.csv"
    assert table[["Day", "What", "State", "LB"]].to_numpy().tolist()[2] == [
        1,
        "two of them",
        "imported",
        "0.810 / – manual",
    ]
    assert table["Minutes"].tolist()[0] == 30
    assert table["Minutes"].isna().tolist() == [False, True, True]


def test_rank_and_note_of_a_day_stand_once_beside_its_runs(journal: Journal, challenge: Challenge) -> None:
    at = sessions.start(journal)
    for cv in (0.8, 0.9):
        finish(journal, queued(journal, challenge), cv=cv)
    said = "## Tried\n\n384 px.\n\n## Learnt\n\n- Rare whales want **larger** images\n"
    notes.save(journal, at.local_date, said, 0)
    board = {"teams": 2120, "rank": 231, "score": 0.812}
    seen = {"challenge_id": challenge.id, "local_date": at.local_date, "seen_at": journal.now()}
    position.keep(journal, LeaderboardSnapshot(**seen, **board))
    table = page("scores").dataframe[0].value
    assert table[["Rank", "Note"]].fillna("").to_numpy().tolist() == [
        ["231 of 2120", "Rare whales want larger images"],
        ["", ""],
    ]


def test_submissions_sent_before_day_1_stand_below_by_their_date(journal: Journal, challenge: Challenge) -> None:
    assert "No run yet: start the hour on Today and queue one." in texts(page("scores"))
    found = Found(
        submissions=[
            FoundSubmission(f"d.md:{on.day}", f"try-{on.day}", "", on=on, public=on.day / 100)
            for on in (challenge.starts_on - 9 * DAY, challenge.starts_on - 3 * DAY)
        ]
    )
    intake.take_in(journal, found)
    at = page("scores")
    assert "Only imported submissions yet: start the hour on Today and queue a first run." in texts(at)
    assert "No run yet" not in texts(at)
    assert at.dataframe[1].value[["Date", "Run", "LB"]].astype(str).to_numpy().tolist() == [
        ["2026-02-27", "try-27", "0.270 / – manual"],
        ["2026-02-21", "try-21", "0.210 / – manual"],
    ]


@pytest.mark.parametrize(
    ("folds", "text"),
    [
        ((0.836, 0.848), "0.842 ± 0.008"),
        ((0.842, 0.842), "0.842"),
        ((0.84200, 0.84206), "0.842 ± 0.00004"),
        ((0.842,), "0.842"),
    ],
)
def test_a_spread_is_said_with_enough_digits_or_not_at_all(
    journal: Journal, challenge: Challenge, folds: tuple[float, ...], text: str
) -> None:
    sessions.start(journal)
    finish(journal, queued(journal, challenge), cv=0.842)
    with journal.reading() as db:
        (row,) = run_rows.run_rows(db, challenge)
    assert run_rows.cv_text(replace(row, fold_scores=folds)) == text


def test_a_long_challenge_shows_its_scores_sixty_days_a_page(
    journal: Journal, rules: challenges.Rules, clock: MovableClock
) -> None:
    challenges.found(journal, replace(rules, days=100), rules.starts_on)
    clock.move(69 * DAY_S)
    at = page("scores")
    assert at.dataframe[0].value["Day"].tolist() == list(range(70, 10, -1))
    at.session_state["scores_page"] = 2
    assert ran(at).dataframe[0].value["Day"].tolist() == list(range(10, 0, -1))


def test_the_week_shows_hours_used_and_lost(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    rest_days.plan(journal, challenge.starts_on + DAY)
    sessions.start(journal)
    clock.move(1_800)
    finish(journal, queued(journal, challenge), cv=0.842)
    sessions.end(journal)
    clock.move(3 * DAY_S)
    at = page("week")
    shown = {metric.label: (metric.value, metric.delta) for metric in at.metric}
    assert shown["Hours used"] == ("0.5 of 6.0", "")
    assert shown["Hours lost"] == ("1.5", "1 day without an hour")
    assert shown["Best CV"][0] == "0.842"
    for day in (
        "**Mon 02**  \n◧ part  \n30 min",
        "**Tue 03**  \n☾ rest  \n–",
        "**Wed 04**  \n✕ lost",
        "**Thu 05**  \n○ today",
    ):
        assert day in texts(at)
    assert "| plan | 30 min | 100% |" in texts(at)


def test_the_weeks_questions_are_answered_on_its_page_and_its_runs_carry_verdicts(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    for idea, cv in (("smaller", 0.821), ("larger", 0.842)):
        finish(journal, queued(journal, challenge, idea), cv=cv)
    at = page("week")
    assert ":green[▲] helped (+0.021 ± 0.000 against humpback_001-r01)" in texts(at)
    at = ran(named(at, "Answer them").click())
    assert "Answer them" not in [button.label for button in at.button]
    with journal.reading() as db:
        assert reviews.of_week(db, challenge, 1) is not None
    at.text_input(key="next_title").input("blend both")
    at = ran(named(at, "Add").click())
    assert "Mon 09: blend both" in texts(at)


def test_a_todo_is_changed_and_removed_on_the_page(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    first = todos.add(journal, "look at cropps", 15)
    todos.add(journal, "queue 384 px", 10)
    at = page()
    at.text_input(key=f"change_title_{first.id}").input("look at crops")
    at.text_input(key=f"change_minutes_{first.id}").input("")
    at.toggle(key=f"change_priority_{first.id}").set_value(True)
    at = ran(next(button for button in at.button if button.label == "Keep" and button.form_id == "change").click())
    with journal.reading() as db:
        changed = todos.named(db, challenge, first.id)
    assert (changed.title, changed.minutes, changed.priority) == ("look at crops", None, todos.IMPORTANT)
    at = ran(at.selectbox(key="change_todo").select_index(1))
    ran(named(at, "Remove it").click())
    with journal.reading() as db:
        assert [todo.title for todo in todos.open_ones(db, challenge)] == ["look at crops"]


def test_why_the_hour_stood_still_is_shown_afterwards_too(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    sessions.pause(journal, "the door bell")
    clock.move(60)
    sessions.resume(journal)
    assert "1 pause: the door bell" in texts(page())
    with journal.reading() as db:
        assert "## Pauses\n\n- the door bell\n" in day_report.page(db, challenge, challenge.starts_on, clock.at)


def test_honour_mode_says_beforehand_that_what_follows_is_overtime(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    challenge_settings.change(journal, strictness="honour")
    sessions.start(journal)
    words = "What you do now is flagged as overtime"
    assert words not in texts(page())
    clock.move(HOUR_S + 11 * 60)
    assert words in texts(page())

"""Journal and References as Streamlit runs them, without a browser."""

from __future__ import annotations

from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from app.exchange import intake
from app.exchange.found import Found, FoundNote, FoundTodo
from app.journal import inbox, notes, references, reviews, sessions, todos
from app.journal.days import DAY
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views import desk
from tests.app.test_views import SHOW, queued, ran, texts
from tests.conftest import MovableClock
from tests.e2e.past import finish

DAY_S = 86_400
TODAY = date(2026, 3, 2)
FRIDAY = date(2026, 2, 27)  # before day 1


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


def opened(name: str = "journal", **address: str) -> AppTest:
    at = AppTest.from_string(f"from app.views import {name} as view\n{SHOW}")
    at.query_params.update(address)
    return ran(at)


def test_a_day_shows_its_note_live_runs_todos_thoughts_and_who_links_to_it(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    inbox.add(journal, "on the train")
    sessions.start(journal)
    key = queued(journal, challenge)
    notes.save(journal, TODAY, f"see @{key} and #crops <script>alert(1)</script>", 0)
    todos.add(journal, "look at crops", 15)
    assert "○] queued" in texts(opened(day="2026-03-02"))
    finish(journal, key, cv=0.842)
    clock.move(DAY_S)
    sessions.start(journal)
    notes.save(journal, date(2026, 3, 3), "as on [[day-1]]", 0)
    shown = texts(opened(day="2026-03-02"))
    assert "**Day 1** · Mon 2026-03-02" in shown
    assert "[#crops](/journal?tag=crops)" in shown
    assert r"\<script>alert(1)\</script>" in shown
    assert "**CV 0.842 ± 0.006**" in shown
    assert "○ look at crops · 15 min" in shown
    assert "Inbox: on the train :orange[outside the hour]" in shown
    assert "**Linked from** [Day 2](/journal?day=2026-03-03)" in shown


def test_the_neighbours_are_turned_to_and_end_with_today(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.move(2 * DAY_S)
    at = opened()
    assert "**Day 3**" in texts(at)
    assert [button.label for button in at.button if "Day" in button.label] == ["‹ Day 2"]
    ran(at.button(key="leaf_Left").click())
    assert "**Day 2**" in texts(at)
    assert at.query_params["day"] == "2026-03-03"
    ran(at.button(key="leaf_Left").click())
    assert [button.label for button in at.button if "Day" in button.label] == ["Day 2 ›"]


@pytest.mark.parametrize(("asked", "number"), [("2020-01-01", 1), ("2030-01-01", 1), ("soon", 1)])
def test_a_day_that_is_none_opens_the_nearest(challenge: Challenge, asked: str, number: int) -> None:
    assert f"**Day {number}**" in texts(opened(day=asked))


@pytest.fixture
def before_day_1(journal: Journal, challenge: Challenge) -> None:
    """Imported: notes of two days before the first, a todo of a third."""
    notes_found = [FoundNote(f"d.md:{on.day}", on, "", f"crops of {on:%d %b}") for on in (FRIDAY, FRIDAY - 6 * DAY)]
    intake.take_in(journal, Found(notes_found, [FoundTodo("d.md:9", FRIDAY + DAY, "look at crops", False)]))


def test_an_imported_day_before_the_first_is_found_and_read_under_its_date(before_day_1: None) -> None:
    assert ":gray[note] [2026-02-27](/journal?day=2026-02-27)" in texts(opened(q="27 feb"))
    shown = opened(day="2026-02-27")
    assert "**2026-02-27** · Friday, before day 1" in texts(shown)
    assert "crops of 27 Feb" in texts(shown)
    assert "Day 1**" not in texts(shown)
    assert not shown.toggle(key="edit_2026-02-27").value


def test_the_days_before_the_first_are_turned_over_to_day_1(before_day_1: None) -> None:
    at = opened(day="2026-02-21")
    turned = []
    while "‹" not in "".join(button.label for button in at.button) or "**Day 1**" not in texts(at):
        turned.append([button.label for button in at.button if "‹" in button.label or "›" in button.label])
        ran(at.button(key="leaf_Right").click())
    assert turned == [["2026-02-27 ›"], ["‹ 2026-02-21", "2026-02-28 ›"], ["‹ 2026-02-27", "Day 1 ›"]]
    assert [button.label for button in at.button if "‹" in button.label or "›" in button.label] == ["‹ 2026-02-28"]
    assert "**2026-02-27**" in texts(opened(day="2026-02-22")), "a day that holds nothing opens the next that does"


def test_an_imported_note_is_gone_on_with_late_and_none_is_begun_before_day_1(
    journal: Journal, before_day_1: None
) -> None:
    at = opened(day="2026-02-27")
    ran(at.toggle(key="edit_2026-02-27").set_value(True))
    assert notes.save(journal, FRIDAY, "thought over", 1).late
    assert "**2026-02-27** · Friday, before day 1 :orange[late]" in texts(opened(day="2026-02-27"))
    without_note = opened(day="2026-02-28")
    assert "○ look at crops" in texts(without_note)
    assert "no note is begun on it" in texts(without_note)
    assert [toggle.key for toggle in without_note.toggle] == []


def test_a_past_days_note_is_late(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    clock.move(DAY_S)
    at = opened(day="2026-03-02")
    assert "Nothing was written on this day" in texts(at)
    ran(at.toggle(key="edit_2026-03-02").set_value(True))
    notes.save(journal, TODAY, "an afterthought", 0)
    assert "**Day 1** · Mon 2026-03-02 :orange[late]" in texts(opened(day="2026-03-02"))


def test_a_note_outside_the_days_is_made_opened_and_an_unknown_one_refused(
    journal: Journal, challenge: Challenge
) -> None:
    at = opened()
    at.text_input(key="note_title").input("Grey images")
    ran(at.button[-1].click())
    assert at.query_params["note"] == "1"
    assert "**Grey images** :gray[idea] :orange[outside the hour]" in texts(at)
    assert "there is no note 9 outside the days. Known: 1 Grey images." in texts(opened(note="9"))


def test_an_earlier_revision_is_read_and_restored(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    notes.save(journal, TODAY, "first", 0, "one")
    notes.save(journal, TODAY, "second", 1, "two")
    at = opened()
    assert at.code[0].value == "first"
    ran(at.button(key="restore_1").click())
    with journal.reading() as db:
        note = notes.of_day(db, challenge, TODAY)
    assert note is not None
    assert note.body == "first"


def test_the_search_in_the_address_is_answered_with_links(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    notes.save(journal, TODAY, "the *_grey_* needle #crops", 0)
    todos.add(journal, "another needle")
    shown = texts(opened(q="needle"))
    assert "2 found" in shown
    assert r":gray[note] [Day 1](/journal?day=2026-03-02)" in shown
    assert r"the \_grey\_ **needle** #crops" in shown
    assert "1 found" in texts(opened(tag="crops"))
    assert "1 found" in texts(opened(q="needle", kind="todo"))
    assert "Nothing found" in texts(opened(q="haystack"))


def test_a_pasted_address_is_taken_on_corrected_and_credited(journal: Journal, challenge: Challenge) -> None:
    assert "Taking on a reference is part of the hour. Start the hour first." in texts(opened("references"))
    sessions.start(journal)
    key = queued(journal, challenge)
    notes.save(journal, TODAY, "the loss of &arxiv-1708-02002", 0)
    at = opened("references")
    at.text_input(key="reference_url").input("https://arxiv.org/abs/1708.02002")
    at.text_input(key="reference_taken").input("the loss")
    ran(next(button for button in at.button if button.label == "Add").click())
    assert at.text_input(key="title_1").value == "arXiv 1708.02002"
    assert at.text_input(key="reference_url").value == ""
    assert "lists no reference" in texts(at)
    at.text_input(key="title_1").input("Focal loss")
    ran(next(button for button in at.button if button.label == "Save").click())
    ran(at.button(key=f"credit_{key}_arxiv-1708-02002").click())
    assert "lists no reference" not in texts(at)
    assert f"Used by [{desk.plain(key)}]" in texts(at)
    ran(at.toggle(key="credits").set_value(True))
    assert f"Used by {key}." in texts(at)
    with journal.reading() as db:
        assert references.named(db, challenge, "arxiv-1708-02002").title == "Focal loss"


def test_a_reference_is_removed_on_its_page_which_says_who_names_it(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    for number in (1, 2):
        references.add(journal, f"https://arxiv.org/abs/1801.0769{number}")
    notes.save(journal, TODAY, "as in &arxiv-1801-07691", 0)
    at = opened("references", reference="arxiv-1801-07691")
    assert "Named by the note of 2026-03-02. Runs and todos lose the link" in texts(at)
    ran(at.button(key="remove_1").click())
    assert "reference" not in at.query_params
    assert at.dataframe[0].value["Key"].tolist() == ["arxiv-1801-07692"]
    assert at.button(key="remove_2").label == "Remove it"
    sessions.end(journal)
    assert not [button for button in opened("references").button if (button.key or "").startswith("remove_")]


def test_a_javascript_address_is_refused_and_the_form_keeps_it(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    at = opened("references")
    at.text_input(key="reference_url").input("javascript:alert(1)")
    ran(next(button for button in at.button if button.label == "Add").click())
    assert "is no web address" in at.warning[0].value
    assert at.text_input(key="reference_url").value == "javascript:alert(1)"


def test_a_run_is_opened_by_its_address(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    first = queued(journal, challenge)
    queued(journal, challenge)
    assert f"**{first}**" in texts(opened("runs", run=first))


def test_a_note_is_renamed_on_its_page_which_says_which_links_break(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    note = notes.create(journal, "Grey images", body="notches")
    notes.save(journal, TODAY, "as [[grey images]] says", 0)
    at = opened(note=str(note.id))
    assert r"\[\[Grey images\]\] in Day 1 leads nowhere then." in texts(at)
    at.text_input(key=f"rename_{note.id}").input("Colourless")
    ran(next(button for button in at.button if button.label == "Rename it").click())
    assert "**Colourless** :gray[idea]" in texts(at)
    assert "leads nowhere then" not in texts(at)
    review = reviews.begin_week(journal, 1)
    assert "Rename it" not in [button.label for button in opened(note=str(review.id)).button]


def test_todos_are_moved_from_today_and_say_from_which_day_they_are(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    for title in ("a", "b"):
        todos.add(journal, title, priority=todos.IMPORTANT)
    clock.move(DAY_S)
    sessions.start(journal)
    at = opened("today")
    ran(at.button(key="move_2_-1").click())
    assert [box.label for box in at.checkbox] == [f"{name} · **important** · :gray[from day 1]" for name in "ba"]

"""The whole hour in a real browser on the real server: what a person types is in SQLite, and the hour ends by itself."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.journal import challenges, corrections, notes, sessions
from app.journal.activities import Activity
from app.journal.home import CHECKOUT, Home
from app.journal.hour import State
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal, open_journal
from engine.run_folder import RunFolder
from tests.app.trainings import write_epoch
from tests.e2e.conftest import StartServer
from tests.e2e.past import live_through
from tests.e2e.today import SAVED, clock, editor, standing, start, stored_note, take_on, type_at_end

PICTURE = CHECKOUT / "docs" / "today.png"
SECOND = 1 / 60  # in minutes


# A browser without a screen never shows notifications; what the page asks to be shown is written down instead.
LISTENING = """
window.said = [];
window.Notification = class { static permission = "granted"; constructor(text) { window.said.push(text); } };
"""


def test_from_the_two_doors_to_a_note_in_the_journal(
    page: Page, home: Home, data_dir: Path, start_server: StartServer, complaints: list[str]
) -> None:
    server = start_server(home)
    page.goto(server.url)
    # The theme is found although the server was started from another folder.
    expect(page.get_by_role("button", name="Draw the data and begin")).to_have_css(
        "background-color", "rgb(0, 114, 178)"
    )
    page.get_by_role("textbox", name="Competition", exact=True).fill("humpback-whale-identification")
    page.get_by_role("textbox", name="Folder of its data").fill(str(data_dir))
    page.get_by_role("button", name="Take it on").click()

    expect(page.get_by_text("Day 1 of 60")).to_be_visible()
    expect(editor(page)).not_to_be_editable()
    expect(page.get_by_text("Writing the day's note is part of the hour. Start the hour first.")).to_be_visible()
    expect(page.get_by_role("button", name="Queue a run")).to_be_disabled()

    start(page)
    expect(page).to_have_title(re.compile(r"^59:\d\d · Onehour$"))
    expect(editor(page)).to_be_editable()
    # Letters that are shortcuts outside the editor: p pauses, r and c are Streamlit's.
    type_at_end(page, "- crop the grey images: p r c ")
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="crop the grey images: p r c")).to_be_visible()  # the preview
    journal = open_journal(home)
    try:
        note = stored_note(journal)
        assert note is not None
        assert note.body.rstrip().endswith("- crop the grey images: p r c")
        assert standing(journal).state is State.FOCUS
        assert standing(journal).hour.pauses == 0

        page.reload()
        expect(editor(page)).to_have_value(note.body)

        # What a tab could not send before it was closed stands in the journal, or in the browser until the next visit.
        type_at_end(page, "last words")
        page.reload()
        expect(editor(page)).to_have_value(f"{note.body}last words")
        type_at_end(page, "!")
        expect(page.get_by_text(SAVED)).to_be_visible()
        kept = stored_note(journal)
        assert kept is not None
        assert kept.body == f"{note.body}last words!"
    finally:
        journal.close()
    assert complaints == []


def test_the_hour_ends_by_itself_then_the_reflection_then_late_words_are_flagged(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir, minutes=6 * SECOND, reflection=6 * SECOND)
    page.add_init_script(LISTENING)
    page.goto(start_server(home).url)
    start(page)
    expect(page.get_by_role("button", name="Queue a run")).to_be_enabled()
    expect(clock(page)).to_contain_text("the last five minutes")

    expect(page.get_by_text("Hour used. Your note stays open until")).to_be_visible()
    assert page.evaluate("window.said") == ["Your hour is over"]
    expect(page.get_by_role("button", name="Queue a run")).to_be_disabled()
    expect(page.get_by_text("The hour is over. Your note stays open until").first).to_be_visible()
    expect(editor(page)).to_be_editable()
    type_at_end(page, "in time")
    expect(page.get_by_text(SAVED)).to_be_visible()

    expect(page.get_by_text("The day is closed: what you write now is flagged late")).to_be_visible()
    note = stored_note(own)
    assert note is not None
    assert (note.body.endswith("in time"), note.late) == (True, False)
    expect(page.get_by_text("Next hour: tomorrow.").first).to_be_visible()

    # Keystrokes of before the deadline have five seconds of grace; these come after them.
    at = standing(own)
    page.wait_for_function("ends => Date.now() > ends", arg=(at.hour.reflection_ends_at or 0) + notes.NOTE_GRACE_MS)
    type_at_end(page, ", and an afterthought")
    expect(page.get_by_text(re.compile("Saved .*, flagged late"))).to_be_visible()
    note = stored_note(own)
    assert note is not None
    assert (note.body.endswith("afterthought"), note.late) == (True, True)


def test_keys_switch_the_activity_and_the_last_ten_minutes_are_said(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir, minutes=10 + 8 * SECOND)
    page.goto(start_server(home).url)
    start(page)
    expect(page.get_by_role("button", name="● plan")).to_be_visible()
    expect(page.get_by_text("Ten minutes left")).to_have_count(0)
    page.keyboard.press("3")
    expect(page.get_by_role("button", name="● code")).to_be_visible()
    expect(page.get_by_role("button", name="○ plan")).to_be_visible()
    assert standing(own).activity is Activity.CODE
    # In the note a digit is a digit.
    type_at_end(page, "4 of 60")
    expect(page.get_by_text(SAVED)).to_be_visible()
    assert standing(own).activity is Activity.CODE
    expect(page.get_by_text("Ten minutes left: queue the night's jobs, write tomorrow's first step.")).to_be_visible()
    # The terminal switches as well, and the page follows.
    corrections.switch(own, "analyse")
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("button", name="● analyse")).to_be_visible()


def test_five_minutes_left_and_time_up_are_signalled_once_for_all_tabs(
    context: BrowserContext, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir, minutes=5 + 6 * SECOND)
    server = start_server(home)
    context.add_init_script(LISTENING)
    one, two = context.new_page(), context.new_page()
    for tab in (one, two):
        tab.goto(server.url)
        expect(tab.get_by_role("button", name="Start")).to_be_visible()
    start(two)
    expect(one.get_by_role("button", name="Pause")).to_be_visible()
    for tab in (one, two):
        expect(clock(tab)).to_contain_text("the last five minutes")
    # The lock under which a tab speaks is granted before this later question to the same browser is answered.
    said = [
        sentence for tab in (one, two) for sentence in tab.evaluate("navigator.locks.query().then(() => window.said)")
    ]
    assert said == ["Five minutes of your hour are left"]
    two.wait_for_function("window.onehourClock.audio?.state === 'running'")
    # A tab opened afterwards stays silent.
    one.reload()
    expect(clock(one)).to_contain_text("the last five minutes")
    assert one.evaluate("window.said") == []


def test_words_that_were_not_saved_before_the_day_turned_reach_their_own_day(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer, complaints: list[str]
) -> None:
    take_on(own, data_dir)
    with own.writing() as db:
        challenge = challenges.active(db)
        yesterday = challenge.starts_on - timedelta(days=1)
        challenge.starts_on -= timedelta(days=3)
        db.add(challenge)
    server = start_server(home)
    page.goto(server.url)
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    key, kept = (
        f"onehour note humpback {yesterday}",
        {"text": "the last thought", "revision": 0, "sent": None, "writer": "x"},
    )
    page.evaluate("([key, kept]) => localStorage.setItem(key, JSON.stringify(kept))", [key, kept])
    page.reload()
    page.wait_for_function("key => localStorage.getItem(key) === null", arg=key)
    with own.reading() as db:
        note = notes.of_day(db, challenge, yesterday)
    assert note is not None
    assert (note.body, note.late) == ("the last thought", True)
    assert complaints == []


def test_a_browser_without_room_does_not_keep_words_from_the_journal(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer, complaints: list[str]
) -> None:
    take_on(own, data_dir)
    page.goto(start_server(home).url)
    start(page)
    expect(editor(page)).to_be_editable()
    page.evaluate(
        """() => { for (let size = 2 ** 22; size >= 1; size /= 2)
                     for (let n = 0; ; n++) try { localStorage.setItem(`full ${size} ${n}`, "x".repeat(size)); } catch { break; } }"""
    )
    page.route("**/api/draft", lambda route: route.abort())
    type_at_end(page, "no room")
    expect(page.get_by_text("This browser has no room to keep unsaved words")).to_be_visible()
    page.unroute("**/api/draft")
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect(page.get_by_text("This browser has no room")).to_have_count(0)
    note = stored_note(own)
    assert note is not None
    assert note.body.endswith("no room")
    assert [complaint for complaint in complaints if "Failed to load resource" not in complaint] == []


def test_an_hour_ends_while_nobody_looks_and_is_written_down_at_its_own_deadline(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir, minutes=1.5 * SECOND, reflection=SECOND)
    server = start_server(home)
    page.goto(server.url)
    start(page)
    page.goto("about:blank")
    server.kill()
    ends_at = standing(own).hour.closes_at()
    page.wait_for_function("ends => Date.now() > ends", arg=ends_at)
    server.start()
    page.goto(server.url)
    expect(page.get_by_text("hour used")).to_be_visible()
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    at = standing(own)
    assert at.state is State.CLOSED
    assert at.session is not None
    assert at.session.closed_at == ends_at
    with pytest.raises(AgainstTheRules, match="a second one is not possible"):
        sessions.start(own)


def test_two_tabs_show_the_same_hour_and_the_same_note(
    context: BrowserContext, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir)
    server = start_server(home)
    one, two = context.new_page(), context.new_page()
    for page in (one, two):
        page.goto(server.url)
        expect(page.get_by_role("button", name="Start")).to_be_visible()
    start(one)
    expect(two.get_by_role("button", name="Pause")).to_be_visible()
    type_at_end(one, "from the first")
    expect(editor(two)).to_have_value(re.compile("from the first$"))

    # Both write at once: the second is shown both texts and decides.
    base = editor(two).input_value()
    two.route("**/api/draft", lambda route: route.abort())
    type_at_end(two, " and from the second")
    expect(two.get_by_text("The server does not answer: your text is kept in this browser")).to_be_visible()
    type_at_end(one, ", again")
    expect(one.get_by_text(SAVED)).to_be_visible()
    expect(one.get_by_text("…")).to_have_count(0)
    two.unroute("**/api/draft")
    expect(two.get_by_text("Changed elsewhere: choose below")).to_be_visible()
    expect(two.get_by_label("The other text")).to_have_value(f"{base}, again")
    expect(editor(two)).to_have_value(f"{base} and from the second")
    note = stored_note(own)
    assert note is not None
    assert note.body == f"{base}, again"
    two.get_by_role("button", name="Keep mine").click()
    expect(editor(one)).to_have_value(f"{base} and from the second")

    two.bring_to_front()
    two.get_by_role("heading", name="Plan").click()
    two.keyboard.press("p")
    expect(two.get_by_role("button", name="Resume")).to_be_visible()
    expect(one.get_by_role("button", name="Resume")).to_be_visible()
    expect(one).to_have_title(re.compile(r"^Paused 59:\d\d · Onehour$"))
    expect(editor(one)).not_to_be_editable()


def test_a_second_start_from_a_page_that_is_out_of_date_is_refused_with_the_reason(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir)
    page.goto(start_server(home).url)
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    sessions.start(own)
    sessions.close(own)
    page.keyboard.press("Control+Shift+S")
    expect(page.get_by_text("Today's hour was already started; a second one is not possible.")).to_be_visible()


def test_a_frozen_clock_is_right_again(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir)
    page.goto(start_server(home).url)
    start(page)
    expect(page).to_have_title(re.compile(r"^59:\d\d · Onehour$"))
    page.evaluate("() => { const until = Date.now() + 2500; while (Date.now() < until); }")
    left_s = (standing(own).hour.focus_ends_at or 0) / 1000
    shown = page.evaluate("() => [document.title, Date.now() / 1000]")
    expect(page).to_have_title(re.compile(r"^59:\d\d · Onehour$"))
    shown = page.wait_for_function(
        """ends => { const [m, s] = document.title.slice(0, 5).split(":").map(Number);
                     return Math.abs(ends - Date.now() / 1000 - m * 60 - s) < 1.2; }""",
        arg=left_s,
        timeout=2_000,
    )
    assert shown


def test_a_run_is_watched_from_the_click_to_its_cv(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer, start_worker: Callable[[str], None]
) -> None:
    take_on(own, data_dir)
    start_worker("wait")
    page.goto(start_server(home).url)
    start(page)
    page.get_by_role("textbox", name="Hypothesis").fill("larger crops help")
    page.get_by_role("textbox", name="Changes").fill("folds=2 'stages=[{epochs: 2, lr: 0.001}]'")
    page.get_by_role("button", name="Queue a run").click()
    expect(page.get_by_text("● running")).to_be_visible()

    folder = RunFolder(home.run_dir("humpback_001-r01"))
    write_epoch(folder, 1)
    expect(page.get_by_text("cpu:0: humpback_001-r01 running, 50%")).to_be_visible()
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    with folder.log_txt.open("a") as log:
        log.write("fold 0 epoch 1/2: a line as it is written\n")
    expect(page.get_by_text("fold 0 epoch 1/2: a line as it is written")).to_be_visible()

    (folder.path / "go").touch()
    expect(page.get_by_text("✓ succeeded")).to_be_visible()
    expect(page.get_by_text("CV 0.625 ± 0.177")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_running_run_is_cancelled_from_the_page(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer, start_worker: Callable[[str], None]
) -> None:
    take_on(own, data_dir)
    start_worker("wait")
    page.goto(start_server(home).url)
    start(page)
    page.get_by_role("textbox", name="Hypothesis").fill("larger crops help")
    page.get_by_role("button", name="Queue a run").click()
    expect(page.get_by_text("● running")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("– cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_the_picture_of_the_page_is_made(
    page: Page,
    home: Home,
    data_dir: Path,
    start_server: StartServer,
    start_worker: Callable[[str], None],
    tmp_path: Path,
) -> None:
    live_through(home, data_dir)
    start_worker("wait")
    page.goto(start_server(home).url)
    expect(page.get_by_text("384 px with the wider margin")).to_be_visible()
    expect(page.get_by_text("● running")).to_be_visible()
    folder = RunFolder(home.run_dir("humpback_008-r01"))
    write_epoch(folder, 1)
    expect(page.get_by_text("cpu:0: humpback_008-r01 running, 50%")).to_be_visible()
    expect(page.get_by_role("progressbar").last).to_have_attribute("aria-valuenow", "50")
    expect(page.get_by_text("Queued now it ends about")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^4\d:\d\d · Onehour$"))
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    picture = tmp_path / "today.png"
    page.screenshot(path=picture, animations="disabled")
    assert picture.stat().st_size > 20_000
    if os.environ.get("ONEHOUR_WRITE_PICTURES"):
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copyfile(picture, PICTURE)

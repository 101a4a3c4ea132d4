"""A whole hour without a mouse: every step by key, and the focus always seen."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from app.journal import challenges, todos
from app.journal.activities import Activity
from app.journal.home import Home
from app.journal.hour import State
from app.journal.store import Journal
from tests.e2e.conftest import StartServer
from tests.e2e.today import SAVED, editor, standing, start, stored_note, take_on

STEPS = 60


def walk(page: Page, to: Locator, key: str = "Tab") -> None:
    """Press `key` until `to` has the focus, on a page that stands still."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(to).to_be_visible()
    for _ in range(STEPS):
        if to.evaluate("element => element.getRootNode().activeElement === element"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{STEPS} times {key} do not lead to {to}")


def is_seen(focused: Locator) -> bool:
    """Whether the focus is drawn: as an outline at least two pixels wide in a colour that is not the background's."""
    return bool(
        focused.evaluate(
            """element => { const { outlineStyle, outlineWidth, outlineColor, backgroundColor } = getComputedStyle(element);
                            return outlineStyle === "solid" && parseFloat(outlineWidth) >= 2 && outlineColor !== backgroundColor; }"""
        )
    )


def open_titles(journal: Journal) -> list[str]:
    at = standing(journal)
    with journal.reading() as db:
        return [todo.title for todo in todos.open_ones(db, at.challenge, until=at.local_date)]


def test_an_hour_is_lived_through_by_keyboard_alone(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer, complaints: list[str]
) -> None:
    take_on(own, data_dir)
    with own.writing() as db:  # two days earlier, so that the journal has a day to open
        challenge = challenges.active(db)
        challenge.starts_on -= timedelta(days=2)
        db.add(challenge)
    page.goto(start_server(home).url)
    start(page)
    expect(page.get_by_role("button", name="● plan")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_role("button", name="● code")).to_be_visible()
    assert standing(own).activity is Activity.CODE

    walk(page, page.get_by_role("button", name="Alerts"))
    assert is_seen(page.get_by_role("button", name="Alerts"))
    walk(page, page.get_by_role("textbox", name="Add a todo"))
    for title in ("look at the crops", "queue 384 px", "read the write-up"):
        walk(page, page.get_by_role("textbox", name="Add a todo"), "Shift+Tab")
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        expect(page.get_by_role("checkbox", name=title)).to_be_visible()
    walk(page, page.get_by_role("checkbox", name="look at the crops"), "Shift+Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", checked=True, disabled=True)).to_have_accessible_name(re.compile("the crops"))
    assert open_titles(own) == ["queue 384 px", "read the write-up"]
    walk(page, page.get_by_role("button", name="↓").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("checkbox").first).to_have_accessible_name(re.compile("read the write-up"))
    assert open_titles(own) == ["read the write-up", "queue 384 px"]

    walk(page, editor(page))
    assert is_seen(editor(page))
    page.keyboard.press("Control+End")
    page.keyboard.type("- no mouse: 1 2 3 p")
    expect(page.get_by_text(SAVED)).to_be_visible()
    note = stored_note(own)
    assert note is not None
    assert note.body.endswith("- no mouse: 1 2 3 p")

    walk(page, page.get_by_role("button", name="Interrupted"), "Shift+Tab")
    page.keyboard.press("Enter")
    walk(page, page.get_by_role("textbox", name="Pause, because"))
    page.keyboard.type("the door bell")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 pause: the door bell")).to_be_visible()
    assert standing(own).state is State.PAUSED
    walk(page, page.get_by_role("button", name="Resume"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    walk(page, page.get_by_role("link", name="Journal"), "Shift+Tab")
    page.keyboard.press("Enter")
    walk(page, page.get_by_role("button", name=re.compile("^Day 3, ")))
    page.keyboard.press("ArrowLeft")
    yesterday = page.get_by_role("button", name=re.compile("^Day 2, "))
    expect(yesterday).to_be_focused()
    assert is_seen(yesterday)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Day 2 ·")).to_be_visible()

    walk(page, page.get_by_role("button", name="End the hour"), "Shift+Tab")
    page.keyboard.press("Enter")
    walk(page, page.get_by_role("button", name="End it"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Hour used. Your note stays open until")).to_be_visible()
    assert standing(own).state is State.REFLECTION
    assert complaints == []

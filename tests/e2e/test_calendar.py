"""The calendar of the Journal in a real browser, by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from app.journal.home import Home
from tests.e2e.conftest import StartServer
from tests.e2e.past import live_through


def day(page: Page, number: int) -> Locator:
    return page.get_by_role("button", name=re.compile(rf"^Day {number}, "))


def test_the_days_are_walked_by_arrow_keys_and_opened_by_enter(
    page: Page, home: Home, tmp_path: Path, start_server: StartServer, complaints: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    live_through(home, tmp_path / "data")
    page.goto(start_server(home).url)
    page.get_by_role("link", name="Journal").click()
    expect(page.get_by_role("group", name="Calendar of the challenge").get_by_role("button")).to_have_count(60)
    expect(day(page, 17)).to_have_attribute("aria-pressed", "true")
    expect(day(page, 6)).to_have_accessible_name(re.compile(": lost$"))
    expect(day(page, 7)).to_have_accessible_name(re.compile(r"best CV 0\.692"))

    # One stop of the tab key; from there the arrows, which do not turn the journal's leaves.
    day(page, 17).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(day(page, 15)).to_be_focused()
    expect(page.get_by_text("Day 17 ·")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(day(page, 15)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Day 15 ·")).to_be_visible()
    expect(page).to_have_url(re.compile(r"day=\d{4}-\d\d-\d\d"))
    expect(day(page, 15)).to_have_attribute("aria-pressed", "true")
    expect(day(page, 15)).to_be_focused()

    # A day to come says what is planned and opens nothing.
    page.keyboard.press("End")
    expect(day(page, 60)).to_be_focused()
    expect(day(page, 60)).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    page.keyboard.press("Home")
    expect(day(page, 1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Day 1 ·")).to_be_visible()

    # A day that is opened out of a search is seen.
    page.get_by_label("Search").fill("crops")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"^\d+ found"))).to_be_visible()
    day(page, 3).click()
    expect(page.get_by_text("Day 3 ·")).to_be_visible()
    expect(page.get_by_label("Search")).to_have_value("")
    assert complaints == []

"""The page Today as the tests use it: a challenge that begins today, its clock, its note, and what the journal holds of it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from app.jobs import data_checks, specs
from app.journal import challenges, days, notes, sittings
from app.journal.store import Journal
from engine.contract import preset_names

SAVED = re.compile(r"Saved \d\d:\d\d:\d\d")


def take_on(journal: Journal, data_dir: Path, minutes: float = 60, reflection: float = 10) -> None:
    # The day turns half a day from now, so that no test straddles it.
    turns_at = days.local(journal.now() + 12 * 3_600_000, "UTC").strftime("%H:00")
    today = days.logical_date(journal.now(), "UTC", turns_at)
    rules = challenges.Rules("humpback", data_dir, today, 60, minutes, reflection, "UTC", "daily", turns_at)
    challenges.found(journal, rules, today)
    look_at_presets(journal)


def look_at_presets(journal: Journal) -> None:
    """The person has looked at the augmentation of every preset: their runs may be queued."""
    with journal.reading() as db:
        challenge = challenges.active(db)
    for name in preset_names():
        data_checks.looked_at(journal, specs.resolve(challenge, name))


def standing(journal: Journal) -> sittings.Sitting:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now())


def stored_note(journal: Journal) -> notes.Note | None:
    at = standing(journal)
    with journal.reading() as db:
        return notes.of_day(db, at.challenge, at.local_date)


def editor(page: Page) -> Locator:
    return page.get_by_label("Day's note")


def clock(page: Page) -> Locator:
    return page.get_by_role("timer")


def start(page: Page) -> None:
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    page.keyboard.press("Control+Shift+S")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def type_at_end(page: Page, text: str) -> None:
    editor(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)

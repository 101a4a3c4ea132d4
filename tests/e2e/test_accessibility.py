"""axe-core over every page, light and dark: nothing that it calls serious or critical, but for the few cases listed here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from app.journal import challenges, notes, sessions, sittings, todos
from app.journal.home import Home
from app.journal.store import Journal, open_journal
from tests.e2e.conftest import StartServer
from tests.e2e.past import live_through
from tests.e2e.today import editor, take_on


@dataclass(frozen=True)
class Allowed:
    """A finding of axe that is not ours to mend. An entry that no longer occurs fails the test."""

    rule: str
    selector: str
    reason: str


ALLOWED = (
    Allowed(
        "color-contrast",
        '[data-testid="stSelectbox"]:has(input:disabled) span[aria-hidden="true"] p',
        "The label of a greyed choice. WCAG asks no contrast of what is disabled; Streamlit's markup hides from axe that it is.",
    ),
)
PAGES = ("", "journal", "runs", "runs?runs_part=Tree", "night", "scores", "week", "references", "settings")
# Per finding: its rule, what it says, and which of the selectors of ALLOWED match the element. Inside our components none does.
LOOK = """selectors => axe.run({ resultTypes: ["violations"] }).then(({ violations }) => violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .flatMap(({ id, nodes }) => nodes.map(({ target, html, failureSummary }) => ({
    rule: id, says: `${target}\\n${html}\\n${failureSummary}`,
    matches: selectors.filter((selector) => target.length === 1 && document.querySelector(target[0])?.matches(selector)),
  }))))"""


class Auditor:
    """`look(name)` examines the page as it stands, once it stands still."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.ours: list[str] = []
        self.met: set[Allowed] = set()

    def look(self, name: str) -> None:
        expect(self.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        expect(self.page.locator("[data-stale=true]")).to_have_count(0)
        self.page.wait_for_function("document.getAnimations().every(({ playState }) => playState !== 'running')")
        self.page.evaluate(AXE_SCRIPT)
        findings: list[dict[str, Any]] = self.page.evaluate(LOOK, [each.selector for each in ALLOWED])
        for found in findings:
            allowed = {each for each in ALLOWED if each.rule == found["rule"] and each.selector in found["matches"]}
            self.met |= allowed
            if not allowed:
                self.ours.append(f"{name}: {found['rule']}\n{found['says']}")

    def visit(self, address: str, name: str) -> None:
        self.page.goto(address)
        expect(self.page.get_by_role("timer")).to_have_text(re.compile(r"\d\d:\d\d"))
        self.look(name)


@pytest.fixture
def lived(tmp_path: Path, data_dir: Path) -> Iterator[Journal]:
    """Day 17 of a challenge, its hour running, in a home of its own. The note of two days ago was changed late."""
    path = tmp_path / "lived"
    path.mkdir()
    live_through(Home(path), data_dir)
    journal = open_journal(Home(path))
    on = two_days_ago(journal)
    with journal.reading() as db:
        note = notes.of_day(db, challenges.active(db), on)
    assert note is not None
    notes.save(journal, on, f"{note.body}\nLate: [[day-3]], #crops and `a margin`.", note.revision)
    yield journal
    journal.close()


def two_days_ago(journal: Journal) -> date:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now()).local_date - timedelta(days=2)


def test_a_screen_reader_is_told_which_todo_a_button_moves_and_a_done_one_without_its_stroke(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir)
    sessions.start(own)
    for title in ("read the paper", "look at crops", "draw folds"):
        todos.add(own, title)
    todos.done(own, 3)
    page.goto(start_server(home).url)
    move = page.get_by_role("button", name="↑ move up look at crops", exact=True)
    expect(move.locator(".stMarkdownColoredText")).to_have_css("width", "1px")
    move.click()
    expect(page.get_by_role("checkbox").first).to_have_accessible_name("look at crops")
    expect(page.get_by_role("checkbox", name="draw folds", exact=True)).to_be_checked()
    stroke = page.locator(".st-key-done_3 label p")
    assert "line-through" in stroke.evaluate("it => getComputedStyle(it).textDecoration")


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 24, 29)")])
def test_no_page_keeps_anything_from_people_who_see_little_or_use_a_screen_reader(
    page: Page,
    home: Home,
    own: Journal,
    lived: Journal,
    data_dir: Path,
    start_server: StartServer,
    scheme: Any,
    background: str,
) -> None:
    page.emulate_media(color_scheme=scheme)
    auditor = Auditor(page)
    server = start_server(home)
    page.goto(server.url)
    expect(page.get_by_role("button", name="Take it on")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
    auditor.look("first start")
    take_on(own, data_dir)
    auditor.visit(server.url, "idle")
    server.kill()

    url = start_server(lived.home).url
    for name in PAGES:
        auditor.visit(f"{url}/{name}", name or "in focus")
    page.goto(f"{url}/journal?day={two_days_ago(lived)}")
    page.get_by_text("1 earlier revision").click()
    expect(page.get_by_role("button", name="Restore it")).to_be_visible()
    auditor.look("a late day and its earlier revision")

    # What is said when something goes wrong is read as well as the rest.
    page.goto(url)
    expect(editor(page)).to_be_editable()
    page.route("**/api/draft", lambda route: route.abort())
    editor(page).press_sequentially("x")
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    page.get_by_role("textbox", name="Minutes").fill("abc")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is no number of minutes")).to_be_visible()
    page.get_by_role("button", name="Interrupted").click()
    expect(page.get_by_role("button", name="Pause now")).to_be_visible()
    auditor.look("refusals and a popover")
    page.unroute("**/api/draft")

    sessions.pause(lived)
    auditor.visit(url, "paused")
    sessions.end(lived)
    auditor.visit(url, "in reflection")
    sessions.close(lived)
    auditor.visit(url, "closed")
    assert auditor.ours == []
    assert auditor.met == set(ALLOWED)


def test_on_a_phone_the_session_bar_of_an_hour_takes_two_lines_and_one_for_the_queue(
    page: Page, lived: Journal, start_server: StartServer
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    url = start_server(lived.home).url
    bar = page.locator(".st-key-session_bar")
    for button, act in (("Pause", sessions.pause), ("Resume", sessions.resume)):
        page.goto(url)
        expect(page.get_by_role("timer")).to_have_text(re.compile(r"\d\d:\d\d"))
        expect(bar.get_by_role("button", name=button)).to_be_visible()
        expect(bar.get_by_text("1 waiting")).to_be_visible()
        box = bar.bounding_box()
        assert box is not None
        assert box["height"] < 844 / 7, button
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        act(lived)


def test_on_a_phone_a_refusal_is_in_sight_although_its_button_stands_far_below(
    page: Page, lived: Journal, start_server: StartServer
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(start_server(lived.home).url)
    expect(editor(page)).to_be_editable()
    page.get_by_role("button", name="Queue a run").click()  # scrolls to it: some 800 pixels
    expect(page.get_by_text("A run needs a hypothesis")).to_be_in_viewport()

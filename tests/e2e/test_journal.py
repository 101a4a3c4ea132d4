"""The journal in a real browser: turning days by keyboard, pasted and dropped pictures, links, two tabs, nothing executed."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from app.journal import attachments, challenges, notes, sittings
from app.journal.home import Home
from app.journal.store import Journal, open_journal
from tests.e2e.conftest import StartServer
from tests.e2e.past import live_through

# One blue pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
)
SAVED = re.compile(r"Saved \d\d:\d\d:\d\d")
# A paste or drop as the browser reports it, with one file.
CARRY = """(area, [kind, name, type, data]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
  const more = { bubbles: true, cancelable: true };
  area.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", { clipboardData: carried, ...more })
                                      : new DragEvent("drop", { dataTransfer: carried, ...more }));
}"""


@pytest.fixture
def lived(home: Home, tmp_path: Path) -> Iterator[Journal]:
    """Day 4 of a challenge, its hour running."""
    (tmp_path / "data").mkdir()
    live_through(home, tmp_path / "data", number_of_days=4)
    journal = open_journal(home)
    yield journal
    journal.close()


def editor(page: Page) -> Locator:
    return page.get_by_label("Day's note")


def turn(page: Page, key: str) -> None:
    """Press a key once the page stands still: a shortcut is there when its button is."""
    expect(page.locator("[data-test-script-state]")).to_have_attribute("data-test-script-state", "notRunning")
    page.keyboard.press(key)


def stored(journal: Journal) -> notes.Note:
    with journal.reading() as db:
        challenge = challenges.active(db)
        at = sittings.sitting(db, challenge, journal.now())
        note = notes.of_day(db, challenge, at.local_date)
    assert note is not None
    return note


def carry(page: Page, kind: str, name: str, media_type: str, data: bytes) -> None:
    editor(page).evaluate(CARRY, [kind, name, media_type, base64.b64encode(data).decode()])


def test_days_are_turned_by_keyboard_and_stand_in_the_address(
    page: Page, lived: Journal, home: Home, start_server: StartServer
) -> None:
    page.goto(f"{start_server(home).url}/journal")
    expect(editor(page)).to_be_editable()
    expect(page.get_by_role("button", name="‹ Day 3")).to_be_visible()
    turn(page, "ArrowLeft")
    expect(page.get_by_text("Day 3 ·")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/journal\?day=\d{4}-\d\d-\d\d$"))
    page.reload()
    expect(page.get_by_text("Day 3 ·")).to_be_visible()
    expect(page.get_by_role("heading", name="Tried")).to_be_visible()
    expect(page.get_by_role("button", name="Day 4 ›")).to_be_visible()
    turn(page, "ArrowRight")
    expect(editor(page)).to_be_editable()
    # Arrows move the cursor in the editor, not the days.
    editor(page).click()
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("x")
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect(page.get_by_text("Day 4 ·")).to_be_visible()


def test_pictures_are_pasted_and_dropped_and_what_is_none_is_refused(
    page: Page, lived: Journal, home: Home, start_server: StartServer, complaints: list[str]
) -> None:
    page.goto(start_server(home).url)
    expect(editor(page)).to_be_editable()
    before = stored(lived).revision
    carry(page, "paste", "worst [crop].png", "image/png", PNG)
    expect(editor(page)).to_have_value(re.compile(r"!\[worst  crop \.png\]\(/api/image/[0-9a-f]{64}\.png\)"))
    picture = page.get_by_role("img", name="worst crop .png")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    carry(page, "drop", "again.png", "image/png", PNG)
    expect(page.get_by_role("img", name="again.png")).to_be_visible()
    assert len(list(home.attachments_dir.iterdir())) == 1
    assert stored(lived).revision > before
    assert complaints == []

    for name, media_type, data, sentence in (
        ("notes.png", "image/png", b"hello", "this is no PNG, JPEG, GIF or WebP image"),
        ("notes.txt", "text/plain", b"hello", "Only images can be put into a note"),
        ("large.png", "image/png", PNG + bytes(attachments.MAX_BYTES), "A picture holds at most 5 MB"),
    ):
        carry(page, "drop", name, media_type, data)
        expect(page.get_by_text(sentence)).to_be_visible()
    assert len(list(home.attachments_dir.iterdir())) == 1


def follow(page: Page, link: str) -> None:
    """Click a link once the clock's script stands: it is what keeps our own links in this tab."""
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"\d\d:\d\d"))
    page.get_by_role("link", name=link, exact=True).click()


def test_links_lead_on_in_the_same_tab_and_nothing_of_a_note_is_executed(
    page: Page, lived: Journal, home: Home, start_server: StartServer
) -> None:
    note = stored(lived)
    assert note.local_date is not None
    bad = "<script>document.title = 'executed'</script> <img src=x onerror=\"document.title='executed'\"> [click](javascript:1)"
    notes.save(lived, note.local_date, f"See [[day-2]], #crops and @humpback_001-r01.\n\n{bad}\n", note.revision)
    page.goto(f"{start_server(home).url}/journal")
    expect(page.get_by_text("<script>document.title").last).to_be_visible()
    expect(page.get_by_text("[click](javascript:1)").last).to_be_visible()
    expect(page.get_by_role("link", name="click")).to_have_count(0)
    assert "executed" not in page.title()
    follow(page, "day-2")
    expect(page.get_by_text("Day 2 ·")).to_be_visible()
    expect(page.get_by_text("Linked from")).to_be_visible()
    follow(page, "Day 4")
    expect(page.get_by_text("Day 4 ·")).to_be_visible()
    follow(page, "#crops")
    expect(page.get_by_text("1 found")).to_be_visible()
    page.get_by_role("searchbox", name="Search").fill("384")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(page).to_have_url(re.compile("q=384"))
    assert len(page.context.pages) == 1


def test_a_note_outside_the_days_is_written_in_two_tabs_without_losing_a_word(
    context: BrowserContext, lived: Journal, home: Home, start_server: StartServer
) -> None:
    made = notes.create(lived, "Grey images", "data")
    url = f"{start_server(home).url}/journal?note={made.id}"
    one, two = context.new_page(), context.new_page()
    for page in (one, two):
        page.goto(url)
        expect(editor(page)).to_be_editable()
    editor(one).click()
    one.keyboard.type("from the first")
    expect(editor(two)).to_have_value("from the first")
    two.route("**/api/draft", lambda route: route.abort())
    editor(two).click()
    two.keyboard.press("Control+End")
    two.keyboard.type(", the second")
    expect(two.get_by_text("The server does not answer: your text is kept in this browser")).to_be_visible()
    editor(one).click()
    one.keyboard.press("Control+End")
    one.keyboard.type(", again")
    expect(one.get_by_text("…")).to_have_count(0)
    two.unroute("**/api/draft")
    expect(two.get_by_label("The other text")).to_have_value("from the first, again")
    two.get_by_role("button", name="Keep mine").click()
    expect(editor(one)).to_have_value("from the first, the second")
    one.reload()
    one.get_by_text(re.compile("earlier revision")).click()
    expect(one.get_by_text("from the first, again")).to_be_visible()

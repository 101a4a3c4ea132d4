"""No room for the journal, or no server, while a person types: the words stay in the browser, the page says so, and saves them later."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from app.journal.home import Home
from app.journal.store import Journal
from tests.e2e.conftest import PATIENCE_MS, Server, StartServer
from tests.e2e.today import SAVED, clock, editor, start, stored_note, take_on, type_at_end

SAID = "Your text is kept in this browser"


@contextmanager
def no_room(server: Server) -> Iterator[None]:
    """The kernel refuses every write of the server to a file, as on a full disk; unlike permissions this also binds root."""
    assert server.process is not None
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_words_typed_on_a_full_disk_stay_in_the_browser_and_are_saved_once_there_is_room(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer, complaints: list[str]
) -> None:
    take_on(own, data_dir)
    server = start_server(home)
    page.goto(server.url)
    start(page)
    expect(editor(page)).to_be_editable()
    type_at_end(page, "there is room, ")
    expect(page.get_by_text(SAVED)).to_be_visible()
    before = stored_note(own)
    assert before is not None
    with no_room(server):
        type_at_end(page, "there is none, ")
        expect(page.get_by_text(SAID)).to_be_visible()
        expect(page.get_by_text("the journal cannot be written")).to_be_visible()
        assert stored_note(own) == before
        # A click is refused with the same reason, and the page lives on.
        page.get_by_role("textbox", name="Add a todo").fill("buy a disk")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("Check free space and permissions, then try again").last).to_be_visible()
        # Even a closed tab keeps them.
        page.reload()
        expect(editor(page)).to_have_value(f"{before.body}there is none, ")
        expect(page.get_by_text(SAID)).to_be_visible()
        type_at_end(page, "still none.")
        assert stored_note(own) == before
    expect(page.get_by_text(SAVED)).to_be_visible()
    after = stored_note(own)
    assert after is not None
    assert after.body == f"{before.body}there is none, still none."
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('onehour note'))") == []
    assert [complaint for complaint in complaints if "507" not in complaint] == []


def test_a_server_that_goes_takes_no_keystroke_from_whoever_is_writing(
    page: Page, home: Home, own: Journal, data_dir: Path, start_server: StartServer
) -> None:
    take_on(own, data_dir)
    server = start_server(home)
    page.goto(server.url)
    start(page)
    expect(editor(page)).to_be_editable()
    editor(page).press("Control+End")
    before = editor(page).input_value()
    server.kill()
    # Typed on until the page has noticed: Streamlit's box would take the focus at that moment.
    words = ""
    clock_says = clock(page).get_by_text("the server does not answer")
    ends_at = time.monotonic() + PATIENCE_MS / 1000
    while not clock_says.count() or len(words) < 100:
        assert time.monotonic() < ends_at, "the page does not notice"
        page.keyboard.type("on ", delay=20)
        words += "on "
    page.keyboard.type("and on")
    expect(editor(page)).to_have_value(f"{before}{words}and on")
    expect(page.get_by_role("dialog")).to_have_count(0)
    server.start()
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect(clock_says).to_have_count(0)
    after = stored_note(own)
    assert after is not None
    assert after.body == f"{before}{words}and on"

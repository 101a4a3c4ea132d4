"""The tab's process dies in the middle of a word: what was typed more than a moment ago is in the journal, the rest in the browser."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, expect

from app.journal.home import Home
from app.journal.store import Journal
from tests.e2e.conftest import StartServer
from tests.e2e.today import SAVED, editor, start, stored_note, take_on

SAVED_AFTER_S = 1.5


@pytest.mark.parametrize("is_server_there", [True, False])
def test_a_crash_of_the_tab_loses_no_keystroke(
    context: BrowserContext,
    home: Home,
    own: Journal,
    data_dir: Path,
    start_server: StartServer,
    is_server_there: bool,
) -> None:
    take_on(own, data_dir)
    server = start_server(home)
    page = context.new_page()
    page.goto(server.url)
    start(page)
    expect(editor(page)).to_be_editable()
    editor(page).press("Control+End")
    before = editor(page).input_value()

    # Typed without a rest for some seconds: the saves must come in the middle of it.
    typed: list[tuple[float, str]] = []
    ends_at = time.monotonic() + 2.5 * SAVED_AFTER_S
    for number in itertools.count(1):
        if time.monotonic() > ends_at:
            break
        page.keyboard.type(word := f"w{number} ")
        typed.append((time.monotonic(), word))
    if not is_server_there:
        server.kill()
        page.keyboard.type(word := "nobody answers ")
        typed.append((time.monotonic(), word))
    words = "".join(word for _, word in typed)
    note = stored_note(own)
    crashed_at = time.monotonic()
    with page.expect_event("crash"), suppress(Error):
        page.goto("chrome://crash")
    assert note is not None
    assert f"{before}{words}".startswith(note.body)
    if is_server_there:
        old = "".join(word for at, word in typed if at < crashed_at - SAVED_AFTER_S)
        assert note.body.startswith(f"{before}{old}")
    else:
        server.start()

    again = context.new_page()
    again.goto(server.url)
    expect(editor(again)).to_have_value(f"{before}{words}")
    expect(again.get_by_text(SAVED)).to_be_visible()
    after = stored_note(own)
    assert after is not None
    assert after.body == f"{before}{words}"

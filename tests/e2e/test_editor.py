"""The editor's script alone, in a browser: which of several drawings counts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.components.editor import HERE, HTML

MOUNT = """async ([source, drawings]) => {
  const { default: mount } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  for (const data of drawings) mount({ data, parentElement: document.body, setTriggerValue: () => {} });
}"""


def drawing(drawn_at: int, **said: Any) -> dict[str, Any]:
    of = {"challenge": "humpback", "day": "2026-03-02", "note": None, "body": "## Plan", "revision": 1}
    return {**of, "open": True, "says": "", "picture_bytes": 1, "drawn_at": drawn_at, **said}


@pytest.mark.parametrize("late", [False, True], ids=["in order", "the earlier one last"])
def test_the_drawing_that_was_made_last_says_whether_a_note_can_be_written(page: Page, late: bool) -> None:
    page.route(
        "http://localhost/editor", lambda route: route.fulfill(body=f"<!doctype html>{HTML}", content_type="text/html")
    )
    page.goto("http://localhost/editor")
    drawings = [drawing(1, open=False, says="Start the hour first"), drawing(2)]
    page.evaluate(MOUNT, [(HERE / "editor.js").read_text(encoding="utf-8"), drawings[::-1] if late else drawings])
    expect(page.get_by_role("textbox", name="Day's note")).to_be_editable()
    expect(page.get_by_role("status")).to_have_text("")

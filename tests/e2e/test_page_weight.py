"""What the browser fetches for the pages of every day."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from app.journal.home import Home
from tests.e2e.conftest import StartServer
from tests.e2e.year import Size, write_year


@pytest.mark.parametrize(
    ("name", "last_words"),
    [("today", "Queued now it ends about"), ("journal", "earlier revisions"), ("week", "Still open")],
)
def test_a_page_of_every_day_fetches_no_plotly(
    home: Home, page: Page, start_server: StartServer, name: str, last_words: str
) -> None:
    (home.path / "data").mkdir()
    write_year(home, home.path / "data", Size(days=8, runs=40, todos=40, references=20))
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(f"{start_server(home).url}/{name}")
    page.get_by_text(last_words).first.wait_for()
    assert any(url.endswith(".js") for url in fetched)
    assert [url for url in fetched if "plotly" in url.lower()] == []

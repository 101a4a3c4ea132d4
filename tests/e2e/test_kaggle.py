"""From the page to the leaderboard: the real worker lets a child send a run's submission through Kaggle's own client."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from app.jobs import orders
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from tests.app.at_kaggle import SLUG, TRUTH, submissions
from tests.app.trainings import small_spec, until
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import KaggleServer
from tests.e2e.conftest import StartServer
from tests.e2e.past import finish
from tests.e2e.today import take_on


def test_a_run_is_submitted_by_a_click_and_its_score_comes_back(
    kaggle: KaggleServer,
    home: Home,
    own: Journal,
    data_dir: Path,
    page: Page,
    start_server: StartServer,
    start_worker: Callable[[str], None],
    complaints: list[str],
) -> None:
    competition = Competition(SLUG, truth=dict(TRUTH))
    kaggle.competitions[SLUG] = competition
    take_on(own, data_dir)
    sessions.start(own)
    (data_dir / "sample_submission.csv").write_text("Image,Id\na.jpg,new_whale\nb.jpg,new_whale\n")
    key = orders.queue_run(own, "x", small_spec(data_dir), "flukes are told apart").run_key
    finish(own, key, 0.8)
    start_worker("finish")
    page.goto(start_server(home).url)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("being sent")).to_be_visible()
    until(lambda: submissions(own)[0].kaggle_ref)
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_text("Sent: number 1000 at Kaggle")).to_be_visible()
    assert [one.description for one in competition.sent] == [f"{key} | CV 0.8000 | flukes are told apart"]
    page.get_by_role("link", name="Today").click()
    expect(page.get_by_text(re.compile("4 of 5 submissions left today"))).to_be_visible()
    assert not complaints

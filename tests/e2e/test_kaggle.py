"""The whole loop with Kaggle, as a person walks it: queued, trained, submitted, scored, ranked; the real client on a double."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from app.journal import challenges
from app.journal.home import Home
from app.journal.store import Journal
from app.scores import position
from tests.app.at_kaggle import SLUG, TRUTH, scores, submissions
from tests.app.trainings import until
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_server import KaggleServer
from tests.e2e.conftest import StartServer
from tests.e2e.today import start, take_on

RUN = "humpback_001-r01"


def rank(journal: Journal) -> int | None:
    with journal.reading() as db:
        found = position.newest(db, challenges.active(db))
    return None if found is None else found.rank


def part(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).click()


def test_a_run_is_queued_submitted_by_a_click_scored_and_ranked(
    kaggle: KaggleServer,
    home: Home,
    own: Journal,
    data_dir: Path,
    page: Page,
    start_server: StartServer,
    start_worker: Callable[[str], None],
    complaints: list[str],
) -> None:
    # A hundred others from 1.50 down, one a hundredth: 50 and the first that also has 1.00 stand before us.
    others = [(f"team {number}", 1.5 - number / 100, 1.5 - number / 100) for number in range(100)]
    competition = Competition(SLUG, truth=dict(TRUTH), others=others)
    kaggle.competitions[SLUG] = competition
    take_on(own, data_dir)
    (data_dir / "sample_submission.csv").write_text("Image,Id\na.jpg,new_whale\nb.jpg,new_whale\n")
    start_worker("finish")
    page.goto(start_server(home).url)
    start(page)

    page.get_by_role("textbox", name="Hypothesis").fill("flukes are told apart")
    page.get_by_role("textbox", name="Changes").fill("folds=2 'stages=[{epochs: 2, lr: 0.001}]'")
    page.get_by_role("button", name="Queue a run").click()
    expect(page.get_by_text("CV 0.625 ± 0.177")).to_be_visible()
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_text("5 of 5 submissions left today")).to_be_visible()
    page.get_by_role("textbox", name="Words beside it").fill("the first one")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("On its way to Kaggle.")).to_be_visible()
    until(lambda: submissions(own)[0].kaggle_ref)
    competition.sent[0].polls = 0  # the score is there at the next look
    assert [one.description for one in competition.sent] == [f"{RUN} | CV 0.6250 | the first one"]
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_text("Sent: number 1000 at Kaggle, its score is still to come")).to_be_visible()
    page.get_by_role("link", name="Today").click()
    expect(page.get_by_text(re.compile("4 of 5 submissions left today"))).to_be_visible()

    page.get_by_role("link", name="Scores").click()
    part(page, "Leaderboard")
    expect(page.get_by_text("Not on the leaderboard of 100 teams yet")).to_be_visible()
    until(lambda: scores(own))  # the worker asks by itself, a quarter of a minute after sending
    assert scores(own) == [("kaggle", 1.0, None)]
    page.get_by_role("button", name="Ask Kaggle now").click()
    until(lambda: rank(own))
    part(page, "Days")
    expect(page.locator("[role=gridcell]", has_text="1.000 / – kaggle")).to_be_attached()
    expect(page.locator("[role=gridcell]", has_text="0.625 ± 0.177")).to_be_attached()
    part(page, "Leaderboard")
    expect(page.get_by_text("Rank 52 of 101 (top 51.5%), LB 1; bronze at 1.11, 0.11 away")).to_be_visible()
    part(page, "CV and LB")
    expect(page.get_by_text(f"{RUN}: CV 0.6250, LB 1.0000. The CV is 0.3750 harsher")).to_be_visible()
    expect(page.locator(".scatterlayer .point")).to_have_count(1)
    part(page, "Story")
    page.get_by_text("Preview").click()
    expect(page.get_by_text(re.compile("^Rank 52 of 101 teams .* no medal; bronze at 1.11, 0.11 away"))).to_be_visible()
    assert not complaints

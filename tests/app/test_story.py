"""The story: an article from the record, by a template that a person may change, as Markdown and as one file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from datetime import date
from pathlib import Path

import pytest

from app import charts, cli
from app.journal import challenge_settings, challenges, checklist, notes, references, reviews, sessions, sittings
from app.journal.store import Journal
from app.journal.tables import Challenge, LeaderboardSnapshot
from app.reports import score_days, story, story_figures, story_page
from app.reports.score_days import ScoreDay
from app.scores import leaderboard, position
from app.views import desk
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError
from tests.app.test_views import page, queued, ran, texts
from tests.conftest import CHECKOUT, MovableClock
from tests.e2e.past import finish

MINUTE_S, DAY_S = 60, 86_400


@pytest.fixture
def lived(journal: Journal, challenge: Challenge, clock: MovableClock) -> Challenge:
    """Nine days: an hour with a first run, a note and a score; a week later an idea that helped, a review, a reference."""
    at = sessions.start(journal)
    notes.save(
        journal, at.local_date, "## Learnt\n- crops of *grey* images cut the tip\n## Next\n- widen the margin\n", 0
    )
    clock.move(20 * MINUTE_S)
    first = queued(journal, challenge, "all <b>classes</b> kept")
    clock.move(MINUTE_S)
    finish(journal, first, cv=0.80)
    leaderboard.enter_by_hand(journal, first, 0.78, 0.77)
    clock.move(8 * DAY_S)
    sessions.start(journal)
    clock.move(30 * MINUTE_S)
    second = queued(journal, challenge, "a margin of 8 %")
    references.add(journal, "https://arxiv.org/abs/1801.07698", title="ArcFace", author="Deng", licence="arXiv")
    clock.move(MINUTE_S)
    finish(journal, second, cv=0.84)
    review = reviews.begin_week(journal, 2)
    notes.save_outside(
        journal, review.id, "## What brought the score forward?\n\nThe [[day-1]] margin.\n", review.revision
    )
    challenge_settings.change(journal, checklist=checklist.marked(checklist.of(challenge), 1, True))
    return challenge


def told(journal: Journal) -> tuple[str, dict[str, str]]:
    with journal.reading() as db:
        return story_page.markdown(db, journal.home, sittings.sitting(db, challenges.active(db), journal.now()))


def test_the_article_tells_rules_numbers_weeks_ideas_and_credits(journal: Journal, lived: Challenge) -> None:
    text, drawings = told(journal)
    assert text.startswith("# humpback: 60 days, 60 minutes a day\n")
    assert "allows are used (kept)" in text
    assert "| days | 1 full, 0 part, 7 lost, 0 of rest |" in text
    assert "| runs | 2 in 2 experiments |" in text
    assert "| best LB | 0.780 public, 0.770 private |" in text
    assert r"| 1 | humpback_001-r01 | all \<b\>classes\</b\> kept | 0.800 | 0.780 |" in text
    assert "| 9 | humpback_002-r01 | a margin of 8 % | 0.840 | – |" in text
    assert r"- crops of \*grey\* images cut the tip" in text
    assert "## Week 2 (2026-03-09 to 2026-03-15)" in text
    assert "### What brought" not in text, "a week's first question stands without its heading"
    assert "The day 1 margin." in text
    helped = text.partition("## What helped")[2].partition("## What did not")[0]
    assert re.search(
        r"- a margin of 8 %: helped \(\+0\.040 .* against humpback_001-r01\), \+0\.07\d for each hour of work", helped
    )
    assert "[ArcFace](<https://arxiv.org/abs/1801.07698>) by Deng (arXiv)." in text.partition("## Credits")[2]
    assert set(drawings) == {"scores", "calendar"}


def test_an_article_can_be_written_before_anything_has_happened(journal: Journal, challenge: Challenge) -> None:
    text, drawings = told(journal)
    assert "| best CV (map5) | – |" in text
    assert "figure:scores" not in text
    assert set(drawings) == {"calendar"}


def test_a_history_that_was_imported_tells_how_its_score_rose_by_dates(journal: Journal, challenge: Challenge) -> None:
    assert cli.main(["import", str(CHECKOUT / "docs/examples/article-history.csv")]) == EXIT_OK
    text, drawings = told(journal)
    rose = text.partition("## How the score rose")[2].partition("\n## ")[0]
    assert [line.split(" | ")[0] for line in rose.splitlines() if line.startswith("| 2")] == [
        "| 2026-01-05",
        "| 2026-01-26",
        "| 2026-02-16",
    ]
    assert "| 2026-02-16 | 384-progressive.csv | 384 px, progressive resizing" in rose
    assert ">2026-01-05</text>" in drawings["scores"]
    with journal.reading() as db:
        days = score_days.read(db, sittings.sitting(db, challenge, journal.now()))
    figure = charts.score_timeline(days, "map5")
    assert figure["data"][0]["x"][0] == "2026-01-05"


def test_the_persons_own_words_stand_before_and_after(journal: Journal, lived: Challenge) -> None:
    note = reviews.begin_story(journal)
    assert reviews.begin_story(journal).id == note.id
    notes.save_outside(
        journal, note.id, "## Before\n\nOne hour, *every* day.\n\n## After\n\nFolds first.\n", note.revision
    )
    text, _ = told(journal)
    assert text.index("One hour, *every* day.") < text.index("## The rules")
    assert text.index("## What I would do today\n\nFolds first.") > text.index("## What did not")


def stands(journal: Journal, challenge: Challenge, **board: object) -> None:
    """The day's snapshot of Kaggle's leaderboard: 101 teams, of whom 10 get gold, 20 silver, 40 bronze."""
    row = {"score": 0.8, "gold_score": 0.96, "silver_score": 0.91, "bronze_score": 0.805} | board
    snapshot = {"challenge_id": challenge.id, "local_date": date(2026, 3, 10), "seen_at": journal.now(), "teams": 101}
    position.keep(journal, LeaderboardSnapshot(**snapshot, **row))


@pytest.mark.parametrize(
    ("board", "cell", "sentence"),
    [
        (
            {"rank": 42},
            "42 of 101 (top 41.6%) on the public leaderboard so far, no medal",
            "Rank 42 of 101 teams (top 41.6%) on the public leaderboard of 2026-03-10, with 0.8: no medal; "
            "bronze at 0.805, 0.005 away.",
        ),
        (
            {"rank": 13, "score": 0.95, "is_over": True, "public_rank": 6},
            "13 of 101 (top 12.9%) on the private leaderboard, silver",
            "Final rank 13 of 101 teams (top 12.9%) on the private leaderboard, with 0.95: silver; gold at 0.96, 0.01 away. "
            "It was rank 6 on the public leaderboard: 7 places lost.",
        ),
        (
            {"rank": 1, "score": 0.99, "is_over": True, "public_rank": 2},
            "1 of 101 (top 1.0%) on the private leaderboard, gold",
            "Final rank 1 of 101 teams (top 1.0%) on the private leaderboard, with 0.99: gold. "
            "It was rank 2 on the public leaderboard: 1 place won.",
        ),
        (
            {"rank": 3, "gold_score": None, "silver_score": None, "bronze_score": None},
            "3 of 101 (top 3.0%) on the public leaderboard so far",
            "Rank 3 of 101 teams (top 3.0%) on the public leaderboard of 2026-03-10, with 0.8.",
        ),
    ],
)
def test_the_rank_stands_among_the_numbers_and_as_a_sentence(
    journal: Journal, lived: Challenge, board: dict[str, object], cell: str, sentence: str
) -> None:
    stands(journal, lived, **board)
    text, _ = told(journal)
    assert f"| best LB | 0.780 public, 0.770 private |\n| rank | {cell} |\n\n{sentence}\n\n![" in text
    with journal.reading() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        html = story_page.html(db, journal.home, at)
    assert f"<td>{cell}</td>" in html
    assert f"</table>\n<p>{sentence}</p>" in html


def test_without_a_rank_the_story_says_why_or_nothing(journal: Journal, lived: Challenge, tmp_path: Path) -> None:
    assert "rank" not in told(journal)[0].partition("## How the score rose")[0]
    stands(journal, lived, rank=None)
    assert "| rank | not on the leaderboard of 101 teams |\n\n![" in told(journal)[0]
    with journal.writing() as db:
        challenges.active(db).truth_path = str(tmp_path / "truth.csv")
    text, _ = told(journal)
    assert "| rank | not ranked: the leaderboard is a truth file at home |\n\n![" in text


def test_the_rank_comes_into_a_story_that_was_changed_and_changes_no_word_of_it(
    journal: Journal, lived: Challenge
) -> None:
    note = reviews.begin_story(journal)
    notes.save_outside(journal, note.id, "## Before\n\nMine.\n\n## After\n\nMine too.\n", note.revision)
    # As it was copied from an earlier Onehour, and changed.
    mine = "Mine.\n{% if rank -%}\n| final rank | {{ rank | plain }} |\n{% endif %}\n{{ preface }}\n{{ afterword }}\n"
    path = story_page.begin_template(journal.home)
    path.write_text(mine)
    assert told(journal)[0] == "Mine.\n\nMine.\nMine too.\n"
    stands(journal, lived, rank=13, score=0.95, is_over=True)
    ranked = "| final rank | 13 of 101 (top 12.9%) on the private leaderboard, silver |\n"
    assert told(journal)[0] == f"Mine.\n{ranked}\nMine.\nMine too.\n"
    assert path.read_text() == mine


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("", ("", "")),
        ("just words", ("just words", "")),
        ("## A\n\nbefore\n\n## B\n\nafter\n\n### deeper\n\nmore", ("before", "after\n\n### deeper\n\nmore")),
    ],
)
def test_the_notes_two_headings_part_it(body: str, parts: tuple[str, str]) -> None:
    assert story.parts_of(body) == parts


def test_a_template_of_ones_own_is_used_and_its_mistakes_are_named(journal: Journal, lived: Challenge) -> None:
    path = story_page.begin_template(journal.home)
    assert path.read_text() == story_page.BUILT_IN.read_text()
    with pytest.raises(OnehourError, match="your template is there already"):
        story_page.begin_template(journal.home)
    path.write_text("{{ challenge.competition }} in {{ runs }} runs\n")
    assert told(journal)[0] == "humpback in 2 runs\n"
    for text, sentence in (
        ("one\n{{ nothing }}", "'nothing' is undefined"),
        ("one\ntwo\n{% if %}", "line 3: the template cannot be used"),
        ("{{ ''.__class__.__mro__ }}", "is unsafe"),
    ):
        path.write_text(text)
        with pytest.raises(OnehourError, match=sentence):
            told(journal)


def test_the_drawings_are_whole_and_say_their_points(journal: Journal, lived: Challenge) -> None:
    _, drawings = told(journal)
    for svg in drawings.values():
        ElementTree.fromstring(svg)
    assert "<title>day 9: CV 0.8400</title>" in drawings["scores"]
    assert "<title>day 1: LB public 0.7800</title>" in drawings["scores"]
    assert drawings["calendar"].count("<rect") == 60 + 1
    assert "Day 2, Tue 2026-03-03: lost" in drawings["calendar"]


def test_one_score_alone_can_be_drawn() -> None:
    svg = story_figures.scores([ScoreDay(date(2026, 3, 2), 1, 0.5, None, None, 0.5)], "map5")
    ElementTree.fromstring(svg)
    assert "nan" not in svg


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == EXIT_OK
    return capsys.readouterr().out


def test_the_files_stand_alone_and_nothing_is_overwritten(
    journal: Journal, lived: Challenge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = said(capsys, "story", "export", str(tmp_path / "story.md")).splitlines()
    assert [Path(line).name for line in written] == ["story-scores.svg", "story-calendar.svg", "story.md"]
    text = (tmp_path / "story.md").read_text()
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (tmp_path / name).is_file(), name
    said(capsys, "story", "export", str(tmp_path / "story.html"))
    html = (tmp_path / "story.html").read_text()
    assert html.count("data:image/svg+xml;base64,") == 2
    assert "<script" not in html
    assert "&lt;b&gt;classes&lt;/b&gt;" in html
    assert not re.search(r'(src|href)="(?!data:|https://arxiv)', html)
    for name, sentence in (
        ("story.md", "there already"),
        ("story.txt", "neither in .md nor in .html"),
        ("no/story.md", "no such folder"),
    ):
        assert cli.main(["story", "export", str(tmp_path / name)]) == EXIT_BAD_INPUT
        assert sentence in capsys.readouterr().err


def test_it_is_written_and_previewed_on_the_page(
    journal: Journal, lived: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    at = ran(page("scores").segmented_control(key="part").set_value("Story"))
    assert "humpback: 60 days" not in texts(at), "it is told when it is asked for"
    ran(at.toggle(key="story_preview").set_value(True))
    assert "humpback: 60 days" in texts(at)
    ran(next(one for one in at.button if one.label.startswith("Write what stands")).click())
    with journal.reading() as db:
        assert reviews.of_story(db, challenges.active(db)) is not None
    ran(next(one for one in at.button if one.label == "Change the template").click())
    assert story_page.template_path(journal.home).is_file()

"""Search: every kind is found by any part of a word, in any script, at once after each change."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.journal import inbox, notes, references, sessions, todos
from app.journal.search import Asked, marked, search
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, Run, Submission
from engine.contract import OnehourError
from tests.conftest import MovableClock

TODAY = date(2026, 3, 2)


@pytest.fixture
def filled(journal: Journal, challenge: Challenge, clock: MovableClock) -> Challenge:
    """One thing of each kind on the first day, and a note on the second."""
    sessions.start(journal)
    notes.save(journal, TODAY, "## Tried\nGrey crops cut the left tip. #crops 100% 画像の前処理", 0)
    notes.create(journal, "Mirrored flukes", "idea", "a mirrored fluke is another whale #crops-mirrored")
    todos.add(journal, "look at the worst crops")
    references.add(journal, "https://arxiv.org/abs/1708.02002", title="Focal loss", taken="down-weighted easy crops")
    inbox.add(journal, "on the train: wider crops? #crops")
    with journal.writing() as db:
        db.add(
            Experiment(
                challenge_id=challenge.id, key="humpback_001", hypothesis="wider crops", origin="person", created_at=0
            )
        )
        db.flush()
        db.add(
            Run(
                challenge_id=challenge.id, experiment_id=1, key="humpback_001-r01", local_date=TODAY, spec="{}",
                spec_source="cpu-transfer", origin="person", created_at=0, metric="map5", direction="max",
            )
        )  # fmt: skip
        db.flush()
        db.add(
            Submission(
                challenge_id=challenge.id, run_id=1, sha256="ab", path="runs/humpback_001-r01/submission.csv",
                origin="system", created_at=0,
            )
        )  # fmt: skip
    clock.move(86_400)
    sessions.start(journal)
    notes.save(journal, date(2026, 3, 3), "the second day", 0)
    return challenge


def found(journal: Journal, challenge: Challenge, **asked: object) -> list[tuple[str, str]]:
    with journal.reading() as db:
        return [(hit.kind, hit.address) for hit in search(db, challenge, Asked(**asked))]  # type: ignore[arg-type]


def test_each_kind_is_found_and_leads_to_where_it_is_read(journal: Journal, filled: Challenge) -> None:
    day = "/journal?day=2026-03-02"
    assert sorted(found(journal, filled, words="crops")) == [
        ("inbox", day),
        ("note", day),
        ("note", "/journal?note=2"),
        ("reference", "/references?reference=arxiv-1708-02002"),
        ("run", "/runs?run=humpback_001-r01"),
        ("todo", day),
    ]
    assert found(journal, filled, words="001-r01 submission") == [("submission", "/runs?run=humpback_001-r01")]


@pytest.mark.parametrize(
    "words", ["画像", "画", "像の前処理", "tip", "TIP", "ef", "100%", "grey left", '"left tip"', "画像 grey"]
)
def test_a_note_is_found_by_any_part_of_its_words(journal: Journal, filled: Challenge, words: str) -> None:
    assert ("note", "/journal?day=2026-03-02") in found(journal, filled, words=words)


@pytest.mark.parametrize("words", ["whales everywhere", '"tip left"', "0%1", "__", "%%", "画家"])
def test_what_does_not_stand_there_is_not_found(journal: Journal, filled: Challenge, words: str) -> None:
    assert found(journal, filled, words=words) == []


def test_filters_by_kind_day_and_whole_tag(journal: Journal, filled: Challenge) -> None:
    assert found(journal, filled, words="crops", kind="todo") == [("todo", "/journal?day=2026-03-02")]
    assert found(journal, filled, first=date(2026, 3, 3)) == [("note", "/journal?day=2026-03-03")]
    assert found(journal, filled, words="second", last=TODAY) == []
    assert sorted(kind for kind, _ in found(journal, filled, tag="crops")) == ["inbox", "note"]
    assert found(journal, filled, tag="crops-mirrored") == [("note", "/journal?note=2")]
    assert found(journal, filled) == []
    with pytest.raises(OnehourError, match="Did you mean 'note'"):
        found(journal, filled, kind="notes")


def test_a_change_is_found_at_once_and_what_was_taken_away_no_more(
    journal: Journal, challenge: Challenge, filled: Challenge
) -> None:
    todo = todos.add(journal, "measure margins")
    assert found(journal, filled, words="margins") == [("todo", "/journal?day=2026-03-03")]
    todos.change(journal, todo.id, title="measure borders")
    assert found(journal, filled, words="margins") == []
    assert found(journal, filled, words="borders") == [("todo", "/journal?day=2026-03-03")]
    todos.remove(journal, todo.id)
    assert found(journal, filled, words="borders") == []
    notes.save(journal, date(2026, 3, 3), "rewritten", 1)
    assert found(journal, filled, words="second") == []
    references.change(journal, "arxiv-1708-02002", taken="nothing")
    assert found(journal, filled, words="weighted") == []
    with journal.writing() as db:
        db.connection().execute(text("UPDATE experiment SET hypothesis = 'narrower', origin = 'system'"))
    assert found(journal, filled, words="narrower") == [("run", "/runs?run=humpback_001-r01")]
    with journal.reading() as db:
        db.connection().execute(text("INSERT INTO search_text (search_text) VALUES ('integrity-check')"))


def test_the_snippet_shows_the_first_place_on_one_line(journal: Journal, filled: Challenge) -> None:
    notes.save(journal, date(2026, 3, 3), "a\n" * 500 + "the *needle*\nhere" + "\nb" * 500, 1)
    with journal.reading() as db:
        (hit,) = search(db, filled, Asked("NEEDLE"))
    assert "the needle here b b" in hit.snippet
    assert hit.snippet.startswith("… ")
    assert hit.snippet.endswith(" …")
    assert marked("a Needle in", ["needle"]) == [("a ", False), ("Needle", True), (" in", False)]


@pytest.mark.parametrize(
    ("body", "asked", "said"),
    [
        ("before ![crop.jpg](/api/image/" + "c137" * 16 + ".jpg) the needle", "needle", "before crop.jpg the needle"),
        (
            "## Tried\n\nthe **grey** needle, [as they say](https://x.org/a)",
            "needle",
            "Tried the grey needle, as they say",
        ),
        ("| run | LB |\n|---|---|\n| needle | 0.382 |\n| a|b", "needle", "run LB needle 0.382 a|b"),
        ("a ![](/api/image/a.png) needle, 2**3 and 2 * 3 * 4", "needle", "a picture needle, 2**3 and 2 * 3 * 4"),
        ("a ![tail](/api/image/abc1.png) and more", "abc1", "a tail and more"),
        ("x " * 3_000 + "![tail](/api/image/abc1.png) end", "abc1", "x tail end"),
    ],
)
def test_the_snippet_shows_words_and_pictures_by_their_name(
    journal: Journal, filled: Challenge, body: str, asked: str, said: str
) -> None:
    notes.save(journal, date(2026, 3, 3), body, 1)
    with journal.reading() as db:
        hits = search(db, filled, Asked(asked, kind="note"))
    assert said in hits[0].snippet
    assert "/api/image" not in hits[0].snippet


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    words=st.text(max_size=30)
    | st.sampled_from(['"', "NEAR(a b)", "a OR", "title:x", "-x", "*", "^a", "(", "a AND", "'"])
)
def test_no_words_are_a_syntax_error(journal: Journal, challenge: Challenge, words: str) -> None:
    with journal.reading() as db:
        assert search(db, challenge, Asked(words)) == []

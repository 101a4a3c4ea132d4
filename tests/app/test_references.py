"""References: what an address tells, what is refused, who used what, what lacks its credit."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from app.journal import crediting, notes, references, sessions, todos
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, Run
from app.journal.web_address import Guess, guess
from app.reports import credits
from engine.contract import OnehourError

pytestmark = pytest.mark.unit

TODAY = date(2026, 3, 2)
ARXIV = "https://arxiv.org/abs/1708.02002"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "https://www.kaggle.com/code/martinp/whale-siamese",
            Guess("kernel", "whale-siamese", "Whale siamese", "martinp"),
        ),
        (
            "https://www.kaggle.com/competitions/humpback-whale-identification/discussion/82366",
            Guess("discussion", "discussion-82366", "Discussion 82366 of Humpback whale identification"),
        ),
        (
            "https://www.kaggle.com/c/humpback-whale-identification/discussion/82366#latest",
            Guess("discussion", "discussion-82366", "Discussion 82366 of Humpback whale identification"),
        ),
        ("https://arxiv.org/abs/1801.07698v2", Guess("paper", "arxiv-1801-07698", "arXiv 1801.07698")),
        ("https://arxiv.org/pdf/1801.07698v2.pdf", Guess("paper", "arxiv-1801-07698", "arXiv 1801.07698")),
        ("https://github.com/owner/Some_Repo.git", Guess("repository", "some-repo", "owner/Some_Repo", "owner")),
        ("https://github.com/owner/repo/blob/main/a.py", Guess("repository", "repo", "owner/repo", "owner")),
        ("https://blog.example.org/2019/ring-loss.html", Guess("post", "ring-loss", "Ring loss", "blog.example.org")),
        ("http://example.org", Guess("post", "example-org", "Example.org", "example.org")),
        ("https://example.org/画像", Guess("post", "reference", "画像", "example.org")),
    ],
)
def test_an_address_alone_tells_kind_key_title_and_author(url: str, told: Guess) -> None:
    assert guess(url) == told


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "example.org", "", "https://", "https://a b.org",
     "https://[::1", 'https://x.org/"><script>'],
)  # fmt: skip
def test_what_a_browser_could_execute_or_cannot_open_is_refused(
    journal: Journal, challenge: Challenge, url: str
) -> None:
    sessions.start(journal)
    with pytest.raises(OnehourError, match="no web address"):
        references.add(journal, url)
    with journal.reading() as db:
        assert references.every(db, challenge) == []


@given(st.text(max_size=60))
def test_every_web_address_gives_a_key_that_can_stand_in_a_note(path: str) -> None:
    try:
        told = guess(f"https://example.org/{path}")
    except OnehourError:
        return
    assert references._KEY.fullmatch(told.key)
    assert told.kind in references.KINDS


def test_a_pasted_address_is_taken_on_and_a_key_is_never_given_twice(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    first = references.add(journal, f" {ARXIV} ", licence="CC BY 4.0", taken="the loss")
    assert (first.key, first.kind, first.url) == ("arxiv-1708-02002", "paper", ARXIV)
    assert references.add(journal, "https://arxiv.org/pdf/1708.02002").key == "arxiv-1708-02002-2"
    with pytest.raises(OnehourError, match="known already: &arxiv-1708-02002"):
        references.add(journal, ARXIV)
    changed = references.change(journal, "arxiv-1708-02002", title="Focal Loss", author="Lin et al.")
    assert (changed.title, changed.author, changed.taken) == ("Focal Loss", "Lin et al.", "the loss")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"kind": "papers"}, "Did you mean 'paper'"),
        ({"key": "Focal Loss"}, "as in focal-loss"),
        ({"key": "taken"}, "is taken by"),
        ({"title": "t" * 501}, "at most 500"),
    ],
)
def test_an_impossible_reference_is_refused(
    journal: Journal, challenge: Challenge, said: dict[str, str], message: str
) -> None:
    sessions.start(journal)
    references.add(journal, "https://example.org/a", key="taken")
    with pytest.raises(OnehourError, match=message):
        references.add(journal, ARXIV, **said)


def with_run(journal: Journal, challenge: Challenge) -> None:
    with journal.writing() as db:
        db.add(Experiment(challenge_id=challenge.id, key="humpback_001", hypothesis="h", origin="person", created_at=0))
        db.flush()
        db.add(
            Run(
                challenge_id=challenge.id, experiment_id=1, key="humpback_001-r01", local_date=TODAY, spec="{}",
                spec_source="x", origin="person", created_at=0, metric="map5", direction="max",
            )
        )  # fmt: skip


def test_a_run_without_credit_is_named_when_its_days_note_names_a_reference(
    journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    references.add(journal, ARXIV, key="focal")
    with_run(journal, challenge)

    def uncredited() -> dict[str, list[str]]:
        with journal.reading() as db:
            return crediting.uncredited(db, challenge, TODAY, TODAY)

    assert uncredited() == {}
    notes.save(journal, TODAY, "`&focal` is code, &unknown is none", 0)
    assert uncredited() == {}
    notes.save(journal, TODAY, "the loss of &focal", 1)
    assert uncredited() == {"humpback_001-r01": ["focal"]}
    crediting.use(journal, "@humpback_001-r01", "&focal")
    crediting.use(journal, "humpback_001-r01", "focal")
    assert uncredited() == {}
    with journal.reading() as db:
        assert references.users(db, challenge) == {1: ["humpback_001-r01"]}
    crediting.disuse(journal, "humpback_001-r01", "focal")
    assert uncredited() == {"humpback_001-r01": ["focal"]}


def test_only_the_days_whose_note_names_a_known_reference_have_their_runs_read(
    journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    references.add(journal, ARXIV, key="focal")
    with_run(journal, challenge)
    notes.save(journal, TODAY, "R&d, &unknown and an &amp;", 0)
    asked: list[Any] = []

    def keep(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.extend(parameters if "run_reference" in statement else ())

    event.listen(journal.engine, "before_cursor_execute", keep)
    with journal.reading() as db:
        assert crediting.uncredited(db, challenge, TODAY, TODAY) == {}
    assert str(TODAY) not in asked
    notes.save(journal, TODAY, "the loss of &focal", 1)
    with journal.reading() as db:
        assert crediting.uncredited(db, challenge, TODAY, TODAY, most=1) == {"humpback_001-r01": ["focal"]}
    assert str(TODAY) in asked


def test_a_reference_that_nobody_names_is_removed_in_the_hour_only(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    references.add(journal, ARXIV)
    assert references.remove(journal, "&arxiv-1708-02002").url == ARXIV
    with journal.reading() as db:
        assert references.every(db, challenge) == []
    references.add(journal, ARXIV)
    sessions.end(journal)
    with pytest.raises(AgainstTheRules):
        references.remove(journal, "arxiv-1708-02002", force=True)


def test_a_reference_that_is_named_says_by_whom_and_goes_by_force_with_its_links(
    journal: Journal, challenge: Challenge
) -> None:
    sessions.start(journal)
    references.add(journal, ARXIV)
    references.add(journal, f"{ARXIV}1")
    with_run(journal, challenge)
    crediting.use(journal, "humpback_001-r01", "arxiv-1708-02002")
    crediting.use(journal, "humpback_001-r01", "arxiv-1708-020021")
    todo = todos.add(journal, "read it")
    todos.link(journal, todo.id, "&arxiv-1708-02002")
    notes.save(journal, TODAY, "as in &arxiv-1708-02002", 0)
    notes.create(journal, "Other", body="`&arxiv-1708-02002` in code and &arxiv-1708-020021")
    who = "&arxiv-1708-02002 is named by humpback_001-r01, todo 1, the note of 2026-03-02"
    with pytest.raises(OnehourError, match=f"^{who}. Take that back first, .*--force"):
        references.remove(journal, "arxiv-1708-02002")
    references.remove(journal, "arxiv-1708-02002", force=True)
    with journal.reading() as db:
        assert [row.key for row in references.every(db, challenge)] == ["arxiv-1708-020021"]
        assert list(references.users(db, challenge).values()) == [["humpback_001-r01"]]
        assert todos.links_of(db, [todo]) == {}
        note = notes.of_day(db, challenge, TODAY)
    assert note is not None
    assert note.body == "as in &arxiv-1708-02002"


def test_a_misspelt_run_or_reference_is_refused_with_the_nearest(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    references.add(journal, ARXIV, key="focal")
    with_run(journal, challenge)
    with pytest.raises(OnehourError, match="Did you mean 'humpback_001-r01'"):
        crediting.use(journal, "humpback_001-r1", "focal")
    with pytest.raises(OnehourError, match="Did you mean 'focal'"):
        crediting.use(journal, "humpback_001-r01", "focl")


def test_the_credits_name_author_licence_what_was_taken_and_the_runs(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    sessions.start(journal)
    with journal.reading() as db:
        assert "No references yet" in credits.page(db, challenge)
    references.add(
        journal, ARXIV, title="Focal [Loss] <b>", author="Lin", licence="CC BY", taken="the loss\n\nfor rare whales"
    )
    references.add(journal, "https://github.com/owner/repo")
    with_run(journal, challenge)
    crediting.use(journal, "humpback_001-r01", "arxiv-1708-02002")
    with journal.reading() as db:
        text = credits.page(db, challenge)
    assert r"- [Focal \[Loss\] \<b\>](<https://arxiv.org/abs/1708.02002>) by Lin (CC BY)." in text
    assert "Taken: the loss for rare whales." in text
    assert "Used by humpback_001-r01." in text
    assert text.index("## Papers") < text.index("## Repositories")
    assert "- [owner/repo](<https://github.com/owner/repo>) by owner (licence not noted)." in text

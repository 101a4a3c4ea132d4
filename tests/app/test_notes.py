"""Revisions of notes, notes outside days, the challenge's template, pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from app.journal import attachments, challenges, notes, reviews, revisions, sessions
from app.journal.home import Home
from app.journal.revisions import COMMAND, KEEP_EVERY_MS, Save, worth_keeping
from app.journal.store import Journal
from app.journal.tables import Challenge, Note, NoteRevision
from engine.contract import OnehourError
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit

TODAY = date(2026, 3, 2)
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1"


def kept(journal: Journal, note_id: int = 1) -> list[str]:
    with journal.reading() as db:
        query = select(NoteRevision.body).where(NoteRevision.note_id == note_id).order_by(NoteRevision.revision)  # type: ignore[arg-type]
        return list(db.exec(query).all())


def type_for(
    journal: Journal, clock: MovableClock, saves: int, revision: int = 0, writer: str = "tab", every_s: float = 1
) -> int:
    """Save again and again, as an editor does. Returns the last revision."""
    for _ in range(saves):
        revision = notes.save(journal, TODAY, f"{revision + 1} saves", revision, writer).revision
        clock.move(every_s)
    return revision


def test_an_hour_of_typing_leaves_a_revision_each_three_minutes(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    type_for(journal, clock, 60, every_s=10)
    assert kept(journal) == ["18 saves", "35 saves", "52 saves"]


def test_the_last_words_before_another_tab_wrote_are_kept(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    revision = type_for(journal, clock, 5, writer="one")
    type_for(journal, clock, 1, revision, writer="two")
    assert kept(journal) == ["5 saves"]


def test_the_last_words_of_the_hour_and_of_the_reflection_are_kept(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    clock.move(3_595)
    revision = type_for(journal, clock, 10)
    clock.move(575)
    revision = type_for(journal, clock, 10, revision)
    clock.move(60)
    notes.save(journal, TODAY, "an afterthought", revision, "tab")
    assert kept(journal) == ["5 saves", "10 saves", "11 saves", "20 saves"]


@given(
    replaced=st.builds(Save, st.integers(0, 10**6), st.sampled_from("ab"), st.booleans()),
    later=st.integers(0, 10**6),
    writer=st.sampled_from("ab"),
    late=st.booleans(),
    since_kept=st.integers(0, 10**6),
)
def test_what_another_wrote_or_what_was_in_time_is_always_kept(
    replaced: Save, later: int, writer: str, late: bool, since_kept: int
) -> None:
    by = Save(replaced.at + later, writer, late)
    keeps = worth_keeping(replaced, by, by.at - since_kept, [])
    command = worth_keeping(replaced, Save(by.at, COMMAND, late), by.at, [])
    assert command
    assert keeps == (writer != replaced.writer or late != replaced.late or since_kept >= KEEP_EVERY_MS)
    if later:
        assert worth_keeping(replaced, by, by.at, [replaced.at + 1])


def test_an_earlier_revision_comes_back_and_what_stood_there_is_kept(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    notes.save(journal, TODAY, "first", 0, "one")
    notes.save(journal, TODAY, "second", 1, "two")
    assert notes.restore(journal, 1, 1).revision == 3
    with journal.reading() as db:
        note = notes.of_day(db, challenge, TODAY)
        assert note is not None
        assert note.body == "first"
        assert [row.body for row in revisions.history(db, note)] == ["second", "first"]
    with pytest.raises(OnehourError, match=r"revision 9 of this note is not kept. Kept: 2, 1"):
        notes.restore(journal, 1, 9)


def test_a_past_day_is_restored_late(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    sessions.start(journal)
    notes.save(journal, TODAY, "first", 0, "one")
    notes.save(journal, TODAY, "second", 1, "two")
    clock.move(86_400)
    assert notes.restore(journal, 1, 1).late is True


def test_a_note_outside_the_days_is_flagged_outside_the_hour_and_edited_like_any_other(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    thought = notes.create(journal, " on the  train ", "idea", "mirror the flukes")
    assert (thought.title, thought.late, thought.revision) == ("on the train", True, 1)
    sessions.start(journal)
    clock.move(10)
    assert notes.save_outside(journal, thought.id, "mirror and rotate", 1).late is False
    with pytest.raises(notes.StaleNote, match='the note "on the train" was changed elsewhere'):
        notes.save_outside(journal, thought.id, "from another tab", 1)
    with journal.reading() as db:
        assert [note.title for note in notes.outside_days(db, challenge)] == ["on the train"]
        assert notes.latest_before(db, challenge, TODAY) is None


@pytest.mark.parametrize(
    ("title", "kind", "message"),
    [
        (" ", "idea", "needs a title"),
        ("a]b", "idea", "no square brackets"),
        ("t" * 201, "idea", "at most 200"),
        ("t", "ideas", "Did you mean 'idea'"),
        ("week  3", "idea", '"week 3" is the title of a week\'s review'),
        ("KNOWN", "data", 'there is a note "KNOWN" already'),
    ],
)
def test_an_impossible_note_is_refused(
    journal: Journal, challenge: Challenge, title: str, kind: str, message: str
) -> None:
    notes.create(journal, "known")
    with pytest.raises(OnehourError, match=message):
        notes.create(journal, title, kind)


def test_a_command_keeps_what_it_replaces_at_once(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    for revision, body in enumerate(("first", "second", "third")):
        notes.save(journal, TODAY, body, revision)
    assert kept(journal) == ["first", "second"]


def test_a_note_of_another_kind_never_stands_in_the_way_of_a_weeks_review(
    journal: Journal, challenge: Challenge
) -> None:
    idea = notes.create(journal, "known")
    with journal.writing() as db:  # as an earlier version let it be written
        idea.title = "Week 1"
        db.add(idea)
    review = reviews.begin_week(journal, 1)
    assert (review.kind, review.body) == (notes.WEEK_KIND, reviews.WEEK_TEMPLATE)
    assert reviews.begin_week(journal, 1).id == review.id
    assert notes.rename(journal, idea.id, "known").title == "known"


def test_two_that_begin_the_same_week_get_one_review(journal: Journal, challenge: Challenge) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = {note.id for note in pool.map(lambda _: reviews.begin_week(journal, 2), range(8))}
    assert len(made) == 1


def test_a_renamed_note_is_found_by_its_new_title_and_a_day_or_a_taken_title_is_refused(
    journal: Journal, challenge: Challenge
) -> None:
    one, other = notes.create(journal, "one"), notes.create(journal, "other")
    notes.rename(journal, one.id, " One ")
    with pytest.raises(OnehourError, match='there is a note "OTHER" already'):
        notes.rename(journal, one.id, "OTHER")
    with pytest.raises(OnehourError, match="title of a week's review"):
        notes.rename(journal, other.id, "Week 9")
    with pytest.raises(OnehourError, match='the review "Week 1" keeps its title'):
        notes.rename(journal, reviews.begin_week(journal, 1).id, "mine")
    sessions.start(journal)
    notes.save(journal, TODAY, "a day", 0)
    with pytest.raises(OnehourError, match="there is no note 4 outside the days"):
        notes.rename(journal, 4, "a day")
    with journal.reading() as db:
        assert {note.title for note in notes.outside_days(db, challenge)} == {"One", "other", "Week 1"}


def test_a_rename_outside_the_hour_is_flagged_and_one_inside_takes_no_flag_off(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    early = notes.create(journal, "early")
    sessions.start(journal)
    timely = notes.create(journal, "timely")
    assert (notes.rename(journal, early.id, "1").late, notes.rename(journal, timely.id, "2").late) == (True, False)
    clock.move(7_200)
    assert notes.rename(journal, timely.id, "3").late


def test_a_number_that_is_no_note_names_the_known_ones(journal: Journal, challenge: Challenge) -> None:
    notes.create(journal, "known")
    with pytest.raises(OnehourError, match="Known: 1 known"):
        notes.save_outside(journal, 7, "x", 1)


def test_the_challenges_own_template_begins_a_day(journal: Journal, challenge: Challenge) -> None:
    assert notes.template(challenge) == notes.TEMPLATE
    with journal.writing() as db:
        own = challenges.active(db)
        own.note_template = "## Versuch\n"
        db.add(own)
    assert notes.template(own) == "## Versuch\n"


def test_two_notes_of_one_challenge_may_lie_outside_the_days(journal: Journal, challenge: Challenge) -> None:
    for title in ("one", "two"):
        notes.create(journal, title)
    with journal.reading() as db:
        assert len(db.exec(select(Note)).all()) == 2


@pytest.mark.parametrize(
    ("picture", "suffix"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpg"),
        (b"GIF89a\1\0\1\0", "gif"),
        (b"RIFF\x1a\0\0\0WEBPVP8L", "webp"),
        (b"RIFF\x1a\0\0\0WAVEfmt ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None),
        (b"<html>", None),
        (b"\x89PNG", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_content(picture: bytes, suffix: str | None) -> None:
    assert attachments.suffix_of(picture) == suffix


def test_a_picture_is_kept_once_under_its_hash(home: Home) -> None:
    name = attachments.keep(home, PNG)
    assert attachments.keep(home, PNG) == name
    assert [path.name for path in home.attachments_dir.iterdir()] == [name]
    found = attachments.find(home, name)
    assert found is not None
    assert found.read_bytes() == PNG


def test_what_is_no_picture_or_too_large_leaves_nothing(home: Home) -> None:
    with pytest.raises(OnehourError, match="no PNG, JPEG, GIF or WebP"):
        attachments.keep(home, b"hello")
    with pytest.raises(OnehourError, match="at most 5 MB"):
        attachments.keep(home, PNG + bytes(attachments.MAX_BYTES))
    assert not home.attachments_dir.exists()


@pytest.mark.parametrize(
    "name", ["../journal.db", "journal.db", f"{'0' * 64}.png", f"{'0' * 64}.svg", "..%2fjournal.db"]
)
def test_only_pictures_of_our_folder_are_found(home: Home, name: str) -> None:
    (home.path / "journal.db").touch()
    home.attachments_dir.mkdir()
    (home.attachments_dir / "journal.db").touch()
    assert attachments.find(home, name) is None

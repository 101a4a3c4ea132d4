"""Notes and tags of runs: written in the hour, found again, in a terminal too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import cli
from app.commands import terminal
from app.jobs import orders
from app.journal import challenges, run_notes, search, sessions
from app.journal.rules import AgainstTheRules
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.reports import run_record
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError
from tests.app.trainings import small_spec
from tests.conftest import MovableClock

pytestmark = pytest.mark.unit


@pytest.fixture
def run(journal: Journal, challenge: Challenge) -> str:
    sessions.start(journal)
    return orders.queue_run(journal, "sample-quick", small_spec(Path(challenge.data_dir)), "a").run_key


def written(journal: Journal, key: str) -> tuple[str, list[str]]:
    with journal.reading() as db:
        row = run_record.read(db, challenges.active(db), key).run.row
    return row.note, [*row.tags]


def test_a_note_and_tags_are_kept_and_each_is_replaced_alone(journal: Journal, run: str) -> None:
    run_notes.write(journal, run, note=" The tail is cut off. \n", tags=["#crops", "looked-at", "crops"])
    assert written(journal, run) == ("The tail is cut off.", ["crops", "looked-at"])
    run_notes.write(journal, run, tags=[])
    assert written(journal, run) == ("The tail is cut off.", [])
    run_notes.write(journal, run, note="")
    assert written(journal, run) == ("", [])


def test_what_was_typed_is_split_into_tags() -> None:
    assert run_notes.split(" #crops, looked-at  学習,, # ") == ["crops", "looked-at", "学習"]


def test_a_note_that_was_changed_elsewhere_is_not_written_over(journal: Journal, run: str) -> None:
    run_notes.write(journal, run, note="from a terminal")
    with pytest.raises(OnehourError, match="changed elsewhere: 'from a terminal'"):
        run_notes.write(journal, run, note="from the page", tags=["seen"], instead_of="")
    assert written(journal, run) == ("from a terminal", [])
    run_notes.write(journal, run, tags=["seen"], instead_of="")
    run_notes.write(journal, run, note="both", instead_of="from a terminal")
    assert written(journal, run) == ("both", ["seen"])


@pytest.mark.parametrize(
    ("note", "tags", "says"),
    [
        (None, ["two words"], "'two words' is no tag"),
        (None, ["x" * 61], "is no tag"),
        (None, [f"t{number}" for number in range(21)], "21 tags are too many"),
        ("x" * 20_001, None, "the note has 20001 characters"),
    ],
)
def test_what_is_no_tag_or_too_much_is_refused_and_nothing_is_written(
    journal: Journal, run: str, note: str | None, tags: list[str] | None, says: str
) -> None:
    with pytest.raises(OnehourError, match=says):
        run_notes.write(journal, run, note=note, tags=tags)
    assert written(journal, run) == ("", [])


def test_an_unknown_run_is_named_with_the_nearest(journal: Journal, run: str) -> None:
    with pytest.raises(OnehourError, match=f"(?s)no run 'humpback_001-r02'.*{run}"):
        run_notes.write(journal, "humpback_001-r02", note="x")


def test_after_the_hour_nothing_is_written_about_a_run(journal: Journal, run: str, clock: MovableClock) -> None:
    clock.move(61 * 60)
    with pytest.raises(AgainstTheRules):
        run_notes.write(journal, run, note="x")
    assert written(journal, run) == ("", [])


def test_a_run_is_found_by_its_note_and_its_tags(journal: Journal, challenge: Challenge, run: str) -> None:
    run_notes.write(journal, run, note="The notch is blurred", tags=["crops"])
    with journal.reading() as db:
        for words in ("notch", "crops"):
            assert run in [hit.title for hit in search.search(db, challenge, search.Asked(words=words))]
        tagged = search.search(db, challenge, search.Asked(words="blurred", tag="crops"))
        assert [hit.title for hit in tagged] == [run]


def test_a_run_is_written_about_and_read_again_in_a_terminal(
    journal: Journal, run: str, clock: MovableClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = terminal.open_journal
    monkeypatch.setattr(terminal, "open_journal", lambda home: opened(home, clock))
    assert cli.main(["run", "note", run, "The notch is blurred", "--tag", "crops", "--tag", "#seen"]) == EXIT_OK
    capsys.readouterr()
    assert cli.main(["run", "show", run, "--json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)
    assert (told["note"], told["tags"]) == ("The notch is blurred", ["crops", "seen"])
    assert cli.main(["run", "show", run]) == EXIT_OK
    assert "note: The notch is blurred\ntags: #crops #seen" in capsys.readouterr().out
    assert cli.main(["run", "note", run]) == EXIT_BAD_INPUT
    assert "neither a note nor a tag" in capsys.readouterr().err

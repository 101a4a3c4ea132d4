"""Settings: what may be changed at any time, and what not."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.journal import challenge_settings, challenges, checklist, sessions, sittings
from app.journal.activities import Activity
from app.journal.checklist import DEFAULTS
from app.journal.home import COMMAND
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError
from tests.conftest import MovableClock, competition_folder, ms

pytestmark = pytest.mark.unit

DAY_S = 86_400


def stored(journal: Journal) -> Challenge:
    with journal.reading() as db:
        return challenges.active(db)


def sitting(journal: Journal) -> sittings.Sitting:
    with journal.reading() as db:
        return sittings.sitting(db, challenges.active(db), journal.now())


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("habit_at", "7:30", "07:30"),
        ("habit_at", " ", None),
        ("strictness", "honour", "honour"),
        ("reflection_minutes", 0.0, 0.0),
        ("time_zone", " Asia/Tokyo ", "Asia/Tokyo"),
        ("note_template", "## Versuch\n", "## Versuch\n"),
        ("note_template", "", None),
        ("target_split", "", None),
    ],
)
def test_a_setting_is_kept_as_it_was_checked(
    journal: Journal, challenge: Challenge, name: str, value: Any, kept: Any
) -> None:
    challenge_settings.change(journal, **{name: value})
    assert getattr(stored(journal), name) == kept


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"habit_at": "8 pm"}, "HH:MM"),
        ({"strictness": "strickt"}, "'strict'"),
        ({"reflection_minutes": -1.0}, "-1 minutes of reflection"),
        ({"time_zone": "Europe/Berln"}, "'Europe/Berlin'"),
        ({"note_template": "x" * 20_001}, "20001 characters"),
        ({"target_split": "code=50"}, "add up to 50 %"),
        ({"target_split": "cod=100"}, "'code'"),
        ({"checklist": [checklist.CompetitionRule(" ")]}, "rule 1 of the checklist is empty"),
        ({"habit": "20:00"}, "'habit_at'"),
        ({"days": 90}, "days cannot be changed. A challenge that grows"),
        ({"starts_on": date(2026, 3, 3)}, "starts on cannot be changed"),
        ({"minutes_per_day": 90.0}, "judged anew"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_of_it_is_kept(
    journal: Journal, challenge: Challenge, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(OnehourError, match=message):
        challenge_settings.change(journal, **{"reflection_minutes": 20.0, **values})
    assert stored(journal) == challenge


def test_the_target_split_is_what_the_hour_is_held_against(journal: Journal, challenge: Challenge) -> None:
    challenge_settings.change(journal, target_split="read=10 plan=15 code=50 analyse=25")
    assert sitting(journal).target == {
        Activity.READ: 0.1,
        Activity.PLAN: 0.15,
        Activity.CODE: 0.5,
        Activity.ANALYSE: 0.25,
    }


def test_an_hour_that_has_begun_keeps_its_reflection(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    sessions.start(journal)
    challenge_settings.change(journal, reflection_minutes=30)
    at = sessions.end(journal)
    assert at.hour.reflection_ends_at == clock.at + 600_000
    clock.move(DAY_S)
    sessions.start(journal)
    assert sessions.end(journal).hour.reflection_ends_at == clock.at + 1_800_000


def test_a_new_zone_moves_no_past_day(journal: Journal, challenge: Challenge, clock: MovableClock) -> None:
    sessions.start(journal)
    clock.move(2 * DAY_S)
    challenge_settings.change(journal, time_zone="Asia/Tokyo")
    with journal.reading() as db:
        first = sittings.of_day(db, challenge, date(2026, 3, 2))
    assert first is not None
    assert (first.time_zone, first.day_ends_at) == ("UTC", ms("2026-03-03 04:00"))
    assert sitting(journal).local_date == date(2026, 3, 5)  # it is five in the morning there


def test_a_day_that_is_over_does_not_come_back_in_another_zone(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    """A missed day is lost, also for somebody who flies after the sun."""
    clock.at = ms("2026-03-03 08:00")
    with pytest.raises(OnehourError, match="in Pacific/Honolulu it is still 2026-03-02, a day that is over"):
        challenge_settings.change(journal, time_zone="Pacific/Honolulu")
    clock.at = ms("2026-03-03 14:00")  # four in the morning in Honolulu
    challenge_settings.change(journal, time_zone="Pacific/Honolulu")
    assert sitting(journal).local_date == date(2026, 3, 3)


def test_a_wrong_zone_is_put_right_before_the_first_day(
    journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    clock.at = ms("2026-03-02 08:00")
    challenge_settings.change(journal, time_zone="Pacific/Honolulu")
    assert sitting(journal).day_number == 0


def test_the_checklist_begins_with_the_articles_rules_and_grows(journal: Journal, challenge: Challenge) -> None:
    assert checklist.of(challenge) == list(DEFAULTS)
    rules = checklist.marked(checklist.added(DEFAULTS, "two final submissions "), 4, True)
    challenge_settings.change(journal, checklist=checklist.dropped(rules, 1))
    assert [(rule.text, rule.kept) for rule in checklist.of(stored(journal))] == [
        (DEFAULTS[1].text, False),
        (DEFAULTS[2].text, False),
        ("two final submissions", True),
    ]
    with pytest.raises(OnehourError, match="on the checklist already"):
        challenge_settings.change(journal, checklist=checklist.added(DEFAULTS, DEFAULTS[0].text))
    with pytest.raises(OnehourError, match="there is no rule 9"):
        checklist.dropped(DEFAULTS, 9)


def test_the_command_changes_what_is_named_and_shows_all(
    journal: Journal,
    challenge: Challenge,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "my-secret")
    template = tmp_path / "template.md"
    template.write_text("## Versuch\n", encoding="utf-8")
    changes = ["--habit-at", "20:00", "--target", "code=100", "--note-template", str(template)]
    assert cli.main(["settings", *changes, "--add-rule", "two final submissions", "--kept", "2", "--json"]) == EXIT_OK
    found = json.loads(capsys.readouterr().out)
    assert (found["habit_at"], found["note_template"], found["target_split"]["code"]) == ("20:00", "## Versuch\n", 1.0)
    assert [rule["kept"] for rule in found["checklist"]] == [False, True, False, False]
    assert list(found["backends"]) == ["local"]
    assert found["keys"]["Kaggle credentials"].startswith("in KAGGLE_API_TOKEN")
    assert cli.main(["settings"]) == EXIT_OK
    said = capsys.readouterr().out
    assert f"backends            local: {', '.join(found['backends']['local'])}" in said
    assert "Kaggle credentials: in KAGGLE_API_TOKEN" in said
    assert "my-secret" not in json.dumps(found) + said
    assert "4 [ ] two final submissions" in said
    assert "cannot be changed   starts on, days" in said
    assert cli.main(["settings", "--time-zone", "Europe/Berln"]) == EXIT_BAD_INPUT
    assert cli.main(["settings", "--note-template", str(tmp_path / "none.md")]) == EXIT_BAD_INPUT


def test_the_data_folder_is_changed_and_checked_as_at_the_start(
    journal: Journal, challenge: Challenge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = competition_folder(tmp_path / "moved")
    assert cli.main(["settings", "--data", str(moved)]) == EXIT_OK
    assert stored(journal).data_dir == str(moved)
    (moved / "train.csv").unlink()
    for folder, reason in ((moved, "there is no train.csv"), (tmp_path / "none", "no such data folder")):
        assert cli.main(["settings", "--data", str(folder), "--habit-at", "20:00"]) == EXIT_BAD_INPUT
        assert reason in capsys.readouterr().err
    assert stored(journal).habit_at is None


def test_the_command_restricts_the_backends_that_runs_may_use(
    journal: Journal, challenge: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["settings", "--backends", "local, colab"]) == EXIT_OK
    said = capsys.readouterr()
    assert "allowed backends    local, colab\n" in said.out
    assert said.err == f"colab is not set up yet: {COMMAND} backend setup colab\n"
    assert cli.main(["settings", "--backends", "kaggle, colab"]) == EXIT_OK
    assert "allowed backends    kaggle, colab\n" in capsys.readouterr().out
    assert challenges.allowed_backends(stored(journal)) == ["kaggle", "colab"]
    assert cli.main(["settings", "--backends", ""]) == EXIT_OK
    assert "allowed backends    all\n" in capsys.readouterr().out

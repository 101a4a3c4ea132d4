import json
from datetime import date
from pathlib import Path

import pytest
import typer

from app import cli
from app.commands import terminal
from app.jobs import specs
from app.journal import challenges
from app.journal.home import Home
from app.journal.store import open_journal
from engine.contract import EXIT_AGAINST_RULES, EXIT_BAD_INPUT, EXIT_OK
from tests.conftest import CHECKOUT, competition_folder

pytestmark = pytest.mark.usefixtures("migrated_home")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return competition_folder(tmp_path / "images")


def init(data_dir: Path, *more: str) -> int:
    return cli.main(["init", "--competition", "humpback", "--data", str(data_dir), "--time-zone", "UTC", *more])


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert cli.main([*arguments, "--json"]) == EXIT_OK
    parsed: dict[str, object] = json.loads(capsys.readouterr().out)
    return parsed


def test_a_day_can_be_walked_from_the_terminal(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(data_dir, "--days", "30", "--minutes", "45", "--reflection-minutes", "5") == EXIT_OK
    assert status(capsys, "session", "status")["state"] == "idle"
    started = status(capsys, "session", "start")
    assert (started["state"], started["day"], started["days"]) == ("focus", 1, 30)
    assert 2_690 < float(str(started["left_s"])) <= 2_700
    assert cli.main(["todo", "add", "look at crops", "--minutes", "15"]) == EXIT_OK
    assert cli.main(["todo", "add", "read the write-up"]) == EXIT_OK
    assert cli.main(["todo", "done", "1"]) == EXIT_OK
    capsys.readouterr()
    assert cli.main(["todo", "list"]) == EXIT_OK
    assert capsys.readouterr().out == "2  read the write-up\n"
    assert status(capsys, "session", "pause")["state"] == "paused"
    assert status(capsys, "session", "resume")["state"] == "focus"
    assert status(capsys, "session", "end")["state"] == "reflection"
    assert status(capsys, "session", "close")["state"] == "closed"
    assert cli.main(["day"]) == EXIT_OK
    assert "- look at crops" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["todo", "add", "x"], "Start the hour first"),
        (["session", "close"], "nothing to close"),
        (["queue", "cpu-transfer", "--hypothesis", "h"], "Start the hour first"),
    ],
)
def test_outside_the_hour_a_command_exits_with_3_and_one_sentence(
    data_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    init(data_dir)
    capsys.readouterr()
    assert cli.main(arguments) == EXIT_AGAINST_RULES
    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err
    assert len(said.err.splitlines()) == 1


def test_a_second_start_exits_with_3_and_the_reason(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(data_dir)
    cli.main(["session", "start"])
    assert cli.main(["session", "start"]) == EXIT_AGAINST_RULES
    assert "already running" in capsys.readouterr().err
    cli.main(["session", "close"])
    assert cli.main(["session", "start"]) == EXIT_AGAINST_RULES
    assert "Next hour: tomorrow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--time-zone", "Mars/Olympus"], "no time zone 'Mars/Olympus'"),
        (["--starts-on", "2020-01-01"], "in the past"),
        (["--starts-on", "soon"], "YYYY-MM-DD"),
        (["--minutes", "-5"], "-5 minutes"),
        (["--mode", "dayly"], "Did you mean 'daily'?"),
        (["--dais", "3"], "--days"),
        (["--data", "nowhere"], "nowhere"),
        (["--rest-day", "sunday"], "'sunday' is no date"),
        (["--rest-day", "2020-01-01"], "2020-01-01 is no day of the challenge"),
        (["--rule", "x" * 301], "rule 4 of the checklist has 301 characters"),
        (["--data", str(CHECKOUT)], "there is no train.csv, no sample_submission.csv, no train/"),
    ],
)
def test_impossible_rules_exit_with_2_and_nothing_is_kept(
    data_dir: Path, home: Home, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert init(data_dir, *arguments) == EXIT_BAD_INPUT
    assert reason in capsys.readouterr().err
    assert cli.main(["session", "status"]) == EXIT_BAD_INPUT
    assert "no challenge yet" in capsys.readouterr().err


def test_init_takes_days_of_rest_and_rules_of_the_competition(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--rest-day", "2099-01-03", "--rest-day", "2099-01-02", "--rest-day", "2099-01-03"]
    rules = ["--rule", "one GPU; nine hours", "--rule", "no external data"]
    assert init(data_dir, "--starts-on", "2099-01-01", *rest, *rules) == EXIT_OK
    found = status(capsys, "settings")
    assert found["rest_days"] == ["2099-01-02", "2099-01-03"]
    assert [rule["text"] for rule in found["checklist"]][3:] == ["one GPU; nine hours", "no external data"]  # type: ignore[index, attr-defined]


def test_init_in_a_terminal_asks_for_each_with_a_default(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers: first day, days, minutes, reflection as they are, then weekly, a day of rest and two rules."""
    monkeypatch.setattr(terminal, "in_terminal", lambda: True)
    answers = iter(["2099-01-01", 60, 60.0, 10.0, "weekly", "2099-01-04", "one GPU; no external data"])
    questions: list[str] = []

    def answer(question: str, **_: object) -> object:
        questions.append(question)
        return next(answers)

    monkeypatch.setattr(typer, "prompt", answer)
    assert init(data_dir) == EXIT_OK
    assert any("daily or weekly?" in each and "seven flexible hours" in each for each in questions)
    found = status(capsys, "settings")
    assert (found["mode"], found["rest_days"]) == ("weekly", ["2099-01-04"])
    assert [rule["text"] for rule in found["checklist"]][3:] == ["one GPU", "no external data"]  # type: ignore[index, attr-defined]


@pytest.mark.parametrize(("typed", "meant"), [(["sesion"], "session"), (["session", "strat"], "start")])
def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str], typed: list[str], meant: str) -> None:
    assert cli.main(typed) == EXIT_BAD_INPUT
    assert f"Did you mean '{meant}'" in capsys.readouterr().err


def test_init_without_a_terminal_names_what_it_cannot_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "--competition", "humpback"]) == EXIT_BAD_INPUT
    assert "--data DIR" in capsys.readouterr().err


def test_a_queued_run_is_written_down_with_its_experiment_and_shown(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(data_dir)
    cli.main(["session", "start"])
    capsys.readouterr()
    arguments = ["queue", "--looked-at", "cpu-transfer", "--hypothesis", "More epochs help", "--set", "seed=3"]
    assert cli.main(arguments) == EXIT_OK
    said = capsys.readouterr().out
    assert "humpback_001-r01 queued" in said
    assert "No worker is running" in said
    assert cli.main(arguments) == EXIT_OK
    assert cli.main(["cancel", "humpback_001-r02"]) == EXIT_OK
    capsys.readouterr()
    assert cli.main(["jobs", "--json"]) == EXIT_OK
    rows = json.loads(capsys.readouterr().out)
    assert [(row["run_key"], row["state"]) for row in rows] == [
        ("humpback_001-r02", "cancelled"),
        ("humpback_001-r01", "queued"),
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["cpu-transfr"], "'cpu-transfer'"),
        (["cpu-transfer", "--set", "sed=3"], "'seed'"),
        (["cpu-transfer", "--set", "seed"], "key=value"),
        (["nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_spec_key_or_preset_exits_with_2_and_the_nearest_name(
    data_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    init(data_dir)
    cli.main(["session", "start"])
    capsys.readouterr()
    assert cli.main(["queue", *arguments, "--hypothesis", "h"]) == EXIT_BAD_INPUT
    assert reason in capsys.readouterr().err
    cli.main(["jobs"])
    assert capsys.readouterr().out == ""


def test_the_inbox_takes_a_thought_before_the_hour_and_says_that_it_is_flagged(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(data_dir)
    capsys.readouterr()
    assert cli.main(["inbox", "add", "mirror the flukes"]) == EXIT_OK
    assert "flagged" in capsys.readouterr().out
    cli.main(["inbox", "list"])
    assert "(outside the hour)  mirror the flukes" in capsys.readouterr().out


def test_a_challenge_can_be_ended_and_another_begun(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(data_dir)
    assert init(data_dir) == EXIT_BAD_INPUT
    assert cli.main(["end-challenge"]) == EXIT_BAD_INPUT
    assert "--yes" in capsys.readouterr().err
    cli.main(["session", "start"])
    cli.main(["queue", "--looked-at", "cpu-transfer", "--hypothesis", "h"])
    assert cli.main(["end-challenge", "--yes"]) == EXIT_BAD_INPUT
    assert "still waiting or under way: humpback_001-r01" in capsys.readouterr().err
    cli.main(["cancel", "humpback_001-r01"])
    assert cli.main(["end-challenge", "--yes"]) == EXIT_OK
    assert init(data_dir) == EXIT_OK
    assert str(date.today().year) in capsys.readouterr().out


def test_a_competition_with_another_metric_and_other_columns_is_taken_on(
    tmp_path: Path, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = competition_folder(tmp_path / "data")
    (folder / "train.csv").write_text("file,species\n", encoding="utf-8")
    base = ["init", "--competition", "leaves", "--data", str(tmp_path / "data"), "--time-zone", "UTC"]
    assert cli.main([*base, "--metric", "log_los"]) == EXIT_BAD_INPUT
    assert "Did you mean 'log_loss'?" in capsys.readouterr().err
    other = ["--metric", "log_loss", "--image-col", "file", "--label-col", "species", "--unknown-label", ""]
    assert cli.main([*base, *other]) == EXIT_OK
    journal = open_journal(home)
    with journal.reading() as db:
        challenge = challenges.active(db)
        spec = specs.resolve(challenge, "cpu-transfer")
    journal.close()
    assert (spec.metric, spec.data.image_col, spec.data.label_col, spec.data.unknown_label) == (
        "log_loss",
        "file",
        "species",
        None,
    )

"""The commands of the queue, as a person types them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import cli
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.conftest import competition_folder


@pytest.fixture
def hour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    competition_folder(tmp_path / "data", rows=2_000)
    init = ["init", "--competition", "humpback", "--data", str(tmp_path / "data"), "--time-zone", "UTC"]
    assert cli.main(init) == EXIT_OK
    assert cli.main(["session", "start"]) == EXIT_OK
    capsys.readouterr()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == EXIT_OK
    return capsys.readouterr().out


@pytest.mark.usefixtures("hour")
def test_a_waiting_run_is_moved(capsys: pytest.CaptureFixture[str]) -> None:
    for hypothesis in ("a", "b", "c"):
        said(capsys, "queue", "cpu-transfer", "--looked-at", "--hypothesis", hypothesis)
    assert said(capsys, "move", "humpback_003-r01", "--first") == "humpback_003-r01: number 1 of those that wait\n"
    assert said(capsys, "move", "humpback_001-r01", "--last") == "humpback_001-r01: number 3 of those that wait\n"
    assert (
        said(capsys, "move", "humpback_001-r01", "--priority", "9") == "humpback_001-r01: number 1 of those that wait\n"
    )


@pytest.mark.usefixtures("hour")
@pytest.mark.parametrize("options", [[], ["--first", "--last"], ["--first", "--priority", "0"]])
def test_where_to_is_said_once(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    said(capsys, "queue", "cpu-transfer", "--looked-at", "--hypothesis", "a")
    assert cli.main(["move", "humpback_001-r01", *options]) == EXIT_BAD_INPUT
    assert "Give one of --first, --last and --priority N." in capsys.readouterr().err


@pytest.mark.usefixtures("hour")
def test_an_end_on_another_day_is_said_with_its_date(capsys: pytest.CaptureFixture[str]) -> None:
    longest = ["--set", "folds=5", "--set", "image_size=[1024,1024]"]  # a day and a half, whatever the clock shows
    told = said(capsys, "queue", "cpu-transfer", "--looked-at", "--hypothesis", "a", *longest)
    assert re.search(r"ends about \d\d:\d\d on \d\d \w{3}", told)

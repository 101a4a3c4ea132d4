"""The commands of the queue, as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app import cli
from app.journal.home import Home
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
    assert "Give one of --first, --last, --priority N and --backend NAME." in capsys.readouterr().err


@pytest.mark.usefixtures("hour")
def test_an_end_on_another_day_is_said_with_its_date(capsys: pytest.CaptureFixture[str]) -> None:
    longest = ["--set", "folds=5", "--set", "image_size=[1024,1024]"]  # a day and a half, whatever the clock shows
    told = said(capsys, "queue", "cpu-transfer", "--looked-at", "--hypothesis", "a", *longest)
    assert re.search(r"ends about \d\d:\d\d on \d\d \w{3}", told)


@pytest.mark.usefixtures("hour")
def test_a_comparison_and_the_night_it_fills(capsys: pytest.CaptureFixture[str], home: Home) -> None:
    asked = ["queue", "cpu-transfer", "--looked-at", "--hypothesis", "a", "--grid", "seed=1,2", "--grid", "folds=2,3"]
    assert cli.main(asked) == EXIT_BAD_INPUT
    assert "folds must be the same in all runs of a comparison" in capsys.readouterr().err
    told = said(capsys, *asked[:-2])
    assert [line.partition(" ")[0] for line in told.splitlines()[:2]] == ["humpback_001-r01", "humpback_001-r02"]
    home.config_toml.write_text('[backends.local]\ntime_limit = "1min"\n')
    assert cli.main(["queue", "cpu-transfer", "--hypothesis", "b"]) == EXIT_BAD_INPUT
    refused = capsys.readouterr().err
    assert "it will pass the limit of 1 min of local in fold 1 of 3 at epoch 1" in refused
    assert "(--yes)" in refused
    said(capsys, "queue", "cpu-transfer", "--hypothesis", "b", "--yes")
    night = said(capsys, "night")
    assert re.search(r"humpback_002-r01: .* restarts at the limit", night)
    assert "Nobody starts the jobs of local just now" in night
    (slot,) = json.loads(said(capsys, "night", "--json"))["slots"]
    assert [job["run"] for job in slot["jobs"]] == ["humpback_001-r01", "humpback_001-r02", "humpback_002-r01"]


@pytest.mark.usefixtures("hour")
def test_a_run_is_sent_to_another_backend_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "queue", "cpu-transfer", "--looked-at", "--hypothesis", "a")
    assert said(capsys, "move", "humpback_001-r01", "--backend", "local") == "humpback_001-r01: waits for local\n"
    assert cli.main(["move", "humpback_001-r01", "--backend", "gpu-box"]) == EXIT_BAD_INPUT
    assert "there is no backend 'gpu-box'. Set it up with:" in capsys.readouterr().err

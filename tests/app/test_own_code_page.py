"""docs/own-code.md: its example does what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.jobs import own_command
from app.jobs.programme import RUN_DIR
from app.scores import own_results
from engine.contract import CommandSpec
from engine.run_folder import RunFolder
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.unit

PAGE = (CHECKOUT / "docs" / "own-code.md").read_text(encoding="utf-8")
SPEC = CommandSpec(argv=("true",), cwd="/")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


class Table:
    """What predict gives: a table that writes itself."""

    def to_csv(self, path: Path, index: bool) -> None:
        path.write_text("Image,Id\n")


def test_the_example_leaves_a_cv_folds_curves_progress_and_a_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    monkeypatch.setenv(own_command.DATA_DIR, str(tmp_path))
    scores = [0.25, 0.5, 0.75]
    given: dict[str, Any] = {"train_and_validate": lambda _, fold: scores[fold], "predict": lambda _: Table()}
    exec(compile(block("python"), "own-code.md", "exec"), given)
    folder = RunFolder(tmp_path)
    found = own_results.read(SPEC, folder.run_id, folder)
    assert (found.columns["cv"], [one.score for one in found.fold_scores], found.remarks) == (0.5, scores, ())
    assert found.submission == folder.submission_csv
    assert [row.values["valid/map5"] for row in folder.epochs()] == scores
    folder.result_json.unlink()
    assert folder.progress() == 1.0


def test_the_result_that_it_shows_is_read_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.result_json.write_text(block("json"))
    found = own_results.read(SPEC, folder.run_id, folder)
    told = json.loads(block("json"))
    assert (found.columns["cv"], found.columns["images"]) == (told["cv"], told["images"])
    assert found.remarks == tuple(told["notes"])


def test_every_variable_that_it_names_is_told() -> None:
    named = set(re.findall(r"`((?:ONEHOUR|WANDB)_[A-Z_]+)`", PAGE))
    code = (CHECKOUT / "app" / "jobs" / "own_command.py").read_text() + (
        CHECKOUT / "app" / "jobs" / "programme.py"
    ).read_text()
    assert named <= set(re.findall(r'"((?:ONEHOUR|WANDB)_[A-Z_]+)"', code))

"""Runs from W&B where a person meets them: Scores, Settings, search, and the commands."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.cli import main
from app.jobs import wandb_folders
from app.journal.search import Asked, search
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.scores import wandb_runs, wandb_sources
from app.views import desk
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.app.test_boards import add_run
from tests.app.test_wandb_folders import START, logged
from tests.app.wandb_files import chunks, offline_dir, run_record

PAGE = """
from app.journal import challenges, sittings
from app.views import desk, {name}
journal = desk.current_journal()
with journal.reading() as db:
    at = sittings.sitting(db, challenges.active(db), journal.now())
desk.say_refusal()
{name}.show(journal, at)
"""


@pytest.fixture
def filled(journal: Journal, challenge: Challenge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Challenge:
    """A run of ours, a group of two and a run alone on the first day."""
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    add_run(journal, challenge, 1, date(2026, 3, 2), 0.5)
    for fold, score in enumerate((0.6, 0.7)):
        said = {"run_group": "resnet", "notes": "larger images", "tags": ["baseline"]}
        logged(tmp_path, f"f{fold}", at=START + fold, summary={"val_map5": score}, **said)
    logged(tmp_path, "alone", at=START - 9, ended=1, display_name="fearless-lake-1")
    wandb_folders.look_through(journal, challenge, tmp_path)
    return challenge


def page(name: str) -> AppTest:
    at = AppTest.from_string(PAGE.format(name=name)).run(timeout=20)
    assert not at.exception, at.exception
    return at


def test_scores_shows_them_beside_ours_on_the_day_on_which_they_started(filled: Challenge) -> None:
    table = page("scores").dataframe[0].value
    assert table["Run"].tolist() == ["h_001-r01", "resnet", "fearless-lake-1"]
    assert table["W&B"].tolist()[1] == "val_map5 0.650 ± 0.071"
    assert table["What"].tolist()[1:] == ["larger images · 2 runs · whales", "whales"]
    assert table["State"].tolist()[1:] == ["finished", "failed"]
    assert table["Day"].tolist() == [1, 1, 1]


def test_search_finds_them_by_name_notes_tags_and_id_and_no_longer_by_an_old_name(
    journal: Journal, filled: Challenge, tmp_path: Path
) -> None:
    def found(words: str, kind: str = "") -> list[tuple[str, str, str]]:
        with journal.reading() as db:
            return [(hit.kind, hit.title, hit.address) for hit in search(db, filled, Asked(words, kind=kind))]

    alone = ("wandb", "fearless-lake-1", "/runs?wandb=1")
    assert found("fearless-lake") == [alone]
    assert {title for _, title, _ in found("larger images")} == {"f0", "f1"}
    assert {title for _, title, _ in found("baseline whales", kind="wandb")} == {"f0", "f1"}
    path = offline_dir(tmp_path, "alone")
    with path.open("ab") as file:  # the script gives it another name
        file.writelines(chunks([run_record("alone", START - 9, display_name="a better name")], path.stat().st_size))
    wandb_folders.look_through(journal, filled, tmp_path)
    assert (found("fearless-lake"), found("better")) == ([], [("wandb", "a better name", "/runs?wandb=1")])
    with journal.reading() as db:
        run = wandb_runs.named(db, filled, "1")
    assert run is not None
    assert run.name == "a better name", "the number in the address leads to it"


def test_settings_names_what_is_watched_and_what_is_wrong_with_it(
    journal: Journal, filled: Challenge, tmp_path: Path
) -> None:
    at = page("settings")
    at.text_input(key="watch_place").input("whales")
    next(each for each in at.button if each.label == "Watch").click().run(timeout=20)
    assert "'whales' is neither a folder nor a project" in at.warning[0].value.replace("\\", "")
    at.text_input(key="watch_place").input(f" {tmp_path} ")
    next(each for each in at.button if each.label == "Watch").click().run(timeout=20)
    with journal.writing() as db:
        (source,) = wandb_sources.of(db, filled)
        assert source.place == str(tmp_path)
        source.looked_at, source.message = journal.now(), "there is no such folder"
        db.add(source)
    words = "\n".join(one.value for one in page("settings").markdown)
    assert "⚠ there is no such folder" in words
    at = page("settings")
    at.button(key=f"unwatch_{source.id}").click().run(timeout=20)
    with journal.reading() as db:
        assert wandb_sources.of(db, filled) == []


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["wandb", *arguments, "--json"]) == EXIT_OK
    return json.loads(capsys.readouterr().out)


def test_the_commands_take_in_list_adopt_and_watch(
    journal: Journal, challenge: Challenge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts = tmp_path / "scripts"
    logged(scripts, "abc", display_name="fearless-lake-1", summary={"map5": 0.5})
    answer = told(capsys, "import", str(scripts))[str(scripts)]
    assert (answer["files"], answer["new"], answer["problems"]) == (1, 1, [])
    assert told(capsys, "import", str(scripts))[str(scripts)]["new"] == 0
    ((part,),) = told(capsys, "runs", "lake")
    assert (part["wandb_id"], part["local_date"], part["score"]) == ("abc", "2026-03-02", 0.5)
    add_run(journal, challenge, 1, date(2026, 3, 2), 0.5)
    assert main(["wandb", "adopt", "abc", "h_001"]) == EXIT_OK
    assert main(["wandb", "runs"]) == EXIT_OK
    assert "fearless-lake-1 belongs to h_001" in (said := capsys.readouterr().out)
    assert "2026-03-02  finished  whales  fearless-lake-1  abc  map5 0.500  of h_001" in said
    assert main(["wandb", "unadopt", "abc"]) == EXIT_OK
    assert main(["wandb", "adopt", "abd", "h_001"]) == EXIT_BAD_INPUT
    assert "W&B told of no run 'abd'. Did you mean 'abc'?" in capsys.readouterr().err

    assert told(capsys, "watch", str(scripts))["files"] == 1
    (source,) = told(capsys, "watch")
    assert (source["kind"], source["place"], source["message"]) == ("folder", str(scripts), "")
    assert main(["wandb", "unwatch", str(scripts)]) == EXIT_OK
    capsys.readouterr()
    assert told(capsys, "watch") == []
    assert main(["wandb", "import", str(tmp_path / "nowhere")]) == EXIT_BAD_INPUT

"""Runs as a person meets it: the table with its search and columns, several runs compared, the tree, and runs from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from app.jobs import orders, wandb_folders
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, Job, Run
from app.scores import wandb_adoption
from app.views import desk, long_list, run_columns
from engine.contract import OnehourError
from tests.app.test_views import SHOW, page, ran
from tests.app.test_views import texts as escaped
from tests.app.test_wandb_folders import START, logged
from tests.app.trainings import small_spec
from tests.conftest import MovableClock
from tests.e2e.past import finish


@pytest.fixture(autouse=True)
def open_journal_of_the_process(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)


@pytest.fixture
def queue(journal: Journal, challenge: Challenge) -> Callable[..., str]:
    sessions.start(journal)

    def queued(hypothesis: str, cv: float | None = None, **changes: Any) -> str:
        spec = small_spec(Path(challenge.data_dir)).model_copy(update=changes)
        key = orders.queue_run(journal, "cpu-transfer", spec, hypothesis).run_key
        if cv is not None:
            finish(journal, key, cv=cv)
        return key

    return queued


def texts(at: AppTest) -> str:
    """What the page says, as a person reads it."""
    return escaped(at).replace("\\", "")


def shown(at: AppTest, column: str = "Run") -> list[Any]:
    found: list[Any] = at.dataframe[0].value[column].tolist()
    return found


# What Streamlit calls when the head of a column is clicked; AppTest cannot click one.
HEADS = """
from types import SimpleNamespace
import streamlit as st
from app.views import long_list, run_columns
for name in ("CV", "Change"):
    st.session_state[f"head of {name}"] = SimpleNamespace(selection=SimpleNamespace(columns=[name]))
    st.button(name, key=name, on_click=long_list.sort_by_head, args=("runs", f"head of {name}", "order", run_columns.ORDERS_OF))
st.button("tree", key="in the tree", on_click=long_list.sort_by_head, args=("experiments", "head of CV"))
"""


def selected(at: AppTest, key: str, *places: int) -> AppTest:
    """The page with rows of its table selected, as a click does it."""
    at.session_state[key] = {"selection": {"rows": list(places), "columns": [], "cells": []}}
    return ran(at)


def figure(at: AppTest) -> dict[str, Any]:
    (chart,) = at.get("plotly_chart")
    return dict(json.loads(chart.proto.spec))


def test_the_table_tells_change_scores_and_verdict_and_is_narrowed_and_sorted(queue: Callable[..., str]) -> None:
    first, second = queue("whole pictures", 0.5), queue("another seed", 0.6, seed=3)
    third = queue("waits")
    at = page("runs")
    assert shown(at) == [third, second, first]
    assert shown(at, "Change")[1] == "seed: 0 → 3"
    assert shown(at, "Verdict")[1].startswith("▲ helped (+0.100 ± 0.000 against humpback_001-r01")
    assert shown(ran(at.selectbox(key="order").set_value("best CV"))) == [second, first, third]
    assert not [box for box in at.selectbox if box.key == "backend"], "with one backend there is nothing to choose"
    assert shown(ran(at.selectbox(key="which").set_value("helped"))) == [second]
    assert shown(ran(at.selectbox(key="which").set_value("with a CV"))) == [second, first]
    assert shown(ran(at.text_input(key="find_runs").set_value("whole"))) == [first]
    at = ran(at.text_input(key="find_runs").set_value("nowhere"))
    assert "Nothing found. Fewer words find more." in texts(at)
    assert not at.dataframe


def test_runs_of_one_backend_alone_are_shown_where_there_are_several(
    queue: Callable[..., str], journal: Journal
) -> None:
    here, there = queue("whole pictures", 0.5), queue("another seed", 0.6, seed=3)
    with journal.writing() as db:
        job = db.exec(select(Job).join(Run).where(Run.key == there)).one()
        job.backend = "gpu-box"
        db.add(job)
    at = page("runs")
    assert shown(ran(at.selectbox(key="backend").set_value("gpu-box"))) == [there]
    assert shown(ran(at.selectbox(key="backend").set_value("local"))) == [here]
    assert shown(ran(at.selectbox(key="backend").set_value(""))) == [there, here]


def test_a_click_on_a_columns_head_sorts_all_runs_by_it_and_one_more_the_other_way_round(
    queue: Callable[..., str],
) -> None:
    assert set(run_columns.ORDERS_OF) <= {run_columns.FIRST, *run_columns.CELLS}
    first, second, third = queue("a", 0.5), queue("b", 0.6, seed=3), queue("c", 0.55, seed=4)
    at = ran(AppTest.from_string(f"from app.views import runs as view\n{HEADS}{SHOW}"))
    for expected in ([second, third, first], [first, third, second]):
        at.session_state["runs_page"] = 3
        at = ran(at.button(key="CV").click())
        assert shown(at) == expected
        assert at.session_state["runs_page"] == 1
    ran(at.button(key="Change").click())
    assert [toast.value for toast in at.toast] == ["Rows are not sorted by Change"]
    ran(at.button(key="in the tree").click())
    assert [toast.value for toast in at.toast] == ["Rows are not sorted by CV"]


def test_the_columns_are_chosen_and_kept_with_the_challenge(queue: Callable[..., str]) -> None:
    queue("whole pictures", 0.5)
    at = page("runs")
    assert "Backend" in at.dataframe[0].value
    ran(at.multiselect(key="run_columns").set_value(["CV", "Tags"]))
    assert [*page("runs").dataframe[0].value] == ["Run", "CV", "Tags"]
    ran(page("runs").multiselect(key="run_columns").set_value([]))
    assert "Backend" in page("runs").dataframe[0].value


def test_selected_runs_are_laid_over_each_other_and_their_specs_held_against_each_other(
    queue: Callable[..., str],
) -> None:
    first, second = queue("whole pictures", 0.5), queue("another seed", 0.6, seed=3)
    at = selected(page("runs"), long_list.table_key("runs", ["newest", 2, 1]), 0, 1)
    assert at.selectbox(key="compared_metric").value == "valid/map5"
    lines = figure(at)["data"]
    assert {line["name"] for line in lines if "name" in line} == {first, second}
    assert len(lines) == 6, "low, high and mean of two folds each"
    table = at.dataframe[1].value
    assert table[["Key", second, first]].to_numpy().tolist() == [["seed", "3", "0"]]
    ran(at.toggle(key="compared_band").set_value(False))
    assert [line["name"] for line in figure(at)["data"]][:2] == [f"{second} fold 0", f"{second} fold 1"]
    ran(at.segmented_control(key="compared_over").set_value("time"))
    assert "No times are known of these curves" in texts(at)


def test_a_run_tells_why_it_has_no_verdict_and_shows_curves_and_spec(queue: Callable[..., str]) -> None:
    queue("whole pictures", 0.5)
    at = page("runs")
    assert "No verdict: no run with scores of folds before it." in texts(at)
    ran(at.segmented_control(key="run_part").set_value("Curves"))
    assert figure(at)["layout"]["yaxis"]["title"]["text"] == "valid/map5"
    ran(at.segmented_control(key="run_part").set_value("Spec"))
    assert any('"folds": 2' in block.value for block in at.code)


def test_an_address_that_names_no_run_says_so_and_a_waiting_run_shows_its_spec(queue: Callable[..., str]) -> None:
    queue("waits")
    at = AppTest.from_string(f"from app.views import runs as view\n{SHOW}")
    at.query_params["run"] = "humpback_009-r01"
    ran(at)
    assert "There is no run humpback_009-r01 in this challenge." in texts(at)
    ran(at.toggle(key="open_spec").set_value(True))
    assert any('"folds": 2' in block.value for block in at.code)


def test_a_note_and_tags_are_kept_and_greyed_after_the_hour(
    queue: Callable[..., str], journal: Journal, challenge: Challenge, clock: MovableClock
) -> None:
    key = queue("whole pictures", 0.5)
    at = page("runs")
    at.text_area(key="run_note_1").set_value("The notch is blurred")
    at.text_input(key="run_tags_1").set_value("#crops, seen")
    ran(next(button for button in at.button if button.label == "Keep").click())
    at = page("runs")
    assert (at.text_area(key="run_note_1").value, at.text_input(key="run_tags_1").value) == (
        "The notch is blurred",
        "#crops #seen",
    )
    at.text_input(key="run_tags_1").set_value("a=b")
    ran(next(button for button in at.button if button.label == "Keep").click())
    assert "'a=b' is no tag" in texts(at)
    clock.move(61 * 60)
    at = page("runs")
    assert at.text_area(key="run_note_1").disabled
    assert "The hour is over" in texts(at)
    assert key in shown(at)


def test_the_tree_shows_what_was_changed_and_opens_the_best_run(queue: Callable[..., str]) -> None:
    first, second, third = queue("whole pictures", 0.5), queue("another seed", 0.6, seed=3), queue("worse", 0.4, seed=5)
    at = ran(page("runs").segmented_control(key="runs_part").set_value("Tree"))
    assert shown(at, "Experiment") == ["whole pictures", "\u2003└ another seed", "\u2003\u2003└ worse"]
    assert shown(at, "What was changed")[1:] == ["seed: 0 → 3", "seed: 3 → 5"]
    at = selected(at, long_list.table_key("tree", [first, second, third]), 1)
    assert f"**{second}**" in texts(at)
    at = ran(at.toggle(key="to_the_best").set_value(True))
    assert shown(at, "Best run") == [first, second]
    assert third not in shown(at, "Best run")


@pytest.fixture
def foreign(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    """A group of two runs and a run alone."""
    for fold, score in enumerate((0.6, 0.7)):
        said = {"run_group": "resnet", "notes": "larger images"}
        logged(tmp_path, f"f{fold}", at=START + fold, summary={"val_map5": score}, **said)
    logged(tmp_path, "alone", at=START - 9, ended=1, display_name="fearless-lake-1")
    wandb_folders.look_through(journal, challenge, tmp_path)


@pytest.mark.usefixtures("foreign")
def test_runs_from_elsewhere_are_listed_adopted_and_taken_away_again(journal: Journal, challenge: Challenge) -> None:
    with journal.writing() as db:
        db.add(Experiment(challenge_id=challenge.id, key="h_001", hypothesis="h", origin="system", created_at=0))
    at = ran(page("runs").segmented_control(key="runs_part").set_value("Elsewhere"))
    assert shown(at, "Name") == ["resnet", "fearless-lake-1"]
    for order, first in {"name": "fearless-lake-1", "best score": "resnet", "oldest": "fearless-lake-1"}.items():
        assert shown(ran(at.selectbox(key="foreign_order").set_value(order)), "Name")[0] == first
    ran(at.selectbox(key="foreign_order").set_value("newest"))
    assert "**resnet** · whales · finished · val_map5 0.650 ± 0.071" in texts(at)
    assert wandb_adoption.adopt(journal, challenge, "resnet", "h_001").name == "resnet", "by the name of its group"
    with pytest.raises(OnehourError, match=r"no run 'resnett'. Did you mean 'resnet'"):
        wandb_adoption.adopt(journal, challenge, "resnett", "h_001")
    wandb_adoption.unadopt(journal, challenge, "resnet")
    at.text_input(key="adopting").set_value("h_002")
    ran(at.button(key="adopt").click())
    assert "There is no experiment 'h_002'" in texts(at)
    at.text_input(key="adopting").set_value("h_001")
    ran(at.button(key="adopt").click())
    assert shown(at, "Experiment")[0] == "h_001"
    assert "Belongs to h_001" in texts(at)
    ran(at.button(key="unadopt").click())
    assert shown(at, "Experiment")[0] is None


@pytest.mark.usefixtures("foreign")
def test_a_run_names_what_else_its_experiment_was_given(
    queue: Callable[..., str], journal: Journal, challenge: Challenge
) -> None:
    queue("whole pictures", 0.5)
    wandb_adoption.adopt(journal, challenge, "alone", "humpback_001")
    assert "Of the same experiment, from elsewhere: [fearless-lake-1](/runs?wandb=1)" in texts(page("runs"))


@pytest.mark.usefixtures("foreign")
def test_curves_of_ours_and_of_runs_from_elsewhere_are_laid_over_each_other(queue: Callable[..., str]) -> None:
    first, second = queue("whole pictures", 0.5), queue("another seed", 0.6, seed=3)
    at = selected(page("runs"), long_list.table_key("runs", ["newest", 2, 1]), 0, 1)
    assert legend(at) == [second, first]
    beside = at.multiselect(key="compared_beside")
    assert beside.options == ["resnet", "fearless-lake-1"]
    ran(beside.set_value(["alone", "f1"]))  # by the id of one of its runs too
    assert legend(at) == [second, first], "they logged no valid/map5"
    ran(at.selectbox(key="compared_metric").set_value("loss"))
    assert legend(at) == ["fearless-lake-1", "resnet"]
    ran(at.multiselect(key="compared_beside").set_value(["nowhere"]))
    assert "There is no run nowhere." in texts(at)

    at = ran(page("runs").segmented_control(key="runs_part").set_value("Elsewhere"))
    assert legend(at) == ["resnet"]
    ran(at.multiselect(key="foreign_beside").set_value([first]))
    ran(at.selectbox(key="foreign_metric").set_value("valid/map5"))
    assert legend(at) == [first]


def legend(at: AppTest) -> list[str]:
    return [line["name"] for line in figure(at)["data"] if "name" in line]


@pytest.mark.usefixtures("foreign")
def test_the_address_of_a_run_from_elsewhere_leads_to_it(journal: Journal) -> None:
    at = AppTest.from_string(f"from app.views import runs as view\n{SHOW}")
    at.query_params["wandb"] = "alone"
    ran(at)
    assert "**fearless-lake-1**" in texts(at)
    ran(at.toggle(key="foreign_facts").set_value(True))
    assert len(at.json) == 2


def test_without_any_run_from_elsewhere_the_way_to_one_is_told(challenge: Challenge) -> None:
    at = ran(page("runs").segmented_control(key="runs_part").set_value("Elsewhere"))
    assert "Settings says which folders and projects are read" in texts(at)

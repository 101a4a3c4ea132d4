"""The Settings page as Streamlit runs it, without a browser."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.jobs import config_file, errands, signals
from app.jobs.backends import local
from app.jobs.backends.interface import Probe
from app.journal import challenge_settings, challenges, checklist, notes, rest_days
from app.journal.checklist import DEFAULTS
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views import desk
from tests.conftest import competition_folder

SCRIPT = """
from app.journal import challenges, sittings
from app.views import desk, settings
journal = desk.current_journal()
with journal.reading() as db:
    at = sittings.sitting(db, challenges.active(db), journal.now())
desk.say_refusal()
settings.show(journal, at)
"""


def stored(journal: Journal) -> Challenge:
    with journal.reading() as db:
        return challenges.active(db)


@pytest.fixture
def opened(journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    return ran(AppTest.from_string(SCRIPT))


def ran(acted: Any) -> AppTest:
    at: AppTest = acted.run(timeout=20)
    assert not at.exception, at.exception
    return at


def button(at: AppTest, label: str) -> Any:
    return next(each for each in at.button if each.label == label)


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.caption, *at.warning))


def test_the_page_keeps_the_hours_settings(opened: AppTest, journal: Journal) -> None:
    opened.text_input(key="set_habit_at").input("20:00")
    opened.number_input(key="set_code").set_value(60)
    opened.number_input(key="set_read").set_value(40)
    ran(button(opened, "Keep").click())
    found = stored(journal)
    assert found.habit_at == "20:00"
    assert json.loads(found.target_split or "") == {"read": 0.4, "plan": 0.0, "code": 0.6, "analyse": 0.0}


def test_the_page_says_what_is_refused_and_keeps_what_was_typed(opened: AppTest, journal: Journal) -> None:
    opened.number_input(key="set_code").set_value(60)
    opened.text_input(key="set_habit_at").input("20:00")
    ran(button(opened, "Keep").click())
    assert "The shares add up to 60 %" in opened.warning[0].value
    assert opened.number_input(key="set_code").value == 60
    assert stored(journal).habit_at is None


def test_the_page_plans_rest_and_takes_it_back(opened: AppTest, journal: Journal, challenge: Challenge) -> None:
    opened.date_input(key="rest_on").set_value(date(2026, 3, 8))
    ran(button(opened, "Plan it").click())
    with journal.reading() as db:
        assert rest_days.of(db, challenge) == [date(2026, 3, 8)]
    ran(opened.button(key="rest_2026-03-08").click())
    assert "None is planned." in texts(opened)


def test_the_page_ticks_adds_and_drops_rules(opened: AppTest, journal: Journal) -> None:
    ran(opened.checkbox[1].check())
    opened.text_input(key="rule_text").input("two *final* submissions")
    ran(button(opened, "Add").click())
    assert "1 of 4 checked" in texts(opened)
    assert opened.checkbox[3].label == r"two \*final\* submissions"
    ran(next(each for each in opened.button if each.label == "Drop").click())
    assert [(rule.text, rule.kept) for rule in checklist.of(stored(journal))] == [
        (DEFAULTS[1].text, True),
        (DEFAULTS[2].text, False),
        ("two *final* submissions", False),
    ]


def test_the_template_can_be_ones_own_and_the_built_in_one_again(opened: AppTest, journal: Journal) -> None:
    opened.text_area(key="set_note_template").input("## Versuch\n")
    ran(button(opened, "Keep the template").click())
    assert notes.template(stored(journal)) == "## Versuch\n"
    ran(button(opened, "Back to the built-in one").click())
    assert stored(journal).note_template is None
    assert opened.text_area(key="set_note_template").value == notes.TEMPLATE


def test_the_page_tells_whether_notifications_are_on_and_never_where_they_go(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "off. Set ONEHOUR_NOTIFY" in texts(opened)
    monkeypatch.setenv(signals.ADDRESSES, "ntfy://my-token mailto://me")
    ran(opened)
    assert "on: ONEHOUR_NOTIFY holds 2 addresses" in texts(opened)
    assert "my-token" not in texts(opened) + "".join(block.value for block in opened.code)


def test_the_page_tells_backends_and_which_keys_are_there_and_never_their_values(
    opened: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(local, "cuda_devices", lambda: [0, 1])
    told = texts(ran(opened))
    assert "✓ local :gray[one run at a time on each of: cuda:0, cuda:1]" in told
    assert "– W&B key :gray[none" in told
    assert "– Kaggle credentials :gray[none" in told
    assert "– notification addresses :gray[none" in told
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password my-secret\n")
    monkeypatch.setenv("KAGGLE_USERNAME", "my-name")
    monkeypatch.setenv("KAGGLE_KEY", "my-secret")
    told = texts(ran(opened))
    assert r"✓ W&B key :gray[in \~/.netrc" in told
    assert r"✓ Kaggle credentials :gray[in KAGGLE\_USERNAME and KAGGLE\_KEY" in told
    assert "my-" not in told


def test_the_page_says_why_the_rest_cannot_be_changed(opened: AppTest) -> None:
    assert "days **60** :gray[A challenge that grows" in texts(opened)
    assert r"\[\[day-12\]\]" in texts(opened)


def test_the_page_changes_the_data_folder_and_refuses_one_that_lacks_the_files(
    opened: AppTest, journal: Journal, tmp_path: Path
) -> None:
    moved = competition_folder(tmp_path / "moved")
    opened.text_input(key="set_data_dir").input(f" {moved} ")
    ran(button(opened, "Keep these").click())
    opened.text_input(key="set_data_dir").input(str(moved / "train"))
    ran(button(opened, "Keep these").click())
    assert "there is no train.csv" in opened.warning[0].value
    assert stored(journal).data_dir == str(moved)


def test_the_page_restricts_the_backends_and_lets_all_be_used_again(
    journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not Path(challenge.data_dir, "train.csv").exists(), "the data's disk is away, which is no matter here"
    challenge_settings.change(journal, backends="kaggle")  # not set up yet, or not any more
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    at = ran(AppTest.from_string(SCRIPT))
    assert at.multiselect(key="set_backends").value == ["kaggle"]
    at.multiselect(key="set_backends").set_value(["local"])
    ran(button(at, "Keep these").click())
    assert challenges.allowed_backends(stored(journal)) == ["local"]
    at.multiselect(key="set_backends").set_value([])
    ran(button(at, "Keep these").click())
    assert challenges.allowed_backends(stored(journal)) is None


def test_the_page_shows_each_machine_with_what_the_last_look_found_and_lets_it_be_looked_at_again(
    opened: AppTest, journal: Journal
) -> None:
    config_file.write(journal.home, "gpu-box", {"kind": "ssh", "host": "box", "slots": ["cuda:0", "cuda:1"]})
    told = texts(ran(opened))
    assert "✓ gpu-box :gray[one run at a time on each of: gpu-box/cuda:0, gpu-box/cuda:1]" in told
    assert "looked at" not in told
    ran(opened.button(key="look_gpu-box").click())
    assert opened.button(key="look_gpu-box").label == "Looking …"
    assert opened.button(key="look_gpu-box").disabled
    found = Probe("3.11.7", {"torch": "2.14.1"}, ("0: NVIDIA H100",), 81.3e9, 0.0, problems=("Its clock is *slow*.",))
    with journal.writing() as db:
        errand = errands.newest(db, "probe", "gpu-box")
        assert errand is not None
        errand.state, errand.answer, errand.ended_at = errands.DONE, json.dumps(asdict(found)), journal.now()
        db.add(errand)
    told = texts(ran(opened))
    assert "looked at 2026-03-02 20:00: Python 3.11.7, 1 GPU: 0: NVIDIA H100, 81.3 GB free" in told.replace("\\", "")
    assert r"– gpu-box" in told
    assert r":orange[Its clock is \*slow\*.]" in told
    ran(opened.button(key="look_gpu-box").click())
    with journal.writing() as db:
        errand = errands.newest(db, "probe", "gpu-box")
        assert errand is not None
        errand.state, errand.message, errand.ended_at = errands.FAILED, "gpu-box: no answer within 15 s.", journal.now()
        db.add(errand)
    told = texts(ran(opened))
    assert ":orange[gpu-box: no answer within 15 s.]" in told.replace("\\", "")
    assert "Python 3.11.7" in told


def test_the_page_says_what_is_wrong_in_config_toml(opened: AppTest, journal: Journal) -> None:
    journal.home.config_toml.write_text('[backends.gpu-box]\nkind = "ssh"\nhots = "box"\n')
    told = texts(ran(opened)).replace("\\", "")
    assert "– gpu-box :gray[no slots known]" in told
    assert "unknown key 'hots'. Did you mean 'host'?" in told
    assert opened.button(key="look_gpu-box").disabled
    journal.home.config_toml.write_text("[[[")
    assert "config.toml: it cannot be read" in texts(ran(opened)).replace("\\", "")

"""The Data page and the look that a new augmentation waits for, with the real engine on a drawn handful of pictures."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from app import cli
from app.commands import terminal
from app.jobs import data_checks, orders, specs
from app.journal import looks, sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Run
from app.views import desk
from engine.check_folder import CheckFolder, FoundBoxes, found_boxes_json, least_certain_jpg
from engine.contract import OnehourError, RunSpec
from tests.conftest import MovableClock

AFFINE = "augment=[{name: Affine, args: {rotate: [20, 20], border_mode: 0, p: 1.0}}]"


@pytest.fixture
def pictures(challenge: Challenge) -> Path:
    """A competition of eight pictures of two whales; one picture is there twice, under both."""
    data, rng = Path(challenge.data_dir), np.random.default_rng(0)
    for name in ("train", "test"):
        (data / name).mkdir()
    rows = []
    for number in range(6):
        cv2.imwrite(str(data / "train" / f"{number}.png"), rng.integers(0, 255, (40, 60, 3), np.uint8))
        rows.append(f"{number}.png,w_{number % 2}\n")
    (data / "train" / "6.png").write_bytes((data / "train" / "0.png").read_bytes())
    rows.append("6.png,w_1\n")
    cv2.imwrite(str(data / "test" / "t.png"), rng.integers(0, 255, (40, 60, 3), np.uint8))
    (data / "train.csv").write_text("Image,Id\n" + "".join(rows))
    (data / "sample_submission.csv").write_text("Image,Id\nt.png,new_whale\n")
    return data


def asked(challenge: Challenge, *overrides: str) -> RunSpec:
    return specs.resolve(challenge, "sample-quick", overrides)


def reason(journal: Journal, challenge: Challenge, spec: RunSpec) -> str:
    with journal.reading() as db:
        return data_checks.look(db, challenge, data_checks.augmented(journal.home, challenge, spec)).reason


def test_a_new_geometry_waits_for_a_look_and_other_changes_do_not(journal: Journal, challenge: Challenge) -> None:
    spec = asked(challenge, AFFINE)
    assert "(Affine) are new" in reason(journal, challenge, spec)
    data_checks.looked_at(journal, spec)
    assert reason(journal, challenge, spec) == ""
    assert reason(journal, challenge, asked(challenge, AFFINE, "seed=3", "image_size=[32,64]")) == ""
    assert "new" in reason(journal, challenge, asked(challenge, AFFINE.replace("20, 20", "5, 5")))
    assert reason(journal, challenge, asked(challenge, "augment=[{name: RandomBrightnessContrast}]")) == ""


def test_queueing_is_refused_until_the_person_says_that_they_looked(
    journal: Journal, challenge: Challenge, pictures: Path
) -> None:
    sessions.start(journal)
    spec = asked(challenge, AFFINE)
    with pytest.raises(OnehourError, match="waits for a look"):
        orders.queue_run(journal, "sample-quick", spec, "turned")
    data_checks.looked_at(journal, spec)
    assert orders.queue_run(journal, "sample-quick", spec, "turned").run_key == "humpback_001-r01"


def test_the_sheet_measures_what_is_invented_and_a_risen_share_must_be_looked_at_again(
    journal: Journal, challenge: Challenge, pictures: Path
) -> None:
    spec = asked(challenge, AFFINE, "image_size=[32,64]")
    place = data_checks.make_sheet(journal, spec)
    sheet = place.read_augmented()
    assert sheet is not None
    assert 0.05 < sheet.border_share_mean < 0.6, "a turn by 20 degrees invents corners"
    assert place.augmented_jpg.is_file()
    data_checks.looked_at(journal, spec)
    with journal.reading() as db:
        known = looks.of(db, challenge, sheet.key)
        assert known is not None
        assert known.border_share_max == pytest.approx(sheet.border_share_max)
    looks.record(journal, sheet.key, 0.0, sheet.border_share_max - 0.2)
    assert "when looked at" in reason(journal, challenge, spec)
    assert not data_checks.augmented(journal.home, challenge, spec).other_data
    with (pictures / "train.csv").open("a") as file:
        file.write("0.png,w_0\n")
    assert data_checks.augmented(journal.home, challenge, spec).other_data, "the sheet is of what was there before"


def test_a_check_tells_of_the_picture_with_two_labels(journal: Journal, challenge: Challenge, pictures: Path) -> None:
    data_checks.begin(journal)
    place = data_checks.folder(journal.home, challenge)
    wait_for_check(place)
    checks = place.read_checks()
    assert checks is not None, data_checks.refusal(place)
    assert checks.verdict in ("error", "warning")
    assert any("0.png" in " ".join(check.examples) and "label" in check.sentence for check in checks.checks)


def wait_for_check(place: CheckFolder) -> None:
    """The check holds its folder while it runs: waiting for the lock is waiting for its end."""
    assert data_checks.is_checking(place)
    handle = os.open(place.path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.close(handle)


def test_the_page_shows_the_checks_and_takes_the_look(
    journal: Journal, challenge: Challenge, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    at = page()
    assert "Nobody has looked at these pictures yet" in texts(at)
    data_checks.begin(journal)
    wait_for_check(data_checks.folder(journal.home, challenge))
    at = page()
    assert "**7** training pictures of **2** labels" in texts(at)
    assert "Width 60 to 60, median 60; height 40 to 40, median 40" in texts(at)
    at.selectbox(key="sheet_preset").select("sample-quick")
    ran(at.text_input(key="sheet_overrides").input(f"'{AFFINE}'"))
    ran(at.button(key="draw_sheet").click())
    assert "Invented beyond the border" in texts(at)
    ran(at.button(key="looked_at").click())
    assert ":green[✓] looked at" in texts(at)
    assert "The data was changed since" not in texts(at)
    (pictures / "train" / "6.png").rename(pictures / "train" / "7.png")
    assert "The data was changed since" in texts(ran(at))


def test_the_page_shows_the_crops_that_are_least_certain_and_what_the_box_model_is_worth(
    journal: Journal, challenge: Challenge, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    assert "Least certain" not in texts(page())
    found = pictures / "found.csv"
    least_certain_jpg(found).write_bytes((pictures / "train" / "0.png").read_bytes())
    report = FoundBoxes(boxes=8, learnt={"train": 4, "test": 0}, note="mean IoU on boxes held out: 0.811", skipped=())
    found_boxes_json(found).write_text(report.model_dump_json())
    least_certain_jpg(pictures / "sighted.csv").write_bytes((pictures / "train" / "1.png").read_bytes())
    at = page()
    assert "**Least certain crops of found.csv**" in texts(at)
    assert "Mean IoU on boxes held out: 0.811." in texts(at)
    assert "**Least certain pairs of sighted.csv**" in texts(at)
    found_boxes_json(found).write_text("{}")
    assert "the report of the boxes cannot be read" in texts(page())


def test_measured_numbers_have_a_histogram_of_their_own(
    journal: Journal, challenge: Challenge, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    (pictures / "train.csv").write_text("Image,Id\n" + "".join(f"{i}.png,{i / 4}\n" for i in range(7)))
    data_checks.begin(journal)
    wait_for_check(data_checks.folder(journal.home, challenge))
    shown = texts(page())
    assert "**7** training pictures with a number each" in shown
    assert "**Pictures a number**" in shown
    assert "**Pictures a label**" not in shown


SHOW = """
from app.journal import challenges, sittings
from app.views import data, desk
journal = desk.current_journal()
with journal.reading() as db:
    at = sittings.sitting(db, challenges.active(db), journal.now())
desk.say_refusal()
data.show(journal, at)
"""


def page() -> AppTest:
    return ran(AppTest.from_string(SHOW))


def ran(acted) -> AppTest:
    at = acted.run(timeout=120)
    assert not at.exception, at.exception
    return at


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.caption, *at.warning))


def test_the_commands_draw_look_and_tell(
    journal: Journal,
    challenge: Challenge,
    pictures: Path,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = terminal.open_journal
    monkeypatch.setattr(terminal, "open_journal", lambda home: opened(home, clock))

    def said(*arguments: str, code: int = 0) -> str:
        assert cli.main(["data", *arguments]) == code
        out = capsys.readouterr()
        return out.err if code else out.out

    assert "was not checked yet" in said("show", code=2)
    said("check")
    assert "sheets and facts" in said("show")
    assert "invented beyond the border" in said("sheet", "sample-quick", "--set", AFFINE)
    assert said("looked-at", "sample-quick", "--set", AFFINE) == "sample-quick: looked at\n"
    assert reason(journal, challenge, asked(challenge, AFFINE)) == ""


def test_a_label_that_reads_like_a_number_reaches_the_check_as_text(
    journal: Journal, challenge: Challenge, pictures: Path
) -> None:
    with journal.writing() as db:
        challenge.unknown_label = "-1"
        db.add(challenge)
    command = data_checks.check_command(challenge, data_checks.folder(journal.home, challenge))
    assert command[-1] == 'data.unknown_label="-1"'
    data_checks.begin(journal)
    place = data_checks.folder(journal.home, challenge)
    wait_for_check(place)
    assert place.read_checks() is not None, data_checks.refusal(place)


def test_the_folds_of_an_earlier_run_are_named_from_the_current_folder(
    journal: Journal, challenge: Challenge, pictures: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sessions.start(journal)
    monkeypatch.chdir(tmp_path)
    spec = asked(challenge, "augment=[]", "folds_from=runs/first/folds.csv")
    key = orders.queue_run(journal, "sample-quick", spec, "the same folds").run_key
    with journal.reading() as db:
        stored = db.exec(select(Run).where(Run.key == key)).one()
    assert RunSpec.model_validate_json(stored.spec).folds_from == str(tmp_path / "runs" / "first" / "folds.csv")

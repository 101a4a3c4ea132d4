"""Uploading what a run mirrored offline: shown first, sent once and nothing else, to the server that was named. The real client."""

from __future__ import annotations

import getpass
import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from app.cli import main
from app.jobs import errands, wandb_parcels, wandb_push, wandb_server
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, Job, Run, WandbRun
from app.scores import wandb_runs
from app.scores.board import board_days
from app.scores.runs import take_in
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError, RunSpec
from engine.mirror.wandb_run import WandbMirror
from engine.run_folder import RunFolder
from tests.app import wandb_files
from tests.app.test_boards import FIRST, add_run
from tests.app.trainings import write_epoch, write_result
from tests.conftest import CHECKOUT
from tests.doubles.wandb_server import KEY, Fault, WandbServer

RUN = "h_001-r01"
ROWS = 3


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wandb folder of a run of two folds, as the engine mirrors it offline."""
    import wandb

    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp("nobody")))
        wandb.teardown()
        folder = RunFolder(tmp_path_factory.mktemp("runs") / RUN)
        folder.path.mkdir()
        tracking = {"run_id": RUN, "tags": ["day-1"], "notes": "wider crops", "day": 1, "commit": "c0ffee"}
        spec = RunSpec.model_validate({"data": {"dir": "/home/anna/secret"}, "tracking": tracking})
        for fold in range(2):
            mirror = WandbMirror(spec, folder, fold, {"data_sha256": "d4ta", "started_at": "2026-03-02T20:15:00Z"})
            for step in range(ROWS):
                mirror.log({"epoch": step, "valid/map5": 0.1 * step}, step)
            mirror.log_table("worst", ("image", "label"), [("a.jpg", "w_1")], ROWS - 1, ROWS - 1)
            mirror.finish(failed=False)
        wandb.teardown()
    return folder.wandb_dir


@pytest.fixture
def run(journal: Journal, challenge: Challenge, mirrored: Path) -> RunFolder:
    """A finished run of the challenge with those files in its folder."""
    add_run(journal, challenge, 1, FIRST, 0.5)
    folder = RunFolder(journal.home.run_dir(RUN))
    copied(mirrored, folder.wandb_dir)
    return folder


def copied(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        below = path.relative_to(source)
        if path.is_file() and "tmp" not in below.parts:
            (target / below).parent.mkdir(parents=True, exist_ok=True)
            (target / below).write_bytes(path.read_bytes())


def pushed(journal: Journal) -> Errand:
    """Push all that is unsent, and do it here instead of in a child."""
    sent = wandb_push.unsent(journal)
    errand = wandb_push.ask(journal, RUN, sent.get(RUN, []), wandb_server.address())
    errands.run(journal, errand.id)
    with journal.reading() as db:
        done = db.get(Errand, errand.id)
    assert done is not None
    return done


def row(journal: Journal) -> Run:
    with journal.reading() as db:
        return db.exec(select(Run).where(Run.key == RUN)).one()


def test_what_would_be_sent_is_told_before_anything_is(
    journal: Journal, run: RunFolder, wandb_double: WandbServer
) -> None:
    (parcels,) = wandb_push.unsent(journal).values()
    assert [parcel.wandb_id for parcel in parcels] == [f"{RUN}-f0", f"{RUN}-f1"]
    first = parcels[0]
    assert (first.rows, first.metrics[:2], first.tags, first.notes) == (
        ROWS,
        ("epoch", "valid/map5"),
        ("day-1",),
        "wider crops",
    )
    assert {"backbone", "fold", "commit", "data_sha256", "started_at", "day"} <= set(first.settings)
    (name,) = first.files
    assert (name.startswith("media/html/worst"), first.artifacts, first.about_you) == (True, (), ())
    assert "of you and this computer: nothing but the versions of Python and wandb" in wandb_parcels.told(first)
    assert wandb_double.calls == []


def test_of_a_script_of_ones_own_it_is_told_what_it_says_of_the_person(journal: Journal, tmp_path: Path) -> None:
    told = wandb_parcels.read(wandb_files.log_for_real(tmp_path))
    about = " ".join(told.about_you)
    assert f"host name {socket.gethostname()}" in about
    for words in ("command line", "Python's path", "operating system"):
        assert words in about
    assert "requirements.txt" in told.files
    assert len(told.artifacts) == 1


def test_a_push_sends_exactly_that_once_and_keeps_the_address(
    journal: Journal, challenge: Challenge, run: RunFolder, wandb_double: WandbServer
) -> None:
    shown = [parcel for parcels in wandb_push.unsent(journal).values() for parcel in parcels]
    assert pushed(journal).state == "done"
    for number, parcel in enumerate(shown):
        there = wandb_double.runs["onehour", parcel.wandb_id]
        assert (there.state, there.group, there.tags, there.notes) == ("finished", RUN, ["day-1"], "wider crops")
        assert [row["_step"] for row in there.history] == list(range(ROWS))
        assert set(there.config) - {"_wandb"} == set(parcel.settings)
        assert there.config["fold"] == number
        assert set(there.files) == {*parcel.files, "config.yaml", "wandb-summary.json"}
    sent = b"".join(call.body for call in wandb_double.calls)
    for secret in (
        socket.gethostname(),
        "anna",
        str(journal.home.path),
        str(CHECKOUT),
        sys.executable,
        f"/{getpass.getuser()}/",
    ):
        assert secret.encode() not in sent, secret
    assert [call.path for call in wandb_double.calls if "/sdk/" in call.path] == [], "no telemetry about the client"

    page = f"{wandb_double.url}/me/onehour/runs/{RUN}-f0"
    assert (row(journal).wandb_url, row(journal).wandb_mode) == (page, "uploaded")
    with journal.reading() as db:
        assert sorted(one.url for one in db.exec(select(WandbRun)).all()) == [page, page.replace("-f0", "-f1")]
        assert wandb_runs.count(db, challenge) == 0, "ours are not listed among those of others"
        (day,) = board_days(db, challenge, FIRST, FIRST, journal.now(), {})
    assert (day.runs[0].row.wandb_url, day.foreign_runs) == (page, ())

    wandb_double.calls.clear()
    assert wandb_push.unsent(journal) == {}
    assert pushed(journal).state == "done"
    assert wandb_double.calls == []
    write_epoch(run, 1)
    write_result(run)
    take_in(journal, row(journal), run)  # taken in once more, as after a restart
    assert row(journal).wandb_url == page


def test_only_what_was_shown_is_sent(journal: Journal, run: RunFolder, wandb_double: WandbServer) -> None:
    sent = wandb_push.unsent(journal)[RUN]
    errand = wandb_push.ask(journal, RUN, sent[:1], wandb_double.url)
    errands.run(journal, errand.id)
    assert [run_id for _, run_id in wandb_double.runs] == [f"{RUN}-f0"]
    errand = wandb_push.ask(journal, RUN, sent[1:], wandb_double.url)
    with sent[1].path.open("ab") as file:
        file.write(b"more")
    errands.run(journal, errand.id)
    with journal.reading() as db:
        done = db.get(Errand, errand.id)
    assert done is not None
    with pytest.raises(OnehourError, match=r"run-h_001-r01-f1\.wandb: it is no longer the file that was shown"):
        errands.answer_of(done)
    assert len(wandb_double.runs) == 1


def test_a_server_that_is_gone_is_tried_again_and_one_that_refuses_is_quoted(
    journal: Journal, run: RunFolder, wandb_double: WandbServer
) -> None:
    wandb_double.refused_keys.add(KEY)
    refused = pushed(journal)
    assert refused.state == "failed"
    assert "was not uploaded (" in refused.message
    assert "401" in refused.message
    wandb_double.refused_keys.clear()
    wandb_double.faults.append(Fault(status=503))
    waiting = pushed(journal)
    assert (waiting.state, waiting.due_at) == ("open", journal.now() + 60_000)
    errands.run(journal, waiting.id)
    waiting = pushed(journal)
    assert (waiting.tries, waiting.due_at) == (3, journal.now() + 240_000)
    assert row(journal).wandb_url is None
    wandb_double.faults.clear()
    errands.run(journal, waiting.id)
    assert row(journal).wandb_url is not None


def test_what_cannot_be_pushed_is_named(journal: Journal, run: RunFolder) -> None:
    with pytest.raises(OnehourError, match=r"there is no run 'h_001-r02'. Did you mean 'h_001-r01'"):
        wandb_push.unsent(journal, ["h_001-r02"])
    path = next(run.wandb_dir.glob("*/*.wandb"))
    content = bytearray(path.read_bytes())
    path.write_bytes(content + bytes(40_000))
    with pytest.raises(OnehourError, match="it is damaged and would not be sent whole"):
        wandb_push.unsent(journal)
    path.write_bytes(content)
    with journal.writing() as db:
        job = db.exec(select(Job)).one()
        job.state = "running"
        db.add(job)
    with pytest.raises(OnehourError, match="h_001-r01 is not over"):
        wandb_push.unsent(journal, [RUN])
    assert wandb_push.unsent(journal) == {}


def test_the_command_shows_all_and_sends_only_with_a_yes(
    journal: Journal, run: RunFolder, wandb_double: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["wandb", "push", "--json"]) == EXIT_OK
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["server"], [one["wandb_id"] for one in told["runs"][RUN]]) == (
        wandb_double.url,
        [f"{RUN}-f0", f"{RUN}-f1"],
    )
    assert main(["wandb", "push", RUN]) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert "config: " in said.out
    assert f"would go to {wandb_double.url}" in said.out
    assert "nothing was sent: nobody is there to say yes" in said.err
    assert wandb_double.calls == []
    assert main(["wandb", "push", RUN, "--yes"]) == EXIT_OK
    assert f"{RUN}  {wandb_double.url}/me/onehour/runs/{RUN}-f1" in capsys.readouterr().out
    assert main(["wandb", "push"]) == EXIT_OK
    assert capsys.readouterr().out == "Nothing is left to be sent.\n"


@dataclass
class Page:
    """The piece as a page of its own."""

    test: AppTest

    @property
    def words(self) -> str:
        return "\n".join(one.value for one in (*self.test.markdown, *self.test.caption))


PAGE = f"""
from app.views import desk, wandb_push
wandb_push.show(desk.current_journal(), {RUN!r})
"""


def test_the_page_shows_the_same_list_and_a_button(
    journal: Journal, run: RunFolder, wandb_double: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(AppTest.from_string(PAGE).run())
    assert page.words == ""
    page.test.toggle[0].set_value(True).run()
    assert "of you and this computer: nothing but the versions of Python and wandb" in page.words
    assert page.test.button[0].label.endswith(f" to {wandb_double.url}")
    page.test.button[0].click().run()
    assert "Being uploaded to W&B" in page.words
    with journal.reading() as db:
        errand = errands.newest(db, wandb_push.KIND, RUN)
    assert errand is not None
    assert sorted(json.loads(errand.asked)["seen"]) == sorted(
        str(path.relative_to(journal.home.path)) for path in run.wandb_dir.glob("*/*.wandb")
    )
    errands.run(journal, errand.id)
    page.test.run()
    assert (page.words, len(page.test.toggle)) == ("", 0)


def test_without_a_key_the_button_waits(
    journal: Journal, run: RunFolder, wandb_double: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    page = Page(AppTest.from_string(PAGE).run())
    page.test.toggle[0].set_value(True).run()
    assert page.test.button[0].disabled
    assert "There is no W&B key" in page.words

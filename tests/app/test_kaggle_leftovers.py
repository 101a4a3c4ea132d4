"""What runs left at Kaggle: told, deleted when a person says so, and nothing else of the account with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app import cli
from app.jobs import orders
from app.jobs.backends.kaggle_notes import Note, Notes
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.app.trainings import small_spec
from tests.conftest import competition_folder
from tests.doubles.kaggle_kernels import Dataset, Kernel
from tests.doubles.kaggle_server import USER, KaggleServer

PARCEL = "onehour-data-0123456789abcdef"
OWN = ("whales", "onehour-of-bird-song", "onehour-data-0123456789abcdef-2")
OVER = Note(slug="onehour-humpback-001-r01-7-1-aaaaaaaa", pushed=True, is_over=True, is_home=True)
RUNNING = Note(slug="onehour-humpback-002-r01-8-1-aaaaaaaa", pushed=True)


@pytest.fixture
def account(kaggle: KaggleServer, home: Home, tmp_path: Path) -> KaggleServer:
    """It holds a parcel of a run, a kernel that is over, one that runs, and what the person made."""
    home.config_toml.write_text(
        '[backends.kaggle]\nkind = "kaggle"\ntime_limit = "12h"\n[backends.kaggle-long]\nkind = "kaggle"\ntime_limit = "9h"\n'
        '[backends.box]\nkind = "ssh"\nhost = "box"\nslots = 1\n'
    )
    for slug in (PARCEL, *OWN):
        folder = tmp_path / slug
        folder.mkdir()
        (folder / "parcel.bin").write_bytes(bytes(30_000_000 if slug == PARCEL else 10))
        kaggle.datasets[f"{USER}/{slug}"] = Dataset(folder, {"parcel.bin": folder / "parcel.bin"}, is_private=True)
    for number, note in ((7, OVER), (8, RUNNING)):
        Notes(home.jobs_dir / "kaggle").keep(f"{number}-1", note)
        kaggle.kernels[f"{USER}/{note.slug}"] = Kernel(f"{USER}/{note.slug}")
    return kaggle


def test_it_is_told_first_and_deleted_when_the_person_says_so(
    journal: Journal, account: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["backend", "tidy", "kaggle"]) == EXIT_OK
    told = capsys.readouterr().out
    assert f"0.03 GB  {PARCEL}\n" in told
    assert "1 dataset (0.0 GB) and 1 kernel; nothing was deleted. Delete them with:" in told
    assert (len(account.datasets), len(account.kernels)) == (4, 2)
    assert cli.main(["backend", "tidy", "kaggle", "--yes"]) == EXIT_OK
    assert capsys.readouterr().out.endswith("deleted: 1 dataset (0.0 GB) and 1 kernel\n")
    assert list(account.datasets) == [f"{USER}/{slug}" for slug in OWN]
    assert list(account.kernels) == [f"{USER}/{RUNNING.slug}"]
    assert Notes(journal.home.jobs_dir / "kaggle").of("7-1") == replace(OVER, pushed=False)
    assert cli.main(["backend", "tidy", "kaggle", "--yes"]) == EXIT_OK
    assert "have left nothing in this account" in capsys.readouterr().out


def test_what_somebody_else_deleted_meanwhile_is_no_trouble(
    journal: Journal, account: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    account.kernels.pop(f"{USER}/{OVER.slug}")
    account.fail("DeleteDataset", 403)
    assert cli.main(["backend", "tidy", "kaggle", "--yes"]) == EXIT_OK
    assert "deleted: 1 dataset" in capsys.readouterr().out


def test_nothing_is_deleted_while_a_run_needs_it_nor_where_it_goes_by_itself(
    journal: Journal, challenge: Challenge, account: KaggleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.start(journal)
    orders.queue_run(
        journal, "x", small_spec(competition_folder(tmp_path / "data")), "it works", backend="kaggle", sure=True
    )
    for name in ("kaggle", "kaggle-long"):  # they share the account
        assert cli.main(["backend", "tidy", name, "--yes"]) == EXIT_BAD_INPUT
        assert "1 run waits for kaggle or is under way on it. Cancel or move them first:" in capsys.readouterr().err
    assert cli.main(["backend", "tidy", "box"]) == EXIT_BAD_INPUT
    assert "box is of kind 'ssh'; what runs leave on a machine behind ssh goes by itself" in capsys.readouterr().err
    assert len(account.datasets) == 4

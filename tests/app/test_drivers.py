"""Backends other than this computer: what becomes of their jobs when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.jobs import backlog, config_file, orders
from app.jobs.drivers import Drivers
from app.journal import challenge_settings, sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Job
from engine.contract import OnehourError
from tests.app.trainings import small_spec

pytestmark = pytest.mark.unit


def configure(journal: Journal, name: str) -> None:
    config_file.write(journal.home, name, {"kind": "ssh", "host": name, "slots": 1})


@pytest.fixture
def key(journal: Journal, challenge: Challenge) -> str:
    """A run that waits for a machine which was forgotten meanwhile."""
    configure(journal, "gpu-box")
    sessions.start(journal)
    spec = small_spec(Path(challenge.data_dir))
    queued = orders.queue_run(journal, "x", spec, "it works", backend="gpu-box").run_key
    config_file.remove(journal.home, "gpu-box")
    return queued


def job(journal: Journal, key: str) -> Job:
    with journal.reading() as db:
        return backlog.job_of(db, key)


def test_a_job_of_a_backend_that_is_not_configured_waits_and_says_why(journal: Journal, key: str) -> None:
    Drivers(journal).tick()
    assert job(journal, key).state == "queued"
    assert "there is no backend 'gpu-box'" in job(journal, key).message
    assert "backend setup gpu-box" in job(journal, key).message


def test_a_job_that_ran_on_a_backend_that_is_gone_can_be_cancelled(journal: Journal, key: str) -> None:
    with journal.writing() as db:
        assert backlog.claim(db, "gpu-box", "gpu-box/cuda:0", journal.now()) is not None
    assert backlog.cancel(journal, key) == "starting"
    Drivers(journal).tick()
    assert job(journal, key).state == "cancelled"
    assert job(journal, key).message.startswith("what may run there was not ended: ")


def test_a_challenge_may_restrict_the_backends(journal: Journal, challenge: Challenge) -> None:
    sessions.start(journal)
    challenge_settings.change(journal, backends="kaggle, colab")
    configure(journal, "colab")
    spec = small_spec(Path(challenge.data_dir))
    with pytest.raises(OnehourError, match=r"do not allow the backend 'local'. Allowed: kaggle, colab"):
        orders.queue_run(journal, "x", spec, "it works")
    assert orders.queue_run(journal, "x", spec, "it works", backend="colab").run_key == "humpback_001-r01"
    challenge_settings.change(journal, backends="")
    assert orders.queue_run(journal, "x", spec, "it works").run_key == "humpback_001-r02"

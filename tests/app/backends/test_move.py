"""A run that is moved half-trained, by the real engine: this computer, a host behind ssh, this computer again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from app.jobs import backlog, config_file, orders
from app.jobs.backends.local import LOCAL, LocalBackend
from app.jobs.backends.settings import SshSettings
from app.jobs.backends.ssh import SshBackend
from app.jobs.reconciler import Reconciler
from app.journal import sessions
from app.journal.store import Journal
from app.journal.tables import Challenge, Job
from engine.contract import RunSpec
from engine.run_folder import RunFolder
from tests.app.trainings import until
from tests.conftest import CHECKOUT

EPOCHS = 8
PATIENCE_S = 120.0  # the engine is real


def engine(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "engine", *words], cwd=CHECKOUT, check=True, capture_output=True)


def weights(folder: RunFolder) -> list[str]:
    return [str(np.load(folder.fold_predictions(fold))["weights_sha256"]) for fold in (0, 1)]


def job(journal: Journal, key: str) -> Job:
    with journal.reading() as db:
        return backlog.job_of(db, key)


def test_a_run_that_is_moved_there_and_back_ends_with_the_weights_of_one_that_stayed(
    journal: Journal, challenge: Challenge, user_home: Path, tmp_path: Path
) -> None:
    data = tmp_path / "drawn"
    engine("sample", str(data))
    keys = {
        "data": {"dir": str(data)},
        "folds": 2,
        "backbone": "test_resnet",
        "weights": "none",
        "image_size": [32, 64],
        "batch_size": 32,
        "stages": [{"epochs": EPOCHS, "lr": 0.01}],
        "tracking": {"wandb": "off"},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(keys))
    engine("train", str(tmp_path / "spec.yaml"), "--out", str(tmp_path / "stayed"))

    table = {
        "kind": "ssh",
        "host": "box",
        "dir": str(tmp_path / "there"),
        "python": sys.executable,
        "slots": 1,
        "grace": 60,
    }
    config_file.write(journal.home, "box", table)
    sessions.start(journal)
    spec = RunSpec.model_validate(keys)
    key = orders.queue_run(journal, "x", spec, "a move changes nothing", sure=True).run_key
    here = Reconciler(journal, LocalBackend(journal.home, grace_s=60))
    box = SshBackend("box", SshSettings.model_validate(table), journal.home)
    there, folder = Reconciler(journal, box), RunFolder(journal.home.run_dir(key))
    try:
        until(lambda: folder.kept() >= 1, here.tick, PATIENCE_S)
        orders.move_to(journal, key, "box")
        until(lambda: job(journal, key).backend == "box", here.tick, PATIENCE_S)
        before = folder.kept()
        assert before < EPOCHS
        until(lambda: folder.kept() > before, there.tick, PATIENCE_S)
        orders.move_to(journal, key, LOCAL)
        until(lambda: job(journal, key).backend == LOCAL, there.tick, PATIENCE_S)
        assert before < folder.kept() < 2 * EPOCHS
    finally:
        box.close()
    until(lambda: job(journal, key).finished_at is not None, here.tick, PATIENCE_S)

    done, stayed = job(journal, key), RunFolder(tmp_path / "stayed")
    assert (done.state, done.attempt, done.lost) == ("succeeded", 3, 0)
    assert weights(folder) == weights(stayed)
    assert folder.submission_csv.read_bytes() == stayed.submission_csv.read_bytes()
    assert folder.folds_csv.read_bytes() == stayed.folds_csv.read_bytes()
    assert folder.log_tail(1_000_000).count("--- attempt ") == 3

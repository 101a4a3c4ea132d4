"""Which keys are there and where they stand; the files here are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.jobs import installed, presence, signals
from app.jobs.backends import local
from app.journal.home import Home

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NETRC", "KAGGLE_CONFIG_DIR", signals.ADDRESSES):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def places() -> list[str]:
    return [key.where for key in installed.known_keys()]


def test_without_a_key_none_is_told() -> None:
    assert places() == ["", "", ""]


def test_the_environment_comes_first_and_an_empty_variable_is_none(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    for name in ("WANDB_API_KEY", "KAGGLE_API_TOKEN", signals.ADDRESSES):
        monkeypatch.setenv(name, " ")
    assert places() == ["~/.netrc", "", ""]
    for name in ("WANDB_API_KEY", "KAGGLE_API_TOKEN", signals.ADDRESSES):
        monkeypatch.setenv(name, "secret")
    assert places() == ["WANDB_API_KEY", "KAGGLE_API_TOKEN", "ONEHOUR_NOTIFY"]


@pytest.mark.parametrize(
    "text",
    ["machine github.com login user password secret", "default login user password secret", "machine \n garbage"],
)
def test_a_netrc_without_the_host_or_one_that_cannot_be_read_holds_no_key(user: Path, text: str) -> None:
    (user / ".netrc").write_text(text)
    assert places()[0] == ""


def test_the_files_are_looked_for_where_the_environment_says(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / "own").mkdir()
    (user / "own" / "kaggle.json").touch()
    (user / "own" / "netrc").write_text("machine wandb.example login user password secret")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(user / "own"))
    monkeypatch.setenv("NETRC", str(user / "own" / "netrc"))
    assert places() == ["", f"{user}/own/kaggle.json", ""]
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example:8080")
    assert places()[0] == f"{user}/own/netrc"


def test_the_running_workers_slots_are_told_without_looking_for_devices_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "cuda_devices", lambda: [])
    assert installed.backends(home) == {"local": ("cpu:0",)}
    with presence.present(presence.worker_lock(home), "the worker", {"slots": ["cuda:0"]}):
        assert installed.backends(home) == {"local": ("cuda:0",)}

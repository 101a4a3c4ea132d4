"""The account at Kaggle: what is imported when, and what becomes of an answer that is none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app import cli
from app.jobs import configured
from app.jobs.backends import settings
from app.jobs.kaggle_account import Account, NoEntry
from app.journal.home import CHECKOUT, Home
from engine.contract import EXIT_BAD_INPUT, EXIT_OK, OnehourError
from tests.doubles.kaggle_server import TOKEN, USER, KaggleServer


def test_whoever_shows_or_commands_or_waits_does_not_import_the_client() -> None:
    asked = "import sys, app.cli, app.keeper, app.jobs.worker, app.jobs.drivers, app.jobs.errands, app.views.scores"
    done = subprocess.run(
        [sys.executable, "-c", f"{asked}; print([name for name in sys.modules if name.startswith('kaggle')])"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_account_is_the_one_of_the_key(kaggle: KaggleServer) -> None:
    assert Account().user == USER


def test_a_key_that_is_not_taken_says_where_another_one_is_made(kaggle: KaggleServer) -> None:
    kaggle.refused_tokens.add(TOKEN)
    with pytest.raises(
        NoEntry, match=r"does not take the key. Make a new token on https://www.kaggle.com/settings/api"
    ):
        _ = Account().user


def test_without_a_key_it_says_where_one_belongs(kaggle: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("HOME", str(kaggle.root))
    with pytest.raises(NoEntry, match=r"Kaggle: there is no key that Kaggle takes. .*~/.kaggle/access_token"):
        _ = Account().user


def test_settings_of_kaggle_name_what_is_missing_or_impossible() -> None:
    for table, words in (
        ({"kind": "kaggle"}, "backends.kaggle: time_limit is missing. Set it up with:"),
        ({"kind": "kaggle", "time_limit": "10min"}, "backends.kaggle: a margin of 900 s leaves nothing of 600 s"),
        ({"kind": "kaggle", "time_limit": "12h", "acelerator": "x"}, "Did you mean 'accelerator'?"),
        ({"kind": "kagle"}, "Did you mean 'kaggle'?"),
    ):
        with pytest.raises(OnehourError) as refused:
            settings.parse("kaggle", table, "config.toml")
        assert words in str(refused.value)
    read = settings.parse("kaggle", {"kind": "kaggle", "time_limit": "12h", "kernels": 2}, "config.toml")
    assert isinstance(read, settings.KaggleSettings)
    assert (read.time_limit, read.margin, read.accelerator) == (43_200, 900, "")


def test_kaggle_is_set_up_by_one_command_and_its_limit_is_never_assumed(
    migrated_home: Home, kaggle: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["backend", "setup", "kaggle"]) == EXIT_BAD_INPUT
    assert "backends.kaggle: time_limit is missing" in capsys.readouterr().err
    assert not migrated_home.config_toml.exists()
    assert cli.main(["backend", "setup", "kaggle", "--time-limit", "12h", "--gpu", "NvidiaTeslaT4"]) == EXIT_OK
    told = capsys.readouterr().out
    assert "of 30.0 h used" in told
    read = configured.settings_of(migrated_home, "kaggle")
    assert isinstance(read, settings.KaggleSettings)
    assert (read.time_limit, read.accelerator) == (43_200, "NvidiaTeslaT4")

"""While runs are open this computer is kept awake, by whatever the system has for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs import wakefulness
from app.jobs.wakefulness import Wakefulness
from tests.app.trainings import until


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    wakefulness.inhibitor.cache_clear()
    yield
    wakefulness.inhibitor.cache_clear()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemd-inhibit that does as it does: it holds its lock (a file that names it) as long as the command it is given runs."""
    path = tmp_path / "bin" / "systemd-inhibit"
    path.parent.mkdir()
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nwhile [ "${{1#--}}" != "$1" ]; do shift; done\n'
        f'[ "$1" = true ] && exit 0\necho $$ > {tmp_path}/lock\nexec "$@"\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_the_lock_is_held_as_long_as_it_is_needed_and_taken_again_when_lost(program: Path, tmp_path: Path) -> None:
    awake, lock = Wakefulness(), tmp_path / "lock"
    awake.keep(False)
    assert awake.held is None
    awake.keep(True)
    until(lambda: lock.exists() and lock.read_text().strip())
    assert "--what=sleep:idle" in (tmp_path / "asked").read_text()
    first = awake.held
    assert first is not None
    awake.keep(True)
    assert awake.held is first
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    awake.keep(True)
    second = awake.held
    assert second is not None
    assert second.pid != first.pid
    awake.keep(False)
    assert awake.held is None
    assert second.returncode is not None


def test_a_laptop_that_cannot_be_kept_awake_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Path
) -> None:
    monkeypatch.setattr(wakefulness, "POWER_SUPPLIES", tmp_path)
    assert wakefulness.may_sleep() == ""  # it has no battery
    (tmp_path / "BAT0").mkdir()
    assert wakefulness.may_sleep() == ""  # and it can be kept awake
    wakefulness.inhibitor.cache_clear()
    program.write_text("#!/bin/sh\nexit 1\n")  # no login manager answers it
    assert "may go to sleep" in wakefulness.may_sleep()
    awake = Wakefulness()
    awake.keep(True)
    assert awake.held is None

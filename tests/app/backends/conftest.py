from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.backends import sshd as daemon
from tests.app.backends.one_node import OneNode
from tests.app.backends.sshd import Sshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One for all tests; who stops it starts it again."""
    with daemon.running(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture
def user_home(tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's home folder, whose ssh calls the sshd `box`."""
    path = tmp_path / "user"
    sshd.write_config(path, "box")
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return path


@pytest.fixture(scope="session")
def slurm() -> Iterator[OneNode]:
    """One for all tests; whoever submits ends what is left of it."""
    node = OneNode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(node.conf))
        try:
            node.start()
            yield node
        finally:
            node.stop()

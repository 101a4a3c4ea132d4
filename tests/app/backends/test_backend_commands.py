"""onehour backend …, against a real sshd: what a person does to use another machine."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import cli
from app.commands import backend
from app.jobs import backlog, configured, orders
from app.jobs.backends import engine_environment
from app.jobs.backends.engine_environment import Requirements
from app.jobs.backends.interface import Refused
from app.jobs.backends.settings import SshSettings
from app.jobs.backends.ssh_host import SshHost
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import EXIT_BAD_INPUT, EXIT_OK
from tests.app.backends import sshd as daemon
from tests.app.backends.sshd import Sshd
from tests.app.trainings import small_spec
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.usefixtures("migrated_home", "user_home")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def setup_words(there: Path, *more: str) -> list[str]:
    return ["backend", "setup", "box", "--dir", str(there), "--python", sys.executable, *more]


def test_a_machine_is_set_up_looked_at_used_and_forgotten(
    home: Home, there: Path, sshd: Sshd, user_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sshd.write_config(user_home, "box", known=False)
    assert cli.main(setup_words(there, "--host", "box")) == EXIT_BAD_INPUT
    told = capsys.readouterr()
    assert f"[127.0.0.1]:{sshd.port} shows the host key ssh-ed25519 {sshd.fingerprint}" in told.err
    assert "nobody has accepted this host key yet" in told.err.splitlines()[-1]
    assert f"--accept-host-key {sshd.fingerprint}" in told.err
    assert not home.config_toml.exists()

    assert cli.main(setup_words(there, "--host", "box", "--accept-host-key", sshd.fingerprint)) == EXIT_OK
    told = capsys.readouterr()
    assert "box: connecting with box …" in told.err
    assert "box/cpu:0" in told.out
    assert "torch" in told.out
    settings = configured.settings_of(home, "box")
    assert isinstance(settings, SshSettings)
    assert (settings.host, settings.dir, settings.slots) == ("box", str(there), ("cpu:0",))

    # Again, with something else: what is known is not asked for again.
    assert cli.main(["backend", "setup", "box", "--slots", "2", "--time-limit", "2h"]) == EXIT_OK
    assert configured.settings_of(home, "box").slot_names("box") == ("box/cpu:0", "box/cpu:1")
    assert configured.settings_of(home, "box").time_limit == 7200
    capsys.readouterr()
    assert cli.main(["backend", "list"]) == EXIT_OK
    local, box = capsys.readouterr().out.splitlines()
    assert "not looked at yet" in local
    assert "box/cpu:0, box/cpu:1  (looked at " in box
    assert cli.main(["backend", "probe", "box", "--json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["python"].startswith("3.")
    assert cli.main(["backend", "list", "--json"]) == EXIT_OK
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == ["local", "box"]
    assert listed["box"]["slots"] == ["box/cpu:0", "box/cpu:1"]
    assert listed["box"]["probe"]["python"].startswith("3.")

    assert cli.main(["backend", "remove", "box"]) == EXIT_OK
    assert configured.names(home) == ["local"]
    assert there.is_dir()
    assert cli.main(["backend", "probe", "box"]) == EXIT_BAD_INPUT


def test_a_key_is_accepted_in_a_terminal_and_one_that_is_not_is_left(
    home: Home, there: Path, sshd: Sshd, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sshd.write_config(user_home, "box", known=False)
    monkeypatch.setattr(backend, "in_terminal", lambda: True)
    monkeypatch.setattr(backend.typer, "confirm", lambda _question: False)
    assert cli.main(setup_words(there, "--host", "box")) == EXIT_BAD_INPUT
    assert not (home.machines_dir / "known_hosts").exists()
    monkeypatch.setattr(backend.typer, "confirm", lambda _question: True)
    assert cli.main(setup_words(there, "--host", "box")) == EXIT_OK
    assert (home.machines_dir / "known_hosts").exists()


def test_what_cannot_be_reached_or_is_wrong_is_not_written_down(
    home: Home, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more, sentence in (
        ([], "backends.box: host is missing"),
        (["--host", "nowhere.invalid"], "no connection ("),
        (["--host", "a b"], "backends.box.host"),
        (["--host", "box", "--slots", "gpu0"], "'gpu0' is no device: write it as cuda:0"),
        (["--host", "box", "--time-limit", "soon"], "'soon' is no duration"),
    ):
        assert cli.main(setup_words(there, *more)) == EXIT_BAD_INPUT
        assert sentence in capsys.readouterr().err
    assert not home.config_toml.exists()


def test_a_machine_that_runs_wait_for_is_not_forgotten(
    home: Home, journal: Journal, challenge: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    home.config_toml.write_text('[backends.box]\nkind = "ssh"\nhost = "box"\nslots = 1\n')
    sessions.start(journal)
    run = orders.queue_run(journal, "x", small_spec(Path(challenge.data_dir)), "it works", backend="box").run_key
    assert cli.main(["backend", "remove", "box"]) == EXIT_BAD_INPUT
    assert "1 run waits for box or is under way on it" in capsys.readouterr().err
    assert configured.names(home) == ["local", "box"]
    # One that was cancelled on a machine that never answers again is in nobody's way.
    with journal.writing() as db:
        assert backlog.claim(db, "box", "box/cpu:0", journal.now()) is not None
    assert backlog.cancel(journal, run) == "starting"
    assert cli.main(["backend", "remove", "box"]) == EXIT_OK
    assert configured.names(home) == ["local"]


def test_colab_is_a_host_behind_its_own_command_line(
    home: Home,
    there: Path,
    sshd: Sshd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["backend", "setup", "colab"]) == EXIT_BAD_INPUT
    assert "Colab's command line is not installed" in capsys.readouterr().err
    programs = tmp_path / "programs"
    programs.mkdir()
    colab = programs / "colab"
    link = Path(__file__).with_name("held_link.py")
    colab.write_text(
        f"#!/bin/sh\n[ \"$*\" = 'ssh --proxy-mode -s onehour --gpu T4' ] || exit 2\n"
        f"echo '[colab] Creating runtime' >&2\nexec {sys.executable} -I {link} {sshd.port} {tmp_path}/count\n"
    )
    colab.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    words = ["backend", "setup", "colab", "--gpu", "T4", "--dir", str(there), "--python", sys.executable]
    (Path.home() / ".ssh" / "id_ed25519").write_bytes(sshd.user_key.read_bytes())
    (Path.home() / ".ssh" / "id_ed25519").chmod(0o600)
    assert cli.main([*words, "--host", f"{daemon.user()}@colab-runtime"]) == EXIT_BAD_INPUT
    assert f"colab-runtime shows the host key ssh-ed25519 {sshd.fingerprint}" in capsys.readouterr().err
    assert (
        cli.main([*words, "--host", f"{daemon.user()}@colab-runtime", "--accept-host-key", sshd.fingerprint]) == EXIT_OK
    )
    settings = configured.settings_of(home, "colab")
    assert isinstance(settings, SshSettings)
    assert settings.proxy_command == (str(colab), "ssh", "--proxy-mode", "-s", "onehour", "--gpu", "T4")
    assert int((tmp_path / "count").read_text()) > 0


# The engine's environment


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with two versions of a package that brings another one."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, version, needs in (
        ("tiny", "1.0", "other"),
        ("tiny", "2.0", "other"),
        ("other", "1.0", ""),
        ("other", "3.0", ""),
    ):
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"version = {version!r}\n")
            needed = f"Requires-Dist: {needs}\n" if needs else ""
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def host(home: Home, there: Path, wheels: Path, tmp_path: Path, user_home: Path) -> Iterator[SshHost]:
    env = f"PIP_NO_INDEX=1 PIP_FIND_LINKS={wheels}"
    with daemon.running(tmp_path / "own-sshd", env=env) as own:
        own.write_config(user_home, "box")
        made = SshHost(
            "box", SshSettings.model_validate({"kind": "ssh", "host": "box", "dir": str(there), "slots": 1}), home
        )
        yield made
        made.close()


def test_an_environment_is_made_there_and_held_to_the_pinned_versions(host: SshHost, there: Path) -> None:
    said: list[str] = []
    requirements = Requirements(("tiny",), "tiny==1.0\nother==1.0\n")
    engine_environment.make(host, requirements, said.append)
    assert said[0] == "looking for a Python for the engine"
    done = host.run([host.python, "-c", "import tiny, other; print(tiny.version, other.version)"])
    assert done.output == b"1.0 1.0\n"
    # Again: nothing is made anew; a newer lock brings what is there up to date.
    said.clear()
    engine_environment.make(host, Requirements(("tiny",), "tiny==2.0\nother==3.0\n"), said.append)
    assert said == ["installing the engine's packages; the first time this takes some minutes"]
    done = host.run([host.python, "-c", "import tiny, other; print(tiny.version, other.version)"])
    assert done.output == b"2.0 3.0\n"
    # A pin that does not exist for its Python holds nobody up.
    engine_environment.make(host, Requirements(("Tiny",), "tiny==1.0\nother==9.0\n"), said.append)
    assert "only the engine's own packages are held to their versions" in said[-1]
    done = host.run([host.python, "-c", "import tiny, other; print(tiny.version, other.version)"])
    assert done.output == b"1.0 3.0\n"
    with pytest.raises(Refused, match=r"the engine's packages cannot be installed there \(.*nothing-of-the-kind"):
        engine_environment.make(host, Requirements(("nothing-of-the-kind",), ""), said.append)


def test_a_machine_without_a_python_that_is_new_enough_is_told_what_it_has(
    host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_environment, "OLDEST_PYTHON", (9, 9))
    with pytest.raises(
        Refused, match=r"box: its newest Python is 3\.\d+, the engine needs 3.11 or newer. Install Python"
    ):
        engine_environment.make(host, Requirements((), ""), lambda _: None)


def test_the_engines_requirements_are_those_of_this_checkout() -> None:
    found = Requirements.of_engine()
    assert {"torch", "fastai", "pydantic", "pyyaml"} <= set(found.packages)
    assert "streamlit" not in found.packages
    assert all("==" in one for one in found.pinned)
    assert "\nnumpy==" in found.pins


def test_pages_commands_and_the_worker_load_no_ssh(home: Home) -> None:
    home.config_toml.write_text('[backends.box]\nkind = "ssh"\nhost = "box"\nslots = 2\n')
    program = (
        "import sys\nfrom app.journal.home import find_home\nfrom app.jobs import installed, worker\nimport app.cli, app.views.settings\n"
        "assert installed.backends(find_home())['box'] == ('box/cpu:0', 'box/cpu:1')\nassert 'asyncssh' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, env=home.environment(), check=True)

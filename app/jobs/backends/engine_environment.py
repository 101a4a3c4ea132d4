"""The engine's Python on a host: found or made, with the packages as this computer's lock pins them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.jobs.backends.host_look import OLDEST_PYTHON
from app.jobs.backends.interface import Refused
from app.jobs.backends.ssh_host import Done, SshHost
from app.journal.home import CHECKOUT
from engine.contract import OnehourError

# The version that is tested comes first.
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3")
# Of the app's packages those that the engine uses too.
SHARED = ("pydantic", "pyyaml", "typer", "rich")
VENV_S, INSTALL_S, IMPORT_S = 300.0, 3_300.0, 180.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Requirements:
    """`packages` by their names; `pins`: the lock, which holds them and what they bring to the versions that were tested."""

    packages: tuple[str, ...]
    pins: str

    @property
    def pinned(self) -> list[str]:
        """The packages themselves with their versions."""
        versions = dict(re.findall(r"^([\w.-]+)(==[^\s;]+)", self.pins, re.MULTILINE))
        known = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in versions.items()}
        return [name + known.get(re.sub(r"[-_.]+", "-", name).lower(), "") for name in self.packages]

    @classmethod
    def of_engine(cls, checkout: Path = CHECKOUT) -> Requirements:
        """Those of the engine's extra. Raises OnehourError where Onehour was installed without its files."""
        try:
            project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            pins = (checkout / "requirements.lock").read_text(encoding="utf-8")
        except OSError as error:
            raise OnehourError(
                f"what the engine needs cannot be read ({error.strerror})", str(error.filename)
            ) from None
        engine = [_name(one) for one in project["optional-dependencies"]["engine"]]
        return cls((*(name for name in map(_name, project["dependencies"]) if name in SHARED), *engine), pins)


def make(host: SshHost, requirements: Requirements, say: Say) -> None:
    """Make the environment under the host's folder, or bring the one that is there up to date. Raises Refused."""
    venv = f"{host.root}/venv"
    alone = f"{host.root}/venv.lock"
    if _version(host, host.python) < OLDEST_PYTHON:
        say("looking for a Python for the engine")
        python = find(host)
        say(f"making an environment with {python}")
        made = host.run([python, "-m", "venv", "--clear", venv], alone=alone, limit_s=VENV_S)
        _require(
            made, host, "an environment cannot be made there", "Install Python's venv there (Debian: python3-venv)."
        )
    say("installing the engine's packages; the first time this takes some minutes")
    pip = [host.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    command = [*pip, "--constraint", "/dev/stdin", *requirements.packages]
    done = host.run(command, requirements.pins.encode(), alone=alone, limit_s=INSTALL_S)
    if "ResolutionImpossible" in done.said or "No matching distribution" in done.said:
        # A Python that is a little older than ours may know other versions of what a package of a package needs.
        say("what was tested does not all fit its Python: only the engine's own packages are held to their versions")
        done = host.run([*pip, *requirements.pinned], alone=alone, limit_s=INSTALL_S)
    _require(
        done, host, "the engine's packages cannot be installed there", "Setting it up again goes on with what is there."
    )


def find(host: SshHost) -> str:
    """The name of a Python there that the engine can use. Raises Refused."""
    newest = ""
    for name in PYTHONS:
        version = _version(host, name)
        if version >= OLDEST_PYTHON:
            return name
        newest = newest or ".".join(map(str, version))
    has = f"its newest Python is {newest}" if newest else "it has no Python"
    raise Refused(
        f"{has}, the engine needs 3.11 or newer",
        host.name,
        "Install Python 3.11 there, or name an interpreter that has the engine's packages: --python PATH.",
    )


def gpus_of_torch(host: SshHost) -> int:
    """How many GPUs the engine's torch can use there. Raises Refused when torch cannot be loaded."""
    program = "import torch, json; print(json.dumps(torch.cuda.device_count() if torch.cuda.is_available() else 0))"
    done = host.run([host.python, "-I", "-c", program], limit_s=IMPORT_S)
    _require(done, host, "torch cannot be loaded there", "")
    return int(json.loads(done.output.decode().splitlines()[-1]))


def _version(host: SshHost, python: str) -> tuple[int, ...]:
    """(3, 11), or () when there is no such interpreter."""
    program = "import sys; print(sys.version_info[0], sys.version_info[1])"
    try:
        done = host.run([python, "-I", "-c", program])
        return tuple(int(part) for part in done.output.split()) if done.exit_code == 0 else ()
    except (Refused, ValueError):
        return ()


def _require(done: Done, host: SshHost, what: str, fix: str) -> None:
    if done.late:
        raise Refused(f"{what}: it takes too long", host.name, fix)
    if done.exit_code != 0:
        raise Refused(f"{what} ({_last(done)})", host.name, fix)


def _last(done: Done) -> str:
    lines: Sequence[str] = [*done.output.decode("utf-8", "replace").splitlines(), *done.said.splitlines()]
    words = [line.strip() for line in lines if line.strip() and not line.startswith("WARNING")]
    errors = [line.removeprefix("ERROR: ") for line in words if line.startswith("ERROR")]
    return " ".join(errors or words[-1:] or ["no reason given"])[:400]


def _name(requirement: str) -> str:
    return re.split(r"[=<>!~;\[ ]", requirement)[0]

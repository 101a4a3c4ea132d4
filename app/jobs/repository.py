"""A git repository, asked without being touched: what it keeps, what lies in it beside, and where it came from.

Git works with an index and an object store of its own in a temporary folder: the person's index, working tree and repository stay as
they are, no hook of theirs runs, and paths are never read as patterns.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath

from app.jobs.commit_page import without_credentials
from engine.contract import OnehourError

# Larger new files are data, not code.
MOST_NEW_BYTES = 1_000_000
# New files with such names hold keys: they are neither recorded nor sent anywhere.
SECRET = re.compile(
    r"\.env(\..*)?|\.netrc|\.pypirc|kaggle\.json|id_(rsa|dsa|ecdsa|ed25519)|(credentials|secrets?)(\..*)?|.*\.(pem|key|p12|pfx)",
    re.IGNORECASE,
)
GIT_WAIT_S = 120


class NoRecord(OnehourError):
    """The code cannot be recorded, or not be built again; the sentence says why."""


def kept_files(folder: Path) -> list[str]:
    """The files below `folder` that git tracks, and new ones that it does not ignore. Raises NoRecord outside a repository."""
    told = git(folder, "ls-files", "--cached", "-z")
    tracked = {os.fsdecode(name) for name in told.split(b"\0") if name}
    names = tracked | {name for name in new_files(folder) if not is_secret(name)}
    return sorted(name for name in names if (folder / name).is_file())


def is_secret(name: str) -> bool:
    """Whether a file's name says that it holds keys."""
    return SECRET.fullmatch(PurePath(name).name) is not None


def beside(root: Path) -> list[str]:
    """What lies in the repository `root` and is not recorded: ignored (a whole folder ends with a slash), or new and too large."""
    told = git(root, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    return [*(os.fsdecode(name) for name in told.split(b"\0") if name), *parted(root, new_files(root))[1]]


def new_files(root: Path) -> list[str]:
    """The files that git neither tracks nor ignores; another repository inside ends with a slash."""
    told = git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return [os.fsdecode(name) for name in told.split(b"\0") if name]


def parted(root: Path, new: Iterable[str]) -> tuple[list[str], list[str]]:
    """New files that are recorded, the small ones first, and those that are not."""
    taken, left, held = [], [], 0
    for size, name in sorted((_size(root / name), name) for name in new):
        if name.endswith("/") or held + size > MOST_NEW_BYTES or is_secret(name):
            left.append(name)
        else:
            held += size
            taken.append(name)
    return taken, left


def why_left(path: Path, name: str) -> str:
    if name.endswith("/"):
        return "is a repository of its own"
    if is_secret(name):
        return "may hold keys, by its name,"
    return f"is new and large ({_size(path) / 1e6:.1f} MB)"


def remote(root: Path, upstream: str) -> str:
    """The address of the branch's remote, else of origin, else of the first one; without credentials."""
    addresses: dict[str, str] = {}
    for line in git(root, "remote", "-v").decode("utf-8", "replace").splitlines():
        name, _, rest = line.partition("\t")
        addresses.setdefault(name, rest.rpartition(" ")[0])
    wanted = [name for name in addresses if upstream.startswith(f"{name}/")] + ["origin", *addresses]
    return without_credentials(next((addresses[name] for name in wanted if name in addresses), ""))


@contextmanager
def apart(objects: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment of a git that writes into a temporary folder alone, and the index there."""
    with tempfile.TemporaryDirectory(prefix="onehour-git-") as made:
        place = Path(made)
        (place / "objects").mkdir()
        environment = {
            "GIT_INDEX_FILE": str(place / "index"),
            "GIT_OBJECT_DIRECTORY": str(place / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects.resolve()),
        }
        yield environment, place / "index"


def git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, given: bytes = b"") -> bytes:
    """What git says. Raises NoRecord with its first words of refusal."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ours = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=folder,
            env={**inherited, **ours, **(environment or {})},
            input=given,
            capture_output=True,
            timeout=GIT_WAIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoRecord(f"git cannot be asked ({error})", where=str(folder)) from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git gave no reason"]
        words = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0])
        raise NoRecord(words.removeprefix("fatal: ").removeprefix("error: "), where=str(folder))
    return done.stdout


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def shown(name: str) -> str:
    """A file's name on one line."""
    return repr(name) if name != name.encode("utf-8", "replace").decode() or not name.isprintable() else name

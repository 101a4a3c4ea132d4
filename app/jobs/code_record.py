"""The state of the code that a run is queued with: commit, what was not committed, and the lock file; enough to build it again.

Git is asked with an index and an object store of its own in a temporary folder: the person's index, working tree and repository
stay as they are. Paths are never read as patterns.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from app.jobs.commit_page import without_credentials
from engine.contract import OnehourError
from engine.run_folder import file_sha256

# Larger new files are data, not code; a larger diff is a piece of work that wants a commit.
MOST_NEW_BYTES, MOST_DIFF_BYTES = 1_000_000, 2_000_000
LOCKS = (
    "requirements.lock", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml",
    "environment.yml", "requirements.txt",
)  # fmt: skip
# New files with such names hold keys: they are neither recorded nor sent anywhere.
SECRET = re.compile(
    r"\.env(\..*)?|\.netrc|\.pypirc|kaggle\.json|id_(rsa|dsa|ecdsa|ed25519)|(credentials|secrets?)(\..*)?|.*\.(pem|key|p12|pfx)",
    re.IGNORECASE,
)
GIT_WAIT_S = 120
REMARK = "# "  # begins a line above the diff; git apply skips what stands there
LATIN_1 = "encoding: latin-1"


@dataclass(frozen=True)
class Code:
    """As in the table run_code. `diff` may begin with remarks: what was left out, one a line."""

    root: str
    commit: str
    branch: str = ""
    remote_url: str = ""
    diff: str = ""
    lock_sha256: str = ""

    @property
    def key(self) -> str:
        """Names this state of the code."""
        return hashlib.sha256(f"{self.commit}\n{self.diff}".encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences: what the record does not hold."""
        return tuple(line for line in self._remarks() if line != LATIN_1)

    @property
    def patch(self) -> bytes:
        """What git apply takes; empty where nothing was changed."""
        lines = sum(len(REMARK) + len(line) + 1 for line in self._remarks())
        return self.diff[lines:].encode("latin-1" if LATIN_1 in self._remarks() else "utf-8")

    def _remarks(self) -> list[str]:
        remarks = []
        for line in self.diff.split("\n"):
            if not line.startswith(REMARK):
                break
            remarks.append(line.removeprefix(REMARK))
        return remarks


class NoRecord(OnehourError):
    """The code cannot be recorded, or not be built again; the sentence says why."""


def take(folder: Path) -> Code:
    """The state of the repository that `folder` lies in. Raises NoRecord where there is none, or no commit, or no git."""
    if shutil.which("git") is None:
        raise NoRecord("git is not installed, so the code of this run is not recorded")
    try:
        told = _git(folder, "rev-parse", "--show-toplevel", "--git-path", "index", "--git-path", "objects", "HEAD")
    except NoRecord as error:
        words = error.what
        if "not a git repository" in words:
            words = "this folder is in no git repository"
        elif "HEAD" in words:
            words = "nothing was committed here yet"
        raise NoRecord(f"{words}, so the code of this run is not recorded", where=str(folder)) from None
    top, index, objects, commit = told.decode("utf-8", "surrogateescape").strip().split("\n")
    root = Path(top)
    status = _git(root, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all").split(b"\0")
    branch = _header(status, b"branch.head")
    upstream = _header(status, b"branch.upstream")
    new = [os.fsdecode(line[2:]) for line in status if line.startswith(b"? ")]
    changed = bool(new) or any(line[:2] in (b"1 ", b"2 ", b"u ") for line in status)
    diff, left_out = b"", [] if not (root / ".gitmodules").exists() else ["what lies in submodules is not recorded"]
    if changed:
        with _apart(folder / objects) as (environment, own_index):
            if (folder / index).exists():
                shutil.copy2(folder / index, own_index)  # git trusts no entry that is as new as its index's own time
            diff, more = _diff(root, new, environment)
        left_out += more
    return Code(
        root=str(root),
        commit=commit,
        branch="" if branch == "(detached)" else branch,
        remote_url=_remote(root, upstream),
        diff=_as_text(diff, left_out),
        lock_sha256=lock_sha256(folder, root),
    )


def is_there(code: Code, folder: Path) -> bool:
    """Whether `folder` holds the recorded code just now: the same files, even if they were committed since."""
    try:
        present = take(folder)
        if present.root != code.root:
            return False
        if (present.commit, present.diff) == (code.commit, code.diff):
            return True
        return _tree(present) == _tree(code)
    except NoRecord:
        return False


def build(code: Code, target: Path, linked: Iterable[str] = ()) -> None:
    """Write the recorded code into the folder `target`, whole or not at all. Raises NoRecord where the repository lacks it.

    `linked`: names below the repository that the copy leads back to where it has no file of its own.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        with _recorded(code) as environment:
            _git(Path(code.root), "checkout-index", "--all", f"--prefix={part}/", environment=environment)
        for name in linked:
            if not os.path.lexists(part / name):
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).symlink_to(Path(code.root) / name)
        part.chmod(0o755)
        with suppress(OSError):  # somebody else was first: what lies there is the same
            part.rename(target)
        if not target.is_dir():
            raise NoRecord("the recorded code cannot be written", where=str(target))
    finally:
        shutil.rmtree(part, ignore_errors=True)


def require(code: Code) -> None:
    """Raises NoRecord unless the recorded code can be built again."""
    with _recorded(code):
        pass


def lock_sha256(folder: Path, root: Path) -> str:
    """Of the lock file in the folder, else in the repository's; empty where there is none."""
    for place in (folder, root):
        for name in LOCKS:
            if (place / name).is_file():
                return file_sha256(place / name)
    return ""


def kept_files(folder: Path) -> list[str]:
    """The files below `folder` that git tracks, and new ones that it does not ignore. Raises NoRecord outside a repository."""
    told = _git(folder, "ls-files", "--cached", "-z")
    tracked = {os.fsdecode(name) for name in told.split(b"\0") if name}
    names = tracked | {name for name in _new(folder) if not is_secret(name)}
    return sorted(name for name in names if (folder / name).is_file())


def is_secret(name: str) -> bool:
    """Whether a file's name says that it holds keys."""
    return SECRET.fullmatch(PurePath(name).name) is not None


def beside(root: Path) -> list[str]:
    """What lies in the repository `root` and is not recorded: ignored (a whole folder ends with a slash), or new and too large."""
    told = _git(root, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    return [*(os.fsdecode(name) for name in told.split(b"\0") if name), *_parted(root, _new(root))[1]]


def _new(root: Path) -> list[str]:
    """The files that git neither tracks nor ignores; another repository inside ends with a slash."""
    told = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return [os.fsdecode(name) for name in told.split(b"\0") if name]


def _parted(root: Path, new: Iterable[str]) -> tuple[list[str], list[str]]:
    """New files that are recorded, the small ones first, and those that are not."""
    taken, left, held = [], [], 0
    for size, name in sorted((_size(root / name), name) for name in new):
        if name.endswith("/") or held + size > MOST_NEW_BYTES or is_secret(name):
            left.append(name)
        else:
            held += size
            taken.append(name)
    return taken, left


def _diff(root: Path, new: list[str], environment: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """What differs from the commit, in the index of `environment`, and what was left out."""
    taken, left = _parted(root, new)
    left_out = [f"{_shown(name)} {_why_left(root / name, name)} and is not recorded" for name in left]
    _git(root, "add", "--update", "--", ".", environment=environment)
    if taken:
        listed = b"\0".join(os.fsencode(name) for name in taken)
        named = ("--pathspec-from-file=-", "--pathspec-file-nul")
        _git(root, "add", *named, environment=environment, given=listed)
    asked = ("diff-index", "--cached", "--patch", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "HEAD")
    diff = _git(root, *asked, environment=environment)
    if len(diff) > MOST_DIFF_BYTES:
        words = f"what was not committed is {len(diff) / 1e6:.1f} MB and is not recorded (at most {MOST_DIFF_BYTES / 1e6:.0f} MB)"
        return b"", [words, *left_out]
    return diff, left_out


def _why_left(path: Path, name: str) -> str:
    if name.endswith("/"):
        return "is a repository of its own"
    if is_secret(name):
        return "may hold keys, by its name,"
    return f"is new and large ({_size(path) / 1e6:.1f} MB)"


@contextmanager
def _recorded(code: Code) -> Iterator[dict[str, str]]:
    """An environment whose index holds the recorded code."""
    root = Path(code.root)
    fix = "Bring it back (git fetch), or take the code that is there now: --present-code."
    try:
        objects = _git(root, "rev-parse", "--git-path", "objects").decode("utf-8", "surrogateescape").strip()
        _git(root, "cat-file", "-e", f"{code.commit}^{{commit}}")
    except NoRecord as error:
        gone = f"the commit {code.commit[:10]} that this run was queued with is not there ({error.what})"
        raise NoRecord(gone, where=code.root, fix=fix) from None
    with _apart(root / objects) as (environment, _):
        _git(root, "read-tree", code.commit, environment=environment)
        if code.patch:
            _git(root, "apply", "--cached", "--whitespace=nowarn", "-", environment=environment, given=code.patch)
        yield environment


def _tree(code: Code) -> bytes:
    """The hash of all files as recorded."""
    with _recorded(code) as environment:
        return _git(Path(code.root), "write-tree", environment=environment)


@contextmanager
def _apart(objects: Path) -> Iterator[tuple[dict[str, str], Path]]:
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


def _git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, given: bytes = b"") -> bytes:
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


def _header(status: list[bytes], name: bytes) -> str:
    begins = b"# " + name + b" "
    return next((os.fsdecode(line.removeprefix(begins)) for line in status if line.startswith(begins)), "")


def _remote(root: Path, upstream: str) -> str:
    """The address of the branch's remote, else of origin, else of the first one; without credentials."""
    addresses: dict[str, str] = {}
    for line in _git(root, "remote", "-v").decode("utf-8", "replace").splitlines():
        name, _, rest = line.partition("\t")
        addresses.setdefault(name, rest.rpartition(" ")[0])
    wanted = [name for name in addresses if upstream.startswith(f"{name}/")] + ["origin", *addresses]
    return without_credentials(next((addresses[name] for name in wanted if name in addresses), ""))


def _as_text(diff: bytes, left_out: list[str]) -> str:
    """The remarks and the diff. One with bytes that are no UTF-8 is kept a byte a character, which a remark says."""
    try:
        text, remarks = diff.decode("utf-8"), left_out
    except UnicodeDecodeError:
        text, remarks = diff.decode("latin-1"), [LATIN_1, *left_out]
    return "".join(f"{REMARK}{line}\n" for line in remarks) + text


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _shown(name: str) -> str:
    """A file's name on one line."""
    return repr(name) if name != name.encode("utf-8", "replace").decode() or not name.isprintable() else name

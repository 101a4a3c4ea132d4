"""The state of the code that a run is queued with: commit, what was not committed, and the lock file; enough to build it again."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.jobs import repository
from app.jobs.repository import NoRecord
from engine.run_folder import file_sha256

# A larger diff is a piece of work that wants a commit.
MOST_DIFF_BYTES = 2_000_000
LOCKS = (
    "requirements.lock", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml",
    "environment.yml", "requirements.txt",
)  # fmt: skip
REMARK = "# "  # begins a line above the diff; git apply skips what stands there
LATIN_1 = "encoding: latin-1"
TOO_LARGE = "what was not committed is "  # begins the remark in place of a diff


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
    def lacks_diff(self) -> bool:
        """Whether the diff itself was left out: then nobody can build this state again."""
        return any(line.startswith(TOO_LARGE) for line in self._remarks())

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


def take(folder: Path) -> Code:
    """The state of the repository that `folder` lies in. Raises NoRecord where there is none, or no commit, or no git."""
    if shutil.which("git") is None:
        raise NoRecord("git is not installed, so the code of this run is not recorded")
    try:
        told = repository.git(
            folder, "rev-parse", "--show-toplevel", "--git-path", "index", "--git-path", "objects", "HEAD"
        )
    except NoRecord as error:
        words = error.what
        if "not a git repository" in words:
            words = "this folder is in no git repository"
        elif "HEAD" in words:
            words = "nothing was committed here yet"
        raise NoRecord(f"{words}, so the code of this run is not recorded", where=str(folder)) from None
    top, index, objects, commit = told.decode("utf-8", "surrogateescape").strip().split("\n")
    root = Path(top)
    status = repository.git(root, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all").split(b"\0")
    branch = _header(status, b"branch.head")
    upstream = _header(status, b"branch.upstream")
    new = [os.fsdecode(line[2:]) for line in status if line.startswith(b"? ")]
    changed = bool(new) or any(line[:2] in (b"1 ", b"2 ", b"u ") for line in status)
    diff, left_out = b"", [] if not (root / ".gitmodules").exists() else ["what lies in submodules is not recorded"]
    if changed:
        with repository.apart(folder / objects) as (environment, own_index):
            if (folder / index).exists():
                shutil.copy2(folder / index, own_index)  # git trusts no entry that is as new as its index's own time
            diff, more = _diff(root, new, environment)
        left_out += more
    return Code(
        root=str(root),
        commit=commit,
        branch="" if branch == "(detached)" else branch,
        remote_url=repository.remote(root, upstream),
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
            repository.git(Path(code.root), "checkout-index", "--all", f"--prefix={part}/", environment=environment)
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


def _diff(root: Path, new: list[str], environment: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """What differs from the commit, in the index of `environment`, and what was left out."""
    taken, left = repository.parted(root, new)
    left_out = [
        f"{repository.shown(name)} {repository.why_left(root / name, name)} and is not recorded" for name in left
    ]
    repository.git(root, "add", "--update", "--", ".", environment=environment)
    if taken:
        listed = b"\0".join(os.fsencode(name) for name in taken)
        named = ("--pathspec-from-file=-", "--pathspec-file-nul")
        repository.git(root, "add", *named, environment=environment, given=listed)
    asked = ("diff-index", "--cached", "--patch", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "HEAD")
    diff = repository.git(root, *asked, environment=environment)
    if len(diff) > MOST_DIFF_BYTES:
        # With its hash: another diff of the same size is another state of the code.
        size = f"{len(diff) / 1e6:.1f} MB (SHA-256 {hashlib.sha256(diff).hexdigest()[:12]})"
        words = f"{TOO_LARGE}{size} and is not recorded (at most {MOST_DIFF_BYTES / 1e6:.0f} MB)"
        return b"", [words, *left_out]
    return diff, left_out


@contextmanager
def _recorded(code: Code) -> Iterator[dict[str, str]]:
    """An environment whose index holds the recorded code. Raises NoRecord where the diff was left out, or the commit is gone."""
    root = Path(code.root)
    if code.lacks_diff:
        raise NoRecord(
            "the code was changed since, and what was not committed when this run was queued was too large to be recorded",
            where=code.root,
            fix="Commit what you have and queue it anew, or take the code that is there now: --present-code.",
        )
    fix = "Bring it back (git fetch), or take the code that is there now: --present-code."
    try:
        objects = repository.git(root, "rev-parse", "--git-path", "objects").decode("utf-8", "surrogateescape").strip()
        repository.git(root, "cat-file", "-e", f"{code.commit}^{{commit}}")
    except NoRecord as error:
        gone = f"the commit {code.commit[:10]} that this run was queued with is not there ({error.what})"
        raise NoRecord(gone, where=code.root, fix=fix) from None
    with repository.apart(root / objects) as (environment, _):
        repository.git(root, "read-tree", code.commit, environment=environment)
        if code.patch:
            repository.git(
                root, "apply", "--cached", "--whitespace=nowarn", "-", environment=environment, given=code.patch
            )
        yield environment


def _tree(code: Code) -> bytes:
    """The hash of all files as recorded."""
    with _recorded(code) as environment:
        return repository.git(Path(code.root), "write-tree", environment=environment)


def _header(status: list[bytes], name: bytes) -> str:
    begins = b"# " + name + b" "
    return next((os.fsdecode(line.removeprefix(begins)) for line in status if line.startswith(begins)), "")


def _as_text(diff: bytes, left_out: list[str]) -> str:
    """The remarks and the diff. One with bytes that are no UTF-8 is kept a byte a character, which a remark says."""
    try:
        text, remarks = diff.decode("utf-8"), left_out
    except UnicodeDecodeError:
        text, remarks = diff.decode("latin-1"), [LATIN_1, *left_out]
    return "".join(f"{REMARK}{line}\n" for line in remarks) + text

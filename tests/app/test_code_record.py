"""The code of a run, recorded from a real repository and built again, with whatever was not committed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from app.jobs import code_record, repository
from app.jobs.code_record import build, is_there, take
from app.jobs.repository import NoRecord
from tests.app.repositories import Repository
from tests.app.repositories import repository as made_repository


@pytest.fixture
def own(tmp_path: Path) -> Repository:
    return made_repository(tmp_path / "whales", train_py="print(1)\n", old_txt="old\n")


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def inside(own: Repository) -> dict[str, bytes]:
    """Every file of the repository itself: the index, the objects, the references."""
    return {str(path): path.read_bytes() for path in (own.path / ".git").rglob("*") if path.is_file()}


def test_what_was_not_committed_is_recorded_and_built_again_bit_for_bit(own: Repository, tmp_path: Path) -> None:
    own.write("train.py", "print(2)\n")
    own.write("new/two words $(x) [a].py", "print('ü')\n").chmod(0o755)
    (own.path / "new" / "weights.bin").write_bytes(bytes(range(256)))
    (own.path / "old.txt").unlink()
    own.git("add", "train.py")
    own.write("train.py", "print(3)\n")  # staged once, changed again
    (own.path / "link").symlink_to("train.py")
    before, expected = inside(own), contents(own.path)
    code = take(own.path)
    assert (code.root, code.commit, code.branch) == (str(own.path), own.git("rev-parse", "HEAD"), "main")
    build(code, tmp_path / "built")
    assert contents(tmp_path / "built") == expected
    assert os.access(tmp_path / "built" / "new" / "two words $(x) [a].py", os.X_OK)
    assert (tmp_path / "built" / "link").is_symlink()
    assert inside(own) == before


def test_a_change_of_the_same_size_within_the_same_second_is_seen(own: Repository) -> None:
    """Git trusts a file that looks as its index says, unless the index is as new as the file: a copy must be as old as its original."""
    for number in range(2, 6):
        own.write("train.py", f"print({number})\n")
        assert f"+print({number})".encode() in take(own.path).patch
        own.commit()


def test_a_clean_repository_has_an_empty_diff_and_knows_its_remote(own: Repository) -> None:
    own.git("remote", "add", "backup", "/srv/backup.git")
    own.git("remote", "add", "origin", "https://person:s3cret@github.com/me/whales.git")
    code = take(own.path / ".")
    assert (code.diff, code.remote_url) == ("", "https://github.com/me/whales.git")


def test_the_remote_is_that_of_the_branch(own: Repository) -> None:
    own.git("remote", "add", "origin", "https://github.com/me/whales.git")
    own.git("remote", "add", "team", "https://gitlab.com/us/whales.git")
    own.git("update-ref", "refs/remotes/team/main", "HEAD")
    own.git("branch", "--set-upstream-to", "team/main")
    assert take(own.path).remote_url == "https://gitlab.com/us/whales.git"


def test_a_detached_head_has_no_branch(own: Repository) -> None:
    own.git("checkout", "--quiet", "--detach")
    assert take(own.path).branch == ""


def test_bytes_that_are_no_text_come_back_as_they_were(own: Repository, tmp_path: Path) -> None:
    (own.path / "latin.py").write_bytes("# schön\n".encode("latin-1"))
    code = take(own.path)
    assert code.left_out == ()
    build(code, tmp_path / "built")
    assert (tmp_path / "built" / "latin.py").read_bytes() == "# schön\n".encode("latin-1")


def test_data_is_left_out_and_named(own: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    (own.path / "train.npz").write_bytes(b"x" * 1_200_000)
    own.write("small.py", "print(4)\n")
    code = take(own.path)
    assert code.left_out == ("train.npz is new and large (1.2 MB) and is not recorded",)
    assert b"small.py" in code.patch
    assert not code.patch.startswith(b"#")


def test_a_state_whose_diff_was_too_large_is_never_taken_for_another_nor_built(
    own: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_record, "MOST_DIFF_BYTES", 10)
    own.write("train.py", "print(2)\n")
    code = take(own.path)
    assert re.search(r"what was not committed is 0.0 MB \(SHA-256 \w{12}\) and is not recorded", code.left_out[0])
    assert code.patch == b""
    assert is_there(code, own.path)
    own.write("train.py", "print(3)\n")  # a diff of the same size
    assert not is_there(code, own.path)
    with pytest.raises(NoRecord, match=r"was too large to be recorded.*Commit what you have"):
        build(code, tmp_path / "built")
    assert not (tmp_path / "built").exists()
    own.write("train.py", "print(1)\n")  # the commit alone
    assert not is_there(code, own.path)


def test_ignored_files_and_other_repositories_are_not_recorded(own: Repository) -> None:
    own.write(".gitignore", "data/\n")
    own.write("data/a.csv", "a\n")
    made_repository(own.path / "other", code_py="x\n")
    code = take(own.path)
    assert b"a.csv" not in code.patch
    assert code.left_out == ("other/ is a repository of its own and is not recorded",)
    assert repository.beside(own.path) == ["data/", "other/"]
    assert repository.kept_files(own.path)[:2] == [".gitignore", "old.txt"]


@pytest.mark.parametrize("name", [".env", ".env.local", "sub/kaggle.json", "Server.PEM", "id_ed25519", "secrets.toml"])
def test_new_files_that_may_hold_keys_are_neither_recorded_nor_sent(own: Repository, name: str) -> None:
    own.write(name, "WANDB_API_KEY=s3cret")
    own.write("monkey.py", "")
    code = take(own.path)
    assert code.left_out == (f"{name} may hold keys, by its name, and is not recorded",)
    assert "s3cret" not in code.diff
    assert repository.kept_files(own.path) == ["monkey.py", "old.txt", "train.py"]
    assert repository.beside(own.path) == [name]


def test_the_same_files_are_the_same_code_also_when_they_were_committed_since(own: Repository) -> None:
    own.write("train.py", "print(2)\n")
    own.write("new.py", "print(5)\n")
    code = take(own.path)
    assert is_there(code, own.path)
    own.commit()
    assert is_there(code, own.path)
    own.write("train.py", "print(6)\n")
    assert not is_there(code, own.path)
    own.write("train.py", "print(2)\n")
    assert is_there(code, own.path)


def test_a_commit_that_is_gone_is_said_with_what_to_do(own: Repository, tmp_path: Path) -> None:
    own.write("train.py", "print(2)\n")
    lost = own.commit()
    code = take(own.path)
    own.git("reset", "--quiet", "--hard", "HEAD~1")
    own.git("reflog", "expire", "--expire=now", "--all")
    own.git("gc", "--quiet", "--prune=now")
    with pytest.raises(NoRecord, match=f"the commit {lost[:10]} .* is not there.*--present-code"):
        build(code, tmp_path / "built")
    assert list(tmp_path.iterdir()) == [own.path]


def test_no_repository_and_no_commit_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoRecord, match="this folder is in no git repository, so the code of this run is not recorded"):
        take(tmp_path)
    empty = Repository(tmp_path / "empty")
    empty.path.mkdir()
    empty.git("init", "--quiet")
    with pytest.raises(NoRecord, match="nothing was committed here yet"):
        take(empty.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoRecord, match="git is not installed"):
        take(empty.path)


def test_the_lock_file_of_the_folder_counts_then_that_of_the_repository(own: Repository) -> None:
    assert take(own.path).lock_sha256 == ""
    own.write("uv.lock", "a")
    below = own.write("sub/requirements.txt", "b").parent
    whole, part = take(own.path).lock_sha256, take(below).lock_sha256
    assert len({whole, part, ""}) == 3
    assert take(below).root == str(own.path)


def test_a_persons_hooks_and_diff_settings_change_nothing(own: Repository, tmp_path: Path) -> None:
    own.git("config", "diff.noprefix", "true")
    own.git("config", "diff.external", "false")
    own.git("config", "apply.whitespace", "error")
    hook = own.path / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/hooked'\n")
    hook.chmod(0o755)
    own.write("train.py", "print(2)  \n")
    build(take(own.path), tmp_path / "built")
    assert (tmp_path / "built" / "train.py").read_text() == "print(2)  \n"
    assert not (tmp_path / "hooked").exists()

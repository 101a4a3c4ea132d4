"""What a host keeps of what was sent to it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest

from app.jobs import host_contents, host_store

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = tmp_path / "root" / "store"
    path.mkdir(parents=True)
    return str(path)


def key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sent(*contents: tuple[bytes, int]) -> io.BytesIO:
    """Each content from a byte on, as they come over a channel."""
    lines = [
        json.dumps({"sha256": key(content), "size": len(content), "from": first}).encode() + b"\n" + content[first:]
        for content, first in contents
    ]
    return io.BytesIO(b"".join(lines) + b"{}\n")


def take(store: str, *contents: bytes) -> None:
    assert host_contents.missing(store, [(key(content), len(content)) for content in contents])
    assert host_contents.take(store, sent(*((content, 0) for content in contents))) == {"damaged": [], "again": 0}


def test_what_was_taken_is_not_missing_and_a_cut_transfer_goes_on_where_it_was(store: str) -> None:
    content = os.urandom(5000)
    assert host_contents.missing(store, [(key(content), 5000)]) == [[0, 0]]
    cut = sent((content, 0)).getvalue()[: 70 + 64 + 2000]
    with pytest.raises(EOFError):
        host_contents.take(store, io.BytesIO(cut))
    ((number, here),) = host_contents.missing(store, [(key(content), 5000)])
    assert (number, here > 1000) == (0, True)
    assert host_contents.take(store, sent((content, here))) == {"damaged": [], "again": 0}
    assert host_contents.missing(store, [(key(content), 5000)]) == []


def test_what_is_not_what_its_name_says_is_not_kept(store: str) -> None:
    content = b"as it was"
    changed = io.BytesIO(sent((content, 0)).getvalue().replace(b"was", b"is?"))
    host_contents.missing(store, [])
    assert host_contents.take(store, changed) == {"damaged": [key(content)], "again": 0}
    assert host_contents.missing(store, [(key(content), len(content))]) == [[0, 0]]


def test_a_beginning_that_is_gone_is_asked_for_again(store: str) -> None:
    content = b"x" * 100
    host_contents.missing(store, [])
    assert host_contents.take(store, sent((content, 60), (b"other", 0))) == {"damaged": [], "again": 1}
    assert host_contents.missing(store, [(key(content), 100), (key(b"other"), 5)]) == [[0, 0]]


def test_two_that_send_the_same_at_once_do_not_disturb_each_other(store: str) -> None:
    content = os.urandom(1000)
    host_contents.missing(store, [])
    one = host_contents._opened(host_contents._partial(store, key(content)), 0)
    assert host_contents._fill(one, 0, 1000, io.BytesIO(content)) == key(content)
    # The other one saw it half there, and sends the rest.
    assert host_contents.take(store, sent((content, 400))) == {"damaged": [], "again": 0}
    host_contents._keep(store, key(content), one)
    assert (Path(store) / "blobs" / key(content)[:2] / key(content)).read_bytes() == content
    assert host_contents.take(store, sent((content, 400))) == {"damaged": [], "again": 0}
    assert list((Path(store) / "partial").iterdir()) == []


def test_a_tree_is_made_of_what_is_there_whole_or_not_at_all(store: str) -> None:
    take(store, b"one", b"two")
    tree = key(b"tree")
    files = [("a/it's $(x).jpg", key(b"one")), ("b.csv", key(b"two")), ("c", key(b"three"))]
    assert host_store.make_tree(store, tree, files) == 1
    assert host_store.missing_trees(store, [tree]) == [tree]
    assert host_store.make_tree(store, tree, files[:2]) == 0
    assert host_store.make_tree(store, tree, files[:2]) == 0  # somebody else was first
    assert host_store.missing_trees(store, [tree]) == []
    assert (Path(store) / "trees" / tree / "a" / "it's $(x).jpg").read_bytes() == b"one"
    assert os.listdir(Path(store) / "trees") == [tree]


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "a/../../b", "a//b", ".", "a\0b"])
def test_nothing_is_written_outside_its_folder(store: str, tmp_path: Path, name: str) -> None:
    take(store, b"one")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="is no name below a folder"):
        host_store.make_tree(store, key(b"tree"), [(name, key(b"one"))])
    with pytest.raises(ValueError, match="is no name below a folder"):
        host_store.place(store, str(tmp_path / "run"), [(name, 3, key(b"one"), 1)], [])
    after = {path for path in tmp_path.rglob("*")} - set(before)
    assert after <= {tmp_path / "root/store/trees", tmp_path / "run"}
    with pytest.raises(ValueError, match="is no SHA-256"):
        host_store.make_tree(store, "../tree", [])


def test_a_runs_folder_is_made_as_it_is_to_be_and_what_is_right_is_left_alone(store: str, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    files = [("spec.yaml", 3, key(b"one"), 5), ("fold0/last.pt", 3, key(b"two"), 6), ("copy.json", 3, key(b"one"), 7)]
    take(store, b"one")
    assert host_store.place(store, str(run_dir), files, []) == 1
    assert list(run_dir.iterdir()) == []
    take(store, b"two")
    assert host_store.place(store, str(run_dir), files, []) == 0
    assert (run_dir / "fold0" / "last.pt").read_bytes() == b"two"
    assert (run_dir / "fold0" / "last.pt").stat().st_mtime_ns == 6
    # A checkpoint is not kept twice; what lies in two places is.
    assert host_contents.missing(store, [(key(b"one"), 3), (key(b"two"), 3)]) == [[1, 0]]
    (run_dir / "stopped.json").write_text("{}")
    (run_dir / "spec.yaml").write_text("ONE")
    assert host_store.stale(str(run_dir), files) == [0]
    assert host_store.place(store, str(run_dir), files, ["stopped.json", "gone.json"]) == 0
    assert (run_dir / "spec.yaml").read_bytes() == b"one"
    assert not (run_dir / "stopped.json").exists()


def test_what_also_belongs_to_a_tree_is_copied_into_a_run(store: str, tmp_path: Path) -> None:
    take(store, b"one")
    host_store.make_tree(store, key(b"tree"), [("w.pt", key(b"one"))])
    host_store.place(store, str(tmp_path / "run"), [("w.pt", 3, key(b"one"), 1)], [])
    (tmp_path / "run" / "w.pt").write_bytes(b"trained")
    assert (Path(store) / "trees" / key(b"tree") / "w.pt").read_bytes() == b"one"


def test_only_what_is_home_and_old_is_swept(store: str) -> None:
    root, run = Path(store).parent, Path(store).parent / "homes" / "me" / "runs" / "r01"
    take(store, b"one", b"two")
    host_store.make_tree(store, key(b"tree"), [("a", key(b"one"))])
    run.mkdir(parents=True)
    (run / "log.txt").touch()
    assert host_store.sweep(str(root), 1e6, 1e6) == 0
    assert host_store.sweep(str(root), -1, 1e6) == 0  # not home yet
    host_store.mark_home(str(run))
    assert host_store.sweep(str(root), -1, 1e6) == 1
    assert not run.exists()
    assert host_store.missing_trees(store, [key(b"tree")]) == []
    assert host_store.sweep(str(root), 1e6, -1) == 3  # the tree, and both contents
    assert host_contents.missing(store, [(key(b"one"), 3), (key(b"two"), 3)]) == [[0, 0], [1, 0]]

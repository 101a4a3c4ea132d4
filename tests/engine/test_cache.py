"""Decoded images kept between runs: found again, whole or absent, shared by processes, bounded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.__main__ import main
from engine.contract import OnehourError
from engine.data import cache, cache_room
from engine.data.cache import cached_images
from engine.data.cache_arrays import cached_array
from engine.data.cache_room import cache_dir, cache_size, clear_cache

SIZE = (20, 30)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEHOUR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def drawn(folder: Path, count: int = 6, seed: int = 0) -> list[Path]:
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    paths = [folder / f"{i}.png" for i in range(count)]
    for path in paths:
        coarse = random.integers(0, 255, (4, 6, 3), np.uint8)
        assert cv2.imwrite(str(path), cv2.resize(coarse, (60, 40), interpolation=cv2.INTER_CUBIC))
    return paths


def as_decoded(paths: list[Path], size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.stack([
        cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), size[::-1], interpolation=cv2.INTER_AREA)
        for path in paths
    ])  # fmt: skip


def files(place: Path) -> list[str]:
    return sorted(path.suffix for path in place.iterdir())


def test_images_come_at_target_size_in_the_order_asked(tmp_path: Path) -> None:
    paths = drawn(tmp_path / "data")
    assert np.array_equal(cached_images(paths, SIZE), as_decoded(paths))
    assert np.array_equal(cached_images(paths[::-1], SIZE), as_decoded(paths[::-1]))


def test_what_was_decoded_once_is_not_decoded_again(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = drawn(tmp_path / "data")
    first = np.array(cached_images(paths, SIZE))
    monkeypatch.setattr(cache, "read_image", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(cached_images(paths, SIZE), first)
    assert files(place) == [".rgb"]


def test_a_changed_image_another_size_and_another_box_are_other_sets(tmp_path: Path, place: Path) -> None:
    paths = drawn(tmp_path / "data")
    before = np.array(cached_images(paths, SIZE))
    cached_images(paths, (10, 10))
    cut = cached_images(paths, SIZE, [(0, 0, 20, 20)] + [None] * 5)
    assert not np.array_equal(cut[0], before[0])
    assert np.array_equal(cut[1:], before[1:])
    shutil.copy(drawn(tmp_path / "other", seed=1)[0], paths[0])
    after = cached_images(paths, SIZE)
    assert np.array_equal(after, as_decoded(paths))
    assert not np.array_equal(after[0], before[0])
    assert files(place) == [".rgb"] * 4


def test_contents_exchanged_under_the_same_name_size_and_date_are_seen(tmp_path: Path) -> None:
    path, other = tmp_path / "a.bmp", tmp_path / "b.bmp"
    for place, grey in ((path, 50), (other, 200)):
        assert cv2.imwrite(str(place), np.full((40, 60, 3), grey, np.uint8))
    before = path.stat()
    assert cached_images([path], SIZE)[0].max() == 50
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a file system's clock ticks a few hundred times a second
        path.write_bytes(other.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert cached_images([path], SIZE)[0].min() == 200


def test_a_margin_without_boxes_asks_for_the_same_images(tmp_path: Path, place: Path) -> None:
    paths = drawn(tmp_path / "data")
    cached_images(paths, SIZE, margin=0.1)
    cached_images(paths, SIZE, [None] * len(paths), margin=0.3)
    assert files(place) == [".rgb"]


def test_the_kept_images_cannot_be_written_to(tmp_path: Path) -> None:
    kept = cached_images(drawn(tmp_path / "data"), SIZE)
    with pytest.raises(ValueError, match="read-only"):
        kept[0][:] = 0


def test_large_images_in_large_numbers_are_kept_as_jpeg(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "JPEG_FROM_BYTES", 1000)
    paths = drawn(tmp_path / "data")
    size = (200, 400)
    cached_images(paths, SIZE)  # small images stay as they are
    kept = cached_images(paths, size)
    assert files(place) == [".jpegs", ".rgb"]
    assert (
        place / next(p.name for p in place.iterdir() if p.suffix == ".jpegs")
    ).stat().st_size < 6 * 200 * 400 * 3 / 4
    wanted = as_decoded(paths, size).astype(int)
    assert len(kept) == 6
    assert np.abs(kept[np.arange(6)] - wanted).mean() < 4
    assert np.array_equal(kept[[4, 1]], np.stack([kept[4], kept[1]]))
    assert np.array_equal(kept[-1], kept[5])
    assert np.array_equal(cached_images(paths, size)[2], kept[2])


def test_an_image_that_cannot_be_decoded_leaves_nothing_behind(tmp_path: Path, place: Path) -> None:
    paths = drawn(tmp_path / "data")
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    with pytest.raises(OnehourError, match=r"3\.png: the image cannot be decoded"):
        cached_images(paths, SIZE)
    assert files(place) == []


def test_a_set_that_was_cut_off_is_none(tmp_path: Path, place: Path) -> None:
    paths = drawn(tmp_path / "data")
    cached_images(paths, SIZE)
    (kept,) = place.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    (place / "0123.part").write_bytes(b"what a killed run left")
    assert np.array_equal(cached_images(paths, SIZE), as_decoded(paths))
    assert files(place) == [".rgb"]


@pytest.mark.parametrize("left", [0, 40, 150])
def test_an_array_is_made_once_and_again_when_it_was_cut_off(place: Path, left: int) -> None:
    def none() -> None: ...

    first = cached_array("points", lambda: np.arange(9), none)
    assert np.array_equal(cached_array("points", lambda: pytest.fail("made again"), none), first)
    assert cached_array("others", lambda: np.zeros(3), none).tolist() == [0, 0, 0]
    os.truncate(place / "points.npy", left)
    assert cached_array("points", lambda: np.arange(9) + 1, none).tolist() == list(range(1, 10))
    assert files(place) == [".npy", ".npy"]


WANTS = """
import sys, pathlib, threading
from engine.data import cache, cache_room
paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
read, lock, begun, once = cache.read_image, cache_room.fcntl.flock, [], threading.Lock()
def locked(*asked):
    cache_room.fcntl.flock = lock
    print("locking", flush=True)
    lock(*asked)
cache_room.fcntl.flock = locked
def told(*asked):
    with once:
        if not begun:
            begun.append(print("decoding", flush=True))
            sys.stdin.readline()
    return read(*asked)
cache.read_image = told
print(cache.cached_images(paths, (20, 30))[:].tobytes().hex(), flush=True)
"""


def wants(folder: Path) -> subprocess.Popen[str]:
    """A process that says when it wants to lock and to decode, waits for a word then, and prints what it got."""
    process = subprocess.Popen(
        [sys.executable, "-c", WANTS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locking\n"
    return process


def test_a_killed_process_leaves_no_set_and_the_next_one_makes_it(tmp_path: Path, place: Path) -> None:
    paths = drawn(tmp_path / "data")
    with wants(tmp_path / "data") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "decoding\n"
        process.kill()
    assert files(place) == [".part"]
    assert np.array_equal(cached_images(paths, SIZE), as_decoded(paths))
    assert files(place) == [".rgb"]


def test_of_two_processes_that_want_the_same_one_decodes_and_the_other_waits(tmp_path: Path, place: Path) -> None:
    paths = drawn(tmp_path / "data")
    with wants(tmp_path / "data") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "decoding\n"
        with wants(tmp_path / "data") as second:
            told, _ = first.communicate("go on\n")
            assert second.communicate()[0] == told  # without "decoding" before it
    assert bytes.fromhex(told) == as_decoded(paths).tobytes()
    assert files(place) == [".rgb"]


def test_the_sets_used_longest_ago_go_beyond_the_bound(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 6 * 20 * 30 * 3
    monkeypatch.setattr(cache_room, "BOUND", 2 * one)
    sets = [drawn(tmp_path / name, seed=seed) for seed, name in enumerate("abc")]
    first = cached_images(sets[0], SIZE)
    names = {path.name for path in place.iterdir()}
    cached_images(sets[1], SIZE)
    (other,) = {path.name for path in place.iterdir()} - names
    os.utime(place / other, (1, 1))  # longest ago
    cached_images(sets[2], SIZE)
    assert other not in {path.name for path in place.iterdir()}
    assert cache_size() == (2, 2 * one)
    cached_images(sets[1], SIZE)  # the first one goes: the third was used later
    assert names.isdisjoint(path.name for path in place.iterdir())
    assert np.array_equal(first, as_decoded(sets[0]))  # whoever reads it may go on


def test_a_full_disk_is_refused_before_anything_is_decoded(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    monkeypatch.setattr(cache, "read_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(OnehourError, match="ONEHOUR_CACHE"):
        cached_images(drawn(tmp_path / "data"), SIZE)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONEHOUR_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(OnehourError, match=r"below: the cache of decoded images cannot be written"):
        cached_images(drawn(tmp_path / "data"), SIZE)


def test_clearing_removes_the_sets_and_nothing_else(tmp_path: Path, place: Path) -> None:
    assert clear_cache() == 0
    cached_images(drawn(tmp_path / "data"), SIZE)
    (place / "letter.txt").write_text("mine")
    (place / "0123.part").write_bytes(b"cut")
    assert clear_cache() == 6 * 20 * 30 * 3 + 3
    assert files(place) == [".txt"]
    assert cache_size() == (0, 0)


def test_the_command_tells_place_and_size_and_clears(tmp_path: Path, place: Path, capsys) -> None:
    cached_images(drawn(tmp_path / "data", 1), (2000, 3000))
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{place}: 1 set, 18 MB\n"
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"{place}: 18 MB removed\n"
    assert files(place) == []


def test_an_image_that_was_damaged_after_it_was_kept_is_named(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "JPEG_FROM_BYTES", 1000)
    kept = cached_images(drawn(tmp_path / "data"), (400, 400))
    (file,) = place.iterdir()
    raw = bytearray(file.read_bytes())
    raw[8 * 7 : 8 * 7 + 100] = bytes(100)
    with file.open("r+b") as handle:
        handle.write(raw)
    with pytest.raises(OnehourError, match=r"\.jpegs: image 0 of it is damaged"):
        kept[0]
    assert kept[1].shape == (400, 400, 3)


def test_without_a_place_asked_for_it_lies_below_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEHOUR_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "onehour" / "pixels"


def test_no_images_are_no_set(place: Path) -> None:
    assert cached_images([], SIZE).shape == (0, *SIZE, 3)
    assert not place.exists()

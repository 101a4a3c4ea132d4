"""One image: every kind of file is decoded and named, what is broken says why, and hashes meet where pictures do."""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from engine.checks.copies import exact_copies, near_pairs
from engine.checks.picture import Picture, look_at, mirrored
from engine.contract import OnehourError
from engine.data import decode
from engine.data.decode import read_image


def scene(seed: int, width: int = 240, height: int = 160) -> Image.Image:
    """Soft shapes on a slope of light, another picture for each seed."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), rng.integers(60, 180, 3), np.float32)
    picture += np.linspace(-40, 40, width)[None, :, None] * rng.uniform(-1, 1)
    for _ in range(12):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.ellipse(
            picture, centre, tuple(rng.integers(8, 50, 2).tolist()), 30, 0, 360, rng.integers(0, 255, 3).tolist(), -1
        )
    return Image.fromarray(np.clip(cv2.GaussianBlur(picture, (0, 0), 2), 0, 255).astype(np.uint8))


def saved(folder: Path, name: str, image: Image.Image, **how: object) -> Picture:
    image.save(folder / name, **how)
    return look_at(folder / name)


def test_a_plain_jpeg_is_described(tmp_path: Path) -> None:
    seen = saved(tmp_path, "a.jpg", scene(1), quality=90)
    assert (seen.width, seen.height, seen.format, seen.mode, seen.bits, seen.frames) == (240, 160, "JPEG", "RGB", 8, 1)
    assert seen.unreadable == ""
    assert seen.contrast > 10
    assert seen.colour > 5
    assert len(seen.content) == 32


def test_an_image_turned_by_exif_is_seen_as_it_is_shown(tmp_path: Path) -> None:
    upright, turned = scene(1), scene(1).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = saved(tmp_path, "a.png", turned, exif=exif)
    assert (seen.orientation, seen.width, seen.height) == (6, 240, 160)
    assert seen.content == saved(tmp_path, "b.png", upright).content


def test_sixteen_bits_become_the_upper_eight(tmp_path: Path) -> None:
    grey = scene(1).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    seen = saved(tmp_path, "deep.png", deep)
    assert seen.bits == 16
    assert seen.content == saved(tmp_path, "flat.png", grey).content
    colour = np.asarray(scene(1)).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "colour.png"), colour)
    assert look_at(tmp_path / "colour.png").bits == 16


def test_cmyk_palette_transparent_and_animated_images_are_told_apart(tmp_path: Path) -> None:
    assert saved(tmp_path, "a.jpg", scene(1).convert("CMYK")).mode == "CMYK"
    assert saved(tmp_path, "b.png", scene(1).quantize(32)).mode == "P"
    clear = scene(1)
    clear.putalpha(128)
    assert saved(tmp_path, "c.png", clear).transparent
    moving = saved(tmp_path, "d.gif", scene(1), save_all=True, append_images=[scene(2)])
    assert moving.frames == 2


def test_one_pixel_and_forty_megapixels_are_images(tmp_path: Path) -> None:
    dot = saved(tmp_path, "dot.png", Image.new("RGB", (1, 1), (200, 0, 0)))
    assert (dot.width, dot.height, dot.unreadable, dot.flat) == (1, 1, "", True)
    line = saved(tmp_path, "line.png", Image.new("RGB", (900, 1), (200, 0, 0)))
    assert line.flat
    large = saved(tmp_path, "large.jpg", scene(1).resize((8000, 5000), Image.Resampling.NEAREST), quality=40)
    assert large.width * large.height == 40_000_000
    assert large.sharpness > 0


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda raw: b"", "zero bytes"),
        (lambda raw: raw[: len(raw) // 2], "truncated"),
        (lambda raw: raw[:-40], "truncated"),
        (lambda raw: b"<html>not found</html>", "no image that can be read"),
    ],
)
def test_a_broken_file_says_why(tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str) -> None:
    path = tmp_path / "a.jpg"
    scene(1).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    assert look_at(path).unreadable == reason
    with pytest.raises(OnehourError, match=rf"cannot be decoded \({reason}\)"):
        read_image(path)


def test_checks_and_training_refuse_what_is_too_large_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    scene(1).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # of the 38,400 that it has
    assert look_at(path).unreadable == "more pixels than can be decoded safely"
    with pytest.raises(OnehourError, match="more pixels than can be decoded safely"):
        read_image(path)


def test_one_large_picture_is_decoded_at_a_time_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted:
        """The lock, with a count of who held it."""

        held = 0

        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __enter__(self) -> None:
            self.lock.acquire()
            self.held += 1

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    noted = Noted()
    monkeypatch.setattr(decode, "_one_large", noted)
    monkeypatch.setattr(decode, "LARGE", 30_000)
    held = []
    for name, image in (("a.jpg", scene(1)), ("a.png", scene(1)), ("small.png", scene(1, 120, 80))):
        image.save(tmp_path / name)
        read_image(tmp_path / name)
        look_at(tmp_path / name)
        held.append(noted.held)
    assert held == [2, 4, 4]


def test_an_absent_file_and_a_float_image_say_why(tmp_path: Path) -> None:
    assert look_at(tmp_path / "nowhere.jpg").unreadable == "No such file or directory"
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "f.tif")
    assert "32 bits" in look_at(tmp_path / "f.tif").unreadable


def test_the_hash_of_a_mirror_image_is_known_without_mirroring(tmp_path: Path) -> None:
    one, other = saved(tmp_path, "a.png", scene(3)), saved(tmp_path, "b.png", ImageOps.mirror(scene(3)))
    turned = int(mirrored(np.array([one.phash], np.uint64))[0])
    assert (turned ^ other.phash).bit_count() <= 2
    assert (one.phash ^ other.phash).bit_count() > 15


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda image: image.resize((100, 66)),
    "brighter": lambda image: image.point(lambda value: min(255, int(value * 1.15 + 8))),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut by two percent": lambda image: image.crop((4, 3, 236, 157)),
    "turned by two degrees": lambda image: image.rotate(2, Image.Resampling.BILINEAR).crop((4, 4, 236, 156)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("turned", [False, True], ids=["", "mirrored"])
def test_near_copies_are_found_whatever_was_done_to_them(tmp_path: Path, change: str, turned: bool) -> None:
    pictures = [saved(tmp_path, f"{seed}.jpg", scene(seed)) for seed in range(8)]
    copy = CHANGES[change](scene(5))
    pictures.append(saved(tmp_path, "copy.jpg", ImageOps.mirror(copy) if turned else copy, quality=50))
    found = near_pairs(pictures)
    assert found.pairs() == [(5, 8)]
    assert found.mirrored.tolist() == [turned]


def test_exact_copies_are_grouped_and_are_no_near_copies(tmp_path: Path) -> None:
    pictures = [
        saved(tmp_path, "a.png", scene(1)),
        saved(tmp_path, "b.png", scene(2)),
        saved(tmp_path, "c.bmp", scene(1)),
    ]
    assert exact_copies(pictures) == [[0, 2]]
    assert len(near_pairs(pictures)) == 0


def test_images_with_nothing_to_see_are_no_copies_of_each_other(tmp_path: Path) -> None:
    pictures = [saved(tmp_path, f"{value}.png", Image.new("RGB", (60, 40), (value,) * 3)) for value in (0, 1, 200, 255)]
    assert len(near_pairs(pictures)) == 0
    assert exact_copies(pictures) == []
    assert len(near_pairs([])) == 0


def test_a_long_burst_stays_connected_without_naming_every_pair(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = np.asarray(scene(4)).astype(int)
    shots = [np.clip(base + rng.integers(-3, 4, base.shape), 0, 255).astype(np.uint8) for _ in range(120)]
    pictures = [saved(tmp_path, f"{i}.png", Image.fromarray(shot)) for i, shot in enumerate(shots)]
    found = near_pairs(pictures).pairs()
    assert len(found) < 120 * 40
    joined = {0}
    for one, other in sorted(found):
        if joined & {one, other}:
            joined |= {one, other}
    assert joined == set(range(120))


def test_burnt_in_text_is_text_like_and_a_calm_picture_is_not(tmp_path: Path) -> None:
    picture = np.asarray(scene(2, 480, 320)).copy()
    assert look_at(_write(tmp_path / "plain.jpg", picture)).text_like == 0
    cv2.putText(
        picture, "NOAA 2014-07-21 #417", (12, 308), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA
    )
    assert look_at(_write(tmp_path / "text.jpg", picture)).text_like > 0.01


def _write(path: Path, picture: np.ndarray) -> Path:
    Image.fromarray(picture).save(path, quality=90)
    return path

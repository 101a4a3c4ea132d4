"""Pictures of every kind read the same way, and cut to their boxes."""

import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from engine.contract import DataSpec, OnehourError
from engine.data import decode
from engine.data.competition import load
from engine.data.decode import read_image
from engine.data.given_boxes import given_boxes


def scene(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def saved(path: Path, image: Image.Image, **how: object) -> np.ndarray:
    image.save(path, **how)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


def close(one: np.ndarray, other: np.ndarray, most: float = 4.0) -> bool:
    return one.shape == other.shape and np.abs(one.astype(int) - other).mean() < most


def refusal(path: Path, raw: bytes) -> str:
    path.write_bytes(raw)
    with pytest.raises(OnehourError) as error:
        read_image(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_plain_jpeg_is_read_as_opencv_and_pillow_read_it(tmp_path: Path) -> None:
    for name, picture in (("colour.jpg", scene()), ("grey.jpg", scene()[..., 0])):
        pixels = saved(tmp_path / name, Image.fromarray(picture), quality=90)
        assert np.array_equal(pixels, cv2.imread(str(tmp_path / name), cv2.IMREAD_COLOR_RGB))
        assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / name).convert("RGB")))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("turned", range(1, 9))
def test_a_turned_picture_is_read_upright(tmp_path: Path, turned: int, progressive: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    stored = Image.fromarray(scene())
    as_jpeg = saved(tmp_path / "a.jpg", stored, exif=exif, quality=95, progressive=progressive)
    as_png = saved(tmp_path / "a.png", stored, exif=exif)
    as_webp = saved(tmp_path / "a.webp", stored, exif=exif, lossless=True)
    with Image.open(tmp_path / "a.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert (upright.shape[0] > upright.shape[1]) == (turned > 4)
    assert np.array_equal(as_png, upright)
    assert np.array_equal(as_webp, upright)
    assert close(as_jpeg, upright)


def test_sixteen_bits_become_the_upper_eight(tmp_path: Path) -> None:
    deep = scene().astype(np.uint16) * 256 + 99
    assert cv2.imwrite(str(tmp_path / "colour.png"), deep[..., ::-1])
    assert np.array_equal(read_image(tmp_path / "colour.png"), scene())
    for name in ("grey.png", "grey.tif"):
        assert cv2.imwrite(str(tmp_path / name), deep[..., 0])
        assert np.array_equal(read_image(tmp_path / name), np.stack([scene()[..., 0]] * 3, axis=2))


def test_values_without_a_known_range_are_refused(tmp_path: Path) -> None:
    for name, values in (("i.tif", np.full((4, 4), 100_000, np.int32)), ("f.tif", np.full((4, 4), 0.5, np.float32))):
        Image.fromarray(values).save(tmp_path / name)
        assert "32 bits" in refusal(tmp_path / name, (tmp_path / name).read_bytes())


def test_cmyk_is_read_in_its_colours(tmp_path: Path) -> None:
    picture = scene()
    cmyk = Image.fromarray(picture).convert("CMYK")
    assert close(saved(tmp_path / "a.jpg", cmyk, quality=95), picture)
    assert close(saved(tmp_path / "a.tif", cmyk), picture, 1)


def test_a_palette_is_resolved(tmp_path: Path) -> None:
    image = Image.fromarray(scene()).convert("P", palette=Image.Palette.ADAPTIVE)
    wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(saved(tmp_path / "a.png", image), wanted)
    assert np.array_equal(saved(tmp_path / "a.gif", image), wanted)
    assert set(np.unique(saved(tmp_path / "b.png", Image.fromarray(scene()[..., 0] > 128)))) == {0, 255}


@pytest.mark.parametrize("hidden", [0, 255])
def test_what_is_transparent_is_middle_grey_whatever_lies_under_it(tmp_path: Path, hidden: int) -> None:
    picture = np.full((10, 20, 4), 255, np.uint8)
    picture[:, :10, :3], picture[:, :10, 3] = hidden, 0
    for name in ("a.png", "a.webp", "a.tif"):
        pixels = saved(tmp_path / name, Image.fromarray(picture), **({"lossless": True} if "webp" in name else {}))
        assert (pixels[:, :10] == 128).all()
        assert (pixels[:, 10:] == 255).all()


def test_a_transparent_colour_of_a_palette_is_middle_grey(tmp_path: Path) -> None:
    image = Image.fromarray(np.repeat([[0, 1]], 4, axis=0).astype(np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    for name in ("a.png", "a.gif"):
        pixels = saved(tmp_path / name, image, transparency=0)
        assert pixels[0].tolist() == [[128, 128, 128], [40, 50, 60]]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, name: str) -> None:
    first, second = Image.new("RGB", (8, 6), (200, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 200))
    pixels = saved(tmp_path / name, first, save_all=True, append_images=[second])
    assert pixels.shape == (6, 8, 3)
    assert close(pixels, np.asarray(first), 2)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp"])
def test_a_single_pixel_is_a_picture(tmp_path: Path, name: str) -> None:
    assert close(saved(tmp_path / name, Image.new("RGB", (1, 1), (90, 90, 90))), np.full((1, 1, 3), 90, np.uint8))


def test_a_jpeg_that_was_cut_off_is_refused_and_one_with_something_behind_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    whole = saved(path, Image.fromarray(scene(400, 600)), quality=95)
    raw = path.read_bytes()
    assert "truncated" in refusal(path, raw[: len(raw) // 2])
    assert "truncated" in refusal(path, raw[: len(raw) // 2] + bytes(len(raw) // 2))
    assert "truncated" in refusal(path, raw[:-2])
    path.write_bytes(raw + b"and more")
    assert np.array_equal(read_image(path), whole)


def test_what_is_no_picture_is_refused_with_the_file_and_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    assert "zero bytes" in refusal(path, b"")
    assert "no image" in refusal(path, b"<html>not found</html>")
    assert "no image" in refusal(path, b"\xff\xd8\xff\xff\xff\xd9")
    Image.fromarray(scene()).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    refusal(tmp_path / "a.png", whole[: len(whole) // 2])
    with pytest.raises(OnehourError, match=r"gone\.jpg.*No such file"):
        read_image(tmp_path / "gone.jpg")
    huge = bytearray((tmp_path / "a.png").read_bytes())
    huge[16:24] = struct.pack(">II", 30_000, 30_000)
    refusal(tmp_path / "a.png", bytes(huge))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """41 megapixels: 7,400 × 5,550, seen upright, stored lying for the JPEG."""
    folder = tmp_path_factory.mktemp("large")
    upright = cv2.resize(scene(), (5550, 7400), interpolation=cv2.INTER_LINEAR)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(folder / "a.jpg", exif=exif)
    assert cv2.imwrite(str(folder / "a.png"), upright[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return folder


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_of_forty_megapixels_is_read_at_half_its_size(large: Path, name: str) -> None:
    pixels = read_image(large / name)
    assert pixels.shape == (3700, 2775, 3)
    small = cv2.resize(pixels, (60, 40), interpolation=cv2.INTER_AREA)
    assert close(small, cv2.resize(cv2.resize(scene(), (5550, 7400)), (60, 40), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_box_is_in_pixels_of_the_original_of_a_large_picture(large: Path, name: str) -> None:
    whole = read_image(large / name)
    cut = read_image(large / name, (1000, 2000, 3000, 2501))
    assert np.array_equal(cut, whole[1000:1251, 500:1500])
    assert np.array_equal(read_image(large / name, (5000, 7000, 9999, 9999)), whole[3500:, 2500:])


def test_several_large_pictures_at_once_take_the_memory_of_one(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = [], []

    def decoded(*asked: object) -> np.ndarray:
        under_way.append(1)
        most.append(len(under_way))
        image = imdecode(*asked)
        under_way.pop()
        return image

    imdecode = cv2.imdecode
    monkeypatch.setattr(decode.cv2, "imdecode", decoded)
    with ThreadPoolExecutor(4) as pool:
        assert len({image.shape for image in pool.map(read_image, [large / "a.jpg"] * 4)}) == 1
    assert max(most) == 1
    tracemalloc.start()
    read_image(large / "a.jpg")
    assert tracemalloc.get_traced_memory()[1] < 41e6 * 3 * 0.6  # numpy tells its arrays; the whole would take 123 MB
    tracemalloc.stop()


def test_a_box_cuts_and_its_margin_widens_it(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.png", Image.fromarray(scene()))
    assert np.array_equal(read_image(tmp_path / "a.png", (10, 5, 30, 25)), whole[5:25, 10:30])
    assert np.array_equal(read_image(tmp_path / "a.png", (10, 5, 30, 25), 0.1), whole[3:27, 8:32])


def test_a_box_that_reaches_outside_is_clipped_and_one_that_lies_outside_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.png", Image.fromarray(scene()))
    assert np.array_equal(read_image(tmp_path / "a.png", (-20, -3, 30, 999)), whole[:, :30])
    with pytest.raises(OnehourError, match=r"a\.png.*60, 0, 80, 40 lies outside the picture of 60 × 40"):
        read_image(tmp_path / "a.png", (60, 0, 80, 40))


@pytest.fixture
def data(tmp_path: Path) -> DataSpec:
    """Three training images and a test image; boxes.csv is left to the test."""
    for part, names in (("train", "abc"), ("test", "d")):
        (tmp_path / part).mkdir()
        for name in names:
            (tmp_path / part / f"{name}.jpg").write_bytes(b"never opened")
    (tmp_path / "train.csv").write_text("Image,Id\na.jpg,w_1\nb.jpg,w_2\nc.jpg,new_whale\n")
    (tmp_path / "sample_submission.csv").write_text("Image,Id\nd.jpg,w_1\n")
    return DataSpec(dir=str(tmp_path), boxes="boxes.csv")


def boxes_csv(data: DataSpec, *rows: str) -> None:
    (Path(data.dir) / "boxes.csv").write_text("\n".join(["image,x0,y0,x1,y1", *rows]) + "\n")


def test_boxes_too_may_name_a_picture_without_its_ending(data: DataSpec) -> None:
    boxes_csv(data, "a,7,7,9,9", "d,1,2,3,4")
    given = given_boxes(data, load(data))
    assert given.boxes == ((7, 7, 9, 9), None, None, (1, 2, 3, 4))


def test_boxes_stand_beside_the_images_of_both_parts(data: DataSpec) -> None:
    boxes_csv(data, "d.jpg,1,2,3,4", "c.jpg,0,0,5,5", "a.jpg,7,7,9,9", "b.jpg,1.5,1,2.5,2")
    given = given_boxes(data, load(data))
    assert given.boxes == ((7, 7, 9, 9), (1.5, 1, 2.5, 2), (0, 0, 5, 5), (1, 2, 3, 4))
    assert given.notes == ()


def test_images_without_a_box_are_used_whole_and_counted(data: DataSpec) -> None:
    boxes_csv(data, "b.jpg,1,1,2,2", "elsewhere.jpg,1,1,2,2")
    given = given_boxes(data, load(data))
    assert given.boxes == (None, (1, 1, 2, 2), None, None)
    assert given.notes == ("3 images have no box in boxes.csv and are used whole.",)


def test_an_upside_down_box_is_refused_by_its_line(data: DataSpec) -> None:
    boxes_csv(data, "a.jpg,1,1,2,2", "b.jpg,5,1,2,2")
    with pytest.raises(OnehourError, match=r"boxes\.csv, line 3"):
        given_boxes(data, load(data))


def test_boxes_of_other_pictures_are_refused(data: DataSpec) -> None:
    boxes_csv(data, "other.jpg,1,1,2,2")
    with pytest.raises(OnehourError, match="no image of the competition"):
        given_boxes(data, load(data))


def test_without_a_file_of_boxes_every_image_is_whole(data: DataSpec) -> None:
    spec = data.model_copy(update={"boxes": None})
    assert given_boxes(spec, load(spec)).boxes == (None,) * 4

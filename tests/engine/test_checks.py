"""A whole check: what is counted, named and quarantined, what is not read twice, and what a run takes from it."""

import base64
import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from engine import __main__ as cli
from engine.check_folder import Check, CheckFolder, Checks
from engine.checks import facts
from engine.checks.label_findings import OF_LABELS
from engine.checks.picture import Picture
from engine.checks.report import check, checks_of_run
from engine.checks.survey import Survey, survey
from engine.contract import DataSpec, OnehourError
from engine.data.competition import load
from engine.data.groups import group
from tests.engine.test_checks_picture import scene

TRAIN = {f"{number:02}.jpg": f"w_{number // 3}" for number in range(12)} | {
    "12.jpg": "new_whale",
    "13.jpg": "new_whale",
}
TEST = ("t0.jpg", "t1.jpg", "t2.jpg")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "whales"
    for start, part, names in ((0, "train", TRAIN), (100, "test", TEST)):
        (root / part).mkdir(parents=True)
        for seed, name in enumerate(names, start):
            scene(seed, 120, 80).save(root / part / name, quality=92)
    write_labels(root, TRAIN)
    (root / "sample_submission.csv").write_text("Image,Id\n" + "".join(f"{one},new_whale w_0\n" for one in TEST))
    return root


@pytest.fixture
def folder(tmp_path: Path) -> CheckFolder:
    return CheckFolder(tmp_path / "check")


def write_labels(root: Path, labels: dict[str, str]) -> None:
    (root / "train.csv").write_text("Image,Id\n" + "".join(f"{image},{label}\n" for image, label in labels.items()))


def named(checks: Checks, name: str) -> Check:
    return next(one for one in checks.checks if one.name == name)


def run_check(data: Path, folder: CheckFolder) -> Checks:
    return check(DataSpec(dir=str(data)), folder)


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that are decoded from now on."""
    names: list[str] = []
    real = facts.look_at

    def noted(path: Path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(facts, "look_at", noted)
    return names


def test_good_data_is_fine_and_everything_is_written(data: Path, folder: CheckFolder) -> None:
    checks = run_check(data, folder)
    assert checks.verdict in ("note", "ok")
    assert (checks.train_images, checks.test_images, checks.labels, checks.unknown_images) == (14, 3, 4, 2)
    assert checks.images_per_label == {3: 4}
    assert folder.read_checks() == checks
    assert [row["image"] for row in folder.rows_of_facts(["image"])] == [*TRAIN, *TEST]
    assert {row["label"] for row in folder.rows_of_facts() if row["part"] == "train"} == set(TRAIN.values())
    assert not folder.quarantine_csv.exists()
    captions = [caption for caption, _ in folder.sheets()]
    assert captions == [
        "Images drawn by lot",
        "Least sharp",
        "Fewest pixels",
        "Farthest from square",
        "Least colour",
        "Darkest",
    ]
    for _, path in folder.sheets():
        with Image.open(path) as sheet:
            assert sheet.format == "JPEG"
            assert np.asarray(sheet).std() > 20


def test_the_worst_stands_first(data: Path, folder: CheckFolder) -> None:
    for name in ("t0.jpg", "t1.jpg"):
        (data / "test" / name).write_bytes(b"")
    (data / "train" / "notes.txt").write_text("mine")
    order = [one.verdict for one in run_check(data, folder).checks]
    assert order[0] == "error"
    assert order == sorted(order, key=["error", "warning", "note", "ok"].index)


def test_broken_files_are_quarantined_with_a_report(data: Path, folder: CheckFolder) -> None:
    whole = (data / "train" / "04.jpg").read_bytes()
    (data / "train" / "04.jpg").write_bytes(whole[:-300])
    checks = run_check(data, folder)
    broken = named(checks, "unreadable images")
    assert (broken.verdict, broken.count, broken.examples) == ("warning", 1, ("train/04.jpg (truncated)",))
    with folder.quarantine_csv.open(newline="") as file:
        assert list(csv.reader(file)) == [["part", "image", "label", "reason"], ["train", "04.jpg", "w_1", "truncated"]]
    assert (data / "train" / "04.jpg").exists(), "a person's file is nobody else's to move"
    (data / "train" / "04.jpg").write_bytes(whole)
    assert named(run_check(data, folder), "unreadable images").verdict == "ok"
    assert not folder.quarantine_csv.exists()


def test_copies_conflicts_and_leaks_are_named(data: Path, folder: CheckFolder) -> None:
    train = data / "train"
    shutil.copy(train / "00.jpg", train / "same.jpg")
    shutil.copy(train / "01.jpg", train / "torn.jpg")
    ImageOps.mirror(scene(5, 120, 80)).save(train / "mirror.jpg", quality=60)
    shutil.copy(train / "06.jpg", data / "test" / "t0.jpg")
    scene(7, 120, 80).resize((90, 60)).save(data / "test" / "t1.jpg")
    write_labels(data, TRAIN | {"same.jpg": "w_0", "torn.jpg": "w_3", "mirror.jpg": "w_1"})
    checks = run_check(data, folder)
    assert named(checks, "label conflicts").examples == ("train/01.jpg (w_0) = train/torn.jpg (w_3)",)
    assert named(checks, "copies in training").count == 2
    assert named(checks, "test images in training").examples == ("train/06.jpg (w_2) = test/t0.jpg",)
    assert named(checks, "test images in training").verdict == "warning"
    mirrored = named(checks, "near copies in training")
    assert mirrored.examples == ("train/05.jpg (w_1) ~ train/mirror.jpg (w_1)",)
    assert "(1 mirrored)" in mirrored.sentence
    assert named(checks, "near copies across training and test").examples == ("train/07.jpg (w_2) ~ test/t1.jpg",)
    assert folder.sheet("conflicts").is_file()
    assert folder.sheet("copies").is_file()


def test_two_labels_of_one_individual_are_told_but_not_with_the_unknown(data: Path, folder: CheckFolder) -> None:
    more = {}
    for seed in (0, 1, 3, 4):
        name = f"again{seed}.jpg"
        scene(seed, 120, 80).resize((100, 66)).save(data / "train" / name)
        more[name] = "w_3" if seed < 2 else "new_whale"
    write_labels(data, TRAIN | more)
    alike = named(run_check(data, folder), "labels that look the same")
    assert (alike.verdict, alike.examples) == ("warning", ("w_0 ~ w_3: 2 pairs",))
    assert folder.sheet("alike").is_file()


def test_every_odd_kind_is_counted_and_named(data: Path, folder: CheckFolder) -> None:
    train, exif = data / "train", Image.Exif()
    exif[0x0112] = 3
    clear = scene(44, 120, 80)
    clear.putalpha(200)
    odd = {
        "rotated by EXIF": ("turned.jpg", scene(40, 120, 80), {"exif": exif}),
        "16-bit images": ("deep.png", Image.fromarray(np.asarray(scene(41).convert("L")).astype(np.uint16) * 257), {}),
        "CMYK images": ("print.jpg", scene(42, 120, 80).convert("CMYK"), {}),
        "palette images": ("palette.png", scene(43, 120, 80).quantize(64), {}),
        "transparent images": ("clear.png", clear, {}),
        "animated images": (
            "moving.webp",
            scene(45, 120, 80),
            {"save_all": True, "append_images": [scene(46, 120, 80)]},
        ),
        "tiny images": ("dot.png", Image.new("RGB", (1, 1), (255, 0, 0)), {}),
        "huge images": ("huge.jpg", scene(47).resize((8000, 5000), Image.Resampling.NEAREST), {"quality": 30}),
    }
    for name, image, how in odd.values():
        image.save(train / name, **how)
    write_labels(data, TRAIN | {name: "w_0" for name, _, _ in odd.values()})
    checks = run_check(data, folder)
    for kind, (name, _, _) in odd.items():
        found = named(checks, kind)
        assert found.examples == (f"train/{name}",), found
        assert found.verdict in ("note", "warning")
    assert named(checks, "images of one colour").examples == ("train/dot.png",)
    assert checks.verdict != "error"


def test_a_folder_that_a_run_would_refuse_is_looked_at_all_the_same(data: Path, folder: CheckFolder) -> None:
    (data / "train" / "03.jpg").unlink()
    (data / "train" / "extra.jpg").write_bytes((data / "train" / "00.jpg").read_bytes())
    (data / "train" / "notes.txt").write_text("mine")
    shutil.copy(data / "test" / "t0.jpg", data / "test" / "t9.jpg")
    (data / "test" / "t2.jpg").unlink()
    checks = run_check(data, folder)
    assert "03.jpg" in named(checks, "folder").sentence
    assert named(checks, "absent images").examples == ("03.jpg",)
    assert named(checks, "images without a label").examples == ("extra.jpg",)
    assert named(checks, "foreign files").examples == ("train/notes.txt",)
    assert named(checks, "sample submission").examples == ("t2.jpg: no such file", "t9.jpg: no row")
    assert [one.verdict for one in checks.checks[:3]] == ["error"] * 3
    assert checks.train_images == 13


def test_without_a_label_file_the_images_are_looked_at(data: Path, folder: CheckFolder) -> None:
    (data / "train.csv").unlink()
    checks = run_check(data, folder)
    assert (checks.train_images, checks.labels) == (14, 0)
    assert named(checks, "folder").verdict == "error"
    assert not OF_LABELS & {one.name for one in checks.checks}, "what nobody knows is not told as fine"


def test_what_is_known_is_not_read_again(data: Path, folder: CheckFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_check(data, folder)
    before = folder.facts_csv.read_bytes()
    names = looked_at(monkeypatch)
    assert run_check(data, folder) == first
    assert names == []
    assert folder.facts_csv.read_bytes() == before
    scene(77, 120, 80).save(data / "train" / "02.jpg")
    run_check(data, folder)
    assert names == ["02.jpg"]


def test_a_check_that_was_killed_goes_on_where_it_stopped(
    data: Path, folder: CheckFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_check(data, folder)
    known = folder.facts_csv.read_bytes()
    lines = known.splitlines(keepends=True)
    folder.facts_csv.write_bytes(b"".join(lines[:6]) + lines[6][:-9])  # killed in the middle of the sixth image's line
    names = looked_at(monkeypatch)
    assert run_check(data, folder) == whole
    assert sorted(names) == sorted([*TRAIN, *TEST][5:])
    assert folder.facts_csv.read_bytes() == known


def test_facts_are_written_as_the_check_goes(data: Path, folder: CheckFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = facts.look_at
    monkeypatch.setattr(facts, "WRITTEN_EACH_S", -1.0)

    def interrupted(path: Path):
        if path.name == "t0.jpg":
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(facts, "look_at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_check(data, folder)
    assert [row["image"] for row in folder.rows_of_facts()] == list(TRAIN)
    assert folder.read_checks() is None


def test_contents_exchanged_under_the_same_size_and_date_are_looked_at(
    data: Path, folder: CheckFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "train" / "02.bmp"
    scene(2, 120, 80).save(path)
    write_labels(data, TRAIN | {"02.bmp": "w_0"})
    run_check(data, folder)
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a file system's clock ticks a few hundred times a second
        scene(77, 120, 80).save(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    names = looked_at(monkeypatch)
    run_check(data, folder)
    assert names == ["02.bmp"]


def test_two_processes_on_one_folder_look_at_each_image_once(data: Path, folder: CheckFolder) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from engine.check_folder import CheckFolder\n"
        "from engine.checks import facts\n"
        "from engine.checks.survey import survey\n"
        "from engine.contract import DataSpec\n"
        "from engine.data.competition import load\n"
        "real, facts.WRITTEN_EACH_S = facts.look_at, -1.0\n"
        "facts.look_at = lambda path: (os.write(1, f'{path.name}\\n'.encode()), real(path))[1]\n"  # threads print in pieces
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "survey(load(DataSpec(dir=sys.argv[1])), CheckFolder(Path(sys.argv[2])))\n"
    )
    command = [sys.executable, "-c", script, str(data), str(folder.path)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    looked = [name for one in both for name in one.communicate()[0].split()]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(looked) == sorted([*TRAIN, *TEST])
    assert [row["image"] for row in folder.rows_of_facts(["image"])] == [*TRAIN, *TEST]


def test_a_file_of_another_version_is_made_anew(data: Path, folder: CheckFolder) -> None:
    folder.path.mkdir()
    folder.facts_csv.write_text("image,width\n00.jpg,3\n")
    run_check(data, folder)
    assert len(list(folder.rows_of_facts())) == 17


def test_a_run_sees_the_hashes_it_always_saw(data: Path, folder: CheckFolder) -> None:
    competition = load(DataSpec(dir=str(data)))
    seen = survey(competition, folder)
    assert seen.competition == competition
    assert len(set(seen.content.train)) == 14
    assert seen.near_in_training() == []
    assert seen.notes == ()


def test_a_run_leaves_out_a_broken_training_image_and_says_so(data: Path, folder: CheckFolder) -> None:
    (data / "train" / "04.jpg").write_bytes(b"")
    seen = survey(load(DataSpec(dir=str(data))), folder)
    assert "04.jpg" not in seen.competition.images
    assert len(seen.competition.images) == len(seen.competition.labels) == len(seen.train) == 13
    (note,) = seen.notes
    assert (
        "1 training image cannot be decoded and is neither trained on nor scored in the CV: train/04.jpg (zero" in note
    )
    told = checks_of_run(seen, seen.notes)
    assert named(told, "unreadable images").count == 1
    assert told.notes == seen.notes
    json.dumps(told.model_dump(mode="json"))


def test_a_run_keeps_a_broken_test_image_and_says_that_it_is_answered_unseen(data: Path, folder: CheckFolder) -> None:
    (data / "test" / "t1.jpg").write_bytes(b"")
    seen = survey(load(DataSpec(dir=str(data))), folder)
    assert seen.test_whole == (True, False, True)
    assert [entry.image for entry, _ in seen.seen if entry.part == "test"] == ["t0.jpg", "t2.jpg"]
    (note,) = seen.notes
    assert "1 test image cannot be decoded and is answered without being seen" in note
    assert "test/t1.jpg (zero bytes)" in note
    told = checks_of_run(seen, seen.notes)
    assert (told.test_images, named(told, "unreadable images").verdict) == (3, "warning")


@pytest.mark.parametrize(
    "broken",
    [("train/01.jpg", "train/04.jpg"), ("test/t0.jpg", "test/t1.jpg"), tuple(f"test/t{i}.jpg" for i in range(3))],
)
def test_a_run_refuses_more_broken_images_than_a_broken_file_or_two(
    data: Path, folder: CheckFolder, broken: tuple[str, ...]
) -> None:
    for name in broken:
        (data / name).write_bytes(b"")
    with pytest.raises(OnehourError, match=f"{len(broken)} of 17 images cannot be decoded: {broken[0]}"):
        survey(load(DataSpec(dir=str(data))), folder)
    assert folder.quarantine_csv.is_file()


def test_near_copies_of_training_images_are_places_in_the_competition(data: Path, folder: CheckFolder) -> None:
    scene(3, 120, 80).resize((60, 40)).save(data / "train" / "small.jpg")
    scene(4, 120, 80).resize((60, 40)).save(data / "test" / "t0.jpg")
    write_labels(data, TRAIN | {"small.jpg": "w_1"})
    seen: Survey = survey(load(DataSpec(dir=str(data))), folder)
    assert seen.near_in_training() == [(3, 14)]
    assert seen.near.pairs() == [(3, 14), (4, 15)]


def test_near_copies_that_also_meet_at_a_test_image_stay_together(data: Path, folder: CheckFolder) -> None:
    even = [1 << (2 * bit) for bit in range(18)]  # a mirror changes odd bits alone: nothing here is mirrored
    out, in_, last = sum(even[:10]), sum(even[10:16]), even[16]
    # 0 and 1 are near to the test image, 2 to 0, 33 to 1. 2 has thirty near images before it comes to 33.
    hashes = [in_, out | in_ | last, 0, *[even[17]] * 30, out]
    thumbnail = base64.b64encode(bytes(range(256))).decode()
    seen = [
        Picture(width=99, height=99, contrast=9.0, content=str(place), phash=phash, thumbnail=thumbnail)
        for place, phash in enumerate([*hashes, in_ | sum(even[:5])])
    ]
    names = tuple(f"{place}.jpg" for place in range(34))
    competition = dataclasses.replace(
        load(DataSpec(dir=str(data))), images=names, labels=("w_0",) * 34, test_images=("t0.jpg",)
    )
    made = Survey(competition, tuple(seen[:34]), tuple(seen[34:]), (), ())
    assert (2, 33) not in made.near.pairs(), "they are connected through the test image"
    assert set(group(names, competition.labels, made.content.train, made.near_in_training()).number) == {0}


def test_the_command_tells_each_check_in_a_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "train" / "04.jpg").write_bytes(b"")
    assert cli.main(["check", str(data), "--out", str(tmp_path / "c")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("warning  unreadable images: 1 image cannot be decoded")
    assert lines[-1] == str(tmp_path / "c")
    shutil.move(data / "train.csv", data / "labels.csv")
    assert cli.main(["check", str(data), "--out", str(tmp_path / "c"), "--set", "data.labels=labels.csv"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nowhere"], ("nowhere", "no such folder")),
        (["check", ".", "--set", "data.lables=x"], ("'data.lables'", "'labels'")),
        (["check", ".", "--set", "sed=1"], ("'sed'", "'seed'")),
        (["sheet"], ("spec file or a preset",)),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert all(word in error for word in words), error


def test_an_empty_folder_and_an_unwritable_place_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OnehourError, match="there is no such folder"):
        run_check(tmp_path / "empty", CheckFolder(tmp_path / "c"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OnehourError, match="check's folder cannot be written"):
        run_check(data, CheckFolder(tmp_path / "file" / "c"))

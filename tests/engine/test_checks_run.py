"""What a run makes of a survey: near copies share a fold, what is broken is left out and named, facts are read once."""

from pathlib import Path

import pytest
from PIL import ImageOps

from engine.checks import facts
from engine.contract import DataSpec, RunSpec
from engine.training.prepare import prepare
from tests.engine.test_checks_picture import scene


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve pictures of four labels, and of the first three a mirrored, smaller copy under the name m<number>."""
    root = tmp_path / "whales"
    for part in ("train", "test"):
        (root / part).mkdir(parents=True)
    rows = []
    for seed in range(12):
        scene(seed, 120, 80).save(root / "train" / f"{seed}.jpg")
        rows.append(f"{seed}.jpg,w_{seed % 4}")
    for seed in range(3):
        ImageOps.mirror(scene(seed, 120, 80)).resize((90, 60)).save(root / "train" / f"m{seed}.jpg")
        rows.append(f"m{seed}.jpg,w_{seed % 4}")
    scene(50, 120, 80).save(root / "test" / "t.jpg")
    (root / "train.csv").write_text("\n".join(["Image,Id", *rows]) + "\n")
    (root / "sample_submission.csv").write_text("Image,Id\nt.jpg,new_whale\n")
    return root


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_and_its_mirrored_small_copy_share_a_fold(data: Path, tmp_path: Path, seed: int) -> None:
    spec = RunSpec(data=DataSpec(dir=str(data)), folds=3, fold_seed=seed)
    folds = prepare(spec, tmp_path / "runs").folds
    fold = dict(zip(folds.image, folds.fold, strict=True))
    assert [fold[f"m{one}.jpg"] for one in range(3)] == [fold[f"{one}.jpg"] for one in range(3)]
    assert len(set(fold.values())) == 3


def test_a_broken_image_is_left_out_of_the_folds_and_named_in_the_notes(data: Path, tmp_path: Path) -> None:
    path = data / "train" / "7.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    prepared = prepare(RunSpec(data=DataSpec(dir=str(data)), folds=2), tmp_path / "runs")
    assert "7.jpg" not in prepared.folds.image
    assert len(prepared.folds.image) == len(prepared.competition.images) == 14
    assert len(prepared.boxes) == len(prepared.paths) == 15
    assert sum("train/7.jpg (truncated)" in note for note in prepared.notes) == 1


def test_the_next_run_beside_it_reads_no_image_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(RunSpec(data=DataSpec(dir=str(data)), folds=2), tmp_path / "runs")
    monkeypatch.setattr(facts, "look_at", lambda path: pytest.fail(f"{path} was read again"))
    again = prepare(RunSpec(data=DataSpec(dir=str(data)), folds=2), tmp_path / "runs")
    assert again.folds == first.folds
    assert again.seen.content == first.seen.content

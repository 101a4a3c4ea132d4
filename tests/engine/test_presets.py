"""Presets: each resolves, says when to use it, and names a backbone whose net can be built; files laid over another."""

from pathlib import Path

import pytest
import torch
import yaml

from engine.contract import (
    OnehourError,
    blend_preset_names,
    blend_preset_path,
    preset_names,
    preset_path,
    read_blend_spec,
    read_spec,
)
from engine.model.backbone import check_backbone
from engine.training.loop import build_net

ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "vgg16", "efficientnet", "convnext")


def test_the_architectures_that_a_kaggler_asks_for_are_named() -> None:
    backbones = {read_spec(preset_path(name), {"data.dir": "d"}).backbone for name in preset_names()}
    assert [one for one in ARCHITECTURES if not any(one in backbone for backbone in backbones)] == []


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_says_when_to_use_it_and_its_weights_exist(name: str) -> None:
    first = preset_path(name).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(("# For ", "# To ", "# The recipe"))
    check_backbone(read_spec(preset_path(name), {"data.dir": "d"}))


@pytest.mark.parametrize("name", ["vgg16", "efficientnet", "convnext", "scout", "regression"])
def test_the_net_of_a_preset_is_built_and_answers(name: str) -> None:
    spec = read_spec(preset_path(name), {"data.dir": "d", "weights": "none"})
    outputs = 1 if spec.head == "number" else 3
    net = build_net(spec, 0, outputs).eval()
    with torch.inference_mode():
        answers = net(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert answers.shape == (2, outputs * (2 if spec.mirrored_identities else 1))
    assert answers.isfinite().all()


@pytest.mark.parametrize("name", blend_preset_names())
def test_every_preset_of_a_blend_resolves(name: str) -> None:
    assert blend_preset_path(name).read_text(encoding="utf-8").startswith("# For ")
    read_blend_spec(blend_preset_path(name))


def test_a_file_laid_over_a_preset_states_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump({"like": "identify", "seed": 7, "data": {"dir": "d", "boxes": "b.csv"}, "augment": []})
    )
    mine, theirs = read_spec(path), read_spec(preset_path("identify"), {"data.dir": "d"})
    assert (mine.seed, mine.augment, mine.data.boxes) == (7, (), "b.csv")
    assert mine.model_copy(update={"seed": 0, "augment": theirs.augment, "data": theirs.data}) == theirs
    path.write_text("like: regression\ndata: {dir: d}\n")
    assert read_spec(path).data.unknown_label is None, "keys of data are laid over one by one, through two files"
    path.write_text("like: identfy\n")
    with pytest.raises(OnehourError, match=r"no preset 'identfy' of a run\. Did you mean 'identify'"):
        read_spec(path)

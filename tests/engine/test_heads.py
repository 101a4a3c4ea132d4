"""What stands behind the backbone: necks, heads, embeddings, and the scores that logits become."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.contract import EXIT_OK, RunSpec, spec_from_mapping
from engine.model.backbone import Backbone, build_backbone
from engine.model.head import Cosines, Net, body_and_head, probabilities_of
from engine.run_folder import RunFolder
from tests.engine.test_training import pictures as competition
from tests.engine.test_training import run

__all__ = ["competition"]  # the fixture


def asked(**keys: Any) -> RunSpec:
    return spec_from_mapping({"data": {"dir": "."}, "backbone": "test_resnet"} | keys, "test")


def net_of(spec: RunSpec, classes: int = 5) -> Net:
    torch.manual_seed(0)
    return Net(build_backbone(spec), classes, spec)


def pictures(n: int = 4) -> torch.Tensor:
    return torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("keys", "width"),
    [
        ({}, 96),
        ({"neck": "bn"}, 96),
        ({"head": "arcface"}, 256),
        ({"head": "arcface", "neck": "bn", "pooling": "gem", "arcface_subcentres": 3}, 96),
        ({"loss": "bce", "neck": "bn"}, 96),
    ],
)
def test_every_head_gives_an_embedding_and_a_logit_a_class_and_learns(keys: dict[str, Any], width: int) -> None:
    net = net_of(asked(**keys)).train()
    assert net.embed(pictures()).shape == (4, width)
    logits = net(pictures())
    assert logits.shape == (4, 5)
    logits.logsumexp(1).sum().backward()
    missing = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert not missing
    assert sum(len(group) for group in body_and_head(net)) == len(list(net.parameters()))


def test_the_nearest_of_a_labels_directions_counts() -> None:
    head = Cosines(2, 2, scale=10, centres=2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0], [0.0, 0.5]]))
    found = head(torch.tensor([[-4.0, 0.0], [0.6, 0.8]]))
    torch.testing.assert_close(found, torch.tensor([[10.0, 0.0], [6.0, 8.0]]))


def test_a_bn_neck_centres_what_the_classifier_and_retrieval_see_and_learns_no_shift() -> None:
    net = Net(Backbone(nn.Flatten(), 12, (0.5,) * 3, (0.5,) * 3), 3, asked(neck="bn")).train()
    images = torch.randint(256, (64, 3, 2, 2), dtype=torch.uint8)
    embedding = net.embed(images)
    torch.testing.assert_close(embedding.mean(0), torch.zeros(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(embedding.std(0, correction=0), torch.ones(12), atol=1e-3, rtol=0)
    assert [name for name, _ in net.named_parameters()] == ["neck.weight", "head.weight"]


def test_a_yes_or_no_begins_with_no_at_one_in_as_many_as_there_are_classes() -> None:
    spec = asked(loss="bce")
    net = net_of(spec, classes=50)
    with torch.no_grad():
        net.head.weight.zero_()
    scores = probabilities_of(spec, net.eval()(pictures()))
    torch.testing.assert_close(scores, torch.full((4, 50), 1 / 50))


def test_scores_are_a_softmax_or_a_sigmoid_a_class_as_the_loss_has_taught() -> None:
    logits = torch.tensor([[0.0, 3.0, -1.0]])
    torch.testing.assert_close(probabilities_of(asked(), logits), F.softmax(logits, dim=1))
    torch.testing.assert_close(probabilities_of(asked(loss="focal"), logits), F.softmax(logits, dim=1))
    torch.testing.assert_close(probabilities_of(asked(loss="bce"), logits), torch.sigmoid(logits))


def test_a_net_that_compares_gives_its_embedding_too_in_training_alone() -> None:
    net = net_of(asked(triplet_weight=1.0, neck="bn")).train()
    logits, embedding = net(pictures())
    assert (logits.shape, embedding.shape) == ((4, 5), (4, 96))
    torch.testing.assert_close(net.head(embedding), logits)
    assert net.eval()(pictures()).shape == (4, 5)


@pytest.mark.parametrize(
    "keys",
    [
        {
            "pooling": "gem",
            "neck": "bn",
            "head": "arcface",
            "arcface_subcentres": 2,
            "arcface_margin_by_frequency": True,
            "mirrored_identities": True,
            "triplet_weight": 1.0,
            "sampler": "balanced",
            "unknown_in_training": "negatives",
            "retrieval_share": 0.5,
        },
        {"loss": "bce", "label_smoothing": 0.05, "cutmix": 1.0, "unknown_in_training": "negatives"},
    ],
)
def test_a_whole_run_with_all_that_a_head_can_have_beats_chance(
    competition: Path, tmp_path: Path, keys: dict[str, Any]
) -> None:
    assert run(competition, tmp_path / "r", **keys) == EXIT_OK
    result = RunFolder(tmp_path / "r").read_result()
    assert result is not None
    assert result.cv > 0.5  # new_whale first and then any five: 0.35 at best

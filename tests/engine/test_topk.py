"""The best labels of images by a fold's net: those of the whole matrix, block after block, with mirrors and retrieval."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.contract import RunSpec
from engine.data.images import batches
from engine.inference import fold_predictions, predict
from engine.inference.fold_predictions import mean_over_folds, out_of_fold
from engine.inference.predict import Predictor, nearest_cosines, save_fold
from engine.training.fold import FoldData
from engine.training.loop import build_net
from engine.training.stop import Stop

IMAGES, CLASSES = 24, ("a", "b", "c", "d", "e", "new")
ROWS = np.arange(IMAGES)
random = np.random.default_rng(0)
PIXELS = random.integers(0, 255, (2 * IMAGES, 32, 32, 3)).astype(np.uint8)
PIXELS[IMAGES:] = PIXELS[:IMAGES, :, ::-1]  # the mirror of each image


def predictor(unknown_label: str | None = None, targets: np.ndarray | None = None, **keys: Any) -> Predictor:
    keys = {"backbone": "test_resnet", "image_size": (32, 32), "batch_size": 4} | keys
    spec = RunSpec(data={"dir": "d"}, **keys)
    targets = ROWS % len(CLASSES) if targets is None else targets
    data = FoldData(
        PIXELS, tuple(map(str, range(2 * IMAGES))), CLASSES, ROWS, targets, ROWS[:10], targets[:10]
    )  # fmt: skip
    net = build_net(spec, 0, len(CLASSES))
    with torch.no_grad():  # far from equal, so that places are certain
        net.head.weight.mul_(20)
    return Predictor(net, spec, data, None, unknown_label, Stop(None, 0.0))


@torch.inference_mode()
def looked_at(asked: Predictor, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and embeddings of `rows` in one batch."""
    embedding = asked.net.embed(next(batches(PIXELS, rows, len(rows))))
    return asked.net.head(embedding), F.normalize(embedding)


@pytest.mark.parametrize("block", [5, 1024])
def test_the_best_labels_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(predict, "BLOCK", block)
    asked = predictor()
    best = asked.best(ROWS)
    whole = F.softmax(looked_at(asked, ROWS)[0], dim=1).numpy()
    order = np.argsort(-whole, axis=1)
    assert (best.columns == order).all()
    assert np.allclose(best.scores, np.take_along_axis(whole, order, axis=1), atol=1e-5)
    assert best.columns.dtype == np.int32
    assert best.embeddings.size == 0, "without retrieval nobody needs them"


def test_the_unknown_label_stands_apart_and_is_no_answer() -> None:
    best = predictor("new").best(ROWS)
    assert best.columns.shape == (IMAGES, 5)
    assert (best.columns != CLASSES.index("new")).all()
    assert np.allclose(best.scores.sum(axis=1) + best.unknown, 1, atol=1e-5)


def test_with_tta_an_image_and_its_mirror_have_the_same_scores() -> None:
    once, mirrored = predictor(), predictor(tta="mirror")
    assert not np.allclose(once.best(ROWS).scores, once.best(ROWS + IMAGES).scores, atol=1e-3)
    here, there = mirrored.best(ROWS), mirrored.best(ROWS + IMAGES)
    assert (here.columns == there.columns).all()
    assert np.allclose(here.scores, there.scores, atol=1e-5)


def test_a_mirrored_identity_answers_for_its_label() -> None:
    asked = predictor(mirrored_identities=True)
    straight, mirrored = looked_at(asked, ROWS)[0], looked_at(asked, ROWS + IMAGES)[0]
    count = len(CLASSES)
    whole = (F.softmax(straight[:, :count], dim=1) + F.softmax(mirrored[:, count:], dim=1)).numpy() / 2
    best = asked.best(ROWS)
    assert np.allclose(np.take_along_axis(whole, best.columns.astype(int), axis=1), best.scores, atol=1e-5)
    assert np.allclose(best.scores, -np.sort(-whole, axis=1), atol=1e-5)


def test_retrieval_takes_the_most_similar_image_of_each_class_and_keeps_embeddings(tmp_path: Path) -> None:
    targets = np.where(ROWS % 7 == 6, -1, ROWS % len(CLASSES))  # some are negatives, which belong to no class
    asked = predictor(targets=targets, retrieval_share=1.0, head="arcface")
    embeddings = looked_at(asked, ROWS)[1]
    of_a_class = targets >= 0
    cosines = np.full((IMAGES, len(CLASSES)), -1.0)
    for row in ROWS:
        for other in ROWS[of_a_class]:
            found = float(embeddings[row] @ embeddings[other])
            cosines[row, targets[other]] = max(cosines[row, targets[other]], found)
    given = nearest_cosines(embeddings, embeddings[of_a_class], torch.from_numpy(targets[of_a_class]), len(CLASSES))
    assert np.allclose(given, cosines, atol=1e-5)
    best = asked.best(ROWS)
    assert (best.columns[of_a_class, 0] == targets[of_a_class]).all(), "each finds itself"

    save_fold(tmp_path / "p.npz", asked, ROWS + IMAGES, train_s=1.0, weights_sha256="w", wandb=("off", None))
    with np.load(tmp_path / "p.npz") as fold:
        assert fold["test_embeddings"].dtype == np.float16
        assert fold["known_rows"].tolist() == ROWS[of_a_class].tolist()
        assert np.allclose(np.linalg.norm(fold["known_embeddings"].astype(float), axis=1), 1, atol=1e-2)
        assert np.allclose(fold["valid_embeddings"], embeddings[:10], atol=1e-3)


def test_all_classes_are_kept_where_probabilities_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "KEPT_PER_FOLD", 2)
    assert predictor().best(ROWS).columns.shape[1] == 2
    data = {"dir": "d", "unknown_label": None}
    spec = RunSpec(data=data, metric="log_loss", backbone="test_resnet", image_size=(32, 32))
    asked = predictor()
    asked.spec = spec
    assert np.allclose(asked.best(ROWS).scores.sum(axis=1), 1, atol=1e-5)


def test_the_mean_over_folds_is_over_those_that_know_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_predictions, "BLOCK", 2)
    known = ("a", "b", "c")
    folds = [(("a", "b", "c"), [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]]),
             (("a", "c"), [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])]  # fmt: skip
    paths = []
    for number, (classes, scores) in enumerate(folds):
        top = np.argsort(-np.array(scores), axis=1)
        best = np.take_along_axis(np.array(scores), top, axis=1).astype(np.float32)
        paths.append(tmp_path / f"{number}.npz")
        np.savez(
            paths[-1], classes=np.array(classes), valid_rows=np.array([number]), valid_top=top[:1], test_top=top,
            valid_scores=best[:1], test_scores=best, valid_unknown=np.zeros(0), test_unknown=np.zeros(0),
        )  # fmt: skip
    mean = mean_over_folds(paths, known, 3)
    assert mean.labels[:, :3].tolist() == [["a", "b", "c"], ["c", "a", "b"], ["b", "a", "c"]]
    assert np.allclose(mean.scores[:, :3], [[0.7, 0.3, 0.15], [0.65, 0.25, 0.2], [0.6, 0.5, 0.2]])
    assert (mean.labels[:, 3:] == "").all()
    oof = out_of_fold(paths, 2)
    assert oof.labels[:, :3].tolist() == [["a", "b", "c"], ["a", "c", ""]]

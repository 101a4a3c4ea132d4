"""Which keys of a spec go together. What could only be ignored, or would train towards nothing, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.spec import RunSpec

# Of no use where no label is learnt, and the value that leaves each out.
ABOUT_LABELS = {
    "minimum_images": 1,
    "triplet_weight": 0,
    "label_smoothing": 0,
    "mirrored_identities": False,
    "sampler": "shuffle",
    "balance_to": 1,
    "retrieval_share": 0,
    "local_features": False,
    "unknown_in_training": "drop",
    "expected_unknown_share": None,
}


def refuse_unfit(spec: RunSpec) -> None:
    """Raise ValueError naming the first keys of `spec` that do not go together, and what would be right."""
    _weights(spec)
    if spec.head == "number":
        _number(spec)
    elif spec.loss in ("mse", "huber"):
        raise ValueError(f"loss: {spec.loss} is for a number: set head: number, or another loss")
    _head_and_loss(spec)
    if spec.metric in ("log_loss", "auc", "qwk", "rmse") and spec.data.unknown_label is not None:
        raise ValueError(
            f"metric: {spec.metric} asks for a number for every label, and no number says unknown:"
            " set data.unknown_label to null, and it is a label like any other"
        )
    _sampler(spec)
    if spec.folds_from is not None and spec.fold_seed:
        raise ValueError("fold_seed draws new folds, and folds_from takes those of an earlier run: leave one out")
    if spec.stop_if_behind is not None and len(spec.stop_if_behind.fold_scores) != spec.folds:
        raise ValueError(
            f"stop_if_behind holds the scores of {len(spec.stop_if_behind.fold_scores)} folds, but folds is {spec.folds}"
        )


def _weights(spec: RunSpec) -> None:
    if spec.weights == "file" and spec.weights_path is None:
        raise ValueError("weights: file needs weights_path, the file of a state dict")
    if spec.weights != "file" and spec.weights_path is not None:
        raise ValueError(f"weights_path is only read with weights: file, not with weights: {spec.weights}")


def _number(spec: RunSpec) -> None:
    if spec.metric not in ("rmse", "qwk"):
        raise ValueError(
            f"head: number answers with a number, and metric: {spec.metric} asks for labels: set rmse or qwk"
        )
    if spec.loss not in ("mse", "huber"):
        raise ValueError(
            f"head: number is trained towards a number, not by loss: {spec.loss}: set loss to mse or huber"
        )
    if spec.cutmix:
        raise ValueError(
            "cutmix pastes a piece of another image, and head: number cannot tell what number a piece has: set cutmix to 0"
        )
    for key, left_out in ABOUT_LABELS.items():
        if getattr(spec, key) != left_out:
            raise ValueError(f"{key} is about labels, and head: number learns none: leave {key} out")


def _head_and_loss(spec: RunSpec) -> None:
    mixed = "mixup" if spec.mixup else "cutmix" if spec.cutmix else None
    if spec.head != "arcface":
        if spec.arcface_subcentres > 1:
            raise ValueError("arcface_subcentres is only read with head: arcface")
        if spec.arcface_margin_by_frequency:
            raise ValueError("arcface_margin_by_frequency is only read with head: arcface")
    elif spec.loss == "bce":
        raise ValueError("loss: bce asks yes or no of each label, which cosines cannot say: set head: linear")
    elif mixed:
        raise ValueError(f"{mixed} makes images of two labels, and head: arcface parts labels: set head: linear")
    elif spec.arcface_margin_by_frequency and spec.arcface_margin <= 0.05:
        raise ValueError("arcface_margin_by_frequency needs an arcface_margin above 0.05, where the margin ends")
    if spec.mixup and spec.cutmix:
        raise ValueError("mixup and cutmix would mix the same batch twice: set one of them to 0")
    if mixed and spec.triplet_weight:
        raise ValueError(f"{mixed} makes images of two labels, and triplet_weight compares labels: set one to 0")
    if spec.focal_gamma is not None and spec.loss != "focal":
        raise ValueError(f"focal_gamma is only read with loss: focal, not with loss: {spec.loss}")
    if spec.label_smoothing and spec.loss == "focal":
        raise ValueError("label_smoothing wants no answer to be sure, loss: focal counts how sure it is: choose one")
    if spec.unknown_in_training == "negatives" and spec.data.unknown_label is None:
        raise ValueError("unknown_in_training: negatives needs data.unknown_label")


def _sampler(spec: RunSpec) -> None:
    if spec.balance_to > 1 and spec.sampler != "shuffle":
        raise ValueError(f"balance_to is for sampler: shuffle; sampler: {spec.sampler} balances by itself")
    if spec.sampler == "pk" and spec.pk_labels * spec.pk_images != spec.batch_size:
        raise ValueError(
            f"sampler: pk makes batches of pk_labels * pk_images = {spec.pk_labels * spec.pk_images} images, "
            f"but batch_size is {spec.batch_size}"
        )

"""What is asked of one run. Every key has a type, a default and its meaning here; docs/spec.md is written from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSpec(Frozen):
    """Where a competition's files lie. Every path but `dir` is relative to `dir`."""

    dir: str = Field(description="folder of the competition's data")
    labels: str = Field("train.csv", description="CSV with one row per training image")
    image_col: str = Field("Image", description="column of the image's file name")
    label_col: str = Field("Id", description="column of the label")
    train_images: str = Field("train", description="folder of the training images")
    test_images: str = Field("test", description="folder of the test images")
    sample_submission: str = Field(
        "sample_submission.csv", description="CSV that a submission must match in order and ids"
    )
    unknown_label: str | None = Field(
        "new_whale", description="label that means: none of the known ones; null if there is none"
    )


class Stage(Frozen):
    """A stretch of training with one learning-rate cycle."""

    epochs: Annotated[int, Field(ge=1)] = Field(description="epochs over the training images of a fold")
    lr: Annotated[float, Field(gt=0)] = Field(
        description="highest learning rate of the one-cycle schedule, at the head"
    )
    freeze: bool = Field(False, description="train only the head, the backbone stays as it is")


class Transform(Frozen):
    """One albumentations transform of the training images, by its class name and arguments."""

    name: str
    args: dict[str, Any] = {}


def _as_written(value: Any) -> Any:
    """YAML reads a bare `off` as false."""
    return "off" if value is False else value


class TrackingSpec(Frozen):
    """How the run appears in W&B. The mirror may be absent or fail; `metrics.jsonl` is the truth."""

    wandb: Annotated[Literal["offline", "online", "off"], BeforeValidator(_as_written)] = Field(
        "offline", description="online needs a key; offline writes wandb/ in the run's folder"
    )
    project: str = Field("onehour", description="W&B project")
    run_id: str = Field("", description="W&B group; the run folder's name when empty")
    tags: tuple[str, ...] = Field((), description="W&B tags, for example day-17")
    notes: str = Field("", description="W&B notes: the hypothesis")


class RunSpec(Frozen):
    """What is asked of one run: the same spec on the same data gives the same weights on a CPU."""

    data: DataSpec
    metric: Literal["map5"] = Field("map5", description="metric of CV and submission")
    folds: Annotated[int, Field(ge=2)] = Field(5, description="number of stratified folds, made on source images")
    seed: int = Field(0, description="seed of folds, weights, order and augmentation")
    backbone: str = Field("resnet18", description="timm model name")
    weights: Literal["none", "imagenet", "packaged", "file"] = Field(
        "none",
        description="start of the backbone: random; timm's download; the packaged tf_efficientnet_lite0; weights_path",
    )
    weights_path: str | None = Field(None, description="state dict for weights: file")
    image_size: tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]] = Field(
        (128, 192), description="(height, width) in pixels"
    )
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = Field(
        (Stage(epochs=5, lr=1e-3, freeze=False),), description="trained one after the other"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(32, description="images a step")
    head: Literal["linear", "arcface"] = Field(
        "linear", description="linear: softmax classifier; arcface: cosine classifier with an angular margin"
    )
    arcface_scale: Annotated[float, Field(gt=0)] = Field(24.0, description="factor on the cosines of an arcface head")
    arcface_margin: Annotated[float, Field(ge=0, lt=1.5)] = Field(
        0.3, description="radians by which an arcface head makes the true label harder"
    )
    mirrored_identities: bool = Field(
        False, description="learn the mirror of each label as a label of its own (the two flanks of an animal differ)"
    )
    sampler: Literal["shuffle", "balanced"] = Field(
        "shuffle",
        description="shuffle: each image once an epoch; balanced: as many draws, a label weighted by the root of its size",
    )
    retrieval_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="share of the nearest training image in a score, the rest is the classifier's"
    )
    augment: tuple[Transform, ...] = Field((), description="albumentations transforms of the training images, in order")
    unknown_in_training: Literal["drop", "class"] = Field(
        "drop",
        description="images of the unknown label: kept out of training, or a class of their own; always scored in validation",
    )
    expected_unknown_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of the unknown label expected in the test images; re-weights the threshold"
    )
    local_features: bool = Field(
        False,
        description="also look for the same points of interest (SIFT, near the centre) in the training images; "
        "the cost grows with the square of their number: for some thousand images",
    )
    loader_workers: Annotated[int, Field(ge=0)] = Field(0, description="processes that prepare batches")
    tracking: TrackingSpec = TrackingSpec()

    @model_validator(mode="after")
    def _weights_have_a_file(self) -> RunSpec:
        if self.weights == "file" and self.weights_path is None:
            raise ValueError("weights: file needs weights_path, the file of a state dict")
        if self.weights != "file" and self.weights_path is not None:
            raise ValueError(f"weights_path is only read with weights: file, not with weights: {self.weights}")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of one fold over all stages."""
        return sum(stage.epochs for stage in self.stages)

"""What is asked of one run. Every key has a type, a default and its meaning here; docs/spec.md is written from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSpec(Frozen):
    """Where a competition's files lie. Every path but `dir` is relative to `dir`."""

    dir: str = Field(description="folder of the competition's data")
    labels: str | None = Field(
        "train.csv",
        description="CSV with one row per training image; null: the folder of an image below train_images is its label",
    )
    image_col: str = Field("Image", description="column of the image's file name")
    label_col: str = Field("Id", description="column of the label")
    sightings_col: str | None = Field(
        None, description="column whose equal values are one sighting: its images share a fold; empty cells are none"
    )
    train_images: str = Field("train", description="folder of the training images")
    test_images: str = Field("test", description="folder of the test images")
    sample_submission: str = Field(
        "sample_submission.csv", description="CSV that a submission must match in order and ids"
    )
    unknown_label: str | None = Field(
        "new_whale", description="label that means: none of the known ones; null if there is none"
    )
    boxes: str | None = Field(
        None,
        description="CSV image,x0,y0,x1,y1 in pixels of the upright picture: training and test images are cut to their box; "
        "null: whole pictures",
    )
    box_margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="share of a box's sides by which it grows on each side before cutting"
    )


Size = tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]]


class Stage(Frozen):
    """A stretch of training with one learning-rate cycle."""

    epochs: Annotated[int, Field(ge=1)] = Field(description="epochs over the training images of a fold")
    lr: Annotated[float, Field(gt=0)] = Field(description="highest learning rate of the schedule, at the head")
    freeze: bool = Field(False, description="train only the head, the backbone stays as it is")
    image_size: Size | None = Field(
        None,
        description="(height, width) in pixels of this stage's training images, the spec's image_size when null; "
        "validation and test images have the last stage's",
    )
    schedule: Literal["one_cycle", "flat_cos", "constant"] = Field(
        "one_cycle",
        description="one_cycle: up in the first quarter, then down to almost nothing; flat_cos: down in the last quarter",
    )
    body_lr: Annotated[float, Field(gt=0)] | None = Field(
        None, description="the backbone's learning rate as a factor on lr; null: 0.2 with weights, 1 without"
    )


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
    metric: Literal["map1", "map3", "map5", "map10", "accuracy", "macro_f1", "log_loss", "auc", "qwk", "rmse"] = Field(
        "map5",
        description="metric of CV and submission; log_loss and auc take probabilities, qwk and rmse labels that are numbers",
    )
    folds: Annotated[int, Field(ge=2)] = Field(5, description="number of stratified folds, made on source images")
    folds_from: str | None = Field(
        None,
        description="folds.csv, or the folder, of an earlier run on the same images, used instead of new folds, so that runs of "
        "different seeds can be compared in pairs",
    )
    minimum_images: Annotated[int, Field(ge=1)] = Field(
        1, description="labels with fewer images are left out of training; they are scored in validation as ever"
    )
    seed: int = Field(0, description="seed of folds, weights, order and augmentation")
    backbone: str = Field("resnet18", description="timm model name")
    weights: Literal["none", "imagenet", "packaged", "file"] = Field(
        "none",
        description="start of the backbone: random; timm's download; the packaged tf_efficientnet_lite0; weights_path",
    )
    weights_path: str | None = Field(None, description="state dict for weights: file")
    image_size: Size = Field((128, 192), description="(height, width) in pixels; a stage may have its own")
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = Field(
        (Stage(epochs=5, lr=1e-3, freeze=False),), description="trained one after the other"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(32, description="images a batch")
    accumulate: Annotated[int, Field(ge=1)] = Field(
        1, description="batches whose gradients make one step; the last step of an epoch may have fewer"
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="longest norm of the gradient of a step; null does not clip"
    )
    averaging: Literal["none", "ema", "swa"] = Field(
        "none",
        description="weights that are validated and predict: ema: their moving average over the steps (decay up to 0.999); "
        "swa: their mean after each epoch of the last stage, which wants schedule: constant",
    )
    checkpoint_every_s: Annotated[float, Field(ge=0)] = Field(
        600.0, description="seconds between checkpoints inside an epoch; 0: only after each epoch"
    )
    head: Literal["linear", "arcface"] = Field(
        "linear", description="linear: softmax classifier; arcface: cosine classifier with an angular margin"
    )
    pooling: Literal["avg", "gem"] = Field(
        "avg",
        description="from the backbone's maps to its features: avg, as timm does it; "
        "gem: generalised mean with a learnt power that begins at 3, between mean and maximum",
    )
    neck: Literal["none", "bn"] = Field(
        "none",
        description="bn: batch norm alone between features and classifier, the embedding for retrieval is taken after it; "
        "none: dropout for a linear head, a projection to 256 numbers with batch norms for an arcface head",
    )
    arcface_scale: Annotated[float, Field(gt=0)] = Field(24.0, description="factor on the cosines of an arcface head")
    arcface_margin: Annotated[float, Field(ge=0, lt=1.5)] = Field(
        0.3, description="radians by which an arcface head makes the true label harder"
    )
    arcface_margin_by_frequency: bool = Field(
        False,
        description="the margin falls from arcface_margin for a label with one training image towards 0.05 for a frequent "
        "one: 0.05 + (arcface_margin - 0.05) * images ** -0.25",
    )
    arcface_subcentres: Annotated[int, Field(ge=1, le=10)] = Field(
        1, description="directions a label has in an arcface head; the nearest one counts"
    )
    triplet_weight: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="weight of a batch-hard triplet loss on the embedding, added to the loss; 0 is off; "
        "it needs batches with several images of a label: sampler: pk",
    )
    loss: Literal["cross_entropy", "focal", "bce"] = Field(
        "cross_entropy",
        description="focal: cross-entropy that counts images less that are right already; "
        "bce: a yes or no for each label, scores are then sigmoids",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of the target that is spread evenly over all labels"
    )
    focal_gamma: Annotated[float, Field(ge=1)] | None = Field(
        None, description="power of loss: focal by which a sure and right answer counts less; 2 when null"
    )
    mixup: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="blend each training image with another one; alpha of the Beta distribution of the share, 0 is off",
    )
    cutmix: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="paste a rectangle of another training image into each; alpha of the Beta distribution of its share, "
        "0 is off",
    )
    mirrored_identities: bool = Field(
        False, description="learn the mirror of each label as a label of its own (the two flanks of an animal differ)"
    )
    sampler: Literal["shuffle", "balanced", "pk"] = Field(
        "shuffle",
        description="shuffle: each image once an epoch; balanced: as many draws, a label weighted by the root of its size; "
        "pk: batches of pk_labels labels with pk_images images each, all labels equally often",
    )
    pk_labels: Annotated[int, Field(ge=2)] = Field(8, description="labels a batch with sampler: pk")
    pk_images: Annotated[int, Field(ge=1)] = Field(
        4, description="images of each label a batch with sampler: pk; pk_labels * pk_images is batch_size"
    )
    balance_to: Annotated[int, Field(ge=1)] = Field(
        1,
        description="labels with fewer images are drawn this often an epoch, each time augmented anew; "
        "for sampler: shuffle",
    )
    grey: Literal["as_is", "all", "random"] = Field(
        "as_is",
        description="all: every image, test images too, without colour; random: half of the training images, "
        "another half each epoch",
    )
    retrieval_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="share of the nearest training image in a score, the rest is the classifier's"
    )
    augment: tuple[Transform, ...] = Field((), description="albumentations transforms of the training images, in order")
    unknown_in_training: Literal["drop", "class", "negatives"] = Field(
        "drop",
        description="images of the unknown label: kept out of training, a class of their own, or negatives, which no label "
        "may claim; always scored in validation",
    )
    expected_unknown_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of the unknown label expected in the test images; re-weights the threshold"
    )
    local_features: bool = Field(
        False,
        description="also look for the same points of interest (SIFT, near the centre) in the training images; "
        "the cost grows with the square of their number: for some thousand images",
    )
    tta: Literal["none", "mirror"] = Field(
        "none",
        description="mirror: a score is the mean over an image and its mirror; mirrored identities always take both",
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

    @model_validator(mode="after")
    def _head_and_loss_fit_together(self) -> RunSpec:
        mixed = "mixup" if self.mixup else "cutmix" if self.cutmix else None
        if self.head != "arcface":
            if self.arcface_subcentres > 1:
                raise ValueError("arcface_subcentres is only read with head: arcface")
            if self.arcface_margin_by_frequency:
                raise ValueError("arcface_margin_by_frequency is only read with head: arcface")
        elif self.loss == "bce":
            raise ValueError("loss: bce asks yes or no of each label, which cosines cannot say: set head: linear")
        elif mixed:
            raise ValueError(f"{mixed} makes images of two labels, and head: arcface parts labels: set head: linear")
        elif self.arcface_margin_by_frequency and self.arcface_margin <= 0.05:
            raise ValueError("arcface_margin_by_frequency needs an arcface_margin above 0.05, where the margin ends")
        if self.mixup and self.cutmix:
            raise ValueError("mixup and cutmix would mix the same batch twice: set one of them to 0")
        if mixed and self.triplet_weight:
            raise ValueError(f"{mixed} makes images of two labels, and triplet_weight compares labels: set one to 0")
        if self.focal_gamma is not None and self.loss != "focal":
            raise ValueError(f"focal_gamma is only read with loss: focal, not with loss: {self.loss}")
        if self.label_smoothing and self.loss == "focal":
            raise ValueError(
                "label_smoothing wants no answer to be sure, loss: focal counts how sure it is: choose one"
            )
        if self.unknown_in_training == "negatives" and self.data.unknown_label is None:
            raise ValueError("unknown_in_training: negatives needs data.unknown_label")
        return self

    @model_validator(mode="after")
    def _a_number_has_no_unknown_label(self) -> RunSpec:
        if self.metric in ("log_loss", "auc", "qwk", "rmse") and self.data.unknown_label is not None:
            raise ValueError(
                f"metric: {self.metric} asks for a number for every label, and no number says unknown:"
                " set data.unknown_label to null, and it is a label like any other"
            )
        return self

    @model_validator(mode="after")
    def _draws_fit_the_sampler(self) -> RunSpec:
        if self.balance_to > 1 and self.sampler != "shuffle":
            raise ValueError(f"balance_to is for sampler: shuffle; sampler: {self.sampler} balances by itself")
        if self.sampler == "pk" and self.pk_labels * self.pk_images != self.batch_size:
            raise ValueError(
                f"sampler: pk makes batches of pk_labels * pk_images = {self.pk_labels * self.pk_images} images, "
                f"but batch_size is {self.batch_size}"
            )
        return self

    def without_places(self) -> RunSpec:
        """The same, but for where its files lie: a run may go on on another machine."""
        boxes = None if self.data.boxes is None else Path(self.data.boxes).name
        data = self.data.model_copy(update={"dir": "", "boxes": boxes})
        places = {
            name: None if path is None else Path(path).name
            for name, path in (("weights_path", self.weights_path), ("folds_from", self.folds_from and "folds.csv"))
        }
        return self.model_copy(update={"data": data, **places})

    @property
    def epochs(self) -> int:
        """Epochs of one fold over all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def stage_sizes(self) -> tuple[Size, ...]:
        """(height, width) of the training images in each stage; the last one is that of validation and test images."""
        return tuple(stage.image_size or self.image_size for stage in self.stages)

"""What is asked of one run. Every key has a type, a default and its meaning here; docs/spec.md is written from it.

Which keys go together stands in engine.contract.combinations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from engine.contract import combinations
from engine.contract.data_spec import DataSpec
from engine.contract.frozen import Frozen
from engine.contract.stage import Size, Stage, Transform
from engine.contract.stop_rule import StopIfBehind


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
    day: int | None = Field(None, description="number of the day that the run belongs to, in its W&B config")
    commit: str = Field("", description="git commit of the code that it runs, in its W&B config")


class RunSpec(Frozen):
    """What is asked of one run: the same spec on the same data gives the same weights on a CPU."""

    data: DataSpec
    metric: Literal["map1", "map3", "map5", "map10", "accuracy", "macro_f1", "log_loss", "auc", "qwk", "rmse"] = Field(
        "map5",
        description="metric of CV and submission; log_loss and auc take probabilities, qwk and rmse labels that are numbers: "
        "with head: number they are predicted as such, else from the scores of the different labels",
    )
    folds: Annotated[int, Field(ge=2)] = Field(5, description="number of stratified folds, made on source images")
    folds_from: str | None = Field(
        None,
        description="folds.csv, or the folder, of an earlier run on the same images, used instead of new folds",
    )
    fold_seed: int = Field(
        0,
        description="seed of the folds alone: runs on the same data with the same one can be compared in pairs, whatever their seed",
    )
    minimum_images: Annotated[int, Field(ge=1)] = Field(
        1, description="labels with fewer images are left out of training; they are scored in validation as ever"
    )
    seed: int = Field(0, description="seed of weights, order and augmentation; the folds have their own")
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
    head: Literal["linear", "arcface", "number"] = Field(
        "linear",
        description="linear: softmax classifier; arcface: cosine classifier with an angular margin; number: one number an "
        "image, for labels that were measured (rmse, or qwk by the nearest grade)",
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
    loss: Literal["cross_entropy", "focal", "bce", "mse", "huber"] = Field(
        "cross_entropy",
        description="focal: cross-entropy that counts images less that are right already; "
        "bce: a yes or no for each label, scores are then sigmoids; for head: number mse: the squared difference in standard "
        "deviations of the fold's training numbers, or huber: the same, but linear beyond one deviation, for outliers",
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
        description="also look for the same points of interest (SIFT, near the centre) in the training images: they help most "
        "where animals have marks and the net is weak; takes about 0.1 MB of memory an image and 0.1 s of the processor for "
        "each that is predicted; later runs on the same images and folds take the outcome from the cache",
    )
    tta: Literal["none", "mirror"] = Field(
        "none",
        description="mirror: a score is the mean over an image and its mirror; mirrored identities always take both",
    )
    loader_workers: Annotated[int, Field(ge=0)] = Field(0, description="processes that prepare batches")
    stop_if_behind: StopIfBehind | None = Field(
        None,
        description="an earlier run, and how far behind it this one may be after each fold before it stops by itself; "
        "onehour queue --stop-if-behind fills it in",
    )
    tracking: TrackingSpec = TrackingSpec()

    @model_validator(mode="after")
    def _keys_go_together(self) -> RunSpec:
        combinations.refuse_unfit(self)
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

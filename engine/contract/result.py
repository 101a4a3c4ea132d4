"""What comes back of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from engine.contract.frozen import Frozen

# A metric has a name and a direction; nothing assumes that higher is better.
METRIC_DIRECTIONS: Mapping[str, Literal["max", "min"]] = {
    "map1": "max",
    "map3": "max",
    "map5": "max",
    "map10": "max",
    "accuracy": "max",
    "macro_f1": "max",
    "log_loss": "min",
    "auc": "max",
    "qwk": "max",
    "rmse": "min",
}


class FoldScore(Frozen):
    """The metric on one fold's validation images, each scored with the threshold chosen on the other folds."""

    fold: int
    score: float
    images: int
    threshold: float | None = None
    train_s: float = 0.0


class RunResult(Frozen):
    """What a finished run says of itself (`result.json`). Times are milliseconds UTC, durations seconds."""

    run_id: str
    metric: str
    direction: Literal["max", "min"]
    cv: float = Field(description="metric over all OOF rows")
    fold_scores: tuple[FoldScore, ...]
    threshold: float | None = Field(
        None, description="chosen on all OOF rows and carried over to the scores of the test images"
    )
    images: int = Field(description="training images scored in validation, the unknown label included")
    classes: int = Field(description="labels the model was trained on")
    unknown_images: int = 0
    test_images: int
    submission_sha256: str
    data_sha256: str = Field(description="hash over the label file and the images' names and sizes")
    folds_sha256: str = Field(description="hash of folds.csv: runs with the same one can be compared in pairs")
    train_s: float
    gpu_s: float = 0.0
    device: str = "cpu"
    wandb_mode: str = "off"
    wandb_url: str | None = None
    notes: tuple[str, ...] = Field((), description="sentences a person should read beside the CV")
    started_at: int
    finished_at: int
    versions: dict[str, str] = Field(default_factory=dict)
    parents: tuple[str, ...] = Field((), description="run ids whose predictions a blend is made of; empty for a run")


class OwnFold(BaseModel):
    """A fold of a person's own run, where more than its score is said."""

    model_config = ConfigDict(frozen=True, extra="allow")

    score: FiniteFloat = Field(description="the metric on its validation images")
    fold: int | None = Field(
        None, ge=0, lt=10_000, description="its number, from 0; its place in the list where left out"
    )
    images: int = Field(0, ge=0, lt=2**53, description="its validation images")


class OwnResult(BaseModel):
    """`result.json` as a person's own code writes it: what it knows of these keys. Others may stand there; they are not read."""

    model_config = ConfigDict(frozen=True, extra="allow")

    cv: FiniteFloat | None = Field(None, description="the score; the mean of the folds where it is left out")
    folds: tuple[FiniteFloat | OwnFold, ...] = Field(
        (), description="the score of each fold: numbers, or objects with score and maybe fold and images"
    )
    metric: str | None = Field(None, description="the metric, where it is not the one that the run was queued with")
    direction: Literal["max", "min"] | None = Field(None, description="of a metric that Onehour does not know")
    images: int | None = Field(None, ge=0, lt=2**53, description="training images scored in validation")
    threshold: FiniteFloat | None = Field(None, description="of the unknown label")
    notes: tuple[str, ...] = Field((), description="sentences to be read beside the CV")

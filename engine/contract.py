"""The one door between the two halves: what is asked (RunSpec), what comes back (RunResult), and how either side refuses.

Only the standard library, pydantic and PyYAML are imported here, so that a page can read a spec without loading torch.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

PRESETS_DIR = Path(__file__).parent / "presets"
OVERRIDDEN = "--set"  # where a value laid over a spec comes from
SHOWN = 80  # characters of a wrong value in a sentence

EXIT_OK = 0
EXIT_BUG = 1
EXIT_BAD_INPUT = 2
EXIT_AGAINST_RULES = 3
EXIT_REQUEUE = 75  # "stopped in good order before the time limit: start me again"
EXIT_INTERRUPTED = 130

# A metric has a name and a direction; nothing assumes that higher is better.
METRIC_DIRECTIONS: Mapping[str, Literal["max", "min"]] = {"map5": "max"}


class OnehourError(Exception):
    """What is wrong, where, and what would be right, as one sentence a person can act on."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        sentence = f"{where}: {what}" if where else what
        self.sentence = f"{sentence.rstrip('.')}. {fix}".strip()
        super().__init__(self.sentence)

    def __str__(self) -> str:
        return self.sentence  # fastai writes its own words into the arguments of whatever passes through a callback


def nearest(word: str, known: Iterable[str]) -> str:
    """A fix for a misspelt `word`: the nearest of `known`, or the whole list when nothing is near and the list is short."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(choices)}." if 0 < len(choices) <= 30 else ""


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
    threshold: float | None = Field(None, description="chosen on all OOF rows, used for the test images")
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
    versions: dict[str, str] = {}


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def preset_path(name: str) -> Path:
    path = PRESETS_DIR / f"{name}.yaml"
    if not path.is_file():
        raise OnehourError(f"there is no preset {name!r}", fix=nearest(name, preset_names()))
    return path


def read_spec(
    path: Path, overrides: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None
) -> RunSpec:
    """Read a spec or preset (YAML, or JSON as its subset), lay `overrides` over it and `defaults` under it (dotted keys).

    Raises OnehourError naming the file, the key and the nearest right spelling.
    """
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OnehourError(
            "there is no such spec file", where=str(path), fix=f"Presets: {', '.join(preset_names())}."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OnehourError(f"the spec cannot be read ({' '.join(str(error).split())})", where=str(path)) from None
    if not isinstance(mapping, dict):
        raise OnehourError("a spec is a YAML mapping of keys to values", where=str(path))
    for dotted, value in (defaults or {}).items():
        _set(mapping, dotted, value, str(path), only_if_absent=True)
    for dotted, value in (overrides or {}).items():
        _set(mapping, dotted, value, OVERRIDDEN)
    return spec_from_mapping(mapping, str(path), overrides or ())


def spec_from_mapping(mapping: Mapping[str, Any], where: str, overridden: Iterable[str] = ()) -> RunSpec:
    """Validate a mapping as a RunSpec. Raises OnehourError for the first thing that is wrong.

    `overridden`: the dotted keys that stand there by --set, which is named instead of `where` when one of them is wrong.
    """
    try:
        return RunSpec.model_validate(mapping)
    except ValidationError as error:
        first = error.errors()[0]
        raise _as_sentence(first, OVERRIDDEN if _is_about(first, overridden) else where) from None


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """`["seed=3", "data.dir=x"]` → `{"seed": 3, "data.dir": "x"}`; values are read as YAML."""
    overrides: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise OnehourError(f"{pair!r} is no key=value", where=OVERRIDDEN, fix="Example: --set seed=3")
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise OnehourError(f"the value of {key.strip()!r} is not YAML: {value}", where=OVERRIDDEN) from None
    return overrides


def spec_as_json(spec: RunSpec) -> str:
    return json.dumps(spec.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def _set(mapping: dict[str, Any], dotted: str, value: Any, where: str, *, only_if_absent: bool = False) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        below = mapping.setdefault(parent, {})
        if not isinstance(below, dict):
            raise OnehourError(f"{parent!r} holds no keys, so {dotted!r} cannot be set", where=where)
        mapping = below
    if not (only_if_absent and last in mapping):
        mapping[last] = value


def _is_about(error: ErrorDetails, keys: Iterable[str]) -> bool:
    """Whether the error stands at or below one of the dotted `keys`; one about several keys names them in its message."""
    loc = [str(part) for part in error["loc"]]
    if not loc:
        return any(re.search(rf"\b{re.escape(key)}\b", error["msg"]) for key in keys)
    return any(loc[: key.count(".") + 1] == key.split(".") for key in keys)


def _as_sentence(error: ErrorDetails, where: str) -> OnehourError:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return OnehourError(
            f"unknown key {key!r}", where=where, fix=nearest(str(error["loc"][-1]), _keys_beside(error["loc"]))
        )
    if error["type"] == "missing":
        return OnehourError(f"the key {key!r} is missing", where=where)
    message = error["msg"].removeprefix("Value error, ")
    if not key:  # about several keys: the input is the whole spec
        return OnehourError(message, where=where)
    given = repr(error["input"])
    given = given if len(given) <= SHOWN else f"{given[:SHOWN]}…"
    return OnehourError(f"{key} = {given} is not possible: {message[0].lower()}{message[1:]}", where=where)


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are right where the wrong one stands."""
    models: dict[str, type[Frozen]] = {
        "data": DataSpec,
        "stages": Stage,
        "augment": Transform,
        "tracking": TrackingSpec,
    }
    model = models.get(str(loc[0]), RunSpec) if len(loc) > 1 else RunSpec
    return list(model.model_fields)

"""What a person's own code left in its run's folder, read leniently: result.json, else the rows of metrics.jsonl, else W&B's files.

A run without a score has succeeded all the same; a remark says what was looked for.
"""

from __future__ import annotations

import json
from math import fsum, isfinite
from typing import Any

from pydantic import ValidationError

from app.scores import own_wandb
from app.scores.finished import Finished, of_engine
from engine.contract import (
    METRIC_DIRECTIONS,
    CommandSpec,
    FoldScore,
    OnehourError,
    OwnFold,
    OwnResult,
    RunResult,
    nearest,
)
from engine.run_folder import RunFolder, file_sha256


def read(spec: CommandSpec, run_key: str, folder: RunFolder) -> Finished:
    """Raises OnehourError for a result that is there and cannot be read."""
    mapping = _mapping(spec, folder)
    if mapping is not None and "run_id" in mapping and "fold_scores" in mapping:  # the command called the engine
        result = folder.read_result()
        if isinstance(result, RunResult):
            return of_engine(result, run_key, folder)
    columns: dict[str, Any] = {"metric": spec.metric, "direction": METRIC_DIRECTIONS[spec.metric]}
    columns["wandb_mode"] = spec.tracking.wandb if any(folder.wandb_dir.glob("*/*.wandb")) else "off"
    if folder.folds_csv.is_file():
        columns["folds_sha256"] = file_sha256(folder.folds_csv)
    if mapping is None:
        scores, remarks = _last_rows(spec, folder)
        columns["cv"] = _mean([one.score for one in scores])
    else:
        found = _validated(mapping, str(folder.path / spec.result))
        scores, remarks = _folds(found), _said(found, spec)
        columns |= _scored(found, scores, spec, str(folder.path / spec.result))
    columns["images"] = columns.get("images") or sum(one.images for one in scores) or None
    path = folder.path / spec.submission
    if not path.is_file():
        return Finished(columns, scores, remarks=remarks)
    return Finished(columns, scores, path, file_sha256(path), remarks)


def _mapping(spec: CommandSpec, folder: RunFolder) -> dict[str, Any] | None:
    path = folder.path / spec.result
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise OnehourError(f"the result cannot be read ({error})", where=str(path)) from None
    if not isinstance(read, dict):
        raise OnehourError("a result is a JSON object", where=str(path), fix='Example: {"cv": 0.84}.')
    return read


def _validated(mapping: dict[str, Any], where: str) -> OwnResult:
    try:
        return OwnResult.model_validate(mapping)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"][:2])
        raise OnehourError(f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}", where=where) from None


def _scored(found: OwnResult, scores: tuple[FoldScore, ...], spec: CommandSpec, where: str) -> dict[str, Any]:
    """The columns that a result fills."""
    metric = found.metric or spec.metric
    direction = METRIC_DIRECTIONS.get(metric) or found.direction
    if direction is None:
        fix = f'{nearest(metric, METRIC_DIRECTIONS)} Else add "direction": "max" or "min".'
        raise OnehourError(f"nothing tells whether a higher {metric!r} is better", where=where, fix=fix)
    cv = found.cv if found.cv is not None else _mean([one.score for one in scores])
    return {
        "metric": metric,
        "direction": direction,
        "cv": cv,
        "threshold": found.threshold,
        "images": found.images,
    }


def _folds(found: OwnResult) -> tuple[FoldScore, ...]:
    """By number; a fold that does not say its own has that of its place."""
    by_number: dict[int, FoldScore] = {}
    for place, one in enumerate(found.folds):
        said = one if isinstance(one, OwnFold) else OwnFold(score=one)
        number = place if said.fold is None else said.fold
        by_number[number] = FoldScore(fold=number, score=said.score, images=said.images)
    return tuple(by_number[number] for number in sorted(by_number))


def _said(found: OwnResult, spec: CommandSpec) -> tuple[str, ...]:
    """The notes, and what a person should know of keys that were not read or are missing."""
    remarks = list(found.notes)
    extra = sorted(found.model_extra or {})
    for name in extra:
        near = nearest(name, OwnResult.model_fields)
        if near.startswith("Did you mean"):
            remarks.append(f"{spec.result} holds {name!r}, which is not read. {near}")
    if found.cv is None and found.folds:
        remarks.append(f"{spec.result} holds no cv: it is the mean of the folds.")
    if found.cv is None and not found.folds:
        remarks.append(f"{spec.result} holds neither cv nor folds, so the run has no CV.")
    return tuple(remarks)


def _last_rows(spec: CommandSpec, folder: RunFolder) -> tuple[tuple[FoldScore, ...], tuple[str, ...]]:
    """The last finite valid/<metric> of each fold, else what was logged to W&B, and the sentence that says so."""
    name = f"valid/{spec.metric}"
    last = {row.fold: row.values[name] for row in folder.epochs() if isfinite(row.values.get(name, float("nan")))}
    scores = tuple(FoldScore(fold=fold, score=last[fold], images=0) for fold in sorted(last))
    if not scores:
        scores, logged_as = own_wandb.scores(folder, spec.metric)
        if scores:
            of = "" if len(scores) == 1 else f"the mean of {len(scores)} runs' "
            return scores, (f"There is no {spec.result}: the CV is {of}{logged_as} as logged to W&B.",)
        looked = f"neither {spec.result} nor a row with {name} in metrics.jsonl, nor logged it to W&B"
        return (), (f"It left {looked}, so it has no CV.",)
    of = "the last" if len(scores) == 1 else "the mean of each fold's last"
    return scores, (f"There is no {spec.result}: the CV is {of} {name} in metrics.jsonl.",)


def _mean(scores: list[float]) -> float | None:
    return fsum(scores) / len(scores) if scores else None

"""A comparison: `--grid key=a,b` and more of them, every combination a run of one experiment, all with the same epochs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import product

import yaml

from engine.contract import OnehourError

MOST_RUNS = 32
GRID = "--grid"
SAME_IN_ALL = ("data", "metric", "folds", "folds_from", "fold_seed", "tracking")
EPOCHS = re.compile(r"stages(\.\d+(\.epochs)?)?")


def combinations(axes: Iterable[str]) -> list[list[str]]:
    """`["backbone=resnet18,resnet34", "seed=0,1"]` → the overrides (`key=value`) of each run; values are YAML."""
    wanted: dict[str, list[str]] = {}
    for axis in axes:
        key, equals, text = axis.partition("=")
        key = key.strip()
        if not equals or not key:
            raise OnehourError(
                f"{axis!r} is no key=a,b,c", where=GRID, fix="Example: --grid backbone=resnet18,resnet34"
            )
        if EPOCHS.fullmatch(key):
            raise OnehourError(
                f"{key} holds epochs, and a comparison would tell which run trained longer",
                where=GRID,
                fix="Compare another key of a stage, as in --grid stages.0.lr=0.001,0.003, or set it for all with --set.",
            )
        if key.partition(".")[0] in SAME_IN_ALL:
            raise OnehourError(
                f"{key} must be the same in all runs of a comparison", where=GRID, fix="Set it with --set."
            )
        try:
            values = yaml.safe_load(f"[{text}]")
        except yaml.YAMLError:
            raise OnehourError(f"the values of {key!r} are not YAML: {text}", where=GRID) from None
        # Dates and the like are no values of a spec: they are refused by name when the spec is read.
        written = list(dict.fromkeys(json.dumps(value, default=str) for value in values))
        if len(written) < 2:
            raise OnehourError(f"{axis!r} names fewer than two values", where=GRID, fix=f"Or --set {axis}, to set one.")
        wanted[key] = written
    if not wanted:
        return [[]]
    found = [
        [f"{key}={value}" for key, value in zip(wanted, chosen, strict=True)] for chosen in product(*wanted.values())
    ]
    if len(found) > MOST_RUNS:
        raise OnehourError(f"this grid has {len(found)} runs", where=GRID, fix=f"At most {MOST_RUNS} at once.")
    return found

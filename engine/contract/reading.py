"""Spec files and presets, of runs and of blends: read, laid over each other, refused with the nearest right spelling."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.contract.blend_spec import BlendSpec
from engine.contract.data_spec import DataSpec
from engine.contract.errors import OnehourError, nearest
from engine.contract.frozen import Frozen
from engine.contract.spec import RunSpec, TrackingSpec
from engine.contract.stage import Stage, Transform
from engine.contract.stop_rule import StopIfBehind

PRESETS_DIR = Path(__file__).parents[1] / "presets"
BLENDS_DIR = PRESETS_DIR / "blends"
LIKE = "like"  # key of a spec file: the preset that it is laid over
OVERRIDDEN = "--set"  # where a value laid over a spec comes from
SHOWN = 80  # characters of a wrong value in a sentence


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def preset_path(name: str) -> Path:
    path = PRESETS_DIR / f"{name}.yaml"
    if not path.is_file():
        fix = nearest(name, preset_names())
        if name in blend_preset_names():
            fix = f"It is one of blends: python -m engine blend --preset {name} RUN_DIR RUN_DIR --out RUN_DIR."
        raise OnehourError(f"there is no preset {name!r} of a run", fix=fix)
    return path


def blend_preset_names() -> list[str]:
    return sorted(path.stem for path in BLENDS_DIR.glob("*.yaml"))


def blend_preset_path(name: str) -> Path:
    path = BLENDS_DIR / f"{name}.yaml"
    if not path.is_file():
        raise OnehourError(f"there is no preset {name!r} of a blend", fix=nearest(name, blend_preset_names()))
    return path


def read_spec(
    path: Path, overrides: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None
) -> RunSpec:
    """Read a spec or preset (YAML, or JSON as its subset), lay `overrides` over it and `defaults` under it (dotted keys).

    A file that says `like: NAME` is laid over that preset: its keys replace the preset's, lists as a whole, those of `data`
    and `tracking` one by one. Raises OnehourError naming the file, the key and the nearest right spelling.
    """
    mapping = _mapping(path)
    while LIKE in mapping:
        below = _mapping(preset_path(str(mapping.pop(LIKE))))
        mapping = below | {
            key: {**below[key], **value} if isinstance(value, dict) and isinstance(below.get(key), dict) else value
            for key, value in mapping.items()
        }
    for dotted, value in (defaults or {}).items():
        _set(mapping, dotted, value, str(path), only_if_absent=True)
    for dotted, value in (overrides or {}).items():
        _set(mapping, dotted, value, OVERRIDDEN)
    return spec_from_mapping(mapping, str(path), overrides or ())


def read_blend_spec(path: Path, overrides: Mapping[str, Any] | None = None) -> BlendSpec:
    """Read the YAML file of a blend and lay `overrides` over it. Raises OnehourError as `read_spec` does."""
    mapping = _mapping(path) | dict(overrides or {})
    return validated(BlendSpec, mapping, str(path), overrides or ())


def _mapping(path: Path) -> dict[str, Any]:
    """What a YAML file holds. Raises OnehourError where it is no mapping."""
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
    return mapping


def spec_from_mapping(mapping: Mapping[str, Any], where: str, overridden: Iterable[str] = ()) -> RunSpec:
    """Validate a mapping as a RunSpec. Raises OnehourError for the first thing that is wrong.

    `overridden`: the dotted keys that stand there by --set, which is named instead of `where` when one of them is wrong.
    """
    return validated(RunSpec, mapping, where, overridden)


Asked = TypeVar("Asked", bound=Frozen)


def validated(model: type[Asked], mapping: Mapping[str, Any], where: str, overridden: Iterable[str] = ()) -> Asked:
    """The same for any part of the contract."""
    try:
        return model.model_validate(mapping)
    except ValidationError as error:
        first = error.errors()[0]
        raise _as_sentence(model, first, OVERRIDDEN if _is_about(first, overridden) else where) from None


def laid_over(mapping: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a spec's keys and values with `overrides` (dotted keys) in it."""
    copied = copy.deepcopy(dict(mapping))
    for dotted, value in overrides.items():
        _set(copied, dotted, value, OVERRIDDEN)
    return copied


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
    """A number in `dotted` is a place in a list, counted from 0: stages.0.lr is the rate of the first stage."""
    words = dotted.split(".")
    here: Any = mapping
    for parent, below in pairwise(words):
        if isinstance(here, dict) and parent not in here and below.isdecimal():
            raise OnehourError(f"there is no list {parent!r} here, so {dotted!r} cannot be set", where=where)
        here = here[_place(here, parent, dotted, where)] if isinstance(here, list) else here.setdefault(parent, {})
        if not isinstance(here, dict | list):
            raise OnehourError(f"{parent!r} holds no keys, so {dotted!r} cannot be set", where=where)
    if isinstance(here, list):
        here[_place(here, words[-1], dotted, where)] = value
    elif not (only_if_absent and words[-1] in here):
        here[words[-1]] = value


def _place(entries: list[Any], word: str, dotted: str, where: str) -> int:
    if not word.isdecimal() or int(word) >= len(entries):
        count = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
        fix = f"Use a number below {len(entries)}." if entries else ""
        raise OnehourError(f"{word!r} is no place in a list of {count}, so {dotted!r} cannot be set", where, fix)
    return int(word)


def _is_about(error: ErrorDetails, keys: Iterable[str]) -> bool:
    """Whether the error stands at or below one of the dotted `keys`; one about several keys names them in its message."""
    loc = [str(part) for part in error["loc"]]
    if not loc:
        return any(re.search(rf"\b{re.escape(key)}\b", error["msg"]) for key in keys)
    return any(loc[: key.count(".") + 1] == key.split(".") for key in keys)


def _as_sentence(model: type[Frozen], error: ErrorDetails, where: str) -> OnehourError:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return OnehourError(
            f"unknown key {key!r}", where=where, fix=nearest(str(error["loc"][-1]), _keys_beside(model, error["loc"]))
        )
    if error["type"] == "missing":
        return OnehourError(f"the key {key!r} is missing", where=where)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("tuple_type", "list_type"):
        message = "it should be a list of values, such as [1, 2]"
    if not key:  # about several keys: the input is the whole spec
        return OnehourError(message, where=where)
    given = repr(error["input"])
    given = given if len(given) <= SHOWN else f"{given[:SHOWN]}…"
    return OnehourError(f"{key} = {given} is not possible: {message[0].lower()}{message[1:]}", where=where)


def _keys_beside(model: type[Frozen], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are right where the wrong one stands."""
    models: dict[str, type[Frozen]] = {
        "data": DataSpec,
        "stages": Stage,
        "augment": Transform,
        "tracking": TrackingSpec,
        "stop_if_behind": StopIfBehind,
        "how": BlendSpec,
    }
    return list((models.get(str(loc[0]), model) if len(loc) > 1 else model).model_fields)

"""What a command line asks for: a spec with what was laid over it, or the data alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.contract import (
    OVERRIDDEN,
    DataSpec,
    OnehourError,
    RunSpec,
    parse_overrides,
    preset_path,
    read_spec,
    spec_from_mapping,
)


def asked_spec(
    spec: Path | None, preset: str | None, data: Path | None, overrides: list[str] | None, example: str
) -> tuple[RunSpec, dict[str, Any]]:
    """The spec that a command line names, and what was laid over it."""
    if (spec is None) == (preset is None):
        raise OnehourError("name either a spec file or a preset", example.split()[0], f"Example: {example}.")
    asked = parse_overrides(overrides or ())
    if data is not None:
        asked["data.dir"] = str(data)
    return read_spec(spec if spec is not None else preset_path(preset or ""), asked), asked


def data_spec(data: Path, overrides: list[str] | None, named: Mapping[str, Any] | None = None) -> DataSpec:
    """The data that a command line names where it names no spec: by its own options (`named`) and by --set."""
    asked = parse_overrides(overrides or ())
    keys = {"dir": str(data), **(named or {})} | {
        key.removeprefix("data."): asked[key] for key in asked if key.startswith("data.")
    }
    others = {key: asked[key] for key in asked if not key.startswith("data.")}
    return spec_from_mapping({"data": keys, **others}, OVERRIDDEN, asked).data


def runs_dir() -> Path:
    """Where runs, and the checks before them, lie when nobody says otherwise."""
    return Path(os.environ.get("ONEHOUR_HOME") or ".") / "runs"


def refuse_unwritable(folder: Path) -> None:
    """Raise OnehourError, before minutes of work, where nothing could be written into `folder`; it is not made yet."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OnehourError(
            f"nothing can be written there ({error.strerror or error})", str(folder), "Choose a place you may write to."
        ) from None

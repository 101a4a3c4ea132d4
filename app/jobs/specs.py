"""What a person asks to run, resolved: a preset or a spec file, on the challenge's data unless it says otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.journal.tables import Challenge
from engine.contract import OnehourError, RunSpec, nearest, parse_overrides, preset_names, preset_path, read_spec


def resolve(challenge: Challenge, source: str, overrides: Iterable[str] = ()) -> RunSpec:
    """The spec of the preset or YAML file `source`, with `key=value` overrides laid over it."""
    return read_spec(_path(source), parse_overrides(overrides), _of(challenge))


def _path(source: str) -> Path:
    if source in preset_names():
        return preset_path(source)
    path = Path(source)
    if path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return path
    raise OnehourError(f"{source!r} is neither a spec file nor a preset", fix=nearest(source, preset_names()))


def _of(challenge: Challenge) -> dict[str, object]:
    return {
        "data.dir": challenge.data_dir,
        "data.image_col": challenge.image_col,
        "data.label_col": challenge.label_col,
        "data.unknown_label": challenge.unknown_label,
        "metric": challenge.metric,
    }

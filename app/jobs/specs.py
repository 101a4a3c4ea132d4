"""What a person asks to run, resolved: a preset or a spec file, on the challenge's data unless it says otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

from pydantic import Field

from app.journal.data_layout import DataLayout
from app.journal.tables import Challenge, Run
from app.scores.stored_specs import stored_spec
from engine.contract import (
    BlendSpec,
    CommandSpec,
    Frozen,
    OnehourError,
    RunSpec,
    TrackingSpec,
    laid_over,
    nearest,
    parse_overrides,
    preset_names,
    preset_path,
    read_spec,
    validated,
)


class Blend(Frozen):
    """What is asked of a run that is a blend: of which finished runs, and how."""

    runs: tuple[str, ...] = Field(description="keys of the runs that it is made of")
    folders: tuple[str, ...] = Field(description="their folders, in the same order")
    how: BlendSpec = BlendSpec()
    metric: str
    tracking: TrackingSpec = TrackingSpec()


Spec = RunSpec | CommandSpec | Blend  # what a run may be asked for: run.kind says which
KINDS: Mapping[str, type[RunSpec] | type[CommandSpec] | type[Blend]] = {
    "train": RunSpec,
    "command": CommandSpec,
    "blend": Blend,
}


def kind_of(spec: Spec) -> str:
    """As in run.kind."""
    return next(kind for kind, model in KINDS.items() if isinstance(spec, model))


def of_run(run: Run, overrides: Iterable[str] = (), *, for_present_code: bool = False) -> Spec:
    """What a run was asked for, with `key=value` overrides laid over it. Raises OnehourError for one of another version.

    Only the keys that it was given then count as set (`exclude_unset`); `for_present_code` those too that say to the code of
    now what followed from others then.
    """
    asked = parse_overrides(overrides)
    if run.kind not in KINDS:
        raise OnehourError(f"there is no kind of run {run.kind!r}", where=run.key, fix="A newer Onehour queued it.")
    told = stored_spec(run.spec) if for_present_code else json.loads(run.spec)
    return validated(KINDS[run.kind], laid_over(told, asked), run.key, asked)


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
        **data_keys(challenge),
        "metric": challenge.metric,
    }


def data_keys(challenge: Challenge) -> dict[str, str | None]:
    """What a challenge says of its data, but for the folder: dotted keys of a spec."""
    names = (*(field.name for field in fields(DataLayout)), "image_col", "label_col", "unknown_label")
    return {f"data.{name}": getattr(challenge, name) for name in names}

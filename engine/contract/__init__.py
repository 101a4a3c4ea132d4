"""The one door between the two halves: what is asked (RunSpec), what comes back (RunResult), and how either side refuses.

CommandSpec and OwnResult are the same of a person's own code.

Only the standard library, pydantic and PyYAML are imported here, so that a page can read a spec without loading torch.
"""

from engine.contract.blend_spec import BlendSpec
from engine.contract.command_spec import CommandSpec
from engine.contract.data_spec import DataSpec
from engine.contract.errors import (
    EXIT_AGAINST_RULES,
    EXIT_BAD_INPUT,
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REQUEUE,
    OnehourError,
    nearest,
)
from engine.contract.frozen import Frozen
from engine.contract.reading import (
    OVERRIDDEN,
    PRESETS_DIR,
    blend_preset_names,
    blend_preset_path,
    laid_over,
    parse_overrides,
    preset_names,
    preset_path,
    read_blend_spec,
    read_spec,
    spec_as_json,
    spec_from_mapping,
    validated,
)
from engine.contract.result import METRIC_DIRECTIONS, FoldScore, OwnFold, OwnResult, RunResult
from engine.contract.spec import RunSpec, TrackingSpec
from engine.contract.stage import Stage, Transform
from engine.contract.stop_rule import StopIfBehind

__all__ = [
    "EXIT_AGAINST_RULES",
    "EXIT_BAD_INPUT",
    "EXIT_BUG",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_REQUEUE",
    "METRIC_DIRECTIONS",
    "OVERRIDDEN",
    "PRESETS_DIR",
    "BlendSpec",
    "CommandSpec",
    "DataSpec",
    "FoldScore",
    "Frozen",
    "OnehourError",
    "OwnFold",
    "OwnResult",
    "RunResult",
    "RunSpec",
    "Stage",
    "StopIfBehind",
    "TrackingSpec",
    "Transform",
    "blend_preset_names",
    "blend_preset_path",
    "laid_over",
    "nearest",
    "parse_overrides",
    "preset_names",
    "preset_path",
    "read_blend_spec",
    "read_spec",
    "spec_as_json",
    "spec_from_mapping",
    "validated",
]

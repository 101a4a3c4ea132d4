"""The one door between the two halves: what is asked (RunSpec), what comes back (RunResult), and how either side refuses.

Only the standard library, pydantic and PyYAML are imported here, so that a page can read a spec without loading torch.
"""

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
from engine.contract.reading import (
    OVERRIDDEN,
    PRESETS_DIR,
    parse_overrides,
    preset_names,
    preset_path,
    read_spec,
    spec_as_json,
    spec_from_mapping,
)
from engine.contract.result import METRIC_DIRECTIONS, FoldScore, RunResult
from engine.contract.spec import DataSpec, Frozen, RunSpec, Stage, TrackingSpec, Transform

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
    "DataSpec",
    "FoldScore",
    "Frozen",
    "OnehourError",
    "RunResult",
    "RunSpec",
    "Stage",
    "TrackingSpec",
    "Transform",
    "nearest",
    "parse_overrides",
    "preset_names",
    "preset_path",
    "read_spec",
    "spec_as_json",
    "spec_from_mapping",
]

"""The specs of runs as their rows hold them, also those written by an Onehour whose specs had fewer keys."""

from __future__ import annotations

import json
from typing import Any


def stored_spec(spec_json: str) -> dict[str, Any]:
    """The keys of a spec, with what followed from others before it had a key of its own: folds were made by the run's seed."""
    told: dict[str, Any] = json.loads(spec_json)
    if "seed" in told and "folds" in told:  # else of a blend, or of a person's own command
        told.setdefault("fold_seed", told["seed"] if told.get("folds_from") is None else 0)
    return told

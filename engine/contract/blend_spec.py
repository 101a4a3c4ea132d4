"""What is asked of a blend: how finished runs are made into one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.contract.frozen import Frozen


class BlendSpec(Frozen):
    """What is asked of a blend; which runs it is made of stands on the command line."""

    by: Literal["score", "rank"] = Field(
        "score", description="what is added up: scores of 0…1, or 1 / place; rank is for runs of different kinds"
    )
    weights: Literal["oof", "equal"] = Field(
        "oof",
        description="oof: fitted on out-of-fold predictions, for each fold on the other folds; equal: all the same",
    )
    families: Literal["none", "backbone", "head", "experiment"] = Field(
        "none",
        description="runs with the same backbone, head or experiment (the key before -r01) are first blended among "
        "themselves, then the families: fewer weights have to be fitted at a time; none: all at once",
    )

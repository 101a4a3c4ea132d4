"""When a run that has no hope stops by itself: what it is held against, and how far it may be behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from engine.contract.frozen import Frozen


class StopIfBehind(Frozen):
    """An earlier run on the same folds. A run that is clearly behind it after some of its folds stops, and says why."""

    run: str = Field(description="key of the earlier run")
    folds_sha256: str = Field(description="hash of its folds.csv: on other folds nothing is compared")
    fold_scores: Annotated[tuple[FiniteFloat, ...], Field(min_length=2)] = Field(description="its score on each fold")
    by: Annotated[tuple[Annotated[FiniteFloat, Field(ge=0)], ...], Field(min_length=1)] = Field(
        description="how much worse the mean over the finished folds may be: after one fold, after two, …; the last number "
        "holds for all that follow",
    )

    def allowed(self, finished: int) -> float:
        """How much worse the mean over `finished` folds (1 or more) may be."""
        return self.by[min(finished, len(self.by)) - 1]

    def why_stop(self, scores: Mapping[int, float], direction: Literal["max", "min"]) -> str:
        """The reason why a run with these `scores` (fold → score) has no hope, by their mean paired difference; "" where it has."""
        if not scores:
            return ""
        sign = 1 if direction == "max" else -1
        mine = sum(scores.values()) / len(scores)
        theirs = sum(self.fold_scores[fold] for fold in scores) / len(scores)
        behind, allowed = sign * (theirs - mine), self.allowed(len(scores))
        if behind <= allowed:
            return ""
        done = [str(fold) for fold in sorted(scores)]
        after = f"after fold {done[0]}" if len(done) == 1 else f"after folds {', '.join(done[:-1])} and {done[-1]}"
        return f"{after} it is behind {self.run} by {behind:.4f} ({mine:.4f} against {theirs:.4f}), more than {allowed:.4f}"

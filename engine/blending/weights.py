"""How much each run has to say in a blend: equally much, or as its out-of-fold predictions deserve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.inference.metric import better

Fitness = Callable[[np.ndarray], float]  # weights (P,) → what the blend scores with them

PICKS = 20  # weights are multiples of 1 / PICKS


def fitted_weights(metric: str, count: int, fitness: Fitness) -> np.ndarray:
    """Weights (count,) that sum to 1, picked one by one for the best `fitness`, better in the metric's direction.

    The best weights on the way are taken: the first picks may be better than the last.
    """
    if count == 1:
        return np.ones(1)
    picked = np.zeros(count)
    best: tuple[float, np.ndarray] | None = None
    for pick in range(1, PICKS + 1):
        tried = [(fitness((picked + one) / pick), one) for one in np.eye(count)]
        found, chosen = tried[0]
        for value, one in tried[1:]:
            if better(metric, value, found):
                found, chosen = value, one
        picked = picked + chosen
        if best is None or better(metric, found, best[0]):
            best = (found, picked / pick)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class Weighing:
    """How the weights of P runs are found. `families` holds the places of their runs, each place once."""

    families: tuple[tuple[int, ...], ...]
    by_oof: bool

    def weights(self, metric: str, fitness: Fitness) -> np.ndarray:
        """(P,), sum 1: first within each family, then across them, each for the best `fitness` or all equal."""
        count = sum(map(len, self.families))
        within = np.zeros((len(self.families), count))
        for row, members in zip(within, self.families, strict=True):
            row[list(members)] = self._found(metric, np.eye(count)[list(members)], fitness)
        return self._found(metric, within, fitness) @ within

    def _found(self, metric: str, mixes: np.ndarray, fitness: Fitness) -> np.ndarray:
        """Weights (M,) of the `mixes` (M, P)."""
        if not self.by_oof:
            return np.full(len(mixes), 1 / len(mixes))
        return fitted_weights(metric, len(mixes), lambda mix: fitness(mix @ mixes))

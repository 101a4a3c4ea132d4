"""The cross-check of a threshold: where a quota of unknown test images would set it, without a look at any label.

Labels and the scores of validation images choose one threshold, the expected share of unknown test images and their scores
another. Where both are near, the validation images are like the test images; where not, one of the two is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.inference.unknown import Curve, threshold_above


@dataclass(frozen=True)
class Quota:
    """`share` of the test images are to be unknown. `threshold` does that among the scores of single nets, where `chosen`, the
    one by OOF, lies too, and `test` among their mean. `score` and `chosen_score`: of both over all OOF rows.
    """

    share: float
    threshold: float
    test: float
    chosen: float
    score: float
    chosen_score: float


def quota_of(curve: Curve, chosen: float, share: float, singles: np.ndarray, tested: np.ndarray) -> Quota:
    """`curve`: over all OOF rows. `singles` (F, M): the best score of each test image by each net, `tested` (M,) their mean's."""
    among_singles = threshold_above(singles.ravel(), round(share * singles.size))
    among_means = threshold_above(tested, round(share * len(tested)))
    return Quota(share, among_singles, among_means, chosen, curve.at(among_singles), curve.at(chosen))

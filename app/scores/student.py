"""Student's t: how far chance reaches in a small sample, without a statistics library in the app."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

# 97.5 % points for 1 to 12 degrees of freedom; from there on the series below is right to three digits.
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
Z_975 = NormalDist().inv_cdf(0.975)


def t_975(degrees: int) -> float:
    """The 97.5 % point of Student's t. `degrees` of freedom, 1 or more."""
    if degrees <= len(T_975):
        return T_975[degrees - 1]
    # Cornish-Fisher around the normal point: Abramowitz and Stegun 1964, 26.7.5.
    z = Z_975
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + (z**3 + z) / (4 * degrees) + second / degrees**2 + third / degrees**3


def corrected_margin(spread: float, folds: int, seen: int | None = None) -> float:
    """Half of the 95 % interval of a mean over `folds` folds whose values have the sample standard deviation `spread`.

    With `seen` of the mean over so many of them.

    Folds share most of their training rows, so their values vary together: the variance of the mean is s² (1/k + 1/(k-1)), test to
    training rows being 1 : k-1. Corrected resampled t-test, Nadeau and Bengio, Machine Learning 52, 2003.
    """
    return t_975(folds - 1) * corrected_error(spread, folds, seen)


def corrected_error(spread: float, folds: int, seen: int | None = None) -> float:
    """The standard error in `corrected_margin`."""
    return spread * sqrt(1 / (seen or folds) + 1 / (folds - 1))

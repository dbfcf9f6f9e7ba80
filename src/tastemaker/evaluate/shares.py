"""Intervals of shares: how sure a count of some among many makes one."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share of which `hits` of `trials` were seen (Wilson 1927): good for few trials and shares near 0 or 1 too.

    Nothing is known without trials: then it is (0, 1).
    """
    if trials <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = hits / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)

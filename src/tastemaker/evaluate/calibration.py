"""Do probabilities mean what they say? Of the rows given .2, a fifth should be positive.

Rows are put into bins by their probability. By default bins have equal mass: each holds about the same weight of rows, so that every
bin is known equally well where most probabilities are small, as click rates are (Nixon et al. 2019, Measuring Calibration in Deep
Learning). With `binning="width"` bins are of equal width in 0…1 (Guo et al. 2017); then nearly all rows of a rare class share one bin.
Rows of equal probability always share a bin, that of the middle of their mass, so bins can be uneven, and fewer than asked.

| name                | value                                                 | denominator                    |
|---------------------|-------------------------------------------------------|--------------------------------|
| `calibration_error` | Σ over bins: weight · absolute(mean predicted - share of positives) | weight of all rows |
| `reliability`       | a line for each bin                                   | rows of the bin                |

The expected calibration error is not 0 for a perfect model: with n rows and B bins, chance alone gives about √(2 p (1 - p) B / (π n)).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from tastemaker.errors import ConfigError
from tastemaker.evaluate.rows import Ranked, check_share, checked, rank

Binning = Literal["mass", "width"]
BINS = 15
"""As in Guo et al. 2017."""


class Bin(NamedTuple):
    """A point of the reliability curve."""

    predicted: float
    """Mean probability of the rows"""
    share: float
    """Share of the rows that are positive"""
    rows: int
    low: float
    """Wilson's interval of the share"""
    high: float


def calibration_error(
    labels: np.ndarray,
    probabilities: np.ndarray,
    bins: int = BINS,
    weights: np.ndarray | None = None,
    *,
    binning: Binning = "mass",
) -> float:
    """Expected calibration error: how far the mean probability of a bin is from its share of positives, on average over rows.

    Args:
        labels: 0 or 1 (rows,).
        probabilities: in 0…1 (rows,).
        bins: how many at most.
        weights: (rows,); a row of weight 2 counts as that row twice.
        binning: "mass" or "width".

    Raises:
        DataError: see `rows.checked`.
        ConfigError: fewer than one bin, or another binning.
    """
    return error_of(rank(*checked(labels, probabilities, weights, probabilities=True)), bins, binning)


def reliability(
    labels: np.ndarray,
    probabilities: np.ndarray,
    bins: int = BINS,
    *,
    binning: Binning = "mass",
    confidence: float = 0.95,
) -> tuple[Bin, ...]:
    """The reliability curve, by rising probability; bins without rows are left out.

    Raises:
        DataError: see `rows.checked`.
        ConfigError: fewer than one bin, another binning, or a confidence that is not between 0 and 1.
    """
    y, x, _ = checked(labels, probabilities, probabilities=True)
    return bins_of(rank(y, x), bins, binning, confidence)


def wilson(successes: np.ndarray, trials: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval (1927) of a share, (low, high); unlike the normal one it stays in 0…1 and has width at 0 and 1.

    Raises:
        ConfigError: `confidence` is not between 0 and 1.
    """
    check_share("confidence", confidence)
    z2 = float(stats.norm.ppf((1 + confidence) / 2)) ** 2
    found = successes / trials
    middle = (found + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (found * (1 - found) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return np.clip(middle - half, 0, found), np.clip(middle + half, found, 1)


def error_of(ranked: Ranked, bins: int = BINS, binning: Binning = "mass") -> float:
    """`calibration_error` of rows that are sorted already; NaN without weight."""
    weight, predicted, positives = _binned(ranked, bins, binning)
    total = weight.sum()
    return float(np.abs(predicted - positives).sum() / total) if total > 0 else np.nan


def bins_of(ranked: Ranked, bins: int = BINS, binning: Binning = "mass", confidence: float = 0.95) -> tuple[Bin, ...]:
    """`reliability` of rows that are sorted already, without weights."""
    weight, predicted, positives = _binned(ranked, bins, binning)
    low, high = wilson(positives, weight, confidence)
    columns = (predicted / weight, positives / weight, weight.astype(int), low, high)
    return tuple(Bin(*line) for line in zip(*(column.tolist() for column in columns), strict=True))


def _binned(ranked: Ranked, bins: int, binning: Binning) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight, Σ of weight · probability and weight of positives of each bin that has any."""
    if bins < 1:
        raise ConfigError(f"{bins} bins", expected="at least 1", hint=f"the default is {BINS}")
    if binning not in ("mass", "width"):
        raise ConfigError(f"binning {binning!r}", expected="'mass' or 'width'")
    weight = ranked.positives + ranked.negatives
    risen = np.cumsum(weight)
    middle = (risen - weight / 2) / max(risen[-1], np.finfo(np.float64).tiny) if len(weight) else weight
    place = np.minimum(bins * (middle if binning == "mass" else ranked.scores), bins - 1).astype(np.int64)
    sums = [np.bincount(place, part, bins) for part in (weight, weight * ranked.scores, ranked.positives)]
    held = sums[0] > 0
    return sums[0][held], sums[1][held], sums[2][held]

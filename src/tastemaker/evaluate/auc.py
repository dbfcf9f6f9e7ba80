"""The area under the ROC curve: how often a positive row is scored above a negative one, and how sure that share is.

| name          | value                                                                   | denominator                           |
|---------------|-------------------------------------------------------------------------|---------------------------------------|
| `auc`         | Σ over pairs of a positive and a negative: 1 if above, ½ if equal, 0    | pairs (weighted: Σ of w₊ w₋)          |
| `grouped_auc` | Σ over groups: rows · AUC within the group                              | rows of the groups with both classes  |

.5 is chance, 1 perfect; ties count half, so that a constant scores .5. AUC depends on the order of scores alone: it says nothing of
whether probabilities are right, see `labels`. Sources: Hanley & McNeil 1982 (AUC as that share); Zhu et al. 2017, Optimized Cost per
Click in Taobao (grouped AUC, there weighted by impressions or clicks; here by rows).

Intervals and tests are DeLong's (DeLong, DeLong & Clarke-Pearson 1988), whose parts Sun & Xu 2014 take from ranks in O(n log n): a
positive's part V₁₀ is the share of negatives below it, a negative's part V₀₁ the share of positives above it, and
var(AUC) = var(V₁₀) / positives + var(V₀₁) / negatives. Here both come from one sort, and a block of equal scores is one term. They take rows as
independent draws. Rows of one user are alike, so with many rows of few users the true interval is wider.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from tastemaker.errors import DataError
from tastemaker.evaluate.rows import Difference, Ranked, check_share, checked, rank


class GroupedAUC(NamedTuple):
    """AUC within groups."""

    value: float
    """Mean over the groups that took part, weighted by their rows; NaN without any"""
    rows: int
    """Rows that took part: those of groups with both classes"""
    groups: int
    """Groups that took part"""


def auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The share of pairs of a positive and a negative row that are in order; NaN where a class is missing or weighs nothing.

    Args:
        labels: 0 or 1 (rows,).
        scores: (rows,), any numbers; only their order counts.
        weights: (rows,); a row of weight 2 counts as that row twice.

    Raises:
        DataError: see `rows.checked`.
    """
    return auc_of(rank(*checked(labels, scores, weights)))


def grouped_auc(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> GroupedAUC:
    """The mean of AUC within each group, weighted by rows, over groups that have both classes.

    Args:
        labels: 0 or 1 (rows,).
        scores: (rows,), any numbers.
        groups: (rows,), such as the user of each row, of any type that sorts; rows of a group need not be adjacent.

    Raises:
        DataError: see `rows.checked`; or not one group for each row.
    """
    y, x, _ = checked(labels, scores)
    return grouped_of(rank(y, x), y, groups)


def auc_interval(labels: np.ndarray, scores: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """DeLong's normal interval of AUC, cut to 0…1; NaN where a class has fewer than two rows.

    Perfect order has an interval of no width, since its rows leave no variance to estimate from.

    Raises:
        DataError: see `rows.checked`.
        ConfigError: `confidence` is not between 0 and 1.
    """
    y, x, _ = checked(labels, scores)
    return interval_of(rank(y, x), confidence)


def auc_difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Difference:
    """DeLong's paired test of two scorers of the same rows: AUC of the second minus that of the first.

    The difference of the parts of each row is used, which is the variance of both minus twice their covariance. NaN where a class
    has fewer than two rows; p is 1 where no part differs.

    Args:
        labels: 0 or 1 (rows,).
        first: scores (rows,) of the reference.
        second: scores (rows,) of the other; they need not be on the scale of the first.
        confidence: of the interval.

    Raises:
        DataError: see `rows.checked`.
        ConfigError: `confidence` is not between 0 and 1.
    """
    check_share("confidence", confidence)
    y, x, _ = checked(labels, first)
    _, other, _ = checked(labels, second)
    ahead = _parts(rank(y, other), y) - _parts(rank(y, x), y)
    positive, negative = ahead[y == 1], ahead[y == 0]
    if min(len(positive), len(negative)) < 2:
        return Difference(np.nan, (np.nan, np.nan), np.nan)
    value = float(positive.mean())
    error = float(np.sqrt(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative)))
    half = float(stats.norm.ppf((1 + confidence) / 2)) * error
    p = float(2 * stats.norm.sf(abs(value) / error)) if error > 0 else float(value == 0)
    return Difference(value, (value - half, value + half), p)


def auc_of(ranked: Ranked) -> float:
    """`auc` of rows that are sorted already."""
    pairs = ranked.positives.sum() * ranked.negatives.sum()
    return float((ranked.positives * _below(ranked.negatives)).sum() / pairs) if pairs > 0 else np.nan


def interval_of(ranked: Ranked, confidence: float) -> tuple[float, float]:
    """`auc_interval` of rows that are sorted already, without weights."""
    check_share("confidence", confidence)
    positives, negatives = ranked.positives.sum(), ranked.negatives.sum()
    if min(positives, negatives) < 2:
        return np.nan, np.nan
    value = auc_of(ranked)
    variance = 0.0
    for count, total, part in (
        (ranked.positives, positives, _below(ranked.negatives) / negatives),
        (ranked.negatives, negatives, 1 - _below(ranked.positives) / positives),
    ):
        variance += (count * np.square(part - value)).sum() / (total - 1) / total
    half = float(stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance))
    return max(0.0, value - half), min(1.0, value + half)


def grouped_of(ranked: Ranked, labels: np.ndarray, groups: np.ndarray) -> GroupedAUC:
    """`grouped_auc` of rows that are sorted already, without weights; `labels` and `groups` as they came."""
    groups = np.asarray(groups)
    if groups.shape != labels.shape:
        raise DataError(f"groups {groups.shape} for {labels.shape} rows", expected="one group for each row")
    if not len(labels):
        return GroupedAUC(np.nan, 0, 0)
    by_score = groups[ranked.order]
    place = np.argsort(by_score, kind="stable")  # keeps rising scores within a group
    owner, positive = by_score[place], labels[ranked.order][place]
    block = np.repeat(np.arange(len(ranked.starts)), ranked.sizes)[place]
    new_group = np.concatenate([[True], owner[1:] != owner[:-1]])
    tied = np.flatnonzero(new_group | np.concatenate([[True], block[1:] != block[:-1]]))
    first = np.flatnonzero(new_group)
    positives = np.add.reduceat(positive, tied)
    negatives = np.diff(tied, append=len(owner)) - positives
    heads = np.searchsorted(tied, first)  # the first block of each group
    before = np.repeat((np.cumsum(negatives) - negatives)[heads], np.diff(heads, append=len(tied)))
    won = np.add.reduceat(positives * (_below(negatives) - before), heads)
    rows = np.diff(first, append=len(owner))
    hits = np.add.reduceat(positives, heads)
    pairs = hits * (rows - hits)
    both = pairs > 0
    taking = int(rows[both].sum())
    value = float((rows[both] * won[both] / pairs[both]).sum() / taking) if taking else np.nan
    return GroupedAUC(value, taking, int(both.sum()))


def _below(weights: np.ndarray) -> np.ndarray:
    """What lies below each block, and half of what lies in it: (blocks,)."""
    return np.cumsum(weights) - weights / 2  # type: ignore[no-any-return]


def _parts(ranked: Ranked, labels: np.ndarray) -> np.ndarray:
    """DeLong's part of each row, in the order in which rows came: float64 (rows,)."""
    positives, negatives = max(1.0, ranked.positives.sum()), max(1.0, ranked.negatives.sum())
    parts = np.empty(len(labels))
    of_positive = np.repeat(_below(ranked.negatives) / negatives, ranked.sizes)
    of_negative = np.repeat(1 - _below(ranked.positives) / positives, ranked.sizes)
    parts[ranked.order] = np.where(labels[ranked.order] == 1, of_positive, of_negative)
    return parts

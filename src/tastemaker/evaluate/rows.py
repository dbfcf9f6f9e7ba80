"""Labelled rows in the order of their scores: what AUC, calibration and thresholds are counted from.

Rows of equal score form a block, and all that is counted is counted by block, so nothing depends on the order in which rows came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tastemaker.errors import ConfigError, DataError


@dataclass(frozen=True)
class Difference:
    """How far one model is ahead of another on the same rows."""

    value: float
    """The second's metric minus the first's"""
    interval: tuple[float, float]
    p_value: float
    """Two-sided, of a difference of 0; uncorrected"""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows sorted by rising score, in blocks of equal score."""

    order: np.ndarray
    """int64 (rows,): where each sorted row came from"""
    starts: np.ndarray
    """int64 (blocks,): the first sorted row of each block"""
    scores: np.ndarray
    """float64 (blocks,), strictly rising"""
    positives: np.ndarray
    """float64 (blocks,): weight of the rows labelled 1"""
    negatives: np.ndarray
    """float64 (blocks,): weight of the rows labelled 0"""

    @property
    def sizes(self) -> np.ndarray:
        """int64 (blocks,): rows of each block."""
        return np.diff(self.starts, append=len(self.order))


def rank(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Ranked:
    """Sorts checked rows (see `checked`): O(n log n), once for all that is counted from them."""
    order = np.argsort(scores, kind="stable")
    risen = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], risen[1:] != risen[:-1]])[: len(risen)])
    positive, every = labels[order], np.ones(len(order))
    if weights is not None:
        every = weights[order]
        positive = positive * every
    positives = _sums(positive, starts)
    negatives = _sums(every, starts) - positives if weights is None else _sums(every - positive, starts)
    return Ranked(order, starts, risen[starts], positives, negatives)


def checked(
    labels: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None, *, probabilities: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Labels, values and weights as float64 (rows,).

    Args:
        labels: 0 or 1 of each row, of any numeric type or bool.
        values: scores, any numbers but NaN, or `probabilities` in 0…1.
        weights: of each row, finite and not negative; None: all weigh 1.
        probabilities: whether values are.

    Raises:
        DataError: shapes differ, or a value is not as said; names the first row at fault.
    """
    y, x = np.asarray(labels, dtype=np.float64), np.asarray(values, dtype=np.float64)
    w = None if weights is None else np.asarray(weights, dtype=np.float64)
    if y.ndim != 1 or x.shape != y.shape or (w is not None and w.shape != y.shape):
        given = f"labels {y.shape}, {'probabilities' if probabilities else 'scores'} {x.shape}"
        raise DataError(
            given + ("" if w is None else f", weights {w.shape}"), expected="one label, value and weight for each row"
        )
    _refuse((y != 0) & (y != 1), y, "label", "labels of 0 or 1", "set a threshold of what counts as positive first")
    if probabilities:
        _refuse(
            ~((x >= 0) & (x <= 1)), x, "probability", "probabilities in 0…1", "are these logits, or has the model diverged?"
        )
    else:
        _refuse(np.isnan(x), x, "score", "scores that are numbers", "has the model diverged?")
    if w is not None:
        _refuse(~((w >= 0) & np.isfinite(w)), w, "weight", "finite weights ≥ 0", "a row of weight 0 does not count")
    return y, x, w


def check_share(name: str, value: float) -> None:
    """Refuses a confidence or the like that is not strictly between 0 and 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < value < 1:
        raise ConfigError(f"{name} {value}", expected="a number between 0 and 1", hint="for example 0.95")


def _refuse(wrong: np.ndarray, values: np.ndarray, name: str, expected: str, hint: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{name} {values[row]:g} in row {row}", expected=expected, hint=hint)


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts) if len(starts) else np.zeros(0)

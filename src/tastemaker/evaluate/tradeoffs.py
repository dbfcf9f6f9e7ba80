"""What lists give of each label under each weighting of the labels, and which weightings no other beats in all of them.

A list is the first k rows of a group, by score, equal scores in the order of rows. What it gives of a label is the mean label of its
rows, those whose label is not known left out: precision at k. A side's value is the mean over its lists. A weighting is
*non-dominated* (Pareto-optimal) if no other gives as much of every label and more of one.

A floor on one label while another is maximised is a Lagrange multiplier: by p_first + λ p_floored, lists of highest Σ p_first among all
with as much Σ p_floored are found for each λ (Everett 1963, "Generalized Lagrange multiplier method", theorem 1), and Σ p_floored rises with λ. So the least
λ that reaches the floor is searched by halving. Lists change by whole rows, so what it leaves to gain is at most what one row of one list is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from scipy.special import comb

from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate.significance import mean_interval

MOST_POINTS = 70
_FARTHEST = 1e9
_HALVINGS = 60


@dataclass(frozen=True)
class Given:
    """What one weighting gives on one side."""

    values: tuple[float, ...]
    """of each label"""
    intervals: tuple[tuple[float, float], ...]
    """of the mean over lists, by Student's t; over rows where there is one list"""


@dataclass(frozen=True, eq=False)
class Side:
    """Rows of one side, what was said of them and what came of them."""

    probabilities: np.ndarray
    """(rows, labels)"""
    labels: np.ndarray
    """(rows, labels): 0, 1, NaN where not known"""
    groups: np.ndarray | None = None
    """int (rows,): rows of one list; None: all rows are candidates of one list"""

    def listed(self, scores: np.ndarray, k: int | None) -> np.ndarray:
        """int64 (kept,): the first `k` rows of each group, group by group; None: 10, or a tenth of the rows where there are no groups."""
        groups = np.zeros(len(scores), np.int64) if self.groups is None else self.groups
        count = k or (10 if self.groups is not None else max(1, len(scores) // 10))
        order = np.lexsort((-scores, groups))
        owner = groups[order]
        first = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]])[: len(owner)])
        place = np.arange(len(owner)) - np.repeat(first, np.diff(first, append=len(owner)))
        return order[place < count]

    def of_lists(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float64 (lists,): the mean value of each list's rows, those that are NaN left out, and lists without any; one list: its rows."""
        known = rows[~np.isnan(values[rows])]
        if self.groups is None:
            return np.asarray(values[known], dtype=np.float64)
        _, owner = np.unique(self.groups[known], return_inverse=True)
        return np.bincount(owner, values[known]) / np.bincount(owner)

    def given(self, scores: np.ndarray, k: int | None, confidence: float = 0.95) -> Given:
        """What lists by these scores give."""
        rows = self.listed(scores, k)
        lists = [self.of_lists(column, rows) for column in self.labels.T]
        means = tuple(float(one.mean()) if len(one) else math.nan for one in lists)
        return Given(means, tuple(mean_interval(one, confidence) for one in lists))


@dataclass(frozen=True)
class Weighted:
    """One weighting."""

    weights: tuple[float, ...]
    """of each label"""
    given: dict[str, Given]
    """by side"""
    best: bool
    """non-dominated on the first side"""


@dataclass(frozen=True)
class Tradeoffs:
    """All weightings of a grid, from all weight on the last label to all on the first."""

    labels: tuple[str, ...]
    points: tuple[Weighted, ...]
    k: int | None
    confidence: float

    @property
    def sides(self) -> list[str]:
        """The sides asked, the one that chooses first."""
        return list(self.points[0].given)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        points = [
            {
                "weights": dict(zip(self.labels, point.weights, strict=True)),
                "best": point.best,
                **{
                    side: {
                        label: {"value": value, "interval": list(interval)}
                        for label, value, interval in zip(self.labels, given.values, given.intervals, strict=True)
                    }
                    for side, given in point.given.items()
                },
            }
            for point in self.points
        ]
        return {"labels": list(self.labels), "k": self.k, "confidence": self.confidence, "points": points}

    def __rich__(self) -> Table:
        """The table for the terminal; * marks what is non-dominated."""
        rows = "a tenth of the rows" if self.k is None else f"the first {self.k} of each list"
        caption = (
            f"mean label of {rows}; * no other weighting gives more of one label and as much of the rest, on {self.sides[0]}"
        )
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
        for name in (
            *(f"weight {label}" for label in self.labels),
            *(f"{s} {label}" for s in self.sides for label in self.labels),
            "",
        ):
            table.add_column(name, justify="right")
        for point in self.points:
            values = [f"{value:.4f}" for side in self.sides for value in point.given[side].values]
            table.add_row(*(f"{weight:.4g}" for weight in point.weights), *values, "*" if point.best else "")
        return table


Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(weights (labels,), probabilities (rows, labels)) -> scores (rows,)."""


def trade_offs(
    sides: dict[str, Side], labels: tuple[str, ...], score: Score, *, k: int | None = None, confidence: float = 0.95
) -> Tradeoffs:
    """What each weighting of a grid gives on each side; the first side says which are non-dominated.

    Weights are shares of 1 on an even grid, divided by the label's mean probability, so that a rare label is not drowned by a common one.

    Args:
        sides: by name, the side that chooses first.
        labels: names, two or more.
        score: what a row's probabilities are worth under weights.
        k: rows of a list; None: see `Side.listed`.
        confidence: of the intervals.

    Raises:
        DataError: fewer than two labels, or a side without rows.
    """
    chooser = next(iter(sides.values()))
    if len(labels) < 2 or any(not len(side.labels) for side in sides.values()):
        raise DataError(
            f"{len(labels)} labels, rows {[len(side.labels) for side in sides.values()]}",
            expected="two labels or more, and rows on every side",
        )
    grouped = chooser.groups is not None
    scale = np.maximum(chooser.probabilities.mean(0), 1e-12)
    found = []
    for shares in grid(len(labels)):
        weights = shares / scale
        weights = np.array([float(f"{weight:.4g}") for weight in weights / weights.max()])
        given = {name: side.given(score(weights, side.probabilities), k, confidence) for name, side in sides.items()}
        found.append((tuple(weights.tolist()), given))
    best = nondominated(np.array([next(iter(given.values())).values for _, given in found]))
    points = tuple(Weighted(weights, given, bool(one)) for (weights, given), one in zip(found, best, strict=True))
    return Tradeoffs(labels, points, k or (10 if grouped else None), confidence)


def grid(count: int) -> np.ndarray:
    """float64 (points, count): shares that sum to 1, evenly spread, `MOST_POINTS` of them at most; 21 of two labels."""
    steps = (
        20
        if count == 2
        else max(n for n in range(1, 12) if comb(n + count - 1, count - 1, exact=True) <= MOST_POINTS or n == 1)
    )
    cuts = np.array(list(_parted(steps, count)), dtype=np.float64)
    return cuts / steps


def _parted(total: int, count: int) -> list[tuple[int, ...]]:
    """All ways to part `total` into `count`, in order."""
    if count == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _parted(total - first, count - 1)]


def nondominated(values: np.ndarray) -> np.ndarray:
    """Bool (points,): whether no other point has as much everywhere and more somewhere, of values (points, labels); NaN is least."""
    found = np.where(np.isnan(values), -np.inf, values)
    as_much = (found[None] >= found[:, None]).all(2)
    more = (found[None] > found[:, None]).any(2)
    return np.logical_not(np.any(as_much & more, axis=1))


def multiplier(side: Side, maximised: int, floored: int, floor: float, *, k: int | None = None, observed: bool = True) -> float:
    """The least λ ≥ 0 with which lists by p_maximised + λ p_floored give `floor` or more of the floored label; see the head of this file.

    Args:
        side: rows to choose by, not those judged afterwards.
        maximised: place of the label that is maximised.
        floored: place of the label that the floor is on.
        floor: the least mean of a list's rows, over lists.
        k: rows of a list; None: see `Side.listed`.
        observed: the floor is on what came of the rows; False: on what was predicted, for which the search is exact.

    Raises:
        ConfigError: lists by the floored label alone give less.
    """
    first, second = side.probabilities[:, maximised], side.probabilities[:, floored]
    worth = side.labels[:, floored] if observed else second

    def reached(scores: np.ndarray) -> float:
        lists = side.of_lists(worth, side.listed(scores, k))
        return float(lists.mean()) if len(lists) else math.nan

    if reached(first) >= floor:
        return 0.0
    low, high = 0.0, 1.0
    while not reached(first + high * second) >= floor:
        low, high = high, high * 4
        if high > _FARTHEST:
            most = reached(second)
            raise ConfigError(
                f"a floor of {floor:g}",
                expected=f"{most:.4g} or less, which lists ordered by that label alone give",
                hint="lower it",
            )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if reached(first + middle * second) >= floor:
            high = middle
        else:
            low = middle
        if high - low <= 1e-9 * high:
            break
    return high

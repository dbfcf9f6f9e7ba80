"""How likely a row was looked at, by where it was shown: what clicks are weighed by to learn from them without their bias.

The position-based model: a row at position k is clicked if it is looked at, with probability θ_k, and wanted, with probability γ; so a click at a place that few look at
stands for 1 / θ_k wishes (Joachims, Swaminathan & Schnabel 2017, "Unbiased learning-to-rank with biased feedback", §4). θ comes

* from a column, where it is known;
* from lists whose order was drawn at random: there positions differ in nothing else, and θ_k is the rate of clicks at k over that at the first (ibid., §5.1, and
  Wang, Bendersky, Metzler & Najork 2016, "Learning to rank with selection bias in personal search");
* from all lists, by expectation and maximisation, where the same things were shown at several positions (Wang, Golbandi, Bendersky, Metzler & Najork 2018, "Position
  bias estimation for unbiased learning to rank in personal search", eq. 3 to 6). Deviation: γ is a number for each combination of the columns in `by`, where
  the paper has it from a regression on features;
* together with the ranker, as what is left of clicks (`train.examination`); then nothing is weighed.

Only ratios of θ can be known; the first position has 1, and no other more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tastemaker.data.features import columns
from tastemaker.errors import DataError
from tastemaker.settings import Settings

_ROUNDS = 2_000
_ENOUGH = 1e-7


class PropensityConfig(Settings):
    """The `[propensity]` section of a ranker: how likely rows were looked at, so that positives at places that few look at count more.

    Its columns are no features. Losses of pairs and lists weigh positives by 1 / propensity and divide by the sum of weights; `bce` sets
    positives to 1 / propensity in place of 1. The metric that chooses the epoch is weighed alike.
    """

    column: str | None = Field(None, description="the probability that the row was looked at, where it is known")
    position: str | None = Field(None, description="the place at which the row was shown, a number, the first the lowest")
    shuffled: str | None = Field(None, description="beside position: a column that is true for rows of lists in random order")
    by: tuple[str, ...] = Field(
        (), description="beside position: rows alike in these columns are wanted alike, and were shown at several positions"
    )
    joint: bool = Field(
        False,
        description="beside position: what is looked at is learned together with the ranker, by bce, and nothing is weighed",
    )
    clip: float = Field(0.1, gt=0, le=1, description="propensities below it count as this: less variance for a little bias")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.column is None) == (self.position is None):
            raise ValueError("one of column and position")
        ways = (self.shuffled is not None) + bool(self.by) + self.joint
        if self.column is not None and ways:
            raise ValueError("neither shuffled nor by nor joint where column says all")
        if self.position is not None and ways != 1:
            raise ValueError("one of shuffled, by and joint beside position")
        if self.joint and self.clip != type(self).model_fields["clip"].default:
            raise ValueError("no clip where joint is set: nothing is weighed")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are no features."""
        return tuple(name for name in (self.column, self.position, self.shuffled) if name is not None)


@dataclass(frozen=True, eq=False)
class Propensities:
    """How likely rows are looked at."""

    config: PropensityConfig
    positions: np.ndarray
    """float64 (positions,), ascending; none where a column says all"""
    examined: np.ndarray
    """float64 (positions,): 1 at the first"""

    @classmethod
    def fit(cls, config: PropensityConfig, table: pa.Table, clicks: np.ndarray) -> Propensities:
        """Learned from training rows and their labels, 0, 1 or NaN where not known (rows,).

        Raises:
            DataError: a column is not there or does not hold what it is said to, no row of a position was clicked, or positions and things cannot be told apart.
        """
        if config.position is None:
            return cls(config, np.zeros(0), np.zeros(0))
        known = ~np.isnan(clicks)
        if config.shuffled is not None:
            column = columns.whole(_column(table, config.shuffled, "shuffled"))
            known &= (
                columns.numbers(column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column, config.shuffled) > 0
            )
        at = _positions(table, config.position)[known]
        positions, place = np.unique(at, return_inverse=True)
        if not len(positions):
            raise DataError(f"no row with {config.shuffled!r}", expected="rows of lists in random order")
        shown, clicked = np.bincount(place), np.bincount(place, clicks[known])
        if not clicked.all():
            raise DataError(
                f"no click at position {positions[clicked == 0][0]:g} in {shown[clicked == 0][0]:,} rows",
                expected="clicks at every position",
                hint="leave out rows of positions that nobody clicks at",
            )
        if config.joint:
            return cls(config, positions, np.ones(len(positions)))
        if config.shuffled is not None:
            examined = clicked / shown
        else:
            examined = _maximised(place, _things(table, config.by)[known], clicks[known])
        return cls(config, positions, np.minimum(examined / examined[0], 1.0))

    def of(self, table: pa.Table) -> np.ndarray:
        """float64 (rows,), in 0…1; a position that training did not have is as likely to be looked at as the nearest below it.

        Raises:
            DataError: a column is not there, or does not hold what it is said to.
        """
        if self.config.column is not None:
            found = columns.numbers(columns.whole(_column(table, self.config.column, "column")), self.config.column)
            wrong = ~((found > 0) & (found <= 1))
            if wrong.any():
                raise DataError(
                    f"a propensity of {found[wrong][0]:g} in {self.config.column!r}",
                    expected="numbers above 0, 1 at most, in every row",
                )
            return found
        return self.examined[self.places(table)]  # type: ignore[no-any-return]

    def places(self, table: pa.Table) -> np.ndarray:
        """int64 (rows,): where each row's position is among `positions`.

        Raises:
            DataError: the column is not there, or a row has no position.
        """
        at = _positions(table, str(self.config.position))
        return np.maximum(np.searchsorted(self.positions, at, "right") - 1, 0)

    def lifts(self, table: pa.Table) -> np.ndarray:
        """float32 (rows,): what a positive of each row counts, 1 / propensity, clipped."""
        return (1 / np.maximum(self.of(table), self.config.clip)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {"positions": self.positions.tolist(), "examined": self.examined.tolist(), "clip": self.config.clip}


def _maximised(place: np.ndarray, thing: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """θ of each position, by expectation and maximisation; rows of one position and thing are one cell."""
    count, things = place.max() + 1, thing.max() + 1
    cells, cell = np.unique(thing * count + place, return_inverse=True)
    at, of = cells % count, cells // count
    if not _connected(at, of, count, things):
        raise DataError(
            "things that share no position, directly or by others",
            expected="the same things at several positions",
            hint="name fewer columns in propensity.by",
        )
    shown, clicked = np.bincount(cell).astype(np.float64), np.bincount(cell, clicks)
    missed = shown - clicked
    at_position, of_thing = np.bincount(at, shown), np.bincount(of, shown)
    examined = np.bincount(at, clicked) / at_position
    examined /= examined.max() * 1.25
    wanted = np.full(things, 0.5)
    for _ in range(_ROUNDS):
        both = examined[at] * wanted[of]
        neither = np.maximum(1 - both, np.finfo(np.float64).tiny)
        seen = clicked + missed * (examined[at] - both) / neither
        liked = clicked + missed * (wanted[of] - both) / neither
        moved, examined = examined, np.bincount(at, seen) / at_position
        wanted = np.bincount(of, liked) / of_thing
        if np.abs(examined - moved).max() < _ENOUGH:
            break
    return examined


def _connected(at: np.ndarray, of: np.ndarray, positions: int, things: int) -> bool:
    """Whether all positions hang together by things that were shown at more than one."""
    reached = np.zeros(positions, dtype=bool)
    reached[0] = True
    while True:
        met = np.zeros(things, dtype=bool)
        met[of[reached[at]]] = True
        more = reached.copy()
        more[at[met[of]]] = True
        if (more == reached).all():
            return bool(reached.all())
        reached = more


def _things(table: pa.Table, names: tuple[str, ...]) -> np.ndarray:
    """int64 (rows,): equal where rows are alike in these columns."""
    codes = np.zeros(len(table), np.int64)
    for name in names:
        encoded = columns.ids(columns.whole(_column(table, name, "by"))).dictionary_encode("encode")
        part = pc.cast(encoded.indices, pa.int64()).to_numpy(zero_copy_only=False)
        _, codes = np.unique(codes * (part.max(initial=0) + 1) + part, return_inverse=True)
    return codes


def _positions(table: pa.Table, name: str) -> np.ndarray:
    found = columns.numbers(columns.whole(_column(table, name, "position")), name)
    if np.isnan(found).any():
        raise DataError(
            f"{int(np.isnan(found).sum()):,} rows without a position in {name!r}", expected="a position in every row"
        )
    return found


def _column(table: pa.Table, name: str, role: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(
            f"columns {', '.join(table.column_names)}", expected=f"the column {name!r}", hint=f"see propensity.{role}"
        )
    return table[name]

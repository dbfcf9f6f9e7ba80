"""LabelReport: what was found about the probabilities of labelled rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from tastemaker.errors import DataError
from tastemaker.evaluate.calibration import Bin

_FORMAT = 1


@dataclass(frozen=True)
class LabelReport:
    """How good the probabilities of one model were on labelled rows."""

    metrics: dict[str, float]
    """By the names of `labels`; NaN where the rows do not define one"""
    intervals: dict[str, tuple[float, float]]
    """Of "log_loss", "auc" and "brier" """
    rows: int
    positives: int
    reliability: tuple[Bin, ...]
    confidence: float = 0.95
    """Of the intervals, those of the bins too"""
    threshold: float | None = None
    """At which rows were called positive; None: nothing was called"""
    grouped_rows: int | None = None
    """Rows of groups with both classes, which "grouped_auc" is about; None: no groups were given"""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return {
            "format": _FORMAT,
            "metrics": {name: _plain(value) for name, value in self.metrics.items()},
            "intervals": {name: [_plain(bound) for bound in bounds] for name, bounds in self.intervals.items()},
            "rows": self.rows,
            "positives": self.positives,
            "reliability": [line._asdict() for line in self.reliability],
            "confidence": self.confidence,
            "threshold": self.threshold,
            "grouped_rows": self.grouped_rows,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelReport:
        """The inverse of `to_dict`.

        Raises:
            DataError: this is no report of labels, or one of a newer version.
        """
        if not isinstance(values, dict) or not isinstance(values.get("format"), int):
            raise DataError("no report in these values", expected="what `to_dict` gives")
        if values["format"] > _FORMAT:
            raise DataError(f"report format {values['format']}", expected=f"format ≤ {_FORMAT}", hint="update tastemaker")
        try:
            return cls(
                metrics={name: _number(value) for name, value in values["metrics"].items()},
                intervals={name: (_number(low), _number(high)) for name, (low, high) in values["intervals"].items()},
                rows=values["rows"],
                positives=values["positives"],
                reliability=tuple(Bin(**line) for line in values["reliability"]),
                confidence=values["confidence"],
                threshold=values["threshold"],
                grouped_rows=values["grouped_rows"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"a damaged report ({error})", expected="what `to_dict` gives") from None

    def __rich__(self) -> Table:
        """The table for the terminal: metrics with intervals."""
        asked = "" if self.grouped_rows is None else f"; {self.grouped_rows:,} rows in groups with both labels"
        called = "" if self.threshold is None else f"; positive from {self.threshold:.4g}"
        caption = f"{self.rows:,} rows, {self.positives:,} positive{asked}{called}"
        table = Table("metric", box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
        for name in ("value", f"{self.confidence:.0%} interval"):
            table.add_column(name, justify="right")
        for name, value in self.metrics.items():
            low, high = self.intervals.get(name, (np.nan, np.nan))
            table.add_row(name, f"{value:.4f}", "" if math.isnan(low) else f"{low:.4f} … {high:.4f}")
        return table


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

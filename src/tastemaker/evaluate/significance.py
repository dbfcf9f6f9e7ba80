"""Is one model better than another, or were the users just lucky? Paired tests on the values of each user.

Two reports judged on the same users and targets are paired user by user, so what makes a user easy or hard cancels out. Tests:

* `t`, the default: paired Student t. Among the tests in use for retrieval it keeps its level and has most power (Smucker, Allan &
  Carterette 2007; Urbano, Lima & Hanjalic 2019), costs nothing, and with thousands of users the mean difference is near normal
  however lumpy single values are.
* `permutation`: the sign of each user's difference is flipped at random (Fisher's randomisation test); no distribution is assumed,
  which matters with few users. Its p-value is (1 + flips at least as extreme) / (1 + flips): it cannot be below 1 / (1 + flips).

Wilcoxon's signed-rank test is left out: it tests medians of ranks, not the mean that the table shows, and most differences are ties.

P-values are corrected by Holm (1979), which holds whatever the dependence between tests, over the models that are set against the
reference under one metric. Metrics are not pooled: they are views of the same lists, and a p-value should not depend on which others
were printed. So settle on the metric that decides before looking. What is tested is the choice of users; the luck of a training seed
is not in it: a difference between models should also hold over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from scipy import stats

from tastemaker.errors import DataError
from tastemaker.evaluate.metrics import lower_is_better
from tastemaker.evaluate.report import Report, headlines

Test = Literal["t", "permutation"]


def paired_t(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value of a mean difference of 0 by Student's paired t; 1 where all differences are 0 or there is one user."""
    difference = _difference(first, second)
    if len(difference) < 2 or not difference.any():
        return 1.0
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    if error == 0:  # the same difference for everyone
        return 0.0
    return float(2 * stats.t.sf(abs(difference.mean()) / error, len(difference) - 1))


def permutation(first: np.ndarray, second: np.ndarray, rng: np.random.Generator, flips: int = 10_000) -> float:
    """Two-sided p-value of a mean difference of 0 by flipping signs at random."""
    difference = _difference(first, second)
    difference = difference[difference != 0]  # a flipped 0 is a 0
    if not len(difference):
        return 1.0
    total, observed = difference.sum(), abs(difference.sum()) * (1 - 1e-12)  # sums in another order differ in the last digits
    extreme, at_once = 0, max(1, 8_000_000 // len(difference))
    for start in range(0, flips, at_once):
        draws = min(at_once, flips - start)
        bits = np.unpackbits(
            rng.integers(0, 256, (draws, -(-len(difference) // 8)), dtype=np.uint8), axis=1, count=len(difference)
        )
        extreme += int((np.abs(total - 2 * (bits.astype(np.float32) @ difference.astype(np.float32))) >= observed).sum())
    return (1 + extreme) / (1 + flips)


def mean_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Interval of the mean of independent values (n,), by Student's t; without width where there is one value, NaN without any."""
    if not len(values):
        return np.nan, np.nan
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean - half, mean + half


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction: the chance of any false claim among all those with corrected p ≤ α is at most α."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


@dataclass(frozen=True)
class Row:
    """One model under one metric, beside the reference."""

    name: str
    metric: str
    value: float
    interval: tuple[float, float] | None
    """Bootstrap interval of the value"""
    difference: float
    """Value minus that of the reference; 0 for the reference"""
    difference_interval: tuple[float, float] | None
    """Of the mean paired difference over users, by Student's t; None for the reference, and for rmse, which pools rows"""
    p_value: float | None
    """Of the paired test, uncorrected; None for the reference"""
    p_holm: float | None
    """Corrected over the models under this metric"""

    @property
    def verdict(self) -> str:
        """What the corrected test says at .05: "better", "worse" or, where it cannot tell, ""."""
        if self.p_holm is None or self.p_holm > 0.05 or self.difference == 0:
            return ""
        return "better" if (self.difference > 0) != lower_is_better(self.metric) else "worse"


@dataclass(frozen=True)
class Comparison:
    """Models side by side on the same users; the first is the reference."""

    rows: tuple[Row, ...]
    """Metric by metric, models in the order given"""
    reference: str
    users: int
    """Users, or rows where rankers were judged"""
    confidence: float
    test: str
    """"t" or "permutation" over users, or "delong" over rows"""
    parts: Mapping[str, Comparison] = field(default_factory=dict)
    """"items/cold", "users/new", …: the same models on the parts of the questions that all reports have; see `coldness`"""

    @property
    def judged(self) -> str:
        """What was judged, in words: 6,040 users."""
        return f"{self.users:,} {'rows' if self.test == 'delong' else 'users'}"

    @property
    def names(self) -> list[str]:
        """The models, reference first."""
        return list(dict.fromkeys(row.name for row in self.rows))

    @property
    def metrics(self) -> list[str]:
        """The metrics, in the order of the reports."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    def of(self, metric: str) -> list[Row]:
        """The rows of one metric."""
        return [row for row in self.rows if row.metric == metric]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = ("value", "interval", "difference", "difference_interval", "p_value", "p_holm", "verdict")
        table: dict[str, Any] = {}
        for row in self.rows:
            values = {name: getattr(row, name) for name in fields}
            table.setdefault(row.metric, {})[row.name] = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {
            "reference": self.reference,
            "users": self.users,
            "confidence": self.confidence,
            "test": self.test,
            "metrics": table,
            **({"parts": {name: part.to_dict() for name, part in self.parts.items()}} if self.parts else {}),
        }

    def __rich__(self) -> Group:
        """Tables for the terminal, the best value of a metric in bold: the whole, then of each part the metrics that stand for all."""
        shown = headlines(self.metrics)
        return Group(self._table(self.metrics), *(part._table(shown, name) for name, part in self.parts.items()))

    def _table(self, metrics: Sequence[str], title: str | None = None) -> Table:
        test = {"t": "paired t", "permutation": "sign permutation", "delong": "DeLong"}[self.test]
        table = Table(
            "metric",
            "model",
            title=title,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            caption=f"{self.judged}; differences against {self.reference}; two-sided {test} tests, p corrected by Holm",
            caption_justify="left",
        )
        for name in ("value", f"{self.confidence:.0%} interval", "difference", "p", ""):
            table.add_column(name, justify="right")
        for metric in metrics:
            rows = self.of(metric)
            best = (min if lower_is_better(metric) else max)(row.value for row in rows)
            for place, row in enumerate(rows):
                style = "bold" if row.value == best else ""
                table.add_row(
                    metric if place == 0 else "",
                    f"[{style}]{row.name}[/]" if style else row.name,
                    f"[{style}]{row.value:.4f}[/]" if style else f"{row.value:.4f}",
                    "" if row.interval is None else f"{row.interval[0]:.4f} … {row.interval[1]:.4f}",
                    "" if row.p_holm is None else f"{row.difference:+.4f}",
                    "" if row.p_holm is None else "< .001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}".removeprefix("0"),
                    row.verdict,
                    end_section=place == len(rows) - 1,
                )
        return table


def compare(
    reports: dict[str, Report], *, metrics: list[str] | None = None, test: Test = "t", rng: np.random.Generator | None = None
) -> Comparison:
    """Sets models side by side and tests each against the first.

    Args:
        reports: name -> report, the reference first; all with `per_user`, judged on the same users and targets.
        metrics: which to compare; by default all that every report has.
        test: "t" or "permutation".
        rng: for the permutations; by default seeded with 0.

    For rmse the values are pooled over rows while the test pairs each user's own rmse. Parts that all reports have, judged on the same
    questions, are compared in the same way.

    Raises:
        DataError: fewer than one report, no metric in common, a report without its users' values, or other users or targets.
    """
    if not reports:
        raise DataError("no report", expected="reports to compare")
    (reference, base), *_ = reports.items()
    shared = [name for name in base.metrics if all(name in report.metrics for report in reports.values())]
    chosen = shared if metrics is None else metrics
    if not chosen or not set(chosen) <= set(shared):
        lacking = sorted(set(chosen) - set(shared)) or "none"
        raise DataError(
            f"metrics in common: {shared or 'none'}; asked for but lacking: {lacking}",
            expected="a metric that every report has",
        )
    for name, report in reports.items():
        if not set(chosen) <= set(report.per_user):
            raise DataError(f"report {name!r} has no values of single users", hint="load it from its folder with Report.load")
        if report.judged_on != base.judged_on or not np.array_equal(report.users, base.users):
            raise DataError(
                f"{name!r} was judged on other users or targets than {reference!r}",
                expected="reports on the same test side",
                hint="evaluate both with the same data, split and new_users",
            )
    rng = np.random.default_rng(0) if rng is None else rng
    others = [name for name in reports if name != reference]
    p_values: dict[tuple[str, str], float] = {}
    corrected: dict[tuple[str, str], float] = {}
    for metric in chosen:
        values = {name: report.per_user[metric] for name, report in reports.items()}
        p = [
            paired_t(values[n], values[reference]) if test == "t" else permutation(values[n], values[reference], rng)
            for n in others
        ]
        keys = [(metric, name) for name in others]
        p_values.update(zip(keys, p, strict=True))
        corrected.update(zip(keys, holm(np.array(p)).tolist(), strict=True))
    rows = tuple(
        Row(
            name=name,
            metric=metric,
            value=report.metrics[metric],
            interval=report.intervals.get(metric),
            difference=report.metrics[metric] - base.metrics[metric],
            difference_interval=None
            if name == reference or lower_is_better(metric)
            else mean_interval(report.per_user[metric] - base.per_user[metric], base.confidence),
            p_value=p_values.get((metric, name)),
            p_holm=corrected.get((metric, name)),
        )
        for metric in chosen
        for name, report in reports.items()
    )
    parts = {
        name: compare({one: report.parts[name] for one, report in reports.items()}, metrics=chosen, test=test, rng=rng)
        for name, part in base.parts.items()
        if all(name in report.parts and report.parts[name].judged_on == part.judged_on for report in reports.values())
    }
    return Comparison(rows, reference, len(base.users), base.confidence, test, parts)


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(f"values of {first.shape} and {second.shape} users", expected="a value of each user in both")
    return np.asarray(first, dtype=np.float64) - second

"""How good are the predicted probabilities of labelled rows, such as clicks? Intervals, paired tests and a report.

Labels y are 0 or 1, probabilities p lie in 0…1; means are over rows (with weights: over weight), natural logarithms.

| name                | value                                                           | better | source                   |
|---------------------|-----------------------------------------------------------------|--------|--------------------------|
| `log_loss`          | mean of -y log p - (1 - y) log(1 - p), p within `CLIP`…1 - `CLIP` | lower  | Good 1952                |
| `brier`             | mean of (p - y)²                                                | lower  | Brier 1950               |
| `auc`               | share of pairs of a positive and a negative that are in order   | higher | see `auc`                |
| `grouped_auc`       | AUC within groups, weighted by rows                             | higher | see `auc`                |
| `calibration_error` | mean distance of probability and share of positives, by bins    | lower  | see `calibration`        |
| `accuracy`          | rows called right / rows                                        | higher | a row is called positive |
| `precision`         | positives called / rows called                                  | higher | where its probability    |
| `recall`            | positives called / positives                                    | higher | is at or above the       |
| `f1`                | 2 · positives called / (rows called + positives)                | higher | threshold                |

Of several classes c = 0…C - 1, with probabilities (rows, C): `class_log_loss`, the mean of -log p of the row's own class, and, where
classes are ordered, `class_rmse`, which compares the expected class Σ_c p_c · c with the row's.

A metric that its rows do not define is NaN: AUC of one class, precision where no row is called. Intervals and tests take rows as
independent; rows of one user are alike, so with many rows of few users the true interval is wider.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate import metrics
from tastemaker.evaluate.auc import GroupedAUC, auc, auc_difference, auc_interval, auc_of, grouped_auc, grouped_of, interval_of
from tastemaker.evaluate.calibration import Bin, bins_of, calibration_error, error_of, reliability
from tastemaker.evaluate.label_report import LabelReport
from tastemaker.evaluate.rows import Difference, Ranked, check_share, checked, rank
from tastemaker.evaluate.significance import mean_interval, paired_t

__all__ = [
    "CLIP",
    "Bin",
    "Difference",
    "GroupedAUC",
    "LabelReport",
    "accuracy_at",
    "auc",
    "auc_difference",
    "auc_interval",
    "best_threshold",
    "brier",
    "calibration_error",
    "class_log_loss",
    "class_rmse",
    "f1_at",
    "grouped_auc",
    "judge_labels",
    "log_loss",
    "log_loss_difference",
    "log_loss_interval",
    "precision_at",
    "recall_at",
    "reliability",
]

CLIP = 1e-7
"""How near 0 and 1 a probability may come in a logarithm: a sigmoid in float32 comes no nearer to 1 than 6e-8 without reaching it."""
_SUM = 1e-3


def log_loss(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean negative log-likelihood in nats, weighted by `weights` (rows,); NaN without rows. A row costs at most -log `CLIP` = 16.1.

    Raises:
        DataError: see `rows.checked`.
    """
    y, p, w = checked(labels, probabilities, weights, probabilities=True)
    return _mean(_log_losses(y, p), w)


def log_loss_interval(labels: np.ndarray, probabilities: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the mean of the rows' losses, normal but for Student's quantile, which differs where rows are few.

    Raises:
        DataError: see `rows.checked`.
        ConfigError: `confidence` is not between 0 and 1.
    """
    check_share("confidence", confidence)
    y, p, _ = checked(labels, probabilities, probabilities=True)
    return mean_interval(_log_losses(y, p), confidence)


def log_loss_difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Difference:
    """Log loss of the second minus that of the first, paired row by row (below 0: the second is better), by Student's paired t.

    Raises:
        DataError: see `rows.checked`.
        ConfigError: `confidence` is not between 0 and 1.
    """
    check_share("confidence", confidence)
    y, p, _ = checked(labels, first, probabilities=True)
    _, q, _ = checked(labels, second, probabilities=True)
    reference, other = _log_losses(y, p), _log_losses(y, q)
    difference = other - reference
    return Difference(_mean(difference), mean_interval(difference, confidence), paired_t(other, reference))


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared error of the probability; NaN without rows.

    Raises:
        DataError: see `rows.checked`.
    """
    y, p, _ = checked(labels, probabilities, probabilities=True)
    return _mean(np.square(p - y))


def accuracy_at(labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5) -> float:
    """Share of rows called right; a row is called positive at or above the threshold. NaN without rows."""
    return _decisions(*checked(labels, probabilities, probabilities=True)[:2], threshold)["accuracy"]


def precision_at(labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5) -> float:
    """Share of the rows called positive that are; NaN where none is called."""
    return _decisions(*checked(labels, probabilities, probabilities=True)[:2], threshold)["precision"]


def recall_at(labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5) -> float:
    """Share of the positive rows that are called positive; NaN where there is none."""
    return _decisions(*checked(labels, probabilities, probabilities=True)[:2], threshold)["recall"]


def f1_at(labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5) -> float:
    """Harmonic mean of precision and recall, 0 where either has no hit; NaN where nothing is positive and nothing called so."""
    return _decisions(*checked(labels, probabilities, probabilities=True)[:2], threshold)["f1"]


def best_threshold(labels: np.ndarray, probabilities: np.ndarray, metric: Literal["accuracy", "f1"] = "f1") -> float:
    """The threshold with the best value on these rows, half-way between two probabilities; ties to the lower one.

    0 where every row is best called positive; above the highest probability, if need be above 1, where none is. To be chosen on
    rows that are not judged with it afterwards.

    Raises:
        DataError: see `rows.checked`; or no rows, or for f1 no positive one.
        ConfigError: another metric.
    """
    if metric not in ("accuracy", "f1"):
        raise ConfigError(
            f"metric {metric!r}",
            expected="'accuracy' or 'f1'",
            hint="recall is best where all is called positive, precision where next to nothing is: neither chooses a threshold",
        )
    y, p, _ = checked(labels, probabilities, probabilities=True)
    if not len(y) or (metric == "f1" and not y.any()):
        raise DataError(f"{len(y)} rows, {int(y.sum())} of them positive", expected="positive rows", hint="choose on more rows")
    return _best(rank(y, p), metric)


def class_log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -log p of each row's own class, p clipped at `CLIP`; NaN without rows.

    Args:
        labels: int (rows,), classes 0…C - 1.
        probabilities: (rows, C), each row sums to 1.

    Raises:
        DataError: shapes or values are not as said.
    """
    y, p = _classes(labels, probabilities)
    return _mean(-np.log(np.maximum(p[np.arange(len(y)), y], CLIP)))


def class_rmse(labels: np.ndarray, probabilities: np.ndarray, values: np.ndarray | None = None) -> float:
    """Root mean squared error of the expected class over rows, in units of `values`; NaN without rows.

    Args:
        labels: int (rows,), classes 0…C - 1, in their order.
        probabilities: (rows, C), each row sums to 1.
        values: (C,), what each class is worth, such as its stars; None: its number.

    Raises:
        DataError: shapes or values are not as said.
    """
    y, p = _classes(labels, probabilities)
    worth = np.arange(p.shape[1], dtype=np.float64) if values is None else np.asarray(values, dtype=np.float64)
    if worth.shape != p.shape[1:]:
        raise DataError(f"values {worth.shape} for {p.shape[1]} classes", expected="one value for each class")
    return metrics.rmse(p @ worth, worth[y])


def judge_labels(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    threshold: float | None = None,
    confidence: float = 0.95,
) -> LabelReport:
    """Everything about the probabilities of labelled rows, from one sort.

    Args:
        labels: 0 or 1 (rows,).
        probabilities: in 0…1 (rows,).
        groups: (rows,), such as the user of each row: adds "grouped_auc".
        threshold: from which on a row is called positive: adds "accuracy", "precision", "recall" and "f1".
        confidence: of the intervals.

    Raises:
        DataError: see `rows.checked`; or no rows, or not one group for each row.
        ConfigError: `confidence` is not between 0 and 1.
    """
    check_share("confidence", confidence)
    y, p, _ = checked(labels, probabilities, probabilities=True)
    if not len(y):
        raise DataError("no rows", expected="labelled rows to judge", hint="is the side of the split empty?")
    ranked = rank(y, p)
    losses, squares = _log_losses(y, p), np.square(p - y)
    found = {"log_loss": _mean(losses), "auc": auc_of(ranked)}
    inside = None if groups is None else grouped_of(ranked, y, groups)
    if inside is not None:
        found["grouped_auc"] = inside.value
    found |= {"brier": _mean(squares), "calibration_error": error_of(ranked)}
    if threshold is not None:
        found |= _decisions(y, p, threshold)
    return LabelReport(
        metrics=found,
        intervals={
            "log_loss": mean_interval(losses, confidence),
            "auc": interval_of(ranked, confidence),
            "brier": mean_interval(squares, confidence),
        },
        rows=len(y),
        positives=int(y.sum()),
        reliability=bins_of(ranked, confidence=confidence),
        confidence=confidence,
        threshold=threshold,
        grouped_rows=None if inside is None else inside.rows,
    )


def _log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float64 (rows,)."""
    right = np.where(labels == 1, probabilities, 1 - probabilities)
    return -np.log(np.clip(right, CLIP, 1 - CLIP))  # type: ignore[no-any-return]


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    total = len(values) if weights is None else weights.sum()
    return float((values if weights is None else values * weights).sum() / total) if total > 0 else np.nan


def _decisions(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, float]:
    """Accuracy, precision, recall and f1 of calling positive what is at or above the threshold."""
    called, positive = probabilities >= threshold, labels == 1
    hits, calls, positives, rows = int((called & positive).sum()), int(called.sum()), int(positive.sum()), len(labels)

    def part(count: int, whole: int) -> float:
        return count / whole if whole else np.nan

    return {
        "accuracy": part(rows - calls - positives + 2 * hits, rows),
        "precision": part(hits, calls),
        "recall": part(hits, positives),
        "f1": part(2 * hits, calls + positives),
    }


def _best(ranked: Ranked, metric: str) -> float:
    """The best threshold: below each block of equal probability, or above all."""
    positives, negatives = ranked.positives.sum(), ranked.negatives.sum()
    missed = np.concatenate([[0.0], np.cumsum(ranked.positives)])
    spared = np.concatenate([[0.0], np.cumsum(ranked.negatives)])
    hits, calls = positives - missed, positives + negatives - missed - spared
    values = hits + spared if metric == "accuracy" else 2 * hits / (calls + positives)
    best = int(values.argmax())
    if best == 0:
        return 0.0
    below = float(ranked.scores[best - 1])
    above = float(ranked.scores[best]) if best < len(ranked.scores) else max(1.0, math.nextafter(below, 2.0))
    middle = below + (above - below) / 2
    return middle if middle > below else above


def _classes(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or p.ndim != 2 or len(p) != len(y) or not p.shape[1]:
        raise DataError(f"labels {y.shape}, probabilities {p.shape}", expected="labels (rows,), probabilities (rows, classes)")
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"labels of type {y.dtype}", expected="whole numbers", hint="give the place of the class, not its value"
        )
    if len(y) and not 0 <= y.min() <= y.max() < p.shape[1]:
        row = int(((y < 0) | (y >= p.shape[1])).argmax())
        raise DataError(
            f"class {y[row]} in row {row}", expected=f"0…{p.shape[1] - 1}", hint="classes count from 0, ratings often from 1"
        )
    sums = p.sum(axis=1)
    wrong = ~((p >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"probabilities of row {row} that sum to {sums[row]:g}, the least {p[row].min():g}",
            expected="probabilities ≥ 0 that sum to 1",
            hint="are these logits? take their softmax",
        )
    return y, p

"""Rankers side by side on the same labelled rows: AUC of each label, and DeLong's paired tests against the first."""

from __future__ import annotations

import numpy as np

from tastemaker.evaluate.auc import auc, auc_difference, auc_interval
from tastemaker.evaluate.significance import Comparison, Row, holm


def compare_auc(
    labels: dict[str, np.ndarray], scores: dict[str, dict[str, np.ndarray]], confidence: float = 0.95
) -> Comparison:
    """The comparison under a metric "auc/LABEL" for each label, p corrected by Holm over the models of one label.

    Args:
        labels: label -> 0, 1 or NaN where not known (rows,).
        scores: model -> label -> score of each row (rows,); the first model is the reference.
        confidence: of the intervals.

    Raises:
        DataError: scores are not numbers, or not one a row.
        ConfigError: `confidence` is not between 0 and 1.
    """
    (reference, base), *others = scores.items()
    rows: list[Row] = []
    for label, values in labels.items():
        known = ~np.isnan(values)
        y, metric = values[known], f"auc/{label}"
        found = [auc_difference(y, base[label][known], one[label][known], confidence) for _, one in others]
        corrected = holm(np.array([one.p_value for one in found]))
        first = base[label][known]
        rows.append(Row(reference, metric, auc(y, first), auc_interval(y, first, confidence), 0.0, None, None, None))
        for (name, one), difference, p in zip(others, found, corrected.tolist(), strict=True):
            own = one[label][known]
            rows.append(
                Row(
                    name=name,
                    metric=metric,
                    value=auc(y, own),
                    interval=auc_interval(y, own, confidence),
                    difference=difference.value,
                    difference_interval=difference.interval,
                    p_value=difference.p_value,
                    p_holm=p,
                )
            )
    return Comparison(tuple(rows), reference, len(next(iter(labels.values()))), confidence, "delong")

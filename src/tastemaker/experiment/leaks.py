"""Fields that tell the label by themselves: most often something that was written down after the answer was known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tastemaker.data.features.encoded import Features
from tastemaker.data.schema import FieldSchema
from tastemaker.evaluate.auc import auc

SUSPICIOUS = 0.98
"""AUC of one field alone from which on it is told."""
_ROWS = 100_000


@dataclass(frozen=True)
class Leak:
    """A field that tells too much."""

    field: str
    label: str
    auc: float
    """of the label's share among other rows of the same value, or of the number itself"""

    def __str__(self) -> str:
        return (
            f"{self.field} alone tells {self.label} (AUC {self.auc:.4f}): was it known when the row was shown? "
            f'if not, features.leave_out = ["{self.field}"]'
        )


def leaks(fields: tuple[FieldSchema, ...], features: Features, labels: np.ndarray, outputs: tuple[str, ...]) -> list[Leak]:
    """Category and number fields whose own AUC is `SUSPICIOUS` or more for some label.

    A category is judged by the share of positives among its other rows (one half of the rows counts, the other is judged, and the other
    way round), so that ids seen once tell nothing. Labels are (rows, outputs), NaN where not known.
    """
    features, labels = features.take(np.arange(min(_ROWS, len(features)))), labels[:_ROWS]
    found = []
    categories = [field for field in fields if field.kind == "category"]
    numbers = [field for field in fields if field.kind == "number"]
    for place, name in enumerate(outputs):
        known = ~np.isnan(labels[:, place])
        label = labels[known, place]
        if not 0 < label.sum() < len(label):
            continue
        for column, field in enumerate(categories):
            value = auc(label, _shares(features.codes[known, column], label, field.size))
            if value >= SUSPICIOUS:
                found.append(Leak(field.name, name, value))
        for column, field in enumerate(numbers):
            value = auc(label, np.nan_to_num(features.numbers[known, column], nan=0.0))
            if max(value, 1 - value) >= SUSPICIOUS:
                found.append(Leak(field.name, name, max(value, 1 - value)))
    return found


def _shares(codes: np.ndarray, label: np.ndarray, size: int) -> np.ndarray:
    """The share of positives among the rows of the other half with the same code, drawn to the mean by one row."""
    half = np.random.default_rng(0).integers(0, 2, len(codes)).astype(bool)
    shares, mean = np.empty(len(codes)), label.mean()
    for side in (half, ~half):
        rows = np.bincount(codes[~side], minlength=size)
        hits = np.bincount(codes[~side], weights=label[~side], minlength=size)
        shares[side] = ((hits + mean) / (rows + 1))[codes[side]]
    return shares

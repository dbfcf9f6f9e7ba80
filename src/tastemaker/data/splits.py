"""Splits: which interactions train, which choose, which judge - and what may be known when each side is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tastemaker.data.interactions import Interactions

Side = Literal["validation", "test"]

DROPPED, TRAIN, VALIDATION, TEST, VALIDATION_FOLD_IN, TEST_FOLD_IN = -1, 0, 1, 2, 3, 4
"""Labels of rows. Fold-in rows are history of users held out whole: known when their side is asked, never trained on."""


@dataclass(frozen=True, eq=False)
class Split:
    """A label for each row of `interactions`."""

    interactions: Interactions
    label: np.ndarray
    """int8 (rows,): one of the constants above"""
    kind: str

    @property
    def train(self) -> Interactions:
        return self.interactions.take(self.label == TRAIN)

    @property
    def validation(self) -> Interactions:
        return self.interactions.take(self.label == VALIDATION)

    @property
    def test(self) -> Interactions:
        return self.interactions.take(self.label == TEST)

    def before(self, side: Side) -> Interactions:
        """What may be known when `side` is asked: for test this includes validation; never anything of the side itself or later."""
        known = (TRAIN, VALIDATION_FOLD_IN) if side == "validation" else (TRAIN, VALIDATION, VALIDATION_FOLD_IN, TEST_FOLD_IN)
        return self.interactions.take(np.isin(self.label, known))

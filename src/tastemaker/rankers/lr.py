"""Logistic regression: a weight for each value of each field."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.fields import FieldWeights
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.settings import Settings


class LR(Ranker):
    """Logit = b + Σ_f w_f: what a linear model knows, and the floor for every other ranker. Several outputs are several regressions."""

    class Config(Settings):
        """`lr` has no settings; crosses of fields are given in [features]."""

    many_outputs = True
    solves = ("additive",)
    train_defaults: ClassVar = {"learning_rate": 0.005}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.linear = FieldWeights(schema, len(schema.outputs))

    def forward(self, rows: Rows) -> Tensor:
        return self.linear(rows)

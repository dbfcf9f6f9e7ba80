"""Factorization machine: a weight for each pair of values, through the product of their vectors."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.crosses import pairwise_sum
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.settings import Settings


class FM(Ranker):
    """Logit = b + Σ_f w_f + Σ_{f<g} v_f · v_g (Rendle 2010, "Factorization machines", eq. 1)."""

    class Config(Settings):
        """Settings of `fm`."""

        dim: int = Field(10, gt=0, description="size of a field's vector")
        init: float = Field(0.01, gt=0, description="standard deviation of the first vectors")

    ancestor = "lr"
    least_fields = 2
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.002}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.linear = FieldWeights(schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)

    def forward(self, rows: Rows) -> Tensor:
        return self.linear(rows) + pairwise_sum(self.vectors(rows)).sum(1, keepdim=True)

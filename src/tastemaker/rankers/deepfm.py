"""DeepFM: a factorization machine and a perceptron on the same vectors."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.crosses import pairwise_sum
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class DeepFM(Ranker):
    """Logit = FM(x) + MLP([v_1; …; v_F]), one set of vectors for both (Guo et al. 2017, "DeepFM", eq. 1 to 4)."""

    class Config(DeepConfig):
        """Settings of `deepfm`."""

    ancestor = "fm"
    least_fields = 2
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.linear = FieldWeights(schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        self.deep = config.perceptron(self.vectors.num_fields * config.dim, 1)

    def forward(self, rows: Rows) -> Tensor:
        vectors = self.vectors(rows)
        return self.linear(rows) + pairwise_sum(vectors).sum(1, keepdim=True) + self.deep(vectors.flatten(1))

"""A perceptron over the fields' vectors."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class DNN(Ranker):
    """Logits = MLP([v_1; …; v_F]): interactions of any order, learned and not spelled out (Covington, Adams & Sargin 2016, ranking network).

    Several outputs share all layers but the last.
    """

    class Config(DeepConfig):
        """Settings of `dnn`."""

    ancestor = "fm"
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        self.deep = config.perceptron(self.vectors.num_fields * config.dim, len(schema.outputs))

    def forward(self, rows: Rows) -> Tensor:
        return self.deep(self.vectors(rows).flatten(1))

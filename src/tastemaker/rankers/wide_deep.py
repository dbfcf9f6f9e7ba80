"""Wide & deep: a linear model, which remembers, beside a perceptron, which generalises."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class WideDeep(Ranker):
    """Logits = b + Σ_f w_f + MLP([v_1; …; v_F]), trained as one (Cheng et al. 2016, "Wide & deep learning for recommender systems", eq. 3).

    The wide part has a weight for each value of each field and of each cross in `[features] crosses`; the deep part reads the fields
    alone, crosses being what it is to find by itself (fig. 4). Against the paper: one optimizer for both parts, where it has
    FTRL with L1 for the wide one and AdaGrad for the deep one; and the wide part reads all fields, where the paper's app store gave it
    one cross.
    """

    class Config(DeepConfig):
        """Settings of `wide_deep`; crosses of fields are given in [features]."""

    ancestor = "lr"
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        outputs, crosses = len(schema.outputs), tuple(field.name for field in schema.fields if field.parts)
        self.wide = FieldWeights(schema, outputs)
        self.vectors = FieldVectors(schema, config.dim, init=config.init, without=crosses)
        self.deep = config.perceptron(self.vectors.num_fields * config.dim, outputs)

    def forward(self, rows: Rows) -> Tensor:
        return self.wide(rows) + self.deep(self.vectors(rows).flatten(1))

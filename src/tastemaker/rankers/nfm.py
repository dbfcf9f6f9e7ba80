"""Neural factorization machine: a perceptron over the summed products of pairs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.crosses import pairwise_sum
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class NFM(Ranker):
    """Logits = b + Σ_f w_f + MLP(Σ_{f<g} v_f ⊙ v_g) (He & Chua 2017, "Neural factorization machines", eq. 2 to 6).

    The pooled pairs are `dim` numbers, so the perceptron's first layer is as many times smaller than that of `dnn` as there are fields.
    As in the paper, batch norm and dropout, where asked, act on the pooled pairs too. Against it: vectors are not taken over from a
    fitted FM, and the perceptron's default widths are those of the other deep rankers (the paper: one layer of 64).
    """

    class Config(DeepConfig):
        """Settings of `nfm`."""

        pooled_dropout: float = Field(0.0, ge=0, lt=1, description="of the pooled pairs")

    ancestor = "fm"
    least_fields = 2
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        outputs = len(schema.outputs)
        self.linear = FieldWeights(schema, outputs)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        self.norm = nn.BatchNorm1d(config.dim) if config.batch_norm else nn.Identity()
        self.dropout = Dropout(config.pooled_dropout)
        self.deep = config.perceptron(config.dim, outputs)

    def forward(self, rows: Rows) -> Tensor:
        pooled = self.dropout(self.norm(pairwise_sum(self.vectors(rows))))
        return self.linear(rows) + self.deep(pooled)

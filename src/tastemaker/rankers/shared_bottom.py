"""Shared bottom: one perceptron for all labels, and a tower for each."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.experts import Towers
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.mlp import mlp
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class SharedBottom(Ranker):
    """Logit_k = tower_k(MLP([v_1; …; v_F])): what labels have in common is learned once (Caruana 1997, "Multitask learning").

    Unlike `dnn`, each label has layers of its own, not only a last linear map.
    """

    class Config(DeepConfig):
        """Settings of `shared_bottom`."""

        hidden: tuple[int, ...] = Field((400, 400), min_length=1, description="widths of the shared layers")
        tower: tuple[int, ...] = Field((64,), min_length=1, description="widths of each label's own layers")

    ancestor = "dnn"
    many_outputs = True
    solves = ("funnel",)
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        options = config.layer_options
        self.bottom = mlp(self.vectors.num_fields * config.dim, config.hidden, **options)
        self.towers = Towers(len(schema.outputs), config.hidden[-1], config.tower, **options)

    def forward(self, rows: Rows) -> Tensor:
        shared = self.bottom(self.vectors(rows).flatten(1))
        return self.towers([shared] * len(self.schema.outputs))

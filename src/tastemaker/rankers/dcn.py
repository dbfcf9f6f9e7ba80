"""DCN: cross layers with a vector of weights, beside a perceptron."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.crosses import VectorCrossLayers
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.mlp import xavier
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class DCN(Ranker):
    """Logits = w · [cross(x) ; MLP(x)], x the fields' vectors (Wang et al. 2017, "Deep & cross network for ad click predictions", eq. 3 and 6)."""

    class Config(DeepConfig):
        """Settings of `dcn`."""

        layers: int = Field(3, ge=1, description="cross layers: products of up to one more fields")

    solves = ("additive", "crossed")
    ancestor = "dnn"
    many_outputs = True
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        size = self.vectors.num_fields * config.dim
        self.cross = VectorCrossLayers(size, config.layers)
        self.deep = config.perceptron(size)
        self.output = xavier(nn.Linear(size + config.hidden[-1], len(schema.outputs)))

    def forward(self, rows: Rows) -> Tensor:
        first = self.vectors(rows).flatten(1)
        return self.output(torch.cat([self.cross(first), self.deep(first)], dim=1))

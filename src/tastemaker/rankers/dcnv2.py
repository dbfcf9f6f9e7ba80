"""DCN V2: layers that multiply features by features, beside a perceptron."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.crosses import CrossLayers
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.mlp import xavier
from tastemaker.nn.precision import for_products
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class DCNv2(Ranker):
    """Cross layers x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l and a perceptron (Wang et al. 2021, "DCN V2: improved deep & cross network").

    "parallel": both read the vectors and a linear map reads both; "stacked": the perceptron reads what the cross layers give.
    With `rank`, the matrices are products of thin ones (eq. 2); mixtures of experts (eq. 3) are left out.
    """

    class Config(DeepConfig):
        """Settings of `dcnv2`."""

        layers: int = Field(3, ge=1, description="cross layers: products of up to one more fields")
        rank: int | None = Field(None, gt=0, description="of the cross layers' matrices; default: full")
        structure: Literal["parallel", "stacked"] = Field(
            "parallel", description="how cross layers and perceptron are combined"
        )

    ancestor = "dcn"
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        size = self.vectors.num_fields * config.dim
        self.cross = CrossLayers(size, config.layers, config.rank)
        self.deep = config.perceptron(size)
        width = config.hidden[-1] + (size if config.structure == "parallel" else 0)
        self.output = xavier(nn.Linear(width, len(schema.outputs)))

    def forward(self, rows: Rows) -> Tensor:
        first = self.vectors(rows).flatten(1)
        crossed = self.cross(first)
        if self.config.structure == "stacked":
            return self.output(self.deep(crossed))
        return self.output(torch.cat([for_products(crossed), self.deep(first)], dim=1))

"""xDeepFM: products of fields of growing order, vector by vector, beside a linear model and a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.mlp import xavier
from tastemaker.nn.precision import for_products
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class XDeepFM(Ranker):
    """Logits = b + Σ_f w_f + MLP([v_1; …; v_F]) + w · CIN(v) (Lian et al. 2018, "xDeepFM", eq. 6 to 9).

    The compressed interaction network (CIN) has maps X^k_h = Σ_ij W^k_hij X^{k-1}_i ⊙ v_j, X^0 = v, and says the sum of each map's
    elements. Its maps are taken as they are, with no activation, as the paper finds best. That makes it cheap: each layer is one
    matrix product, and a last layer's sums are Σ_ij W_hij (X_i · v_j), so that only layers between the first and the last hold
    rows × dim × maps × fields products. W^1 has one weight for i with j and j with i, whose products are the same. One layer alone is
    a factorization machine with a weight for each pair of fields. The authors' code hands on half of a layer's maps alone; the paper
    does not, nor is it done here. Default widths: that of the BARS benchmark on Frappe, twice (the paper: 100 or 200, two or three times).
    """

    class Config(DeepConfig):
        """Settings of `xdeepfm`."""

        maps: tuple[int, ...] = Field(
            (64, 64), min_length=1, description="maps of each layer of products; layer k has products of k + 1 fields"
        )

    ancestor = "deepfm"
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
        self.crossed = _CIN(self.vectors.num_fields, config.maps)
        self.output = xavier(nn.Linear(sum(config.maps), outputs, bias=False))
        self.deep = config.perceptron(self.vectors.num_fields * config.dim, outputs)

    def forward(self, rows: Rows) -> Tensor:
        vectors = self.vectors(rows)
        return self.linear(rows) + self.output(self.crossed(vectors)) + self.deep(vectors.flatten(1))


class _CIN(nn.Module):
    """(rows, fields, dim) → (rows, all maps): the sum of each map's elements, layer by layer."""

    first: Tensor
    """int64 (pairs,): the lower field of each pair, a field with itself too"""
    second: Tensor
    """int64 (pairs,): the higher"""

    def __init__(self, fields: int, maps: Sequence[int]) -> None:
        super().__init__()
        first, second = torch.triu_indices(fields, fields)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        widths = (len(first), *(count * fields for count in maps[:-1]))
        self.weights = nn.ParameterList(torch.empty(count, width) for width, count in zip(widths, maps, strict=True))
        """(maps, products): of the first layer one a pair, since i with j is j with i; of others one a map before and field"""
        for weight in self.weights:
            nn.init.xavier_normal_(weight)

    def forward(self, vectors: Tensor) -> Tensor:
        rows, _, dim = vectors.shape
        small = for_products(vectors)
        # a slab for each field, (fields, rows · dim), so that products run along whole slabs
        slabs = small.transpose(0, 1).flatten(1)
        products = slabs.index_select(0, self.first) * slabs.index_select(0, self.second)
        if len(self.weights) == 1:
            return products.view(len(products), rows, dim).sum(2).t() @ self.weights[0].t()
        said: list[Tensor] = []
        maps = small
        for weight in self.weights[:-1]:
            if said:
                products = (maps.flatten(0, 1).t().unsqueeze(1) * slabs).flatten(0, 1)
            maps = (products.t() @ weight.t()).view(rows, dim, len(weight))
            said.append(maps.sum(1))
        last = maps.transpose(1, 2) @ small.transpose(1, 2)
        return torch.cat([*said, last.flatten(1) @ self.weights[-1].t()], dim=1)

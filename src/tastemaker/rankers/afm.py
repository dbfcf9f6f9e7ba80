"""Attentional factorization machine: pairs count as much as a small network says."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.mlp import xavier
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.settings import Settings


class AFM(Ranker):
    """Logits = b + Σ_f w_f + pᵀ Σ_{f<g} a_fg (v_f ⊙ v_g), with a = softmax over pairs of hᵀ relu(W (v_f ⊙ v_g) + c).

    Xiao et al. 2017, "Attentional factorization machines", eq. 5 and 6. The network reads each pair, so that the products of pairs,
    rows × fields (fields - 1) / 2 × dim, are held. As in the paper, dropout acts on these. Against it: vectors are not taken over from
    a fitted FM, and `attention` is 16 by default, what the authors' code has (the paper: 256, the length of its vectors too).
    """

    class Config(Settings):
        """Settings of `afm`."""

        dim: int = Field(10, gt=0, description="size of a field's vector")
        init: float = Field(0.01, gt=0, description="standard deviation of the first vectors")
        attention: int = Field(16, gt=0, description="width of the network that weighs the pairs")
        dropout: float = Field(0.0, ge=0, lt=1, description="of the pairs' products")

    ancestor = "fm"
    least_fields = 2
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    config: Config
    first: Tensor
    """int64 (pairs,): the lower field of each pair"""
    second: Tensor
    """int64 (pairs,): the higher"""

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.linear = FieldWeights(schema, len(schema.outputs))
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        first, second = torch.triu_indices(self.vectors.num_fields, self.vectors.num_fields, 1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.dropout = Dropout(config.dropout)
        self.hidden = xavier(nn.Linear(config.dim, config.attention))
        self.weigh = xavier(nn.Linear(config.attention, 1, bias=False))
        self.output = xavier(nn.Linear(config.dim, len(schema.outputs), bias=False))

    def forward(self, rows: Rows) -> Tensor:
        pairs = self.dropout(self.pairs(rows))
        said = (self.attention(pairs).unsqueeze(2) * self.output(pairs)).sum(0)
        return self.linear(rows) + said

    def pairs(self, rows: Rows) -> Tensor:
        """v_f ⊙ v_g, (pairs, rows, dim): fields come first, so that whole slabs are copied."""
        vectors = self.vectors(rows).transpose(0, 1).contiguous()
        return vectors.index_select(0, self.first) * vectors.index_select(0, self.second)

    def attention(self, pairs: Tensor) -> Tensor:
        """How much each pair counts, (pairs, rows): above 0, 1 in sum over a row's pairs."""
        return self.weigh(self.hidden(pairs).relu_()).squeeze(2).float().softmax(0)

"""AutoInt: fields attend to each other, in layers."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.mlp import xavier
from tastemaker.nn.precision import for_products
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker

_DEEP = ("hidden", "dropout", "batch_norm", "activation")


class AutoInt(Ranker):
    """Logits = w · [e_1; …; e_F] + MLP([v_1; …; v_F]) (Song et al. 2019, "AutoInt", eq. 5 to 9; with the perceptron it is its "AutoInt+").

    e = v at first; each layer makes it relu(ẽ + W_res e), where ẽ_f joins the heads' Σ_g softmax_g((Q e_f) · (K e_g)) V e_g. Scores
    are not divided by the root of their length unless `scaled`: the paper's are not, the authors' code's are. `layer_norm`, which the
    BARS benchmark has on Frappe, is not in the paper. Where the fields' vectors are shorter than a head, as in the first layer
    by default, scores and sums are taken of them, which is the same with shorter products. Memory goes with rows × fields × heads ×
    (size + fields) a layer. Widths are the paper's.
    """

    class Config(DeepConfig):
        """Settings of `autoint`."""

        layers: int = Field(3, ge=1, description="layers of attention")
        heads: int = Field(2, ge=1, description="heads of a layer")
        size: int = Field(32, ge=1, description="numbers a head gives for each field")
        scaled: bool = Field(False, description="divide attention scores by √size")
        layer_norm: bool = Field(False, description="normalise what a layer gives for each field")
        deep: bool = Field(True, description="a perceptron beside the attention")

        @model_validator(mode="after")
        def _has_effect(self) -> Self:
            if not self.deep and (idle := [name for name in _DEEP if name in self.model_fields_set]):
                raise ValueError(f"deep = true where {idle[0]} is set")
            return self

    ancestor = "dnn"
    least_fields = 2
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        outputs, width = len(schema.outputs), config.heads * config.size
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        fields = self.vectors.num_fields
        self.layers = nn.ModuleList(
            _FieldAttention(width if layer else config.dim, config.heads, config.size, scaled=config.scaled)
            for layer in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers if config.layer_norm else 0))
        self.output = xavier(nn.Linear(fields * width, outputs))
        self.deep = config.perceptron(fields * config.dim, outputs) if config.deep else None

    def forward(self, rows: Rows) -> Tensor:
        vectors = attended = self.vectors(rows)
        for place, layer in enumerate(self.layers):
            attended = layer(attended)
            if self.config.layer_norm:
                attended = self.norms[place](attended)
        logits = self.output(attended.flatten(1))
        return logits if self.deep is None else logits + self.deep(vectors.flatten(1))


class _FieldAttention(nn.Module):
    """One layer: (rows, fields, width) → (rows, fields, heads · size)."""

    def __init__(self, width: int, heads: int, size: int, *, scaled: bool) -> None:
        super().__init__()
        self.width, self.heads, self.size = width, heads, size
        self.scale = size**-0.5 if scaled else 1.0
        self.query, self.key, self.value, self.kept = (nn.Linear(width, heads * size, bias=False) for _ in range(4))
        for part in (self.query, self.key, self.value, self.kept):
            nn.init.xavier_normal_(part.weight)

    def forward(self, fields: Tensor) -> Tensor:
        fields = for_products(fields)
        drawn = self._narrow(fields) if self.width < self.size else self._wide(fields)
        return (drawn + self.kept(fields)).relu()

    # Scores are (…, keys, queries): a softmax over another than the last dimension takes a quarter of the time.

    def _wide(self, fields: Tensor) -> Tensor:
        """Σ_g softmax_g((Q e_f) · (K e_g)) V e_g of each head, as it is written."""
        query, key, value = (
            part(fields).unflatten(2, (self.heads, self.size)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        shares = (key @ query.transpose(2, 3) * self.scale).softmax(2)
        return (shares.transpose(2, 3) @ value).transpose(1, 2).flatten(2)

    def _narrow(self, fields: Tensor) -> Tensor:
        """The same as V Σ_g softmax_g(e_g · (KᵀQ e_f)) e_g: products of vectors shorter than those of a head."""
        query, key, value = (part.weight.view(self.heads, self.size, self.width) for part in (self.query, self.key, self.value))
        asked = F.linear(fields, (key.transpose(1, 2) @ query * self.scale).flatten(0, 1))
        shares = (fields @ asked.unflatten(2, (self.heads, self.width)).flatten(1, 2).transpose(1, 2)).softmax(1)
        drawn = (shares.transpose(1, 2) @ fields).unflatten(1, (fields.shape[1], self.heads)).flatten(2)
        return F.linear(drawn, torch.block_diag(*value))

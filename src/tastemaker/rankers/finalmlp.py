"""FinalMLP: two perceptrons that see different parts of the fields, and every product of what they find."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.mlp import mlp, xavier
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class FinalMLP(Ranker):
    """Two streams o_s = MLP_s(2σ(gate_s(c_s)) ⊙ [v_1; …; v_F]) and their products (Mao et al. 2023, "FinalMLP: an enhanced two-stream MLP model").

    Logits = b + w_1·o_1 + w_2·o_2 + Σ_h o_1ʰᵀ W_h o_2ʰ, where the heads h part both o (their "multi-head bilinear fusion"). A gate is a
    perceptron of its context c: vectors of chosen fields, from a table of the gate's own as in the authors' code, or, with no fields
    chosen, a learned vector; then the gate is the same for all rows and computed once. Default widths are those of the BARS benchmark
    on Frappe, where the contexts are user and item. Activation, dropout and normalisation are one setting for both streams; there they
    are chosen for each. A gate's hidden layers are relu.
    """

    class Config(DeepConfig):
        """Settings of `finalmlp`."""

        hidden: tuple[int, ...] = Field((400,), min_length=1, description="widths of the first stream's layers")
        second_hidden: tuple[int, ...] = Field((100,), min_length=1, description="widths of the second stream's layers")
        heads: int = Field(5, ge=1, description="parts of the streams that are multiplied with each other")
        gating: bool = Field(True, description="weigh each stream's input by a gate of its own")
        gate_hidden: tuple[int, ...] = Field((400,), description="widths of the gates' layers")
        first_context: tuple[str, ...] = Field((), description="fields that the first gate reads; default: a learned vector")
        second_context: tuple[str, ...] = Field((), description="fields that the second gate reads; default: a learned vector")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            for width in (self.hidden[-1], self.second_hidden[-1]):
                if width % self.heads:
                    raise ValueError(f"a last width that {self.heads} heads can part, not {width}")
            names = ("gate_hidden", "first_context", "second_context")
            if not self.gating and (idle := [name for name in names if name in self.model_fields_set]):
                raise ValueError(f"gating = true where {idle[0]} is set")
            return self

    ancestor = "dnn"
    many_outputs = True
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        size = self.vectors.num_fields * config.dim
        contexts = (config.first_context, config.second_context)
        self.gates = nn.ModuleList(_Gate(config, schema, size, context) for context in contexts if config.gating)
        self.streams = nn.ModuleList(
            mlp(size, hidden, activation=config.activation, dropout=config.dropout, batch_norm=config.batch_norm)
            for hidden in (config.hidden, config.second_hidden)
        )
        self.fusion = _Fusion(config.hidden[-1], config.second_hidden[-1], config.heads, len(schema.outputs))

    def forward(self, rows: Rows) -> Tensor:
        vectors = self.vectors(rows).flatten(1)
        seen = [vectors * gate(rows) for gate in self.gates] or [vectors, vectors]
        first, second = (stream(part) for stream, part in zip(self.streams, seen, strict=True))
        return self.fusion(first, second)


class _Gate(nn.Module):
    """2σ(MLP(context)): a weight in 0…2 for each number of the input, (rows, size), or (1, size) where no field is read."""

    def __init__(self, config: FinalMLP.Config, schema: RowSchema, size: int, context: tuple[str, ...]) -> None:
        super().__init__()
        known = [field.name for field in schema.fields]
        if unknown := [name for name in context if name not in known]:
            raise ConfigError(f"a gate's context {unknown[0]!r}", expected=f"one of the fields {', '.join(known)}")
        self.vectors = (
            FieldVectors(schema, config.dim, init=config.init, without=tuple(name for name in known if name not in context))
            if context
            else None
        )
        self.learned = None if context else nn.Parameter(torch.empty(1, config.dim).normal_(std=config.init))
        self.network = mlp(max(1, len(context)) * config.dim, config.gate_hidden, size)

    def forward(self, rows: Rows) -> Tensor:
        context = self.learned if self.vectors is None else self.vectors(rows).flatten(1)
        return 2 * self.network(context).sigmoid()


class _Fusion(nn.Module):
    """b + w_1·o_1 + w_2·o_2 + Σ_h o_1ʰᵀ W_h o_2ʰ for each output: (rows, first), (rows, second) → (rows, outputs)."""

    def __init__(self, first: int, second: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear = xavier(nn.Linear(first + second, outputs))
        self.products = nn.Parameter(torch.empty(heads, first // heads, outputs * (second // heads)))
        """W, the outputs side by side"""
        nn.init.normal_(self.products, std=(2 * heads / (first * second + heads)) ** 0.5)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        parts = first.unflatten(1, (self.heads, -1)).transpose(0, 1)  # (heads, rows, part)
        moved = (parts @ self.products).unflatten(2, (len(self.linear.weight), -1))
        products = moved * second.unflatten(1, (self.heads, 1, -1)).transpose(0, 1)
        return self.linear(torch.cat([first, second], dim=1)) + products.sum((0, 3))

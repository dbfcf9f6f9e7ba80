"""LRURec: a linear recurrence over the user's history, which trains in parallel and is asked in one step."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import item_table
from tastemaker.nn.ragged import positions_from_end
from tastemaker.nn.recurrence import LinearRecurrence
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import init_normal


class LRURec(TokenModel):
    """Linear recurrence units for sequential recommendation (Yue et al. 2024), trained on the next item after every event.

    A user is the state after the newest event; an item is its embedding, shared with the input. A block is a diagonal complex recurrence and a
    perceptron, each behind a layer norm and a residual. Of the state-space models this one is here because its recurrence is the same at every
    event: it is computed over packed histories of any lengths in a few dozen vector operations (`nn.recurrence`), no padding and no step for
    each event, where the selective recurrences of Mamba4Rec (Liu et al. 2024) hold dim × 32 states a token and want a kernel of their own.
    Deviations from the paper: pre-norm blocks; a narrower perceptron; no bias of items; a history is not cut into stretches of a power of two.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets what anyone's first
    event is likely to be.
    """

    class Config(TokenModel.Config):
        """Settings of `lrurec`."""

        blocks: int = Field(2, ge=1, description="blocks")
        states: int = Field(2, ge=1, description="complex states of a recurrence, in multiples of dim")
        hidden: int = Field(1, ge=1, description="width of the perceptron, in multiples of dim")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.blocks = nn.ModuleList(
            _Block(config.dim, config.states * config.dim, config.hidden * config.dim, config.dropout)
            for _ in range(config.blocks)
        )
        self.norm_input = nn.LayerNorm(config.dim)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        tokens = rows.vectors(self.item_embedding, self.start)
        tokens = self.dropout(self.norm_input(tokens))
        positions, from_end = rows.positions, positions_from_end(rows.offsets)
        for block in self.blocks:
            tokens = block(tokens, positions, from_end)
        return self.norm(tokens)


class _Block(nn.Module):
    """A recurrence, then a two-layer perceptron, each behind a layer norm and a residual."""

    def __init__(self, dim: int, states: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_recurrence = nn.LayerNorm(dim)
        self.recurrence = LinearRecurrence(dim, states)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, dim))
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, from_end: Tensor) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        tokens = tokens + self.dropout(self.recurrence(self.norm_recurrence(tokens), positions, from_end))
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))

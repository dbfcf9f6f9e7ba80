"""BSARec: self-attention beside a filter of slow and fast interests."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import item_table
from tastemaker.nn.frequency import LowPass
from tastemaker.nn.ragged import Packing
from tastemaker.nn.reader import CausalReader
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import Attention, init_normal, perceptron


class BSARec(TokenModel):
    """Beyond self-attention (Shin et al. 2024, "An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention").

    Each block mixes α of a frequency rescaler with 1 - α of self-attention (eq. 6 to 8). The rescaler splits a history into the slow
    part (the lowest frequencies of a Fourier transform) and the rest, multiplies the rest by a learned β² a channel, and adds both again. A
    user is the state after the newest event; an item is its embedding, shared with the input.

    Deviations: the paper transforms each prefix of a history as an example of its own, so that its filter mixes later events into
    earlier ones of that prefix, and asks once, after the last. Here the filter of each event reads what came before it alone
    (`nn.frequency.LowPass`: the paper's, exactly, for the newest event of a prefix), so every event of a history can be a target of
    one pass, as in SASRec, and none knows the future. The window of the transform is `max_length` + 1, since every history begins with a learned start
    token: what a user with nothing has.
    """

    class Config(TokenModel.Config):
        """Settings of `bsarec`."""

        blocks: int = Field(2, ge=1, description="blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        hidden: int = Field(4, ge=1, description="width of the perceptron, in multiples of dim")
        alpha: float = Field(0.7, ge=0, le=1, description="share of the frequency rescaler; the rest is attention")
        frequencies: int = Field(
            3, ge=1, description="lowest frequencies that are slow, the mean included; ⌊c / 2⌋ + 1 of the paper"
        )
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(
            0.5, ge=0, lt=1, description="of embeddings, attention and each block; unset: more on sparser data"
        )

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        blocks = (_Block(config) for _ in range(config.blocks))
        self.reader = CausalReader(config.dim, blocks, config.max_length, config.dropout, init=config.init, norm=False)
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        return cast(Tensor, self.reader(self.item_embedding(rows.items), rows))

    def newest(self, rows: Started) -> Tensor:
        return self.reader.newest(self.item_embedding(rows.items), rows)


class _Block(nn.Module):
    """Post-norm: rescaler and attention side by side, then a perceptron, each behind a residual and a layer norm."""

    def __init__(self, config: BSARec.Config) -> None:
        super().__init__()
        dim = config.dim
        self.alpha = config.alpha
        self.slow = LowPass(config.max_length + 1, config.frequencies)
        self.beta = nn.Parameter(torch.randn(dim))
        self.attention = Attention(dim, config.heads, dropout=config.dropout)
        self.mlp = perceptron(dim, config.hidden * dim)
        self.norm_rescaled, self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        return self._mixed(tokens, self.slow(tokens, packing), self.attention(tokens, packing))

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """What `forward` says at the newest token of each row, none of which is empty: (tokens, dim) → (rows, dim)."""
        lines = tokens.index_select(0, packing.newest)
        return packing.lines_to_rows(
            self._mixed(lines, self.slow.newest(tokens, packing), self.attention.newest(tokens, packing))
        )

    def _mixed(self, tokens: Tensor, slow: Tensor, seen: Tensor) -> Tensor:
        rescaled = self.norm_rescaled(tokens + self.dropout(slow + self.beta.square() * (tokens - slow)))
        attended = self.norm_attention(tokens + self.dropout(seen))
        mixed = self.alpha * rescaled + (1 - self.alpha) * attended
        return cast(Tensor, self.norm_mlp(mixed + self.dropout(self.mlp(mixed))))

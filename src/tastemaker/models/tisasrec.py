"""TiSASRec: self-attention over the user's history that knows how much time lies between two events."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import item_table
from tastemaker.nn.intervals import IntervalBlock
from tastemaker.nn.lags import personal_lags, rectangles
from tastemaker.nn.ragged import Packing, positions_from_end
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import init_normal


class TiSASRec(TokenModel):
    """Time interval aware self-attention (Li, Wang & McAuley 2020), trained on the next item after every event.

    A user is the transformer's state after the newest event; an item is its embedding, shared with the input. How long before an event
    another happened is counted in the shortest gap of that user, clipped, and added to keys and values as an embedding, as are positions.
    Deviations from the paper: the shortest gap is that of the events so far, for that of the whole history is not known at its beginning; tables of
    intervals and positions belong to a layer; positions are counted from the newest event; pre-norm blocks with GELU; a layer norm on the embeddings;
    cross-entropy over the whole catalogue instead of one sampled negative.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets what anyone's first
    event is likely to be. Data without times: all intervals are 0, and what is left is self-attention with positions.
    """

    class Config(TokenModel.Config):
        """Settings of `tisasrec`."""

        blocks: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        hidden: int = Field(1, ge=1, description="width of the perceptron, in multiples of dim")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        intervals: int = Field(256, ge=1, description="longest interval told apart, in the user's shortest gaps")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        tokens, buckets = config.max_length + 1, config.intervals + 1
        self.item_embedding = item_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.blocks = nn.ModuleList(
            IntervalBlock(config.dim, config.heads, config.hidden * config.dim, tokens, buckets, config.dropout)
            for _ in range(config.blocks)
        )
        self.norm_input = nn.LayerNorm(config.dim)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        tokens = rows.vectors(self.item_embedding, self.start)
        tokens, packing = self.dropout(self.norm_input(tokens)), Packing.of(rows.offsets)
        buckets = self.config.intervals + 1
        parts = rectangles(packing, rows.times, partial(personal_lags, buckets=buckets), width=buckets)
        positions = positions_from_end(rows.offsets)
        for block in self.blocks:
            tokens = block(tokens, positions, packing, parts)
        return self.norm(tokens)

"""HSTU: a gated attention without softmax that knows how long ago things happened."""

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
from tastemaker.nn.lags import log_lags, rectangles
from tastemaker.nn.pointwise import PointwiseAttention
from tastemaker.nn.ragged import Packing
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import init_normal


class HSTU(TokenModel):
    """Hierarchical sequential transduction units (Zhai et al. 2024, "Actions speak louder than words"), trained on every next event.

    A user is the state after the newest event; an item is its embedding, shared with the input. Each block is one layer that projects,
    attends without a softmax, and gates; there is no perceptron (`nn.pointwise`). Deviations from the paper and the authors' code: weights are divided
    by how many events were seen instead of the longest history, which changes little ahead of a norm and lets a row not depend on others;
    positions enter by the bias of distance alone, so a prefix means the same wherever its row ends; a layer norm on embeddings and on states,
    where the code multiplies by √dim and compares by cosine; the time of a question is that of the newest event known, where the code
    looks at the time of the event to be predicted, which nobody knows; cross-entropy over the whole catalogue.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets what anyone's first
    event is likely to be. Data without times: all happened at once.
    """

    class Config(TokenModel.Config):
        """Settings of `hstu`."""

        blocks: int = Field(2, ge=1, description="layers")
        heads: int = Field(2, ge=1, description="attention heads")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        buckets: int = Field(
            64, ge=1, description="of time between two events, each 1.35 times as long as the one before, from 1 s"
        )
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each layer; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.blocks = nn.ModuleList(
            PointwiseAttention(config.dim, config.heads, config.max_length + 1, config.buckets, config.dropout)
            for _ in range(config.blocks)
        )
        self.norm_input = nn.LayerNorm(config.dim)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        tokens = rows.vectors(self.item_embedding, self.start)
        tokens, packing = self.dropout(self.norm_input(tokens)), Packing.of(rows.offsets)
        parts = rectangles(packing, rows.times, partial(log_lags, buckets=self.config.buckets))
        for block in self.blocks:
            tokens = block(tokens, packing, parts)
        return self.norm(tokens)

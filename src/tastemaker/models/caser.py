"""Caser: convolutions over the last few events."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.started import Started
from tastemaker.nn.windows import WindowConvolutions, windows


class Caser(TokenModel):
    """Convolutional sequence embedding (Tang & Wang 2018), trained on the next item after every event.

    A user is what horizontal and vertical convolutions see in the last `window` events; an item is its embedding, shared with the input. Deviations
    from the paper: no vector of the user's own unless `own_vectors`, for a user is what the history says, and one unseen in training has none;
    one table of items for input and output, hence no ReLU on the user vector, and a norm on both; the next item alone is the target, not the next three;
    cross-entropy over the whole catalogue instead of sampled negatives.

    Every history begins with a learned start token, before which there is nothing, so the first event is a target too and a user with nothing gets what
    anyone's first event is likely to be.
    """

    class Config(TokenModel.Config):
        """Settings of `caser`."""

        window: int = Field(5, ge=1, description="newest events that are looked at")
        horizontal: int = Field(16, ge=1, description="filters that look at 1, 2, … `window` events in a row, of each height")
        vertical: int = Field(4, ge=1, description="filters that weigh the events of a window")
        own_vectors: bool = Field(
            False, description="whether each user seen in training has a vector, added to what the history says"
        )
        max_length: int = Field(
            200, ge=1, description="newest events of a history that are learned from; unset: what the data needs"
        )
        init: float = Field(0.02, gt=0, description="standard deviation of the first embeddings")
        dropout: float = Field(
            0.2, ge=0, lt=1, description="of embeddings and of what filters see; unset: more on sparser data"
        )

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        init_table(self.item_embedding, config.init)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.norm_input = nn.LayerNorm(config.dim)
        self.convolutions = WindowConvolutions(config.dim, config.window, config.horizontal, config.vertical)
        self.mix = nn.Linear(self.convolutions.out_features, config.dim)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        self.user_embedding: nn.Embedding | None = None
        if config.own_vectors:  # from zero, so that a code never trained adds nothing
            self.user_embedding = nn.Embedding(schema.num_users, config.dim)
            nn.init.zeros_(self.user_embedding.weight)

    def encode_before(self, query: Query) -> Tensor:
        return self.compared(
            self._own(self.states(Started.before(query.items, query.times, query.offsets)), query.users[query.rows])
        )

    def encode_user(self, query: Query) -> Tensor:
        query = query.known().last(min(self.config.window, self.config.max_length))
        return self.compared(self._own(self.newest(Started.after(query.items, query.times, query.offsets)), query.users))

    def _own(self, states: Tensor, users: Tensor) -> Tensor:
        """The states and, where users have vectors, those."""
        return states if self.user_embedding is None else states + self.user_embedding(users)

    def states(self, rows: Started) -> Tensor:
        tokens = rows.vectors(self.item_embedding, self.start)
        tokens = self.dropout(self.norm_input(tokens))
        seen = self.convolutions(tokens, windows(rows.positions, self.config.window))
        return self.norm(self.mix(self.dropout(seen)))

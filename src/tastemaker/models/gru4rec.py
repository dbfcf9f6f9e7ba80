"""GRU4Rec: a recurrent network that reads the user's history event by event."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import ItemTable, init_table, item_table
from tastemaker.nn.recurrent import Cell, Recurrent, Steps
from tastemaker.nn.started import Started


class GRU4Rec(TokenModel):
    """Session-based recommendations with recurrent neural networks (Hidasi et al. 2016; Hidasi & Karatzoglou 2018).

    A user is the network's state after the newest event, mapped to the size of an item; an item is its embedding, by default the
    same that the network reads (the constrained embedding of the second paper). `bpr_max` and `top1_max` are the papers' losses, and
    `cell` chooses their gated recurrent unit, a long short-term memory or a plain recurrent network. Deviations: cross-entropy over
    the whole catalogue by default; a step sees whole histories instead of slices of them, so gradients reach back to the first
    event; a layer norm on the embeddings; no bias of items, which the state can say as well.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets a list.
    """

    class Config(TokenModel.Config):
        """Settings of `gru4rec`."""

        hidden: int = Field(128, gt=0, description="size of the network's state")
        cell: Cell = Field("gru", description="gru, lstm or rnn (a plain tanh of input and state)")
        layers: int = Field(1, ge=1, description="recurrent layers")
        constrained: bool = Field(True, description="items have one embedding, read and recommended; false: one for each")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first embeddings")
        dropout_embedding: float = Field(0.2, ge=0, lt=1, description="of what the network reads; unset: more on sparser data")
        dropout_hidden: float = Field(0.2, ge=0, lt=1, description="of each layer's states; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        self.output_embedding = None if config.constrained else item_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.norm_input = nn.LayerNorm(config.dim)
        self.recurrent = Recurrent(config.cell, config.dim, config.hidden, config.layers, config.dropout_hidden)
        self.decode = nn.Linear(config.hidden, config.dim)
        self.dropout_embedding, self.dropout_hidden = Dropout(config.dropout_embedding), Dropout(config.dropout_hidden)
        for module in (self.item_embedding, self.output_embedding):
            if module is not None:
                init_table(module, config.init)

    def states(self, rows: Started) -> Tensor:
        return self._decoded(self._run(rows))

    def newest(self, rows: Started) -> Tensor:
        return self._decoded(self._run(rows).index_select(0, rows.newest))

    def _run(self, rows: Started) -> Tensor:
        """The network's state after each token."""
        tokens = self.norm_input(rows.vectors(self.item_embedding, self.start))
        return self.recurrent(self.dropout_embedding(tokens), Steps.of(rows.offsets))

    def _decoded(self, states: Tensor) -> Tensor:
        return self.decode(self.dropout_hidden(states))

    @property
    def item_table(self) -> ItemTable:
        return self.item_embedding if self.output_embedding is None else self.output_embedding

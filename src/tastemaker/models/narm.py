"""NARM: a recurrent network that also looks back at the events which the newest one makes matter."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.additive import AdditiveAttention
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.ragged import Packing
from tastemaker.nn.recurrent import Recurrent, Steps
from tastemaker.nn.started import Started


class NARM(TokenModel):
    """Neural attentive session-based recommendation (Li et al. 2017).

    With h_1 … h_t the states of a gated recurrent unit over the history, a user is B [h_t ; Σ_j v·σ(Q h_t + K h_j) h_j]: what the
    history amounts to, and the main purpose in it. An item is its embedding, which the network reads too; the paper's bilinear decoder
    is the map B. Deviations: one network feeds both halves, where the paper runs two of the same shape and input; a layer norm on the
    embeddings; whole histories with a target at each event in one pass, instead of an example for each prefix.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets a list.
    """

    class Config(TokenModel.Config):
        """Settings of `narm`."""

        hidden: int = Field(64, gt=0, description="size of the network's state")
        layers: int = Field(1, ge=1, description="recurrent layers")
        max_length: int = Field(100, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first embeddings")
        dropout_embedding: float = Field(0.2, ge=0, lt=1, description="of what the network reads; unset: more on sparser data")
        dropout_hidden: float = Field(0.2, ge=0, lt=1, description="of both halves of the user; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.norm_input = nn.LayerNorm(config.dim)
        self.recurrent = Recurrent("gru", config.dim, config.hidden, config.layers, config.dropout_hidden)
        self.attention = AdditiveAttention(config.hidden)
        self.decode = nn.Linear(2 * config.hidden, config.dim, bias=False)
        self.dropout_embedding, self.dropout_hidden = Dropout(config.dropout_embedding), Dropout(config.dropout_hidden)
        init_table(self.item_embedding, config.init)

    def states(self, rows: Started) -> Tensor:
        run = self._run(rows)
        return self._decoded(run, self.attention(run, Packing.of(rows.offsets)))

    def newest(self, rows: Started) -> Tensor:
        run = self._run(rows)
        return self._decoded(run.index_select(0, rows.newest), self.attention.newest(run, rows.offsets))

    def _run(self, rows: Started) -> Tensor:
        """The network's state after each token."""
        tokens = self.norm_input(rows.vectors(self.item_embedding, self.start))
        return self.recurrent(self.dropout_embedding(tokens), Steps.of(rows.offsets))

    def _decoded(self, states: Tensor, purposes: Tensor) -> Tensor:
        return self.decode(self.dropout_hidden(torch.cat([states, purposes], 1)))

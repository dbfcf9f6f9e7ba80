"""SR-GNN: a history as a graph of items, in which coming back to an item is coming back to its node."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.habits import suited
from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, SequenceModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.session_graph import GatedGraph, SessionGraphs


class SRGNN(SequenceModel):
    """Session-based recommendation with graph neural networks (Wu et al. 2019).

    A gated graph network refines the items of a history along its steps. With v_1 … v_t the refined items in the order of the
    events, a user is W [v_t ; Σ_j q·σ(W₁ v_t + W₂ v_j + c) v_j], the present and the general interest; an item is its embedding.
    The sum is over events, as in the authors' code, so an item met twice counts twice; a step taken twice is two edges in the
    means, as in the paper and not in their code. Deviations: a layer norm on the embeddings, and dropout.

    Each prefix has a graph of its own, so cost grows with the squared length of a history: made for sessions. A user with nothing
    is a learned vector, which is what the first event is asked from.
    """

    class Config(SequenceModel.Config):
        """Settings of `srgnn`."""

        steps: int = Field(1, ge=1, description="times that nodes hear their neighbours")
        max_length: int = Field(50, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first embeddings")
        dropout: float = Field(0.2, ge=0, lt=1, description="of items as nodes and of users; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.norm_input = nn.LayerNorm(config.dim)
        self.graph = GatedGraph(config.dim, config.steps)
        self.present = nn.Linear(config.dim, config.dim, bias=False)
        self.general = nn.Linear(config.dim, config.dim)
        self.weigh = nn.Linear(config.dim, 1, bias=False)
        self.decode = nn.Linear(2 * config.dim, config.dim, bias=False)
        self.dropout = Dropout(config.dropout)
        init_table(self.item_embedding, config.init)

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        """Length and dropout that suit the data (`data.habits.suited`)."""
        return suited(config, interactions)

    def encode_before(self, query: Query) -> Tensor:
        first = query.offsets[:-1].repeat_interleave(query.lengths).cpu().numpy()
        return self.compared(self._encoded(query, first, np.arange(len(first)) - first))

    def encode_user(self, query: Query) -> Tensor:
        query = query.known().last(self.config.max_length)
        return self.compared(self._encoded(query, query.offsets[:-1].cpu().numpy(), query.lengths.cpu().numpy()))

    def _encoded(self, query: Query, first: np.ndarray, lengths: np.ndarray) -> Tensor:
        """A vector for each stretch `first[i]:first[i] + lengths[i]` of the query's events, (stretches, dim)."""
        some = np.flatnonzero(lengths)
        graphs = SessionGraphs.of(query.items, query.offsets, first[some], lengths[some])
        nodes = self.dropout(self.norm_input(self.item_embedding(graphs.items)))
        nodes = self.graph(nodes, graphs)
        newest = nodes.index_select(0, graphs.newest)
        asked = self.present(newest).index_select(0, graphs.graphs) + self.general(nodes).index_select(0, graphs.nodes)
        drawn = self.weigh(torch.sigmoid(asked)) * nodes.index_select(0, graphs.nodes)
        general = torch.zeros_like(newest).index_add(0, graphs.graphs, drawn)
        users = self.decode(self.dropout(torch.cat([newest, general], 1)))
        places = torch.from_numpy(some).to(users.device)
        return self.start.expand(len(lengths), -1).index_copy(0, places, users)

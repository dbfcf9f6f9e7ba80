"""Two towers: one network reads the history, one the item, and their vectors meet in a cosine."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.pooling import mean_of_all, mean_of_others
from tastemaker.settings import Settings


class TwoTower(RetrievalModel):
    """A user is a network over the mean of the history's item embeddings, an item a network over its own; score = cosine / temperature.

    Covington, Adams & Sargin 2016, "Deep neural networks for YouTube recommendations" (the user); Yi et al. 2019, "Sampling-bias-
    corrected neural modeling for large corpus item recommendations" (the item tower, cosines with a temperature, and `"softmax"` with
    in-batch negatives whose log q is taken off). Deviations: every item of a history is a target, asked of the mean of the others, so a
    user's cost is one pass over the history and no item is told by itself; towers add to the embedding what their layers say of it
    (He et al. 2016), so that they begin as plain embeddings; by default the softmax runs over the whole catalogue.

    No user has a code here: known and unseen users alike are what their history says, in no order, an item counting once. One event
    in fifty is asked of a learned vector in place of the mean, and a user with nothing gets what that has learned: what anyone takes.
    """

    class Config(Settings):
        """Settings of `two_tower`."""

        dim: int = Field(128, gt=0, description="size of item and user vectors")
        hidden: int = Field(
            1, ge=0, description="width of a tower's layers, in multiples of dim; 0: no towers, plain embeddings"
        )
        layers: int = Field(1, ge=1, description="hidden layers of a tower")
        temperature: float = Field(0.1, gt=0, description="what cosines are divided by")
        dropout: float = Field(0.1, ge=0, lt=1, description="of the mean of the history")
        init: float = Field(0.1, gt=0, description="standard deviation of the first embeddings")

    learns_from = "baskets"
    solves = ("two_tastes",)
    config: Config
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.005, "schedule": "linear"}

    _NOTHING = 0.02
    """share of events that are asked without a history in training"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = item_table(schema, config.dim)
        self.nobody = nn.Parameter(torch.randn(config.dim) * config.init)
        self.dropout = Dropout(config.dropout)
        self.user_tower, self.item_tower = (
            _Tower(config.dim, config.hidden * config.dim, config.layers) if config.hidden else nn.Identity() for _ in range(2)
        )
        init_table(self.item_embedding, config.init)

    def encode_batch(self, batch: Batch) -> Encoded:
        query = batch.query
        vectors, shares = self.item_embedding(query.items), query.shares(self.schema.num_items)
        means, others = mean_of_others(vectors, torch.ones_like(shares), shares, query.rows, len(query))
        known = others & (torch.rand(len(others)) >= self._NOTHING).to(others.device)
        return Encoded(self._user(means, known))

    def encode_user(self, query: Query) -> Tensor:
        query = query.known()
        vectors, shares = self.item_embedding(query.items), query.shares(self.schema.num_items)
        return self._user(mean_of_all(vectors, shares, query.rows, len(query)), query.lengths > 0)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        vectors = self.item_embedding.weight if codes is None else self.item_embedding(codes)
        return F.normalize(self.item_tower(vectors), dim=-1)

    def _user(self, means: Tensor, known: Tensor) -> Tensor:
        vectors = torch.where(known.unsqueeze(1), self.dropout(means), self.nobody)
        return F.normalize(self.user_tower(vectors), dim=1) / self.config.temperature


class _Tower(nn.Module):
    """x + MLP(x)."""

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        widths = [dim, *[hidden] * layers]
        steps = [step for one, other in pairwise(widths) for step in (nn.Linear(one, other), nn.GELU())]
        self.layers = nn.Sequential(*steps, nn.Linear(hidden, dim))

    def forward(self, vectors: Tensor) -> Tensor:
        moved: Tensor = vectors + self.layers(vectors)
        return moved

"""SimpleX: a user's own vector and the mean of the history, fused, against many negatives under a cosine contrast."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.pooling import mean_of_all, mean_of_others
from tastemaker.settings import Settings


class SimpleX(RetrievalModel):
    """Score = cos(g·p_u + (1 - g)·V·m_u, q_i), with m_u the mean of the history's item vectors.

    Mao et al. 2021, "SimpleX: a simple and strong baseline for collaborative filtering" (eq. 4 to 8), trained by its cosine
    contrastive loss `"ccl"` against a thousand negatives that the batch shares. With `aggregate = "attention"` the mean is weighted by
    exp cos(p_u, tanh(W q + b)): the paper's user attention, but with a cosine, so that no weight is more than e² times another.
    Deviations: in training an item's own vector is taken out of the mean that it is asked of, else the mean would tell the answer;
    and by default `train.ccl_weight` is 8 and not the paper's 150 or more. Negatives are drawn from the whole catalogue, a user's own
    items among them: with n of |I| items a user pushes each of them away n · weight / |I| times as hard as it is pulled, which must
    stay well below 1 (150 suits catalogues of tens of thousands of items and users with tens).

    A user unseen in training has no p_u and is the history part alone (attention then weighs all items alike). A user with nothing is
    the mean of the trained users' own vectors. Order does not matter; an item counts once.
    """

    class Config(Settings):
        """Settings of `simplex`."""

        dim: int = Field(64, gt=0, description="size of user and item vectors")
        own: float = Field(0.5, ge=0, le=1, description="g, the weight of the user's own vector; the history has the rest")
        aggregate: Literal["mean", "attention"] = Field("mean", description="how the history's items are weighed")
        dropout: float = Field(0.1, ge=0, lt=1, description="of the fused user vector")
        init: float = Field(0.01, gt=0, description="standard deviation of the first vectors")

    learns_from = "baskets"
    solves = ("two_tastes",)
    config: Config
    trained: Tensor
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.003, "schedule": "linear"}
    contrast_defaults: ClassVar = {"loss": "ccl", "shared": True, "ccl_margin": 0.4, "ccl_weight": 8.0}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.user_embedding = nn.Embedding(schema.num_users, config.dim)
        self.item_embedding = item_table(schema, config.dim)
        self.history = nn.Linear(config.dim, config.dim, bias=False)
        self.attention = nn.Linear(config.dim, config.dim) if config.aggregate == "attention" else None
        self.dropout = Dropout(config.dropout)
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))
        nn.init.normal_(self.user_embedding.weight, std=config.init)
        init_table(self.item_embedding, config.init)
        nn.init.eye_(self.history.weight)  # the history is in the space of the items it is compared with

    @classmethod
    def defaults(cls, loss: str | None) -> dict[str, Any]:
        return cls.train_defaults | (cls.contrast_defaults if loss in (None, "ccl") else {})

    def observe(self, interactions: Interactions) -> None:
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True

    def encode_batch(self, batch: Batch) -> Encoded:
        query = batch.query
        rows, vectors, own = query.rows, self.item_embedding(query.items), self.user_embedding(query.users)
        weights = self._weights(own.index_select(0, rows), vectors)
        means, _ = mean_of_others(vectors, weights, query.shares(self.schema.num_items), rows, len(query))
        return Encoded(self._fused(own.index_select(0, rows), means))

    def encode_user(self, query: Query) -> Tensor:
        query = query.known()
        rows, vectors, own = query.rows, self.item_embedding(query.items), self.user_embedding(query.users)
        trained = self.trained[query.users].unsqueeze(1)
        own = torch.where(trained, own, 0.0)
        weights = self._weights(own.index_select(0, rows), vectors) * query.shares(self.schema.num_items)
        means = mean_of_all(vectors, weights, rows, len(query))
        nobody = ~trained & (query.lengths == 0).unsqueeze(1)
        if bool(nobody.any()):
            own = torch.where(nobody, self.user_embedding.weight[self.trained].mean(dim=0).nan_to_num(0.0), own)
        return self._fused(own, means)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return F.normalize(self.item_embedding.weight if codes is None else self.item_embedding(codes), dim=-1)

    def _weights(self, own: Tensor, vectors: Tensor) -> Tensor:
        """The weight of each event's item for its user, whose vector is zero where it is not known: (events,)."""
        if self.attention is None:
            return torch.ones_like(vectors[:, 0])
        return F.cosine_similarity(own, self.attention(vectors).tanh(), dim=1).exp()

    def _fused(self, own: Tensor, means: Tensor) -> Tensor:
        share = self.config.own
        return F.normalize(self.dropout(share * own + (1 - share) * self.history(means)), dim=1)

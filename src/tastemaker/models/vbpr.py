"""VBPR: matrix factorization beside preferences for what items are."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import EntityEncoder, content_table, init_table
from tastemaker.nn.fold_in import of_usual_length, ridge_users
from tastemaker.settings import Settings


class VBPR(RetrievalModel):
    """Score = γ_u · γ_i + θ_u · (E f_i) + β_i + β' · f_i, with f_i what the item is.

    He & McAuley 2016, "VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback", eq. 4; the paper's own is `similarity = "dot"` with `[train] loss = "bpr"`. Deviations: by default the cosine of (γ_u, θ_u) and (γ_i, E f_i) over a
    temperature, and cross-entropy over the catalogue; f_i is any
    modalities and their fusion (`[content]`), whose last dimension is β' · f_i; an item without training events has neither γ_i nor β_i, so what it is
    decides alone, and an item that comes later is scored alike. Without `[content]`, which only Python allows, f_i is the item's code.

    A user unseen in training is folded in by a ridge regression on the items of the history, as in `mf`; a user with nothing gets the order of β_i + β' · f_i.
    """

    class Config(Settings):
        """Settings of `vbpr`."""

        dim: int = Field(64, gt=0, description="size of γ, the vectors of codes")
        content_dim: int = Field(64, gt=0, description="size of θ, the preferences for contents")
        similarity: Literal["dot", "cosine"] = Field("cosine", description="of user and item vectors; the paper's is dot")
        temperature: float = Field(0.1, gt=0, description="what cosines are divided by")
        init: float = Field(0.1, gt=0, description="standard deviation of the first vectors")
        fold_in_regularization: float = Field(1.0, gt=0, description="ridge of users unseen in training")
        dropout: float = Field(0.0, ge=0, lt=1, description="of user vectors")

    learns_from = "pairs"
    needs_contents = True
    needs_history = False
    solves = ("two_tastes",)
    item_rows = ("item_bias", "item_own")
    config: Config
    trained: Tensor
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.005, "schedule": "linear"}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        size = config.dim + config.content_dim
        self.user_embedding = nn.Embedding(schema.num_users, size)
        self.item_own = nn.Parameter(torch.empty(schema.num_items, config.dim))
        self.item_bias = nn.Parameter(torch.zeros(schema.num_items))
        self.contents = content_table(schema, config.content_dim + 1)
        self.dropout = Dropout(config.dropout)
        nn.init.normal_(self.user_embedding.weight, std=config.init)
        nn.init.normal_(self.item_own, std=config.init)
        init_table(self.contents, config.init)
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))

    def observe(self, interactions: Interactions) -> None:
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True

    def encode_user(self, query: Query) -> Tensor:
        vectors = self.user_embedding(query.users)
        if not self.training and not bool(self.trained[query.users].all()):
            vectors = torch.where(self.trained[query.users].unsqueeze(1), vectors, self._stranger(query))
        if self.config.similarity == "cosine":
            vectors = F.normalize(vectors, dim=1) / self.config.temperature
        return torch.cat([self.dropout(vectors), torch.ones_like(vectors[:, :1])], dim=1)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        contents = self.contents.weight if codes is None else self.contents(codes)
        own, bias = cast(Tensor, self.item_own), self.item_bias.unsqueeze(1)
        if isinstance(self.contents, EntityEncoder):
            known = self.contents.own_share.unsqueeze(1)
            own, bias = own * known, bias * known
        own, bias = (own, bias) if codes is None else (own[codes], bias[codes])
        vectors = torch.cat([own, contents[..., :-1]], dim=-1)
        if self.config.similarity == "cosine":
            vectors = F.normalize(vectors, dim=-1)
        return torch.cat([vectors, contents[..., -1:] + bias], dim=-1)

    def _stranger(self, query: Query) -> Tensor:
        query = query.known()
        table, codes = self.encode_item()[:, :-1], self.trained_items
        others, ones = table[FIRST:] if codes is None else table[codes], torch.ones_like(query.values)
        folded = ridge_users(table[query.items], ones, query.rows, len(query), self.config.fold_in_regularization, others)
        return of_usual_length(folded, self.user_embedding.weight[self.trained])

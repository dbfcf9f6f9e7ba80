"""VBPR: matrix factorization beside preferences for what items are."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import EntityEncoder, content_table
from tastemaker.nn.pooling import mean_of_all
from tastemaker.settings import Settings


class VBPR(RetrievalModel):
    """Score = γ_u · γ_i + θ_u · (E f_i) + β_i + β' · f_i, with f_i what the item is.

    He & McAuley 2016, "VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback", eq. 4, trained with BPR. Deviations: f_i is any
    modalities and their fusion (`[content]`), whose last dimension is β' · f_i; an item without training events has neither γ_i nor β_i, so what it is
    decides alone, and an item that comes later is scored alike. Without `[content]`, which only Python allows, f_i is the item's code.

    A user unseen in training has the mean of what the users of their items have: Σ of (γ_i, E f_i) over the history, scaled to the
    usual length; a user with nothing gets the order of β_i + β' · f_i.
    """

    class Config(Settings):
        """Settings of `vbpr`."""

        dim: int = Field(64, gt=0, description="size of γ, the vectors of codes")
        content_dim: int = Field(64, gt=0, description="size of θ, the preferences for contents")
        init: float = Field(0.1, gt=0, description="standard deviation of the first vectors")
        dropout: float = Field(0.0, ge=0, lt=1, description="of user vectors")

    learns_from = "pairs"
    needs_contents = True
    needs_history = False
    solves = ("two_tastes",)
    item_rows = ("item_bias", "item_own")
    config: Config
    trained: Tensor
    train_defaults: ClassVar = {"loss": "bpr", "optimizer": "adam", "learning_rate": 0.005, "schedule": "linear"}

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
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))

    def observe(self, interactions: Interactions) -> None:
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True

    def encode_user(self, query: Query) -> Tensor:
        vectors = self.user_embedding(query.users)
        if not self.training and not bool(self.trained[query.users].all()):
            vectors = torch.where(self.trained[query.users].unsqueeze(1), vectors, self._stranger(query))
        return torch.cat([self.dropout(vectors), torch.ones_like(vectors[:, :1])], dim=1)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        contents = self.contents.weight if codes is None else self.contents(codes)
        own, bias = cast(Tensor, self.item_own), self.item_bias.unsqueeze(1)
        if isinstance(self.contents, EntityEncoder):
            known = self.contents.own_share.unsqueeze(1)
            own, bias = own * known, bias * known
        own, bias = (own, bias) if codes is None else (own[codes], bias[codes])
        return torch.cat([own, contents[..., :-1], contents[..., -1:] + bias], dim=-1)

    def _stranger(self, query: Query) -> Tensor:
        query = query.known()
        table = self.encode_item()[:, :-1]
        means = mean_of_all(table[query.items], torch.ones_like(query.values), query.rows, len(query))
        usual = self.user_embedding.weight[self.trained].norm(dim=1).mean().nan_to_num(1.0)
        return means * (usual / means.norm(dim=1, keepdim=True).clamp_min(1e-9)) * (query.lengths > 0).unsqueeze(1)

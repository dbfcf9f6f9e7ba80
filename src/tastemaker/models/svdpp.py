"""SVD++: matrix factorization of ratings that also learns from what was rated, whatever the rating."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import item_table
from tastemaker.nn.regressions import Groups
from tastemaker.settings import Settings


class SVDpp(RetrievalModel):
    """Predicts μ + b_u + b_i + q_i · (p_u + Σ_{j ∈ N(u)} y_j / √|N(u)|), N(u) the items that u rated.

    Koren 2008, "Factorization meets the neighborhood: a multifaceted collaborative filtering model", eq. 15. In training the item that
    is asked for is left out of N(u), as it will be whenever a rating is still to be given; the paper leaves it in, and adds the items
    whose ratings are to be predicted.

    N(u) is the history in the query, so it may have grown since training; in training it is all that the user rated. A user unseen in
    training gets p_u and b_u by ridge regression of the ratings in the history on the item vectors; one with nothing gets μ + b_i.
    Predicted values stay inside the range seen in training. For ratings: where all values are equal the scores are too.
    """

    class Config(Settings):
        """Settings of `svdpp`."""

        dim: int = Field(128, gt=0, description="size of user and item vectors")
        init: float = Field(0.03, gt=0, description="standard deviation of the first vectors")
        dropout: float = Field(0.3, ge=0, lt=1, description="of user vectors")
        fold_in_regularization: float = Field(5.0, gt=0, description="ridge of users unseen in training")

    learns_from = "pairs"
    train_defaults: ClassVar = {
        "loss": "squared_error",
        "optimizer": "adam",
        "learning_rate": 0.002,
        "betas": (0.9, 0.98),
        "l2": 0.03,
        "schedule": "linear",
        "epochs": 10,
    }

    item_rows = ("item_bias",)
    config: Config
    mean: Tensor
    low: Tensor
    high: Tensor
    trained: Tensor

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.user_embedding = nn.Embedding(schema.num_users, config.dim)
        self.item_embedding = item_table(schema, config.dim)
        self.rated_embedding = item_table(schema, config.dim)
        self.user_bias = nn.Parameter(torch.zeros(schema.num_users))
        self.item_bias = nn.Parameter(torch.zeros(schema.num_items))
        self.dropout = Dropout(config.dropout)
        for table in (self.user_embedding, self.item_embedding, self.rated_embedding):
            nn.init.normal_(table.weight, std=config.init)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("low", torch.tensor(-torch.inf))
        self.register_buffer("high", torch.tensor(torch.inf))
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))

    def observe(self, interactions: Interactions) -> None:
        values = torch.from_numpy(interactions.value)
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True
        self.mean.copy_(values.mean())
        self.low.copy_(values.min())
        self.high.copy_(values.max())
        self._histories = interactions.histories(self.schema.num_users)

    def encode_batch(self, batch: Batch) -> Encoded:
        users, rows = torch.unique(batch.query.users, return_inverse=True)
        rated = Query.of(users.cpu().numpy(), self._histories.take(users.cpu().numpy())).to(users.device)
        total, count = self._rated(rated)
        rest = (total[rows] - self.rated_embedding(batch.targets)) * (count[rows] - 1).clamp_min(1).rsqrt().unsqueeze(1)
        vectors = self.user_embedding(batch.query.users) + rest
        return Encoded(self._with_bias(self.dropout(vectors), self.user_bias.index_select(0, batch.query.users)))

    def encode_user(self, query: Query) -> Tensor:
        total, count = self._rated(query)
        around = total * count.clamp_min(1).rsqrt().unsqueeze(1)
        own, bias = self.user_embedding(query.users), self.user_bias.index_select(0, query.users)
        trained = self.trained[query.users]
        if not bool(trained.all()):
            folded = self._fold_in(query, around)
            own = torch.where(trained.unsqueeze(1), own, folded[:, :-1])
            bias = torch.where(trained, bias, folded[:, -1])
        return self._with_bias(own + around, bias)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.item_embedding.weight if codes is None else self.item_embedding(codes)
        bias = self.item_row("item_bias")
        bias = bias if codes is None else bias[codes]
        return torch.cat([vectors, torch.ones_like(bias).unsqueeze(-1), bias.unsqueeze(-1)], dim=-1)

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        return super().score_each(query, items, rows, times).clamp(self.low, self.high)

    def _with_bias(self, vectors: Tensor, bias: Tensor) -> Tensor:
        return torch.cat([vectors, torch.stack([self.mean + bias, torch.ones_like(bias)], dim=1)], dim=1)

    def _rated(self, query: Query) -> tuple[Tensor, Tensor]:
        """The sum of y over what each user rated, (batch, dim), and how many items these are, (batch,); an item counts once."""
        shares = query.shares(self.schema.num_items)
        total = nn.functional.embedding_bag(
            query.items,
            self.rated_embedding.weight,
            query.offsets,
            mode="sum",
            per_sample_weights=shares,
            include_last_offset=True,
        )
        return total, torch.zeros_like(total[:, 0]).index_add(0, query.rows, shares)

    def _fold_in(self, query: Query, around: Tensor) -> Tensor:
        """p_u and b_u of all rows as if none had been trained, (batch, dim + 1)."""
        known = query.known()
        items, rows = known.items, known.rows
        table = self.encode_item()[:, :-1]
        goal = known.values - self.mean - self.item_bias[items] - (around[rows] * table[items, :-1]).sum(1)
        size = table.shape[1]
        groups = Groups(rows.cpu().numpy(), items.cpu().numpy(), len(query), len(table), size)
        ridge = self.config.fold_in_regularization * torch.eye(size, device=table.device)
        return groups.solve(table, goal, table.new_zeros(len(query), size), ridge, 1.0)[0]

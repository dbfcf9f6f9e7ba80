"""NeuMF and ConvNCF: a network in place of the dot product of matrix factorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import PairModel, Query
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.pooling import mean_of_all
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings

_CELLS = 1 << 23
"""Numbers that the widest layer holds at a time when many pairs are scored: 32 MB."""


class NeuMF(PairModel):
    """Score = h · [p_u ⊙ q_i ; MLP(p'_u, q'_i)]: what a user and an item have in common, beside what a network makes of the two.

    He et al. 2017, "Neural collaborative filtering" (eq. 12), trained by `"bce"` against four negatives. With
    `interaction = "outer"` it is ConvNCF (He et al. 2018, "Outer product-based neural collaborative filtering"): the map p_u q_iᵀ,
    halved by 2 x 2 convolutions until one cell is left. Deviations: the MLP's first layer is the sum of a user's and an item's, which
    is the same function and is computed once a user and once an item; ConvNCF is not begun from trained vectors.

    With `pretrain`, product and MLP learn apart at first (He et al. 2017, section 3.4.1): in that many steps every other row of a batch is
    scored by the product alone and the rest by the MLP alone, which have no weights in common; then both scores are halved (eq. 13,
    α = .5) and learn together. Deviation: one optimizer throughout, where the paper goes from Adam to SGD.

    A user unseen in training gets the mean, over the history's items, of the mean vector of the training users who took them, moved
    away from the mean of all by the factor that fits training users best (least squares). A user with nothing gets the popularity order
    (scores: the share of training users that took the item).
    """

    class Config(Settings):
        """Settings of `neumf`."""

        interaction: Literal["concat", "outer"] = Field(
            "concat", description="concat: product and MLP (NeuMF); outer: a CNN (ConvNCF)"
        )
        dim: int = Field(32, gt=0, description="size of the vectors that are multiplied; for outer a power of two")
        hidden: tuple[int, ...] = Field(
            (128, 64, 32), min_length=1, description="of concat: widths of the MLP, which reads half the first from each side"
        )
        channels: int = Field(32, gt=0, description="of outer: feature maps of each convolution")
        dropout: float = Field(0.0, ge=0, lt=1, description="of user and item vectors")
        init: float = Field(0.05, gt=0, description="standard deviation of the first vectors")
        pretrain: int = Field(0, ge=0, description="of concat: steps at first in which product and MLP learn apart")

        @model_validator(mode="after")
        def _all_have_effect(self) -> Self:
            for idle in {"concat": ("channels",), "outer": ("hidden", "pretrain")}[self.interaction]:
                if idle in self.model_fields_set and getattr(self, idle) != type(self).model_fields[idle].default:
                    raise ValueError(f"no {idle}: it has no effect on {self.interaction!r}")
            if self.interaction == "outer" and (self.dim < 2 or self.dim & (self.dim - 1)):
                raise ValueError(f"dim to be a power of two for 'outer', not {self.dim}")
            if min(self.hidden) < 2:
                raise ValueError("widths of 2 or more in hidden")
            return self

    solves = ("two_tastes",)
    needs_history = False
    config: Config
    popularity: Tensor
    """float32 (num_items,): share of the training users that took the item"""
    trained: Tensor
    step: Tensor
    """int64 (): training steps so far, up to the one that joined the parts; where `pretrain` is not 0"""
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.003, "schedule": "linear"}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        outer = config.interaction == "outer"
        read = 0 if outer else config.hidden[0] // 2
        self.user_embedding = nn.Embedding(schema.num_users, config.dim + read)
        self.item_embedding = item_table(schema, config.dim + read)
        nn.init.normal_(self.user_embedding.weight, std=config.init)
        init_table(self.item_embedding, config.init)
        self.dropout = Dropout(config.dropout)
        self.network: _Convolutions | _Perceptron = (
            _Convolutions(config.dim, config.channels) if outer else _Perceptron(config.dim, config.hidden)
        )
        self.takers = SparseMatrix(schema.num_items, schema.num_users)
        """Row i: the training users who took item i, each by an equal share of 1."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))
        if config.pretrain:
            self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._fold: _FoldIn | None = None

    @classmethod
    def defaults(cls, loss: str | None) -> dict[str, Any]:
        return cls.train_defaults | ({"loss": "bce", "num_negatives": 4} if loss in (None, "bce") else {})

    def observe(self, interactions: Interactions) -> None:
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items).T.tocsr()
        counts = np.diff(cells.indptr)
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True
        self.popularity = torch.from_numpy(counts / max(1, int(self.trained.sum()))).to(self.popularity)
        cells.data /= np.repeat(counts, counts)
        self.takers.set(cells)

    def forget(self) -> None:
        self._fold = None

    def score_each(self, query: Query, items: Tensor) -> Tensor:
        users, nobody = self._users(query)
        pairs = self.dropout(users).unsqueeze(1), self.dropout(self.item_embedding(items))
        scores = self._apart(*pairs) if self._learns_apart() else self.network(*pairs)
        return scores if nobody is None else torch.where(nobody.unsqueeze(1), self.popularity[items], scores)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        codes = torch.arange(self.schema.num_items, device=query.users.device) if items is None else items
        users, nobody = self._users(query)
        users, vectors = users.unsqueeze(1), self.item_embedding(codes).unsqueeze(0)
        pairs = max(1, _CELLS // self.network.width)
        columns = min(pairs, max(1, len(codes)))
        scores = torch.cat(
            [
                torch.cat([self.network(rows, block) for block in vectors.split(columns, dim=1)], dim=1)
                for rows in users.split(max(1, pairs // columns))
            ]
        )
        return scores if nobody is None else torch.where(nobody.unsqueeze(1), self.popularity[codes], scores)

    def _learns_apart(self) -> bool:
        """Whether this is a step in which product and MLP learn apart; counts it, and joins the two after the last one."""
        if not self.training or not self.config.pretrain or int(self.step) > self.config.pretrain:
            return False
        assert isinstance(self.network, _Perceptron)
        self.step += 1
        if int(self.step) <= self.config.pretrain:
            return True
        with torch.no_grad():
            for weights in (self.network.product, *self.network.last.parameters()):
                weights.mul_(0.5)
        return False

    def _apart(self, users: Tensor, items: Tensor) -> Tensor:
        """(batch, n): even rows by the product alone, odd ones by the MLP alone."""
        assert isinstance(self.network, _Perceptron)
        scores = torch.empty(items.shape[:2], device=items.device)
        scores[::2] = self.network.by_product(users[::2], items[::2])
        scores[1::2] = self.network.by_layers(users[1::2], items[1::2])
        return scores

    def _users(self, query: Query) -> tuple[Tensor, Tensor | None]:
        """User vectors (batch, dim), and which users nothing is known of, bool (batch,), where there are such."""
        vectors: Tensor = self.user_embedding(query.users)
        if self.training:
            return vectors, None
        trained = self.trained[query.users]
        if bool(trained.all()):
            return vectors, None
        query, fold = query.known(), self._fold_in()
        means = mean_of_all(fold.of_items[query.items], query.shares(self.schema.num_items), query.rows, len(query))
        folded = fold.centre + fold.scale * (means - fold.centre)
        return torch.where(trained.unsqueeze(1), vectors, folded), ~trained & (query.lengths == 0)

    def _fold_in(self) -> _FoldIn:
        """What strangers are made of; kept until the weights change."""
        if self._fold is None:
            weights = self.user_embedding.weight.detach()
            centre = weights[self.trained].mean(dim=0).nan_to_num(0.0)
            of_items = torch.from_numpy(self.takers.csr @ weights.cpu().numpy()).to(weights)
            of_items = torch.where((self.popularity > 0).unsqueeze(1), of_items, centre)
            took = self.takers.transposed.copy()
            took.data = np.repeat(1 / np.maximum(np.diff(took.indptr), 1), np.diff(took.indptr)).astype(np.float32)
            away = torch.from_numpy(took @ of_items.cpu().numpy()).to(weights)[self.trained] - centre
            scale = (away * (weights[self.trained] - centre)).sum() / away.square().sum().clamp_min(1e-12)
            self._fold = _FoldIn(of_items, centre, scale)
        return self._fold


@dataclass(frozen=True, eq=False)
class _FoldIn:
    of_items: Tensor
    """(num_items, dim): the mean vector of the training users who took each item; the mean of all where nobody did"""
    centre: Tensor
    """(dim,): the mean vector of all training users"""
    scale: Tensor
    """(): how much further from the centre users are than the mean over their items"""


class _Perceptron(nn.Module):
    """h · [p ⊙ q ; MLP(p', q')] of vectors that hold p and p' (q and q') side by side."""

    def __init__(self, dim: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.width = dim, max(hidden)
        first, *rest = hidden
        self.of_user = nn.Linear(first // 2, first)
        self.of_item = nn.Linear(first // 2, first, bias=False)
        widths = list(zip(hidden, rest, strict=False))
        self.layers = nn.Sequential(nn.ReLU(), *(step for one, two in widths for step in (nn.Linear(one, two), nn.ReLU())))
        self.product = nn.Parameter(torch.ones(dim))
        self.last = nn.Linear(hidden[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Broadcasting (batch, 1, ·) and (batch or 1, n, ·) → (batch, n)."""
        return self.by_product(users, items) + self.by_layers(users, items)

    def by_product(self, users: Tensor, items: Tensor) -> Tensor:
        """The part of p ⊙ q."""
        return ((users[..., : self.dim] * self.product) @ items[..., : self.dim].mT).squeeze(1)

    def by_layers(self, users: Tensor, items: Tensor) -> Tensor:
        """The part of the MLP."""
        mixed = self.layers(self.of_user(users[..., self.dim :]) + self.of_item(items[..., self.dim :]))
        scores: Tensor = self.last(mixed).squeeze(-1)
        return scores


class _Convolutions(nn.Module):
    """The outer product of two vectors, halved by 2 x 2 convolutions until one cell is left."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.width = max(dim * dim, channels * (dim // 2) ** 2)
        steps: list[nn.Module] = []
        for layer in range(dim.bit_length() - 1):
            steps += [nn.Conv2d(channels if layer else 1, channels, 2, stride=2), nn.ReLU()]
        self.layers = nn.Sequential(*steps)
        self.last = nn.Linear(channels, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Broadcasting (batch, 1, dim) and (batch or 1, n, dim) → (batch, n)."""
        maps = users.unsqueeze(-1) * items.unsqueeze(-2)
        cells = self.layers(maps.flatten(0, 1).unsqueeze(1)).flatten(1)
        scores: Tensor = self.last(cells).view(maps.shape[:2])
        return scores

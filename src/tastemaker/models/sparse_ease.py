"""Sparse EASE: the regression of EASE with few weights an item, for catalogues whose items × items matrix does not fit."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.columns import ridge, sparse_regression
from tastemaker.nn.gram import default_regularization, denoising_penalty, popularity
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings


class SparseEase(Model):
    """Score = history · B, with B the minimiser of ‖X - XB‖² + ‖Λ½B‖² subject to diag(B) = 0 and `neighbours` weights a column.

    The objective is that of EASE (Steck 2019) or, with `dropout` p, of EDLAE (Steck 2020): Λ = λI + p / (1 - p) diag(XᵀX). It serves where SANSA
    (Spišák et al. 2023, "Scalable approximate nonsymmetric autoencoder for collaborative filtering") does, but it is another
    approximation: SANSA inverts a sparse LDLᵀ factor of XᵀX + λI approximately; here the items that may speak for an item are chosen and
    their own k × k ridge system is solved exactly (see `nn.columns`). Memory is that of the nonzero cells of XᵀX (8 bytes for each
    ordered pair of items that share a user) while it is solved, and of `neighbours` weights an item after.

    Known and unseen users alike are what their history says; its order does not matter. An item that nothing speaks for scores a
    millionth of its popularity (the share of users that have it); a user with nothing gets the popularity order.
    """

    class Config(Settings):
        """The penalty of EASE or EDLAE, and how many weights an item may have."""

        regularization: float | None = Field(
            default=None, gt=0, description="λ; by default it is chosen from the data, see `nn.gram.default_regularization`."
        )
        dropout: float = Field(
            default=0.0, ge=0, lt=1, description="p: share of a history left out in training, in the limit of endless draws."
        )
        neighbours: int = Field(default=100, ge=1, description="Weights an item may have.")
        rounds: int = Field(default=1, ge=1, description="How often they are chosen: 1 takes those that alone explain it best.")
        weighted: bool = Field(
            False, description="A cell is the sum of the kind weights of its events (in a query: their number) instead of 1."
        )

    solves = ("two_tastes",)
    config: Config
    popularity: Tensor
    """float32 (num_items,): share of the training users that have the item"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.weights = SparseMatrix(schema.num_items, schema.num_items)
        """Row i: the weights of the items that speak for item i."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))

    def solve(self, interactions: Interactions) -> None:
        config = self.config
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=config.weighted)
        self.popularity = torch.from_numpy(popularity(cells))
        regularization = default_regularization(cells) if config.regularization is None else config.regularization
        penalty = denoising_penalty(cells, regularization, config.dropout)
        self.weights.set(sparse_regression(cells, penalty, ridge, neighbours=config.neighbours, rounds=config.rounds))

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        weights = self.weights.transposed if items is None else self.weights.csr[items.cpu().numpy()].T
        scores = torch.from_numpy((history @ weights).toarray()).to(self.popularity.device)
        fallback = self.popularity if items is None else self.popularity[items]
        return torch.where(scores == 0, 1e-6 * fallback, scores)

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        shares = query.shares(self.schema.num_items, repeats=self.config.weighted)
        return self.weights.at(items[query.rows], query.items) * shares

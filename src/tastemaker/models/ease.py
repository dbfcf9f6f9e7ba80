"""EASE: the best linear item-to-item model without a diagonal, in closed form."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.gram import default_regularization, popularity, regress_on_others
from tastemaker.nn.sparse import sum_rows
from tastemaker.settings import Settings


class Ease(Model):
    """Score = history · B, with B the minimiser of ‖X - XB‖² + λ‖B‖² subject to diag(B) = 0.

    Steck 2019, "Embarrassingly shallow autoencoders for sparse data": with P = (XᵀX + λI)⁻¹, B = -P / diag(P), column by column. The
    Gram matrix is inverted where it lies (by blocks), so one float32 matrix of num_items² is all the memory (6.7 GB for 41 thousand
    items) and time grows with its cube. Where users are fewer than items the users' Gram matrix is inverted instead, an exact
    identity that costs users³ and num_users² more memory.

    Known and unseen users alike are what their history says; its order does not matter. A user with nothing gets the popularity order
    (scores: the share of users that have the item).
    """

    class Config(Settings):
        """One number."""

        regularization: float | None = Field(
            default=None, gt=0, description="λ; by default it is chosen from the data, see `nn.gram.default_regularization`."
        )
        weighted: bool = Field(
            False, description="A cell is the sum of the kind weights of its events (in a query: their number) instead of 1."
        )

    solves = ("two_tastes",)
    config: Config
    weights: Tensor
    """float32 (num_items, num_items): B"""
    popularity: Tensor
    """float32 (num_items,): share of the training users that have the item"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.register_data_buffer("weights", ndim=2)
        self.register_buffer("popularity", torch.zeros(schema.num_items))

    def solve(self, interactions: Interactions) -> None:
        """Solves for B.

        Raises:
            TrainingError: the Gram matrix is not positive definite in float32.
        """
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=self.config.weighted)
        self.popularity = torch.from_numpy(popularity(cells))
        chosen = self.config.regularization
        regularization = default_regularization(cells) if chosen is None else chosen
        self.weights = torch.empty(0, 0)  # lets a former solution go before the next takes its memory
        self.weights = torch.from_numpy(regress_on_others(cells, regularization))

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        scores = sum_rows(self.weights, history)
        nothing = torch.from_numpy(np.diff(history.indptr) == 0).to(scores.device)
        scores[nothing] = self.popularity
        return scores if items is None else scores[:, items]

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        return self.weights[query.items, items[query.rows]] * query.shares(self.schema.num_items, repeats=self.config.weighted)

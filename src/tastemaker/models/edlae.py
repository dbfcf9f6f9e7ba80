"""EDLAE: EASE that is trained on histories with items missing, so that it does not learn to copy them."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.gram import default_regularization, denoising_penalty, popularity, regress_on_others
from tastemaker.nn.sparse import sum_rows
from tastemaker.settings import Settings


class Edlae(Model):
    """Score = history · B, with B the minimiser of ‖X - XB‖² + ‖Λ½B‖² subject to diag(B) = 0, Λ = λI + p / (1 - p) diag(XᵀX).

    Steck 2020, "Autoencoders that don't overfit towards the identity": the limit of endless draws in which each item of a history is
    left out with probability p and only what was left out is to be predicted (emphasis a = 1, b = 0), plus λ. Full rank and in closed form:
    with P = (XᵀX + Λ)⁻¹, B = -P / diag(P), column by column; at p = 0 it is EASE. Unlike λ, which is the same for all, the penalty of an item
    grows with its number of users. Memory and time are those of `ease`: one float32 matrix of num_items², items³ operations.

    Known and unseen users alike are what their history says; its order does not matter. A user with nothing gets the popularity order
    (scores: the share of users that have the item).
    """

    class Config(Settings):
        """Two numbers."""

        dropout: float = Field(default=0.5, ge=0, lt=1, description="p: share of a history that is left out in training.")
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
        config = self.config
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=config.weighted)
        self.popularity = torch.from_numpy(popularity(cells))
        regularization = default_regularization(cells) if config.regularization is None else config.regularization
        self.weights = torch.empty(0, 0)  # lets a former solution go before the next takes its memory
        # With columns divided by Λ½ the penalty is 1 for all, and B of the scaled problem is Λ½ B Λ^-½.
        root = np.sqrt(denoising_penalty(cells, regularization, config.dropout))
        cells.data /= root[cells.indices]
        weights = regress_on_others(cells, 1.0)
        weights /= root[:, None]
        weights *= root
        self.weights = torch.from_numpy(weights)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        scores = sum_rows(self.weights, history)
        nothing = torch.from_numpy(np.diff(history.indptr) == 0).to(scores.device)
        scores[nothing] = self.popularity
        return scores if items is None else scores[:, items]

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        return self.weights[query.items, items[query.rows]] * query.shares(self.schema.num_items, repeats=self.config.weighted)

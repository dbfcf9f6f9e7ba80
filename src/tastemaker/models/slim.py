"""SLIM: sparse linear models, in which few items with weights above zero speak for each item."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.columns import lasso, sparse_regression
from tastemaker.nn.gram import default_regularization
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings


class Slim(Model):
    """Score = history · W, with W the minimiser of ½‖X - XW‖² + β/2 ‖W‖² + α ‖W‖₁ subject to W ≥ 0 and diag(W) = 0.

    Ning & Karypis 2011, "SLIM: sparse linear methods for top-N recommender systems", eq. 3. As in the paper's fsSLIM only `neighbours`
    items may speak for an item; deviation: they are not its nearest by cosine but chosen in rounds by what they would still explain (see
    `nn.columns`), so that where fewer weights than `neighbours` differ from 0 the result is that of the whole problem.

    Known and unseen users alike are what their history says; its order does not matter. An item that nothing speaks for scores
    -1 / (1 + its number of users), so such items follow all others, the most popular first; a user with nothing gets the popularity
    order.
    """

    class Config(Settings):
        """The two penalties of the elastic net, and how many weights an item may have."""

        l1: float = Field(default=1.0, gt=0, description="α: larger keeps fewer weights.")
        regularization: float | None = Field(
            default=None, gt=0, description="β; by default it is chosen from the data, see `nn.gram.default_regularization`."
        )
        neighbours: int = Field(default=100, ge=1, description="Items that may speak for an item.")
        rounds: int = Field(default=2, ge=1, description="How often they are chosen: 1 takes those that alone explain it best.")
        weighted: bool = Field(
            False, description="A cell is the sum of the kind weights of its events (in a query: their number) instead of 1."
        )

    solves = ("two_tastes",)
    config: Config
    popularity: Tensor
    """float32 (num_items,): users a training item has"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.weights = SparseMatrix(schema.num_items, schema.num_items)
        """Row i: the weights of the items that speak for item i."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))

    def solve(self, interactions: Interactions) -> None:
        config = self.config
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=config.weighted)
        self.popularity = torch.from_numpy(np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float32))
        regularization = default_regularization(cells) if config.regularization is None else config.regularization
        self.weights.set(
            sparse_regression(
                cells,
                np.full(cells.shape[1], regularization, np.float32),
                partial(lasso, l1=config.l1),
                neighbours=config.neighbours,
                rounds=config.rounds,
                l1=config.l1,
                positive=True,
            )
        )

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        weights = self.weights.transposed if items is None else self.weights.csr[items.cpu().numpy()].T
        scores = torch.from_numpy((history @ weights).toarray()).to(self.popularity.device)
        popularity = self.popularity if items is None else self.popularity[items]
        return torch.where(scores > 0, scores, -1 / (1 + popularity))

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        shares = query.shares(self.schema.num_items, repeats=self.config.weighted)
        return self.weights.at(items[query.rows], query.items) * shares

"""Item k-NN: items are alike when the same people chose them; a user is shown what is like the things in their history."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.similarity import Similarity, Weighting, mean_length, nearest_rows, squared_norms, term_weights, weigh
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings


class ItemKnn(Model):
    """Score of item i = Σ of the similarity of i to j, over the history's items j that are among the k items most similar to i.

    Sarwar, Karypis, Konstan & Riedl 2001, "Item-based collaborative filtering recommendation algorithms"; Deshpande & Karypis 2004,
    "Item-based top-n recommendation algorithms" (`normalise` is its equation 3, over the neighbours of i); asymmetric cosine of
    Aiolli 2013. Deviation: neighbours are chosen for the item that is scored, not for the item in the history.

    Known and unseen users alike are what their history says; its order does not matter. An item that no neighbour speaks for scores
    -1 / (1 + its number of users), so such items follow all others, the most popular first; a user with nothing gets the popularity
    order.

    Behaviours of several kinds (views, carts, purchases) are one matrix, each kind at its weight when `weighted`. With `itself` what was
    done in another way can be recommended as such: where carts are known and purchases asked for, what lies in the cart.
    """

    class Config(Settings):
        """Similarities and weights are defined in `tastemaker.nn.similarity`; a row is an item, a term is a user."""

        neighbours: int = Field(default=200, ge=1, description="Neighbours kept for an item.")
        similarity: Similarity = Field("cosine", description="How alike two weighed rows are.")
        weighting: Weighting = Field("tfidf", description="How much an event counts in a similarity.")
        shrinkage: float = Field(
            default=100.0, ge=0, description="Lowers similarities that few people witness; in units of the denominator."
        )
        asymmetry: float = Field(
            default=0.2,
            ge=0,
            le=1,
            description="Cosine only: above ½ the popularity of the scored item counts against it more, below ½ less.",
        )
        normalise: bool = Field(
            False,
            description="Divide an item's similarities by their sum, so that items in dense neighbourhoods gain nothing from it.",
        )
        itself: bool = Field(
            False,
            description="An item speaks for itself too, as one in the cart does for its purchase, or one bought for buying it again.",
        )
        weighted: bool = Field(
            False, description="A cell is the sum of the kind weights of its events (in a query: their number) instead of 1."
        )

        @model_validator(mode="after")
        def _all_have_effect(self) -> Self:
            idle = {"cosine": set(), "jaccard": {"asymmetry"}, "dot": {"asymmetry", "shrinkage"}}[self.similarity]
            given = {key for key in idle & self.model_fields_set if getattr(self, key) != type(self).model_fields[key].default}
            if found := sorted(given):  # a saved config holds its defaults too
                raise ValueError(f"no {found[0]}: it has no effect on {self.similarity!r}")
            return self

    solves = ("two_tastes",)
    config: Config
    popularity: Tensor
    """float32 (num_items,): users a training item has"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.similar = SparseMatrix(schema.num_items, schema.num_items)
        """Row i: the neighbours of item i."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))

    def solve(self, interactions: Interactions) -> None:
        config = self.config
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=config.weighted)
        self.popularity = torch.from_numpy(np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float32))
        by_item = cells.T.tocsr()
        rows = weigh(by_item, term_weights(by_item, config.weighting), config.weighting, mean_length(by_item))
        similar = nearest_rows(
            rows,
            rows.T.tocsr(),
            squared_norms(rows),
            similarity=config.similarity,
            shrinkage=config.shrinkage,
            asymmetry=config.asymmetry,
            neighbours=config.neighbours,
            not_with=np.full(self.schema.num_items, -1) if config.itself else np.arange(self.schema.num_items),
        )
        if config.normalise:
            sums = np.asarray(similar.sum(axis=1), dtype=np.float32).ravel()
            similar.data /= np.repeat(sums, np.diff(similar.indptr))
        self.similar.set(similar)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        similar = self.similar.transposed if items is None else self.similar.csr[items.cpu().numpy()].T
        scores = torch.from_numpy((history @ similar).toarray()).to(self.popularity.device)
        popularity = self.popularity if items is None else self.popularity[items]
        return torch.where(scores > 0, scores, -1 / (1 + popularity))

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        shares = query.shares(self.schema.num_items, repeats=self.config.weighted)
        return self.similar.at(items[query.rows], query.items) * shares

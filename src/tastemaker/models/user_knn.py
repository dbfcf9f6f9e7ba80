"""User k-NN: a user is shown what the people most like them chose."""

from __future__ import annotations

from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Model, Query
from tastemaker.nn.similarity import Similarity, Weighting, mean_length, nearest_rows, squared_norms, term_weights, weigh
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings


class UserKnn(Model):
    """Score of item i = Σ of the similarity to v, over the k training users v most similar to the history, of those who have i.

    Resnick et al. 1994, "GroupLens", for choices instead of ratings: Σ over neighbours, not their mean, so that more voices count
    more. Asymmetric cosine of Aiolli 2013.

    A user is what their history says, known or not, and its order does not matter; the code of a known user only keeps them from
    being their own neighbour. An item that no neighbour has scores -1 / (1 + its number of users), so such items follow all others,
    the most popular first; a user with nothing gets the popularity order.
    """

    class Config(Settings):
        """Similarities and weights are defined in `tastemaker.nn.similarity`; a row is a user, a term is an item."""

        neighbours: int = Field(default=200, ge=1, description="Neighbours kept for a user.")
        similarity: Similarity = Field("cosine", description="How alike two weighed rows are.")
        weighting: Weighting = Field("tfidf", description="How much an event counts in a similarity.")
        shrinkage: float = Field(
            default=0.0, ge=0, description="Lowers similarities that few items witness; in units of the denominator."
        )
        asymmetry: float = Field(
            default=0.5,
            ge=0,
            le=1,
            description="Cosine only: below ½ the number of items of the neighbour counts against them more, above ½ less.",
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
    item_weights: Tensor
    """float32 (num_items,): the factor of the item in similarities"""
    mean_length: Tensor
    """float64 (): mean sum of a training user's cells"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.choices = SparseMatrix(schema.num_users, schema.num_items)
        """Row v: the training history of user v."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))
        self.register_buffer("item_weights", torch.zeros(schema.num_items))
        self.register_buffer("mean_length", torch.zeros((), dtype=torch.float64))
        self._weighed: tuple[sp.csr_matrix, np.ndarray] | None = None

    def solve(self, interactions: Interactions) -> None:
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=self.config.weighted)
        self.choices.set(cells)
        self.popularity = torch.from_numpy(np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float32))
        self.item_weights = torch.from_numpy(term_weights(cells, self.config.weighting))
        self.mean_length = torch.tensor(mean_length(cells), dtype=torch.float64)
        self.forget()

    def forget(self) -> None:
        self._weighed = None

    def neighbours(self, query: Query) -> sp.csr_matrix:
        """Sparse float32 (batch, num_users): the similarity of each user to their `neighbours` nearest training users."""
        users, norms = self._train_rows()
        codes = query.users.cpu().numpy()
        return nearest_rows(
            self._weigh(query.matrix(self.schema.num_items, repeats=self.config.weighted)),
            users,
            norms,
            similarity=self.config.similarity,
            shrinkage=self.config.shrinkage,
            asymmetry=self.config.asymmetry,
            neighbours=self.config.neighbours,
            not_with=np.where(codes >= FIRST, codes, -1),
        )

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        choices = self.choices.csr if items is None else self.choices.transposed[items.cpu().numpy()].T
        scores = torch.from_numpy((self.neighbours(query) @ choices).toarray()).to(self.popularity.device)
        popularity = self.popularity if items is None else self.popularity[items]
        return torch.where(scores > 0, scores, -1 / (1 + popularity))

    def _weigh(self, cells: sp.csr_matrix) -> sp.csr_matrix:
        return weigh(cells, self.item_weights.cpu().numpy(), self.config.weighting, float(self.mean_length))

    def _train_rows(self) -> tuple[sp.csr_matrix, np.ndarray]:
        """The weighed training users, transposed, and their squared norms; computed once a state."""
        if self._weighed is None:
            rows = self._weigh(self.choices.csr)
            self._weighed = (rows.T.tocsr(), squared_norms(rows))
        return self._weighed

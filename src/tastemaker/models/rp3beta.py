"""RP3beta: where a random walk of three steps ends, popular ends counting for less."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.similarity import nearest_rows
from tastemaker.nn.sparse import SparseMatrix, keep_best
from tastemaker.settings import Settings


class RP3Beta(Model):
    """Score of item i = Σ over the history's items j of Σ over users v: (1/d_j)^α (1/d_v)^α / d_i^β, of j's k best i.

    Paudel, Christoffel, Newell & Bernstein 2017, "Updatable, accurate, diverse, and scalable recommendations for interactive
    applications" (RP3β), with P3α's exponent on the transition probabilities (Cooper, Lee, Radzik & Siantos 2014): a walk user → item
    → user → item, its end divided by a power of the end's degree. Deviations: only the `neighbours` most probable ends of each item
    are kept, as in the implementations that papers compare with, and the walk does not return to the item it went through. With
    `normalize` the kept ends of an item then add up to 1, so that a history's items count alike; with `sources` an end is reached from
    its strongest items alone (both as Anelli et al. 2023, "Challenging the myth of graph collaborative filtering", ran it).

    Known and unseen users alike are what their history says; its order does not matter. An item that no walk reaches scores
    -1 / (1 + its number of users), so such items follow all others, the most popular first; a user with nothing gets the popularity
    order.
    """

    class Config(Settings):
        """Settings of `rp3beta`."""

        neighbours: int = Field(default=500, ge=1, description="Ends kept for an item.")
        alpha: float = Field(default=0.6, ge=0, description="Exponent of the transition probabilities: 1 is a random walk.")
        beta: float = Field(default=0.4, ge=0, description="Exponent of the degree of the item scored, which divides.")
        normalize: bool = Field(False, description="Whether the ends kept for an item are brought to a sum of 1.")
        sources: int | None = Field(
            None, ge=1, description="Items, the strongest, from which an end is reached, after `normalize`; unset: all."
        )
        weighted: bool = Field(
            False, description="A cell is the sum of the kind weights of its events (in a query: their number) instead of 1."
        )

    solves = ("two_tastes",)
    config: Config
    popularity: Tensor
    """float32 (num_items,): users a training item has"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.ends = SparseMatrix(schema.num_items, schema.num_items)
        """Row j: where walks through item j end."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))

    def solve(self, interactions: Interactions) -> None:
        config = self.config
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=config.weighted)
        self.popularity = torch.from_numpy(np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float32))
        right = _steps(cells, config.alpha)
        right.data *= (_sums(cells.T) ** -config.beta)[right.indices]
        ends = nearest_rows(
            _steps(cells.T.tocsr(), config.alpha),
            right,
            np.zeros(cells.shape[1], np.float32),
            similarity="dot",
            shrinkage=0.0,
            asymmetry=0.0,
            neighbours=config.neighbours,
            not_with=np.arange(cells.shape[1]),
        )
        if config.normalize:
            ends.data /= np.repeat(_sums(ends), np.diff(ends.indptr))
        if config.sources is not None:
            ends = keep_best(ends.T.tocsr(), config.sources).T.tocsr()
        self.ends.set(ends)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        ends = self.ends.csr if items is None else self.ends.transposed[items.cpu().numpy()].T
        scores = torch.from_numpy((history @ ends).toarray()).to(self.popularity.device)
        popularity = self.popularity if items is None else self.popularity[items]
        return torch.where(scores > 0, scores, -1 / (1 + popularity))

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        # Copies, since scipy looks cells up only by arrays that own their memory.
        scored, done = items[query.rows].cpu().numpy().copy(), query.items.cpu().numpy().copy()
        reached = np.asarray(self.ends.csr[done, scored], dtype=np.float32).ravel()
        shares = query.shares(self.schema.num_items, repeats=self.config.weighted)
        return torch.from_numpy(reached).to(shares.device) * shares


def _sums(matrix: sp.spmatrix) -> np.ndarray:
    """float32 (rows,): the sum of each row; 1 where it is empty."""
    sums = np.asarray(matrix.sum(axis=1), dtype=np.float32).ravel()
    return np.where(sums > 0, sums, np.float32(1.0))


def _steps(matrix: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    """The probabilities of a step from each row to its columns, to the power alpha."""
    data = (matrix.data / np.repeat(_sums(matrix), np.diff(matrix.indptr))) ** np.float32(alpha)
    return sp.csr_matrix((data.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)

"""ALS: matrix factorisation of implicit feedback by alternating least squares; unseen users are folded in."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import Field
from threadpoolctl import threadpool_limits
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.ridges import ridges
from tastemaker.settings import Settings


class Als(RetrievalModel):
    """Minimises Σ c(u,i) (p(u,i) - x_u·y_i)² + Σ λ_u ‖x_u‖² + Σ λ_i ‖y_i‖² over all cells, in turns for users and items.

    Hu, Koren & Volinsky 2008, "Collaborative filtering for implicit feedback datasets": p = 1 and c = α·cell where something was done,
    p = 0 and c = 1 elsewhere (the paper's 1 + α·r with another zero). What matters is capacity and regularization, which grows with how
    much a row has to explain (Rendle, Krichene, Zhang & Koren 2021, "Revisiting the performance of iALS on item recommendation
    benchmarks", frequency-scaled regularization): λ_u = λ (C_u / mean C)^ν, C_u = Σ_i c(u,i), ν = `frequency_scaling`, and so for items.
    Deviations: α = (1 + α₀) / α₀ of that paper's α₀, whose other target of a positive cell changes the lengths of vectors alone; and
    λ is that of a mean row, so that it means about the same whatever ν.

    ν = 0 is plain ridge, by three steps of conjugate gradients a row from the `implicit` library; otherwise every row is solved
    exactly, at d² a cell and d³ a row, from normal first vectors of length .1.

    Every user, known or not, is what their history says: the vector is the exact solution of the user's ridge regression given the item
    vectors, which for a training user is one more half step. Order does not matter. A user with nothing gets the mean training user.
    """

    class Config(Settings):
        """Settings of the factorisation."""

        factors: int = Field(default=128, ge=1, description="Length of a vector.")
        regularization: float = Field(default=10.0, ge=0, description="λ, shrinks vectors.")
        alpha: float = Field(default=20.0, ge=1, description="α, the confidence of a cell of 1, where nothing done has 1.")
        frequency_scaling: float = Field(
            default=0.0, ge=0, le=1, description="ν: λ of a row grows with this power of the confidence of all its cells."
        )
        iterations: int = Field(default=15, ge=1, description="Each solves all users, then all items.")
        seed: int = Field(0, ge=0, description="Of the first vectors.")
        weighted: bool = Field(
            False, description="A cell is the sum of the kind weights of its events (in a query: their number) instead of 1."
        )

    solves = ("two_tastes",)
    config: Config
    item_vectors: Tensor
    """float32 (num_items, factors)"""
    gram: Tensor
    """float32 (factors, factors): Σ y yᵀ + λI"""
    mean_user: Tensor
    """float32 (factors,)"""
    mean_confidence: Tensor
    """float32 (): mean C_u of the training users; where ν is not 0"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.register_buffer("item_vectors", torch.zeros(schema.num_items, config.factors))
        self.register_buffer("gram", torch.eye(config.factors))
        self.register_buffer("mean_user", torch.zeros(config.factors))
        if config.frequency_scaling:
            self.register_buffer("mean_confidence", torch.ones(()))

    def solve(self, interactions: Interactions) -> None:
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=self.config.weighted)
        users, items = self._exact(cells) if self.config.frequency_scaling else self._by_library(cells)
        self.item_vectors, self.gram = items, self._gram(items)
        trained = users.numpy()[np.diff(cells.indptr) > 0]
        self.mean_user = torch.from_numpy(trained.mean(axis=0, dtype=np.float64).astype(np.float32))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return self.item_vectors if codes is None else self.item_vectors[codes]

    def encode_user(self, query: Query) -> Tensor:
        confidence = self._confidence(query)
        users = ridges(confidence, self.item_vectors, self.gram, self._more(confidence))
        nothing = torch.from_numpy(np.diff(confidence.indptr) == 0).to(users.device)
        return torch.where(nothing[:, None], self.mean_user, users)

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        """Hu et al. 2008, §5: event j adds y_iᵀ (Σ c y yᵀ + λI)⁻¹ c_j y_j."""
        confidence = self._confidence(query)
        reach = ridges(confidence, self.item_vectors, self.gram, self._more(confidence), right=self.encode_item(items))
        shares = self.config.alpha * query.shares(self.schema.num_items, repeats=self.config.weighted)
        return shares * (reach[query.rows] * self.item_vectors[query.items]).sum(1)

    def _by_library(self, cells: sp.csr_matrix) -> tuple[Tensor, Tensor]:
        config = self.config
        # The library brings its own threads; BLAS threads below them would only fight (it warns of that).
        with threadpool_limits(1, "blas"):
            library = AlternatingLeastSquares(
                config.factors,
                config.regularization,
                config.alpha,
                iterations=config.iterations,
                random_state=config.seed,
                num_threads=torch.get_num_threads(),
            )
            library.fit(cells, show_progress=False)
        users, items = (np.ascontiguousarray(one, np.float32) for one in (library.user_factors, library.item_factors))
        return torch.from_numpy(users), torch.from_numpy(items)

    def _exact(self, cells: sp.csr_matrix) -> tuple[Tensor, Tensor]:
        config, generator = self.config, torch.Generator().manual_seed(self.config.seed)
        by_user = config.alpha * cells
        by_item = by_user.T.tocsr()
        more, means = [], []
        for side in (by_user, by_item):
            sums = _sums(side)
            means.append(sums[np.diff(side.indptr) > 0].mean())
            more.append(self._scaled(sums, means[-1]))
        self.mean_confidence = torch.tensor(means[0], dtype=torch.float32)
        users = torch.zeros(cells.shape[0], config.factors)
        items = torch.randn(cells.shape[1], config.factors, generator=generator) * (0.1 / config.factors**0.5)
        items[torch.from_numpy(np.diff(by_item.indptr) == 0)] = 0  # as every half step leaves them
        for _ in range(config.iterations):
            users = ridges(by_user, items, self._gram(items), more[0])
            items = ridges(by_item, users, self._gram(users), more[1])
        return users, items

    def _gram(self, vectors: Tensor) -> Tensor:
        exact = vectors.double()
        return (exact.T @ exact + self.config.regularization * torch.eye(self.config.factors)).float()

    def _confidence(self, query: Query) -> sp.csr_matrix:
        return self.config.alpha * query.matrix(self.schema.num_items, repeats=self.config.weighted)

    def _more(self, confidence: sp.csr_matrix) -> Tensor | None:
        """λ_u - λ of each row of a query, float32 (batch,); None where all are 0."""
        if not self.config.frequency_scaling:
            return None
        return self._scaled(_sums(confidence), float(self.mean_confidence)).to(self.gram.device)

    def _scaled(self, sums: np.ndarray, mean: float) -> Tensor:
        more = self.config.regularization * ((sums / mean) ** self.config.frequency_scaling - 1)
        return torch.from_numpy(more.astype(np.float32))


def _sums(confidence: sp.csr_matrix) -> np.ndarray:
    """C of each row, float64: the confidence of its cells, and 1 for each other cell of a real column."""
    cells, columns = np.diff(confidence.indptr), confidence.shape[1] - FIRST
    return np.asarray(confidence.sum(axis=1), np.float64).ravel() + (columns - cells)

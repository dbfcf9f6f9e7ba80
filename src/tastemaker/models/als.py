"""ALS: matrix factorisation of implicit feedback by alternating least squares; unseen users are folded in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import Field
from threadpoolctl import threadpool_limits
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.settings import Settings

_BLOCK = 1 << 25  # float32 numbers of a block of per-user systems


class Als(RetrievalModel):
    """Minimises Σ c(u,i) (p(u,i) - x_u·y_i)² + λ (Σ ‖x_u‖² + Σ ‖y_i‖²) over all cells, in turns for users and items.

    Hu, Koren & Volinsky 2008, "Collaborative filtering for implicit feedback datasets": p = 1 and c = α·cell where something was done,
    p = 0 and c = 1 elsewhere (the paper's 1 + α·r with another zero). Solved by the `implicit` library. What matters is capacity and
    regularization (Rendle et al. 2021, "Revisiting the performance of iALS").

    Every user, known or not, is what their history says: the vector is the exact solution of the user's ridge regression given the item
    vectors, which for a training user is one more half step. Order does not matter. A user with nothing gets the mean training user.
    """

    class Config(Settings):
        """Settings of the factorisation."""

        factors: int = Field(default=128, ge=1, description="Length of a vector.")
        regularization: float = Field(default=10.0, ge=0, description="λ, shrinks vectors.")
        alpha: float = Field(default=20.0, ge=1, description="α, the confidence of a cell of 1, where nothing done has 1.")
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

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.register_buffer("item_vectors", torch.zeros(schema.num_items, config.factors))
        self.register_buffer("gram", torch.eye(config.factors))
        self.register_buffer("mean_user", torch.zeros(config.factors))

    def solve(self, interactions: Interactions) -> None:
        config = self.config
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items, weighted=config.weighted)
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
        self.item_vectors = torch.from_numpy(np.ascontiguousarray(library.item_factors, dtype=np.float32))
        gram = self.item_vectors.double().T @ self.item_vectors.double()
        self.gram = (gram + config.regularization * torch.eye(config.factors)).float()
        trained = library.user_factors[np.diff(cells.indptr) > 0]
        self.mean_user = torch.from_numpy(trained.mean(axis=0, dtype=np.float64).astype(np.float32))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return self.item_vectors if codes is None else self.item_vectors[codes]

    def encode_user(self, query: Query) -> Tensor:
        users = self.mean_user.repeat(len(query), 1)
        for rows, items, confidence in self._blocks(query):
            systems, vectors = self._systems(items, confidence)
            right = (confidence[:, :, None] * vectors).sum(1)
            users[rows] = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(systems))[:, :, 0]
        return users

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        """Hu et al. 2008, §5: event j adds y_iᵀ (Σ c y yᵀ + λI)⁻¹ c_j y_j."""
        reach = self.encode_item(items)
        for rows, history, confidence in self._blocks(query):
            systems, _ = self._systems(history, confidence)
            reach[rows] = torch.cholesky_solve(reach[rows][:, :, None], torch.linalg.cholesky(systems))[:, :, 0]
        confidence = self.config.alpha * query.shares(self.schema.num_items, repeats=self.config.weighted)
        return confidence * (reach[query.rows] * self.item_vectors[query.items]).sum(1)

    def _systems(self, items: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """The left sides Σ (c - 1) y yᵀ + gram, (rows, d, d), and the item vectors (rows, length, d)."""
        vectors = self.item_vectors[items]
        extra = torch.where(confidence > 0, confidence - 1, 0)
        return torch.baddbmm(self.gram, (extra[:, :, None] * vectors).mT, vectors), vectors

    def _blocks(self, query: Query) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The users that have a history, in blocks of like length: (rows,), items (rows, length), confidences (rows, length)."""
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        lengths = np.diff(history.indptr)
        order = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
        ascending, factors, device = lengths[order], self.config.factors, self.item_vectors.device
        start = 0
        while start < len(order):
            alike = int(np.searchsorted(ascending, 2 * ascending[start] + 8, side="right"))
            end = min(alike, start + max(_BLOCK // (factors * (factors + 2 * int(ascending[start]))), 1))
            rows, place = order[start:end], np.arange(ascending[end - 1])
            held = place < ascending[start:end, None]
            cells = np.where(held, history.indptr[rows, None] + place, 0)
            confidence = np.where(held, self.config.alpha * history.data[cells], 0).astype(np.float32)
            yield (
                torch.from_numpy(rows).to(device),
                torch.from_numpy(history.indices[cells].astype(np.int64)).to(device),
                torch.from_numpy(confidence).to(device),
            )
            start = end

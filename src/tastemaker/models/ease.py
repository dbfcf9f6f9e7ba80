"""EASE: the best linear item-to-item model without a diagonal, in closed form."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import embedding_bag

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import TrainingError
from tastemaker.models.base import Model, Query
from tastemaker.settings import Settings

_BLOCK = 1024  # rows handled at a time, so that nothing but the matrix itself is large


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
            default=None, gt=0, description="λ; by default it is chosen from the data, see `default_regularization`."
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
        cells = cells[np.diff(cells.indptr) > 0]
        users, items = cells.shape
        share = np.bincount(cells.indices, minlength=items) / max(users, 1)
        self.popularity = torch.from_numpy(share.astype(np.float32))
        chosen = self.config.regularization
        regularization = default_regularization(cells) if chosen is None else chosen
        self.weights = torch.empty(0, 0)  # lets a former solution go before the next takes its memory
        # The detour over users subtracts from 1, so it is for data where what is left stays far above float32's rounding.
        largest = float(np.bincount(cells.indices, weights=cells.data**2, minlength=items).max(initial=0))
        few_users = users < 0.8 * items and largest < 1e4 * regularization
        inverse = (_inverse_by_users if few_users else _inverse_by_items)(cells, regularization)
        inverse *= -1 / np.diagonal(inverse)
        inverse[np.diag_indices(items)] = 0
        self.weights = torch.from_numpy(inverse)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items, repeats=self.config.weighted)
        device = self.weights.device
        scores = embedding_bag(
            torch.from_numpy(history.indices.astype(np.int64)).to(device),
            self.weights,
            torch.from_numpy(history.indptr.astype(np.int64)).to(device),
            mode="sum",
            per_sample_weights=torch.from_numpy(history.data).to(device),
            include_last_offset=True,
        )
        nothing = torch.from_numpy(np.diff(history.indptr) == 0).to(device)
        scores[nothing] = self.popularity
        return scores if items is None else scores[:, items]

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        return self.weights[query.items, items[query.rows]] * query.shares(self.schema.num_items, repeats=self.config.weighted)


def default_regularization(cells: sp.csr_matrix) -> float:
    """λ when none is set: (20 + 2 √(n w)) × the mean squared cell, n the cells of a mean user, w those of a mean cell's item.

    A rule of thumb of ours, not from the paper: on six data sets (7 to 149 cells a user) it is within about a factor of 2 of the λ that
    was best on held-out cells, where both Recall@20 and NDCG@20 are within 2 % of their best.
    """
    counts = np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float64)
    users = max(int(np.count_nonzero(np.diff(cells.indptr))), 1)
    strength = float(np.mean(cells.data**2)) if cells.nnz else 1.0
    return strength * float(20 + 2 * np.sqrt((counts @ counts) / users))


def _inverse_by_items(cells: sp.csr_matrix, regularization: float) -> np.ndarray:
    """(XᵀX + λI)⁻¹, float32 (items, items), with no second matrix of that size."""
    by_item = cells.T.tocsr()
    gram = np.empty((cells.shape[1],) * 2, np.float32)
    for start in range(0, len(gram), _BLOCK):
        (by_item[start : start + _BLOCK] @ cells).toarray(out=gram[start : start + _BLOCK])
    gram[np.diag_indices(len(gram))] += regularization
    _invert(gram, regularization)
    return gram


def _inverse_by_users(cells: sp.csr_matrix, regularization: float) -> np.ndarray:
    """λ (XᵀX + λI)⁻¹ = I - Xᵀ (XXᵀ + λI)⁻¹ X (Woodbury): the matrix to invert is (users, users)."""
    by_item = cells.T.tocsr()
    inner = _inverse_by_items(by_item, regularization)
    inverse = np.empty((cells.shape[1],) * 2, np.float32)
    for start in range(0, len(inverse), _BLOCK):
        rows = by_item[start : start + _BLOCK] @ inner
        inverse[start : start + _BLOCK] = -(by_item @ np.ascontiguousarray(rows.T)).T
    inverse[np.diag_indices(len(inverse))] += 1
    return inverse


def _invert(matrix: np.ndarray, regularization: float) -> None:
    """Inverts a symmetric positive definite float32 matrix where it lies.

    The sweep operator (Goodnight 1979) by blocks, on the lower triangle: n³ operations, all but a few in large matrix products.
    LAPACK's potrf and potri would do as much, but OpenBLAS's threaded ones crash at some tens of thousands of rows.
    """
    whole = torch.from_numpy(matrix)
    size = len(whole)
    starts = range(0, size, _BLOCK)
    for start in starts:
        end = min(start + _BLOCK, size)
        factor, failed = torch.linalg.cholesky_ex(whole[start:end, start:end].double().tril())
        if failed:
            raise TrainingError(
                "a Gram matrix that is not positive definite in float32",
                expected="a larger regularization",
                hint=f"raise model.regularization above {regularization:g}",
            )
        pivot = torch.cholesky_inverse(factor).float()
        panel = torch.cat([whole[start:end, :start].T, whole[start:, start:end]])
        panel[start:end] = 0
        solved = panel @ pivot
        for top in starts:
            bottom = min(top + _BLOCK, size)
            whole[top:bottom, :bottom].addmm_(solved[top:bottom], panel[:bottom].T, alpha=-1)
        whole[start:end, :start] = solved[:start].T
        whole[end:, start:end] = solved[end:]
        whole[start:end, start:end] = -pivot
    for top in starts:
        bottom = top + _BLOCK
        corner = whole[top:bottom, top:bottom].tril().neg_()
        whole[top:bottom, top:bottom] = corner + corner.tril(-1).T
        whole[bottom:, top:bottom].neg_()
        whole[top:bottom, bottom:] = whole[bottom:, top:bottom].T

"""Users and items as the two sides of a graph: normalised products over its edges, with gradients, and a low-pass filter on it.

With R the matrix of who chose what, d_u and d_i the degrees of users and items,

    R̃ = D_u^-½ R D_i^-½        P = R̃ᵀ R̃ (items × items, eigenvalues 0…1)

One step over the graph gives users R̃ · (item vectors) and items R̃ᵀ · (user vectors). A product reads each edge once in every
direction: `embedding_bag`'s kernels are three times faster at it than compressed-row products, and a row is one sum, so that any number
of threads gives the same bits.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from tastemaker.nn.sparse import SparseMatrix

Rows = tuple[Tensor, Tensor, Tensor]
"""Columns, offsets and values of a matrix in compressed rows."""


class BipartiteGraph(SparseMatrix):
    """R̃ of the table above, float32 (users, items)."""

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__(num_users, num_items)
        self._sides: tuple[Rows, Rows] | None = None

    def connect(self, cells: sp.csr_matrix) -> None:
        """Takes who chose what, a non-negative cell an edge; its strength counts in products and degrees."""
        cells = sp.csr_matrix(cells, dtype=np.float32, copy=True)
        users, items = (np.asarray(cells.sum(axis=axis), dtype=np.float64).ravel() for axis in (1, 0))
        edges = np.repeat(users, np.diff(cells.indptr)) * items[cells.indices]
        cells.data = (cells.data / np.sqrt(edges)).astype(np.float32)
        self.set(cells)

    def forget(self) -> None:
        super().forget()
        self._sides = None

    def to_users(self, items: Tensor) -> Tensor:
        """R̃ x: float32 (num_items, dim) → (num_users, dim), with gradients."""
        by_user, by_item = self._rows()
        product: Tensor = _Product.apply(items, by_user, by_item)
        return product

    def to_items(self, users: Tensor) -> Tensor:
        """R̃ᵀ x: float32 (num_users, dim) → (num_items, dim), with gradients."""
        by_user, by_item = self._rows()
        product: Tensor = _Product.apply(users, by_item, by_user)
        return product

    def to_strangers(self, items: Tensor, history: sp.csr_matrix) -> tuple[Tensor, Tensor]:
        """What `to_users` would give users of such histories, were they in the graph and the items' degrees as they are.

        `items` is float32 (num_items, dim), `history` has a 0/1 row a user; returns float32 (rows, dim), and for each row how many of its
        items have an edge, float32 (rows,): the others say nothing.
        """
        degrees = self.item_degrees()
        edges = torch.from_numpy(history @ (degrees > 0).float().cpu().numpy()).to(items.device)
        sent = gathered(items * (degrees.clamp_min(1.0).rsqrt() * (degrees > 0)).unsqueeze(1), history)
        return sent / edges.clamp_min(1.0).sqrt().unsqueeze(1), edges

    def smooth(self, items: Tensor) -> Tensor:
        """P x: float32 (num_items, dim) → (num_items, dim)."""
        return self.to_items(self.to_users(items))

    def known_users(self) -> Tensor:
        """Who has an edge: bool (num_users,)."""
        return self.offsets.diff() > 0

    def item_degrees(self) -> Tensor:
        """float32 (num_items,): edges of each item."""
        return self._rows()[1][1].diff().float()

    def known_items(self) -> Tensor:
        """What has an edge: bool (num_items,)."""
        return self.item_degrees() > 0

    def _rows(self) -> tuple[Rows, Rows]:
        if self._sides is None:
            by_item = self.csr.T.tocsr()
            device, index = self.values.device, torch.int32 if len(self.values) < 2**31 else torch.int64
            self._sides = (
                (self.columns.to(index), self.offsets.to(index), self.values),
                (
                    torch.from_numpy(by_item.indices).to(device, index),
                    torch.from_numpy(by_item.indptr).to(device, index),
                    torch.from_numpy(by_item.data).to(device),
                ),
            )
        return self._sides


def gathered(table: Tensor, history: sp.csr_matrix) -> Tensor:
    """What rows that are not in the graph get from their columns, history · table: (columns, dim) → float32 (rows, dim)."""
    device = table.device
    return _times(
        (
            torch.from_numpy(history.indices.astype(np.int64)).to(device),
            torch.from_numpy(history.indptr.astype(np.int64)).to(device),
            torch.from_numpy(history.data).to(device),
        ),
        table,
    )


def _times(rows: Rows, table: Tensor) -> Tensor:
    columns, offsets, values = rows
    return F.embedding_bag(columns, table, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)


class _Product(torch.autograd.Function):
    """A matrix in compressed rows times a dense one; the gradient is the product with the transpose, which is at hand as well."""

    @staticmethod
    def forward(ctx, table, rows, transposed):  # type: ignore[no-untyped-def]
        ctx.transposed = transposed
        return _times(rows, table.contiguous())

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return _times(ctx.transposed, gradient.contiguous()), None, None


@torch.no_grad()
def leading_vectors(graph: BipartiteGraph, count: int, *, rounds: int = 12, spare: int = 32, seed: int = 0) -> Tensor:
    """The right singular vectors of R̃ with the largest singular values, float32 (num_items, at most `count`), largest first.

    Randomised subspace iteration (Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithm 4.4) with `spare`
    vectors more than are asked for and a Rayleigh-Ritz step at the end. Vectors of singular values below .001, which are
    rounding or arbitrary, are left out.
    """
    draw = torch.Generator().manual_seed(seed)
    users, items = graph.shape
    width = min(count + spare, users, items)
    basis = torch.randn(items, width, generator=draw).to(graph.values.device)
    for _ in range(rounds):
        basis = torch.linalg.qr(graph.smooth(basis))[0]
    mapped = graph.to_users(basis)
    squares, turn = torch.linalg.eigh((mapped.T @ mapped).double())
    squares, turn = squares.flip(0)[:count], turn.flip(1)[:, :count]
    return (basis @ turn[:, squares > 1e-6].float()).contiguous()

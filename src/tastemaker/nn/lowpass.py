"""Filters on the graph of users and items, for models that score a history without having been trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tastemaker.nn.graph import BipartiteGraph, leading_vectors
from tastemaker.nn.sparse import SizedByData

_BLOCK = 128  # histories filtered at a time: a column of all items each, which should stay in cache


class LowPass(SizedByData):
    """The graph R̃, its leading right singular vectors V, and filters on columns (num_items, n): a history each."""

    vectors: Tensor
    """float32 (num_items, factors): V"""
    degrees: Tensor
    """float32 (num_items,): users an item has, 1 for none"""
    popularity: Tensor
    """float32 (num_items,): share of the users that have the item"""

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.graph = BipartiteGraph(num_users, num_items)
        self.register_data_buffer("vectors", ndim=2)
        self.register_buffer("degrees", torch.ones(num_items))
        self.register_buffer("popularity", torch.zeros(num_items))

    def fit(self, cells: sp.csr_matrix, factors: int) -> None:
        """Sets the filter from who chose what, and as many singular vectors as asked for, if there are so many."""
        self.graph.connect(cells)
        counts = np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float32)
        users = max(1, int(self.graph.known_users().sum()))
        self.degrees = torch.from_numpy(np.maximum(counts, 1.0))
        self.popularity = torch.from_numpy(counts / np.float32(users))
        self.vectors = leading_vectors(self.graph, factors)

    def ideal(self, columns: Tensor) -> Tensor:
        """The ideal low-pass filter, h D^-½ V Vᵀ D^½ for each column h."""
        root = self.degrees.sqrt().unsqueeze(1)
        return root * (self.vectors @ (self.vectors.T @ (columns / root)))

    def ideal_back(self, columns: Tensor) -> Tensor:
        """Its transpose, D^-½ V Vᵀ D^½ h for each column h: what each item of a history brings to one that is scored."""
        root = self.degrees.sqrt().unsqueeze(1)
        return (self.vectors @ (self.vectors.T @ (columns * root))) / root

    @torch.no_grad()
    def scores(self, history: sp.csr_matrix, passed: Callable[[Tensor], Tensor]) -> Tensor:
        """float32 (rows, num_items): `passed` of each row of `history` as a column; popularity where the row is empty."""
        device = self.degrees.device
        out = torch.empty(history.shape, device=device)
        for start in range(0, history.shape[0], _BLOCK):
            block = history[start : start + _BLOCK]
            columns = torch.from_numpy(np.ascontiguousarray(block.toarray().T)).to(device)
            out[start : start + _BLOCK] = passed(columns).T
        out[torch.from_numpy(np.diff(history.indptr) == 0).to(device)] = self.popularity
        return out

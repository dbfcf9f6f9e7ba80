"""Sparse matrices and other state whose size only the data knows, kept in buffers so that a `state_dict` holds all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag


class SizedByData(nn.Module):
    """A module with buffers that are empty until the data sizes them, by `solve` or by loading a saved state."""

    def __init__(self) -> None:
        super().__init__()
        self._sized_by_data: list[str] = []

    def register_data_buffer(self, name: str, dtype: torch.dtype = torch.float32, *, ndim: int = 1) -> None:
        """Registers an empty buffer; `load_state_dict` gives it the shape of what is loaded. All other shapes stay checked."""
        self.register_buffer(name, torch.empty((0,) * ndim, dtype=dtype))
        self._sized_by_data.append(name)

    def forget(self) -> None:
        """Drops what was computed from the buffers and kept for speed; called whenever a state is loaded or the module is moved."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self.forget()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in self._sized_by_data:
            buffer, given = self.get_buffer(name), state_dict.get(prefix + name)
            if given is not None and given.ndim == buffer.ndim and given.shape != buffer.shape:
                setattr(self, name, buffer.new_empty(given.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.forget()


class SparseMatrix(SizedByData):
    """A float32 matrix in compressed sparse rows, three buffers: row r is `values[offsets[r]:offsets[r + 1]]` at `columns`.

    Products run in scipy, on the CPU. Columns ascend within a row.
    """

    offsets: Tensor
    """int64 (rows + 1,)"""
    columns: Tensor
    """int32 (cells,)"""
    values: Tensor
    """float32 (cells,)"""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.shape = (rows, columns)
        self.register_buffer("offsets", torch.zeros(rows + 1, dtype=torch.int64))
        self.register_data_buffer("columns", torch.int32)
        self.register_data_buffer("values")
        self._transposed: sp.csr_matrix | None = None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        # scipy's kernels trust these numbers: a wrong one reads or writes memory that is not the matrix's
        cells, errors = len(self.columns), args[-1]
        if (
            len(self.values) != cells
            or int(self.offsets[0]) != 0
            or int(self.offsets[-1]) != cells
            or (self.offsets.diff() < 0).any()
        ):
            errors.append(f"{prefix}offsets do not divide {cells} columns and {len(self.values)} values into rows")
        elif cells and not 0 <= int(self.columns.min()) <= int(self.columns.max()) < self.shape[1]:
            errors.append(f"{prefix}columns are outside 0…{self.shape[1] - 1}")

    def set(self, matrix: sp.spmatrix) -> None:
        """Takes the cells of a scipy matrix of the same shape."""
        cells = sp.csr_matrix(matrix, dtype=np.float32, copy=True)
        if cells.shape != self.shape:
            raise ValueError(f"a matrix of {cells.shape}; expected {self.shape}")
        cells.sum_duplicates()
        self.offsets = torch.from_numpy(cells.indptr.astype(np.int64))
        self.columns = torch.from_numpy(cells.indices.astype(np.int32, copy=False))
        self.values = torch.from_numpy(cells.data)
        self.forget()

    def forget(self) -> None:
        self._transposed = None

    @property
    def csr(self) -> sp.csr_matrix:
        """The matrix as scipy's, without copying the cells; not to be written to."""
        parts = (self.values.cpu().numpy(), self.columns.cpu().numpy(), self.offsets.cpu().numpy())
        matrix = sp.csr_matrix(parts, shape=self.shape, copy=False)
        matrix.has_canonical_format = True
        return matrix

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """float32 (n,): the cells at rows and columns, int64 (n,), 0 where there is none; on the device of the rows."""
        # Copies, since scipy looks cells up only by arrays that own their memory.
        found = self.csr[rows.cpu().numpy().copy(), columns.cpu().numpy().copy()]
        return torch.from_numpy(np.asarray(found, dtype=np.float32).ravel()).to(rows.device)

    @property
    def transposed(self) -> sp.csr_matrix:
        """The transpose in compressed rows, computed once."""
        if self._transposed is None:
            self._transposed = self.csr.T.tocsr()
        return self._transposed


def sum_rows(table: Tensor, cells: sp.csr_matrix) -> Tensor:
    """The product cells · table, float32 (rows of cells, n), on the device of the dense float32 table (columns of cells, n)."""
    device = table.device
    return embedding_bag(
        torch.from_numpy(cells.indices.astype(np.int64)).to(device),
        table,
        torch.from_numpy(cells.indptr.astype(np.int64)).to(device),
        mode="sum",
        per_sample_weights=torch.from_numpy(cells.data).to(device),
        include_last_offset=True,
    )


def keep_best(matrix: sp.csr_matrix, count: int) -> sp.csr_matrix:
    """The `count` largest cells of each row; ties to the lower column. Values must not be negative."""
    matrix.sort_indices()
    lengths = np.diff(matrix.indptr)
    if not len(lengths) or lengths.max(initial=0) <= count:
        return matrix
    # One stable sort of (row, value descending): the bits of non-negative floats order as integers, columns ascend already.
    rows = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    falling = np.uint64(0xFFFFFFFF) - matrix.data.astype(np.float32, copy=False).view(np.uint32).astype(np.uint64)
    order = np.argsort((rows << np.uint64(32)) | falling, kind="stable")
    place = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], lengths)
    kept = np.sort(order[place < count])
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, count))])
    return sp.csr_matrix((matrix.data[kept], matrix.indices[kept], offsets), shape=matrix.shape)

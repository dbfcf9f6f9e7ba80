from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.nn.sparse import SizedByData, SparseMatrix, keep_best


def random_matrix(seed: int, rows: int, columns: int, levels: int = 4) -> sp.csr_matrix:
    """Few levels, so that rows are full of ties."""
    rng = np.random.default_rng(seed)
    return sp.csr_matrix(
        np.where(rng.random((rows, columns)) < 0.5, rng.integers(1, levels + 1, (rows, columns)), 0), dtype=np.float32
    )


@given(st.integers(0, 1000), st.integers(0, 6), st.integers(1, 9), st.integers(1, 10))
def test_keep_best_keeps_what_a_sort_of_each_row_would(seed: int, rows: int, columns: int, count: int) -> None:
    matrix = random_matrix(seed, rows, columns)
    kept = keep_best(matrix.copy(), count).toarray()
    dense = matrix.toarray()
    for r in range(rows):
        order = np.argsort(-dense[r], kind="stable")[:count]
        expected = np.zeros(columns, np.float32)
        expected[order] = dense[r, order]
        np.testing.assert_array_equal(kept[r], expected)


def test_keep_best_sorts_columns_before_it_breaks_ties() -> None:
    unsorted = sp.csr_matrix((np.ones(3, np.float32), np.array([4, 1, 3]), np.array([0, 3])), shape=(1, 5))
    assert keep_best(unsorted, 2).indices.tolist() == [1, 3]


def test_a_sparse_matrix_gives_back_what_it_was_given() -> None:
    given_, held = random_matrix(0, 5, 7), SparseMatrix(5, 7)
    assert held.csr.nnz == 0
    held.set(given_)
    assert (held.csr != given_).nnz == 0
    assert (held.transposed != given_.T.tocsr()).nnz == 0


def test_the_transpose_follows_the_state() -> None:
    first, second, held = random_matrix(0, 5, 7), random_matrix(1, 5, 7), SparseMatrix(5, 7)
    other = SparseMatrix(5, 7)
    held.set(first)
    other.set(second)
    assert (held.transposed != first.T.tocsr()).nnz == 0
    held.load_state_dict(other.state_dict())
    assert (held.transposed != second.T.tocsr()).nnz == 0


def test_a_state_of_the_same_size_refreshes_the_transpose_too() -> None:
    first = random_matrix(0, 5, 7)
    held, other = SparseMatrix(5, 7), SparseMatrix(5, 7)
    held.set(first)
    other.set(first * 2)
    assert held.transposed.sum() == first.sum()
    held.load_state_dict(other.state_dict())
    assert held.transposed.sum() == 2 * first.sum()


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        SparseMatrix(5, 7).set(random_matrix(0, 7, 5))
    wide = SparseMatrix(6, 7)
    with pytest.raises(RuntimeError, match="offsets"):
        SparseMatrix(5, 7).load_state_dict(wide.state_dict())


@pytest.mark.parametrize(
    ("name", "place", "wrong"),
    [("columns", 3, 7), ("columns", 0, -1), ("offsets", 2, 10**9), ("offsets", -1, 5), ("offsets", 0, 1)],
)
def test_a_state_that_is_no_sparse_matrix_is_refused(name, place, wrong) -> None:
    held = SparseMatrix(5, 7)
    held.set(random_matrix(0, 5, 7))
    state = {key: value.clone() for key, value in held.state_dict().items()}
    state[name][place] = wrong
    with pytest.raises(RuntimeError, match=name):
        SparseMatrix(5, 7).load_state_dict(state)
    with pytest.raises(RuntimeError, match="values"):
        SparseMatrix(5, 7).load_state_dict({**held.state_dict(), "values": torch.ones(1)})


def test_only_buffers_marked_so_take_the_size_of_what_is_loaded() -> None:
    class Part(SizedByData):
        def __init__(self) -> None:
            super().__init__()
            self.register_data_buffer("free", ndim=2)
            self.register_buffer("fixed", torch.zeros(3))

    part = Part()
    part.load_state_dict({"free": torch.ones(2, 5), "fixed": torch.ones(3)})
    assert part.free.shape == (2, 5)
    assert part.free.sum() == 10
    with pytest.raises(RuntimeError, match="fixed"):
        part.load_state_dict({"free": torch.ones(2, 5), "fixed": torch.ones(4)})
    with pytest.raises(RuntimeError, match="free"):
        part.load_state_dict({"free": torch.ones(5), "fixed": torch.ones(3)})

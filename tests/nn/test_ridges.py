from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tastemaker.nn import ridges as module
from tastemaker.nn.ridges import ridges


def _world(seed: int) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cells = rng.random((40, 23)) < rng.random((40, 1)) ** 2
    confidence = sp.csr_matrix(np.where(cells, rng.uniform(1, 9, cells.shape), 0).astype(np.float32))
    return confidence, rng.normal(size=(23, 5)).astype(np.float32), rng.uniform(0.1, 3, 40).astype(np.float32)


@pytest.mark.parametrize("block", [1 << 25, 1])
def test_rows_solve_their_normal_equations(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    confidence, table, penalty = _world(3)
    assert (np.diff(confidence.indptr) == 0).any()
    vectors = torch.from_numpy(table)
    gram = vectors.T @ vectors + 2 * torch.eye(5)
    found = ridges(confidence, vectors, gram, torch.from_numpy(penalty)).numpy()
    for row, cells in enumerate(confidence.toarray()):
        c = np.where(cells > 0, cells, 1)
        left = table.T @ (c[:, None] * table) + (2 + penalty[row]) * np.eye(5)
        np.testing.assert_allclose(found[row], np.linalg.solve(left, table.T @ (c * (cells > 0))), atol=1e-5)


def test_other_right_sides_are_solved_for_with_the_same_systems() -> None:
    confidence, table, _ = _world(4)
    vectors = torch.from_numpy(table)
    gram = vectors.T @ vectors + torch.eye(5)
    own = torch.from_numpy(confidence @ table)
    torch.testing.assert_close(ridges(confidence, vectors, gram, right=own), ridges(confidence, vectors, gram))

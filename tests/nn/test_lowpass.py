from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from tastemaker.nn.lowpass import LowPass


def cells(users: int = 12, items: int = 9, seed: int = 0) -> sp.csr_matrix:
    """Who chose what; user 3 and item 4 have no edge."""
    table = np.random.default_rng(seed).random((users, items)) < 0.35
    table[8, 0] = True
    table[3] = table[:, 4] = False
    return sp.csr_matrix(table.astype(np.float32))


def test_the_ideal_filter_run_backwards_is_its_transpose() -> None:
    filtered = LowPass(12, 9)
    filtered.fit(cells(), 3)
    forward, backward = filtered.ideal(torch.eye(9)), filtered.ideal_back(torch.eye(9))
    assert not torch.allclose(forward, forward.T, atol=1e-3)
    torch.testing.assert_close(forward.T, backward)


def test_an_empty_row_gets_the_popularity() -> None:
    filtered = LowPass(12, 9)
    filtered.fit(cells(), 3)
    found = filtered.scores(sp.csr_matrix((2, 9), dtype=np.float32), filtered.graph.smooth)
    np.testing.assert_allclose(found[1], cells().toarray().sum(0) / 11, rtol=1e-6)

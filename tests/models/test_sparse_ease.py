from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.sparse_ease import SparseEase
from tastemaker.nn.gram import denoising_penalty

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> SparseEase:
    model = SparseEase(SparseEase.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_with_every_item_allowed_it_is_the_denoising_regression(interactions: Interactions, dropout: float) -> None:
    found = solved(interactions, regularization=3.0, dropout=dropout).weights.csr.toarray().T
    cells = interactions.matrix(USERS, ITEMS)
    table = cells.toarray().astype(np.float64)
    inverse = np.linalg.inv(table.T @ table + np.diag(denoising_penalty(cells, 3.0, dropout).astype(np.float64)))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_few_neighbours_score_the_sum_of_their_weights(interactions: Interactions) -> None:
    model = solved(interactions, neighbours=3)
    weights = model.weights.csr
    assert np.diff(weights.indptr).max() == 3
    history = [4, 7, 7, 10]
    scores = model.score(Query.of(np.array([1]), Histories.of([history])))[0].numpy()
    expected = weights.toarray()[:, [4, 7, 10]].sum(axis=1)
    reached = expected != 0
    np.testing.assert_allclose(scores[reached], expected[reached], rtol=1e-5)
    np.testing.assert_allclose(scores[~reached], 1e-6 * model.popularity.numpy()[~reached], rtol=1e-5)


def test_a_user_with_nothing_gets_the_popularity_order(interactions: Interactions) -> None:
    model = solved(interactions)
    scores = model.score(Query.of(np.array([1]), Histories.of([[]])))[0]
    assert torch.equal(scores.argsort(descending=True, stable=True), model.popularity.argsort(descending=True, stable=True))


def test_memory_of_the_weights_grows_with_neighbours_alone() -> None:
    """3,000 items in groups of 30 that share users: nothing of the size of items × items is kept."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(2000), 12)
    items = users % 100 * 30 + rng.integers(0, 30, len(users))
    cells = sp.csr_matrix((np.ones(len(users)), (users, items)))
    cells.sum_duplicates()
    user, item = cells.nonzero()
    zeros = np.zeros(len(user), np.int8)
    rows = Interactions(
        (user + 2).astype(np.int32),
        (item + 2).astype(np.int32),
        np.arange(len(user)),
        np.ones(len(user), np.float32),
        zeros,
        zeros,
    )
    model = SparseEase(SparseEase.Config(neighbours=10), FeatureSchema(2002, 3002))
    model.solve(rows)
    held = sum(tensor.numel() for tensor in model.state_dict().values())
    assert held <= 2 * 10 * 3000 + 2 * 3003
    own = model.weights.csr.tocoo()
    assert ((own.row - 2) // 30 == (own.col - 2) // 30).all()

from __future__ import annotations

import numpy as np
import pytest

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.edlae import Edlae
from tastemaker.nn.gram import regress_on_others

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> Edlae:
    model = Edlae(Edlae.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


@pytest.mark.parametrize("few_users", [False, True])
def test_weights_are_the_closed_form(interactions: Interactions, few_users: bool) -> None:
    if few_users:
        interactions = interactions.take(interactions.user < 11)
    table = interactions.matrix(USERS, ITEMS).toarray().astype(np.float64)
    gram = table.T @ table
    inverse = np.linalg.inv(gram + 2.0 * np.eye(ITEMS) + 0.3 / 0.7 * np.diag(np.diag(gram)))
    expected = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(expected, 0)
    found = solved(interactions, dropout=0.3, regularization=2.0).weights.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_without_dropout_it_is_ease(interactions: Interactions) -> None:
    found = solved(interactions, dropout=0.0, regularization=3.0).weights.numpy()
    np.testing.assert_allclose(found, regress_on_others(interactions.matrix(USERS, ITEMS), 3.0), rtol=1e-4, atol=1e-6)


def test_the_weights_are_what_endless_draws_of_missing_items_converge_to(interactions: Interactions) -> None:
    """Ridge regressions of what was left out on 4,000 thinned copies, scaled as dropout scales, as the paper derives it."""
    rng, p = np.random.default_rng(0), 0.3
    table = interactions.matrix(USERS, ITEMS).toarray().astype(np.float64)
    item, copies = 4, 4000
    moments, right = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    for _ in range(copies):
        thinned = table * (rng.random(table.shape) >= p) / (1 - p)
        thinned[:, item] = 0  # the target is asked for only where it was left out
        moments += thinned.T @ thinned / copies
        right += thinned.T @ table[:, item] / copies
    expected = np.linalg.solve(moments + 2.0 * np.eye(ITEMS), right)
    found = solved(interactions, dropout=p, regularization=2.0).weights.numpy()[:, item]
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.abs(found).max() > 0.1

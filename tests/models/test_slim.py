from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import ElasticNet

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.slim import Slim

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> Slim:
    model = Slim(Slim.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def test_weights_are_the_non_negative_elastic_net_of_each_item(interactions: Interactions) -> None:
    found = solved(interactions, l1=1.0, regularization=2.0).weights.csr.toarray()
    assert (found >= 0).all()
    table = interactions.matrix(USERS, ITEMS).toarray().astype(np.float64)
    for item in range(2, ITEMS):
        others, target = table.copy(), table[:, item]
        others[:, item] = 0
        net = ElasticNet(alpha=3 / USERS, l1_ratio=1 / 3, positive=True, fit_intercept=False, tol=1e-9, max_iter=10_000)
        np.testing.assert_allclose(found[item], net.fit(others, target).coef_, atol=1e-3)


def test_a_larger_l1_keeps_fewer_weights(interactions: Interactions) -> None:
    kept = [solved(interactions, l1=l1).weights.csr.nnz for l1 in (0.1, 2.0, 6.0)]
    assert kept[0] > kept[1] > kept[2] > 0


def test_no_item_has_more_weights_than_neighbours(interactions: Interactions) -> None:
    counts = np.diff(solved(interactions, l1=0.1, neighbours=3).weights.csr.indptr)
    assert counts.max() == 3


def test_what_nothing_speaks_for_comes_last_the_most_popular_first(interactions: Interactions) -> None:
    model = solved(interactions, l1=4.0)
    scores = model.score(Query.of(np.array([1, 1]), Histories.of([[5], []])))
    users = np.bincount(np.unique(np.stack([interactions.user, interactions.item]), axis=1)[1], minlength=ITEMS)
    np.testing.assert_allclose(scores[1].numpy(), -1 / (1 + users), rtol=1e-6)
    assert 0 < (scores[0] > 0).sum() < ITEMS - 3
    assert torch.equal(scores[0][scores[0] < 0], scores[1][scores[0] < 0])


def test_without_any_events_everything_is_equally_unknown(interactions: Interactions) -> None:
    model = solved(interactions.take(np.zeros(len(interactions), dtype=bool)))
    assert torch.equal(model.score(Query.of(np.array([1]), Histories.of([[5]]))), torch.full((1, ITEMS), -1.0))

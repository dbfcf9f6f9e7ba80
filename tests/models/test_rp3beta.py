from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.rp3beta import RP3Beta

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> RP3Beta:
    model = RP3Beta(RP3Beta.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def walked(table: np.ndarray, alpha: float, beta: float, neighbours: int) -> np.ndarray:
    """Row j: where walks through item j end, from the definition, item by item."""
    users, items = table.sum(1), table.sum(0)
    ends = np.zeros((ITEMS, ITEMS))
    for j in range(ITEMS):
        for i in range(ITEMS):
            if i != j:
                ends[j, i] = sum(
                    (table[v, j] / items[j]) ** alpha * (table[v, i] / users[v]) ** alpha / items[i] ** beta
                    for v in range(USERS)
                    if table[v, j] and table[v, i]
                )
        ends[j, np.argsort(-ends[j].astype(np.float32), kind="stable")[neighbours:]] = 0
    return ends


@pytest.mark.parametrize(("alpha", "beta", "weighted"), [(1.0, 0.0, False), (0.7, 0.4, False), (1.0, 0.6, True)])
def test_scores_are_sums_of_walks(interactions: Interactions, alpha: float, beta: float, weighted: bool) -> None:
    table = np.zeros((USERS, ITEMS))
    np.add.at(table, (interactions.user, interactions.item), interactions.weight)
    ends = walked(table if weighted else np.minimum(table, 1), alpha, beta, 5)
    model = solved(interactions, alpha=alpha, beta=beta, neighbours=5, weighted=weighted)
    np.testing.assert_allclose(model.ends.csr.toarray(), ends, rtol=1e-4, atol=1e-7)
    found = model.score(Query.of(np.array([1]), Histories.of([[3, 6, 6]])))[0].numpy()
    expected = ends[3] + (2 if weighted else 1) * ends[6]
    reached = expected > 0
    assert reached.sum() >= 5
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-4)


def test_ends_add_up_to_one_and_are_then_reached_from_the_strongest_sources_alone(interactions: Interactions) -> None:
    table = np.zeros((USERS, ITEMS))
    table[interactions.user, interactions.item] = 1
    expected = walked(table, 0.7, 0.2, 6)
    expected /= np.maximum(expected.sum(1, keepdims=True), 1e-12)
    settings = {"alpha": 0.7, "beta": 0.2, "neighbours": 6, "normalize": True}
    np.testing.assert_allclose(solved(interactions, **settings).ends.csr.toarray(), expected, rtol=1e-4, atol=1e-6)
    few = solved(interactions, **settings, sources=3).ends.csr.toarray()
    for end in range(ITEMS):
        kept = np.sort(expected[:, end])[::-1][:3]
        np.testing.assert_allclose(
            np.sort(few[:, end])[::-1], np.concatenate([kept, np.zeros(ITEMS - 3)]), rtol=1e-4, atol=1e-6
        )


def test_what_no_walk_reaches_comes_last_the_most_popular_first(interactions: Interactions) -> None:
    model = solved(interactions, neighbours=1)
    scores = model.score(Query.of(np.array([1, 1]), Histories.of([[5], []])))
    users = np.bincount(np.unique(np.stack([interactions.user, interactions.item]), axis=1)[1], minlength=ITEMS)
    np.testing.assert_allclose(scores[1].numpy(), -1 / (1 + users), rtol=1e-6)
    assert int((scores[0] > 0).sum()) == 1
    assert torch.equal(scores[0][scores[0] < 0], scores[1][scores[0] < 0])


def test_beta_moves_popular_ends_down(interactions: Interactions) -> None:
    users = np.bincount(interactions.item, minlength=ITEMS)
    most, least = users.argmax(), np.where(users > 0, users, 999).argmin()
    asked = Query.of(np.array([1]), Histories.of([[int(i) for i in np.flatnonzero(users) if i not in (most, least)]]))

    def lead(beta: float) -> float:
        scores = solved(interactions, beta=beta).score(asked)[0]
        return float(scores[most] / scores[least])

    assert lead(0.0) > lead(0.5) > lead(1.0)

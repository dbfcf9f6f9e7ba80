from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query
from tastemaker.models.item_knn import ItemKnn

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> ItemKnn:
    model = ItemKnn(ItemKnn.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def dense_cosine(table: np.ndarray, neighbours: int) -> np.ndarray:
    norms = np.maximum(np.sqrt((table**2).sum(axis=0)), 1e-12)
    similar = table.T @ table / norms[:, None] / norms[None, :]
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[neighbours:]] = 0
    return similar


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_dense_brute_force(interactions: Interactions, weighted: bool) -> None:
    table = np.zeros((USERS, ITEMS))
    np.add.at(table, (interactions.user, interactions.item), interactions.weight)
    similar = dense_cosine(table if weighted else np.minimum(table, 1), 4)
    model = solved(interactions, neighbours=4, weighting="none", asymmetry=0.5, shrinkage=0, weighted=weighted)
    histories = interactions.histories(USERS)
    found = model.score(Query.of(np.arange(USERS), histories)).numpy()
    history = np.zeros((USERS, ITEMS))
    np.add.at(history, (np.repeat(np.arange(USERS), histories.lengths), histories.items), 1)
    expected = (history if weighted else np.minimum(history, 1)) @ similar.T
    reached = expected > 0
    assert reached.sum() > 100
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-5)
    assert (found[~reached] < 0).all()


def test_an_item_speaks_for_itself_where_asked_to(interactions: Interactions) -> None:
    """Its similarity to itself is 1, before anything takes from it, so it leads the list of who did nothing else."""
    plain, own = (
        solved(interactions, weighting="none", asymmetry=0.5, shrinkage=0.0, itself=itself) for itself in (False, True)
    )
    asked = Query.of(np.array([1]), Histories.of([[5]]))
    before, after = plain.score(asked)[0], own.score(asked)[0]
    assert before[5] < 0
    assert float(after[5]) == pytest.approx(1.0)
    assert int(after.argmax()) == 5
    others = np.delete(np.arange(ITEMS), 5)
    torch.testing.assert_close(after[others], before[others])


def test_what_no_neighbour_speaks_for_comes_last_the_most_popular_first(interactions: Interactions) -> None:
    model = solved(interactions, neighbours=1, asymmetry=0.5, shrinkage=0)
    scores = model.score(Query.of(np.array([1, 1]), Histories.of([[5], []])))
    users = np.bincount(np.unique(np.stack([interactions.user, interactions.item]), axis=1)[1], minlength=ITEMS)
    np.testing.assert_allclose(scores[1].numpy(), -1 / (1 + users), rtol=1e-6)
    assert 0 < (scores[0] > 0).sum() < ITEMS - 3
    assert torch.equal(scores[0][scores[0] < 0], scores[1][scores[0] < 0])


def test_normalised_similarities_of_an_item_sum_to_one(interactions: Interactions) -> None:
    sums = np.asarray(solved(interactions, neighbours=3, normalise=True).similar.csr.sum(axis=1)).ravel()
    np.testing.assert_allclose(sums[sums > 0], 1, rtol=1e-5)
    assert (sums > 0).sum() >= 10


def test_asymmetry_moves_popular_items_up_or_down(interactions: Interactions) -> None:
    users = np.bincount(interactions.item, minlength=ITEMS)
    most, least = users.argmax(), np.where(users > 0, users, 999).argmin()
    asked = Query.of(np.array([1]), Histories.of([[int(i) for i in np.flatnonzero(users) if i not in (most, least)]]))

    def lead(asymmetry: float) -> float:
        scores = solved(interactions, asymmetry=asymmetry, shrinkage=0).score(asked)[0]
        return float(scores[most] / scores[least])

    assert lead(0.0) > lead(0.5) > lead(1.0)


def test_a_setting_without_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match="no asymmetry"):
        ItemKnn.Config.parse({"similarity": "jaccard", "asymmetry": 0.9})
    with pytest.raises(ConfigError, match="no shrinkage"):
        ItemKnn.Config.parse({"similarity": "dot", "shrinkage": 10})


def test_a_missing_event_lowers_the_score_by_its_contribution(interactions: Interactions) -> None:
    model = solved(interactions)
    full, less = (model.score(Query.of(np.array([1]), Histories.of([row]))) for row in ([3, 5, 9], [3, 9]))
    item = int((full - less)[0, 2:].argmax()) + 2
    parts = model.contributions(Query.of(np.array([1]), Histories.of([[3, 5, 9]])), torch.tensor([item]))
    assert float(full[0, item] - less[0, item]) == pytest.approx(float(parts[1]), rel=1e-4)


def test_a_saved_config_reads_back_whatever_the_similarity() -> None:
    config = ItemKnn.Config.parse({"similarity": "jaccard", "shrinkage": 3.0})
    assert ItemKnn.Config.parse(config.model_dump(mode="json")) == config
    with pytest.raises(ConfigError, match="asymmetry"):
        ItemKnn.Config.parse({"similarity": "jaccard", "asymmetry": 0.9})

from __future__ import annotations

import numpy as np
import pytest

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query
from tastemaker.models.user_knn import UserKnn

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> UserKnn:
    model = UserKnn(UserKnn.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def test_scores_are_those_of_dense_brute_force(interactions: Interactions) -> None:
    table = np.zeros((USERS, ITEMS))
    table[interactions.user, interactions.item] = 1
    norms = np.maximum(np.sqrt(table.sum(axis=1)), 1e-12)
    similar = table @ table.T / norms[:, None] / norms[None, :]
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[5:]] = 0
    expected = similar @ table
    model = solved(interactions, neighbours=5, weighting="none", asymmetry=0.5)
    found = model.score(Query.of(np.arange(USERS), interactions.histories(USERS))).numpy()
    reached = expected > 0
    assert reached.sum() > 100
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-5)
    assert (found[~reached] < 0).all()


def test_a_known_user_is_no_neighbour_of_their_own_but_a_stranger_may_be_alike(interactions: Interactions) -> None:
    model, history = solved(interactions), interactions.histories(USERS).row(7)
    near = model.neighbours(Query.of(np.array([7, UNKNOWN]), Histories.of([history, history])))
    assert near[0, 7] == 0
    assert near[1, 7] == pytest.approx(near[1].max())
    assert near[1].max() == pytest.approx(1, rel=1e-5)


def test_each_user_has_at_most_so_many_neighbours(interactions: Interactions) -> None:
    near = solved(interactions, neighbours=3).neighbours(Query.of(np.arange(USERS), interactions.histories(USERS)))
    assert np.diff(near.indptr).max() == 3


def test_a_setting_without_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match="no asymmetry"):
        UserKnn.Config.parse({"similarity": "dot", "asymmetry": 0.2})


def test_a_saved_config_reads_back_whatever_the_similarity() -> None:
    config = UserKnn.Config.parse({"similarity": "jaccard", "shrinkage": 3.0})
    assert UserKnn.Config.parse(config.model_dump(mode="json")) == config
    with pytest.raises(ConfigError, match="asymmetry"):
        UserKnn.Config.parse({"similarity": "jaccard", "asymmetry": 0.9})

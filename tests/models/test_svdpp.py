"""SVD++ is its formula, and knows strangers by their history."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.svdpp import SVDpp
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def _rows(user, item, value):
    n = len(user)
    return Interactions(
        np.asarray(user, np.int32),
        np.asarray(item, np.int32),
        np.arange(n),
        np.asarray(value, np.float32),
        np.zeros(n, np.int8),
        np.full(n, -1, np.int8),
    )


def _model(seed=0, users=6, items=9, dim=4):
    torch.manual_seed(seed)
    model = SVDpp(SVDpp.Config(dim=dim, init=0.7, dropout=0.0), FeatureSchema(users, items))
    model.observe(_rows([2, 3, 4], [2, 3, 4], [1, 3, 5]))
    with torch.no_grad():
        model.user_bias.normal_()
        model.item_bias.normal_()
    return model


def _formula(model, user, item, rated):
    """Koren 2008, eq. 15, for one user and item."""
    around = sum((model.rated_embedding.weight[j] for j in rated), torch.zeros(model.config.dim))
    vector = model.user_embedding.weight[user] + around / max(len(rated), 1) ** 0.5
    return float(model.mean + model.user_bias[user] + model.item_bias[item] + model.item_embedding.weight[item] @ vector)


@torch.no_grad()
def test_scores_are_the_formula_whatever_the_history_has_become():
    model = _model().eval()
    histories = [[2, 5, 7], [3], []]
    found = model.score(Query.of(np.array([2, 3, 4]), Histories.of(histories)))
    for row, rated in enumerate(histories):
        for item in range(2, 9):
            assert float(found[row, item]) == pytest.approx(_formula(model, row + 2, item, rated), abs=1e-5)


@torch.no_grad()
def test_in_training_an_item_is_not_in_the_set_it_is_predicted_from():
    model = _model().train()
    model.observe(_rows([2, 3, 3, 3], [4, 2, 5, 7], [1, 3, 5, 3]))
    users, items = [3, 2, 3, 3], [2, 4, 5, 7]
    query = Query.of(np.array(users), Histories.of([[]] * 4))
    batch = Batch(query, torch.tensor(items), torch.ones(4), torch.ones(4))
    found = (model.encode_batch(batch).users * model.encode_item(batch.targets)).sum(1)
    expected = [
        _formula(model, u, i, [j for j in (2, 5, 7) if j != i] if u == 3 else []) for u, i in zip(users, items, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_a_stranger_is_the_ridge_solution_of_the_own_ratings():
    model = _model(dim=2).eval()
    items, values = [2, 4, 5, 8], [1.0, 5.0, 4.0, 2.0]
    query = Query(
        torch.tensor([1]), torch.tensor(items), torch.zeros(4, dtype=torch.int64), torch.tensor(values), torch.tensor([0, 4])
    )
    around = model.rated_embedding.weight[items].sum(0) / 2
    regressors = torch.cat([model.item_embedding.weight[items], torch.ones(4, 1)], dim=1).double()
    goal = torch.tensor(values) - model.mean - model.item_bias[items] - model.item_embedding.weight[items] @ around
    solved = torch.linalg.solve(regressors.T @ regressors + 5 * torch.eye(3), regressors.T @ goal.double())
    expected = torch.cat([solved[:2] + around, torch.tensor([solved[2] + model.mean, 1.0])])
    np.testing.assert_allclose(model.encode_user(query)[0], expected, atol=1e-5)


@torch.no_grad()
def test_a_user_with_nothing_gets_the_items_by_their_bias():
    model = _model().eval()
    scores = model.score(Query.of(np.array([1]), Histories.of([[]])))[0]
    torch.testing.assert_close(scores, model.mean + model.item_bias)


@torch.no_grad()
def test_predictions_stay_inside_the_range_of_values_seen():
    model = _model().eval()
    model.user_bias += 100.0
    query = Query.of(np.array([2]), Histories.of([[]]))
    assert float(model.score_each(query, torch.tensor([3]))) == 5.0


def test_what_was_rated_is_learned_from_where_the_values_say_nothing():
    """Who rated item 0 rates everything higher: for a user of whom the model has no value, only the set can tell."""
    draw = np.random.default_rng(0)
    marked = np.arange(120) % 2
    user = np.repeat(np.arange(120), 4)
    item = np.concatenate([[0 if mark else 20, *(1 + draw.permutation(19)[:3])] for mark in marked])
    rows = _rows(user + 2, item + 2, 3 + np.where(marked, 1.0, -1.0)[user])
    torch.manual_seed(0)
    model = SVDpp(SVDpp.Config(dim=4, dropout=0.0, fold_in_regularization=1e6), FeatureSchema(122, 23))
    list(train(model, rows, TrainConfig(epochs=25, learning_rate=0.03, batch_targets=64)))
    with torch.no_grad():
        found = model.score(Query.of(np.array([1, 1]), Histories.of([[2, 4], [22, 4]])))[:, 3:22].mean(1)
    assert float(found[0] - found[1]) > 0.5  # nothing else could tell them apart


def test_the_model_predicts_values_unless_another_loss_is_asked_for():
    config = TrainConfig().adapted("pairs", SVDpp.defaults(None), 1000, 100)
    assert config.loss == "squared_error"
    assert SVDpp.predicts_values(config.loss)
    assert not SVDpp.predicts_values("cross_entropy")

"""A target is never read as history, and item towers see items alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.two_tower import TwoTower
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def _model(**settings):
    torch.manual_seed(0)
    return TwoTower(TwoTower.Config(dim=6, dropout=0.0, **settings), FeatureSchema(9, 12))


def _batch(*rows):
    query = Query.of(np.arange(2, 2 + len(rows)), Histories.of([list(row) for row in rows]))
    ones = torch.ones(len(query.items))
    return Batch(query, query.items, ones, ones, query.rows)


def test_an_item_is_asked_of_the_rest_of_its_history_as_a_user_with_that_rest_would_be(monkeypatch):
    monkeypatch.setattr(TwoTower, "_NOTHING", 0.0)
    model = _model(layers=2)
    found = model.train().encode_batch(_batch([3, 4, 5, 4], [7])).users
    rests = [[4, 5], [3, 5], [3, 4], [3, 5], []]
    alone = model.eval().encode_user(Query.of(np.ones(5), Histories.of(rests)))
    torch.testing.assert_close(found, alone)


def test_a_score_is_the_cosine_of_the_towers_over_the_temperature():
    model = _model(temperature=0.2).eval()
    table, tower = model.item_embedding.weight, model.user_tower
    mean = table[[3, 5]].mean(0, keepdim=True)
    user = mean + tower.layers[2](F.gelu(tower.layers[0](mean)))
    items = table + model.item_tower.layers[2](F.gelu(model.item_tower.layers[0](table)))
    scores = model.score(Query.of(np.array([1]), Histories.of([[5, 3, 5]])))
    torch.testing.assert_close(scores[0], F.cosine_similarity(user, items) / 0.2, rtol=1e-4, atol=1e-5)
    assert isinstance(_model(hidden=0).user_tower, torch.nn.Identity)


@pytest.mark.parametrize("sampler", ["in_batch", "mixed"])
def test_in_batch_negatives_learn_the_tastes_and_what_anyone_takes(interactions, sampler):
    torch.manual_seed(0)
    model = TwoTower(TwoTower.Config(dim=16), FeatureSchema(32, 17))
    config = TrainConfig(loss="softmax", sampler=sampler, epochs=30, learning_rate=0.01, batch_targets=64)
    losses = [record.loss for record in train(model, interactions, config) if record.complete]
    assert losses[-1] < losses[0]
    scores = model.score(Query.of(np.array([1, 1, 1]), Histories.of([[2, 4, 6], [3, 5, 7], []]))).detach()
    even, odd = [8, 10, 12, 14], [9, 11, 13, 15]
    # over five seeds the gaps are .2 to 1.3, where what is left to chance is how far dropout lets the towers go
    assert scores[0, even].mean() > scores[0, odd].mean() + 0.15
    assert scores[1, odd].mean() > scores[1, even].mean() + 0.15
    popular = np.bincount(interactions.item, minlength=17)[2:16]
    assert np.corrcoef(scores[2, 2:16].numpy(), popular)[0, 1] > 0

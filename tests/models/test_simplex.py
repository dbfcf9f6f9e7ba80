"""SimpleX by the paper's formula, with the target out of its own history."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.simplex import SimpleX
from tastemaker.train.config import TrainConfig


def _model(interactions, **settings):
    torch.manual_seed(0)
    model = SimpleX(SimpleX.Config(dim=6, dropout=0.0, **settings), FeatureSchema(32, 17))
    model.observe(interactions)
    torch.nn.init.normal_(model.history.weight)
    return model


def _by_hand(model, user, items):
    """The fused vector of a user (None: unseen) with those items, as the paper writes it."""
    table, share = model.item_embedding.weight, model.config.own
    own = torch.zeros(6) if user is None else model.user_embedding.weight[user]
    if not items:
        return F.normalize(own, dim=0)
    weights = torch.ones(len(items))
    if model.attention is not None:
        weights = torch.stack([F.cosine_similarity(own, model.attention(table[item]).tanh(), dim=0) for item in items]).exp()
    mean = sum(weight * table[item] for weight, item in zip(weights / weights.sum(), items, strict=True))
    return F.normalize(share * own + (1 - share) * model.history.weight @ mean, dim=0)


@pytest.mark.parametrize("aggregate", ["mean", "attention"])
def test_users_are_what_the_paper_says_in_training_without_the_target(interactions, aggregate):
    model = _model(interactions, aggregate=aggregate, own=0.3)
    query = Query.of(np.array([2, 5, 1]), Histories.of([[3, 4, 9], [6, 6], [4, 8, 8]]))
    users = model.eval().encode_user(query)
    expected = [_by_hand(model, 2, [3, 4, 9]), _by_hand(model, 5, [6]), _by_hand(model, None, [4, 8])]
    torch.testing.assert_close(users, torch.stack(expected))

    ones = torch.ones(5)
    known = Query.of(np.array([2, 5]), Histories.of([[3, 4, 9], [6, 6]]))
    found = model.train().encode_batch(Batch(known, known.items, ones, ones, known.rows)).users
    rests = [(2, [4, 9]), (2, [3, 9]), (2, [3, 4]), (5, []), (5, [])]
    torch.testing.assert_close(found, torch.stack([_by_hand(model, *rest) for rest in rests]))


def test_scores_are_cosines_and_nobody_is_the_mean_user(interactions):
    model = _model(interactions).eval()
    query = Query.of(np.array([2, 1]), Histories.of([[3, 4], []]))
    scores = model.score(query)
    assert bool((scores.abs() <= 1 + 1e-5).all())
    anyone = model.user_embedding.weight[model.trained].mean(0, keepdim=True)
    torch.testing.assert_close(scores[1], F.cosine_similarity(anyone, model.item_embedding.weight))


@pytest.mark.parametrize("loss", [None, "ccl", "softmax", "bpr"])
def test_what_is_chosen_for_training_can_be_read_again(loss):
    chosen = TrainConfig(loss=loss).adapted(SimpleX.learns_from, SimpleX.defaults(loss), 5000, 300)
    assert chosen.loss == (loss or "ccl")
    assert TrainConfig.parse(chosen.model_dump(mode="json", exclude_none=True), "train") == chosen

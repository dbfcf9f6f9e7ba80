"""Caser reads the past in order, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.caser import Caser


def _model(**settings):
    torch.manual_seed(0)
    return Caser(Caser.Config(dim=8, dropout=0.0, init=0.5, **settings), FeatureSchema(9, 30)).eval()


def _query(*rows, users=None):
    return Query.of(np.full(len(rows), 2) if users is None else np.asarray(users), Histories.of([list(row) for row in rows]))


def test_a_prefix_means_the_same_wherever_its_row_ends():
    model, row = _model(), [3, 4, 5, 6, 7, 8, 3, 9]
    whole = model.encode_before(_query([9, 9], row))[2:]
    for length in range(len(row)):
        torch.testing.assert_close(model.encode_user(_query(row[:length]))[0], whole[length], rtol=1e-4, atol=1e-5)


def test_order_matters():
    model = _model()
    assert not torch.allclose(model.encode_user(_query([3, 4, 5])), model.encode_user(_query([4, 3, 5])))


def test_the_window_is_all_that_is_seen_and_unknown_items_take_no_place_in_it():
    model = _model(window=3)
    full = model.encode_user(_query([3, 4, 5]))
    torch.testing.assert_close(model.encode_user(_query([9, 8, 3, 4, 5])), full)
    torch.testing.assert_close(model.encode_user(_query([9, 8, 3, 1, 4, 0, 5])), full)
    assert not torch.allclose(model.encode_user(_query([9, 4, 5])), full)


def test_vectors_of_their_own_are_added_for_users_that_have_one():
    plain, own = _model(), _model(own_vectors=True)
    own.load_state_dict(plain.state_dict(), strict=False)
    rows, users = [[3, 4], [3, 4], [5]], [2, 1, 3]
    torch.testing.assert_close(own.encode_user(_query(*rows, users=users)), plain.encode_user(_query(*rows, users=users)))
    own.encode_before(_query(*rows, users=[2, 3, 3])).square().sum().backward()
    gradient = own.user_embedding.weight.grad
    assert gradient[[2, 3]].any(1).all()
    assert not gradient[[0, 1, *range(4, 9)]].any()
    with torch.no_grad():
        own.user_embedding.weight[2] = 1.0
    found = own.encode_user(_query(*rows, users=users)) - plain.encode_user(_query(*rows, users=users))
    torch.testing.assert_close(found, torch.tensor([[1.0], [0.0], [0.0]]).expand(3, 8))

"""LRURec reads the past in order, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.lrurec import LRURec


def _model(**settings):
    torch.manual_seed(0)
    return LRURec(LRURec.Config(dim=8, dropout=0.0, init=0.5, **settings), FeatureSchema(9, 30)).eval()


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


def test_what_is_long_ago_fades():
    model, recent = _model(max_length=200), [3, 4, 5] * 50
    one, two = (model.encode_user(_query([first, *recent[:length]])) for first in (8, 9) for length in (2,))
    far_one, far_two = (model.encode_user(_query([first, *recent])) for first in (8, 9))
    assert (far_one - far_two).norm() < 0.2 * (one - two).norm()

"""HSTU knows the past and when it was, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.hstu import HSTU

HOUR = 3_600_000_000


def _model(max_length=6):
    torch.manual_seed(0)
    model = HSTU(HSTU.Config(dim=8, max_length=max_length, dropout=0.0, init=0.5), FeatureSchema(9, 30)).eval()
    for block in model.blocks:
        torch.nn.init.normal_(block.by_lag)
    return model


def _query(*rows, times=None):
    histories = Histories.of([list(row) for row in rows])
    moments = np.arange(len(histories.items)) * HOUR if times is None else np.asarray(times)
    return Query.of(np.full(len(rows), 2), Histories(histories.items, moments, histories.values, histories.offsets))


def test_a_prefix_means_the_same_wherever_its_row_ends():
    model, row = _model(), [3, 4, 5, 6, 7]
    whole = model.encode_before(_query(row))
    for length in range(len(row)):
        torch.testing.assert_close(model.encode_user(_query(row[:length]))[0], whole[length], rtol=1e-4, atol=1e-5)


def test_when_things_happened_matters():
    model = _model()
    near, far = (model.encode_user(_query([3, 4, 5], times=[0, HOUR, HOUR + gap])) for gap in (HOUR, 900 * HOUR))
    assert not torch.allclose(near, far)

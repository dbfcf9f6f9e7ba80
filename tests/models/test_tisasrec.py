"""TiSASRec knows the past and the time between its events, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.tisasrec import TiSASRec

HOUR = 3_600_000_000


def _model(max_length=6):
    torch.manual_seed(0)
    return TiSASRec(TiSASRec.Config(dim=8, max_length=max_length, dropout=0.0, init=0.5), FeatureSchema(9, 30)).eval()


def _query(*rows, times=None):
    histories = Histories.of([list(row) for row in rows])
    moments = np.arange(len(histories.items)) * HOUR if times is None else np.asarray(times)
    return Query.of(np.full(len(rows), 2), Histories(histories.items, moments, histories.values, histories.offsets))


def test_only_ratios_of_intervals_matter():
    model = _model()
    near = model.encode_user(_query([3, 4, 5], times=[0, HOUR, 2 * HOUR]))
    torch.testing.assert_close(model.encode_user(_query([3, 4, 5], times=[0, 5 * HOUR, 10 * HOUR])), near)
    assert not torch.allclose(model.encode_user(_query([3, 4, 5], times=[0, HOUR, 90 * HOUR])), near)

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


def test_the_vector_before_an_event_does_not_know_it_nor_when_it_is_nor_what_follows():
    model = _model()
    one = model.encode_before(_query([3, 4, 5, 6]))
    two = model.encode_before(_query([3, 4, 9, 8], times=[0, HOUR, HOUR + 1, HOUR + 2]))
    torch.testing.assert_close(one[:3], two[:3])
    assert not torch.allclose(one[3], two[3])


def test_asking_after_a_history_equals_training_on_its_next_event():
    model = _model()
    for row in ([], [3], [3, 4], [3, 4, 5, 6]):
        times = [0, 7 * HOUR, 8 * HOUR, 30 * HOUR, 31 * HOUR][: len(row) + 1]
        after = model.encode_user(_query(row, times=times[: len(row)]))[0]
        before = model.encode_before(_query([*row, 7], times=times))[-1]
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_only_ratios_of_intervals_matter():
    model = _model()
    near = model.encode_user(_query([3, 4, 5], times=[0, HOUR, 2 * HOUR]))
    torch.testing.assert_close(model.encode_user(_query([3, 4, 5], times=[0, 5 * HOUR, 10 * HOUR])), near)
    assert not torch.allclose(model.encode_user(_query([3, 4, 5], times=[0, HOUR, 90 * HOUR])), near)


def test_only_the_newest_events_are_read_and_unknown_items_are_skipped():
    model = _model(max_length=3)
    torch.testing.assert_close(model.encode_user(_query([9, 8, 3, 4, 5])), model.encode_user(_query([3, 4, 5])))
    stained = model.encode_user(_query([3, 1, 4, 0], times=[0, HOUR, 3 * HOUR, 9 * HOUR]))
    torch.testing.assert_close(stained, model.encode_user(_query([3, 4], times=[0, 3 * HOUR])))

"""NARM's user is a state and what it draws from the states before it."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.narm import NARM


def _model(max_length=40):
    torch.manual_seed(0)
    return NARM(NARM.Config(dim=4, hidden=6, max_length=max_length), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


def test_the_user_is_what_the_papers_equations_say():
    model, items = _model(), [5, 9, 5, 7]
    attention = model.attention
    with torch.no_grad():
        library = torch.nn.GRU(4, 6)
        library.weight_ih_l0.copy_(model.recurrent.inputs[0].weight)
        library.bias_ih_l0.copy_(model.recurrent.inputs[0].bias)
        library.weight_hh_l0.copy_(model.recurrent.states[0])
        library.bias_hh_l0.zero_()
        h, _ = library(model.norm_input(torch.stack([model.start, *model.item_embedding.weight[items]])))
        local = torch.zeros(6)
        for past in h:
            weight = attention.weigh.weight[0] @ torch.sigmoid(attention.query.weight @ h[-1] + attention.key.weight @ past)
            local += weight * past
        expected = model.decode.weight @ torch.cat([h[-1], local])
        torch.testing.assert_close(model.encode_user(_query(items))[0], expected)


def test_asking_after_a_history_equals_training_on_its_next_event_whatever_rows_lie_beside_it():
    model = _model()
    rows = [[3], [3, 4], [], list(range(2, 22)), [3, 4, 5, 6], list(range(2, 27)), list(range(4, 20)) * 2]
    before = model.encode_before(_query(*([*row, 7] for row in rows)))
    ends = np.cumsum([len(row) + 1 for row in rows]) - 1
    torch.testing.assert_close(model.encode_user(_query(*rows)), before[ends], rtol=1e-4, atol=1e-6)


def test_the_vector_before_an_event_does_not_know_it_nor_what_follows():
    model = _model()
    one, two = (model.encode_before(_query([3, 4, last, 6])) for last in (5, 9))
    torch.testing.assert_close(one[:3], two[:3])
    assert not torch.allclose(one[3], two[3])


def test_only_the_newest_events_are_read_and_unknown_items_are_skipped():
    model = _model(max_length=3)
    torch.testing.assert_close(model.encode_user(_query([9, 8, 3, 4, 5])), model.encode_user(_query([3, 4, 5])))
    torch.testing.assert_close(model.encode_user(_query([3, 1, 4, 0])), model.encode_user(_query([3, 4])))

"""GRU4Rec's user is the state of a recurrent network after the history, and of nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.gru4rec import GRU4Rec


def _model(**settings):
    torch.manual_seed(0)
    return GRU4Rec(GRU4Rec.Config(**{"dim": 4, "hidden": 5, "max_length": 6} | settings), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


def test_the_user_is_what_the_papers_equations_say():
    model = _model(dim=3, hidden=3)
    (weight, bias), (state_weight, reset) = (
        model.recurrent.inputs[0].parameters(),
        (model.recurrent.states[0], model.recurrent.resets[0]),
    )
    with torch.no_grad():
        reset.uniform_(-1, 1)
        h = torch.zeros(3)
        for vector in (model.start, *model.item_embedding.weight[[5, 9, 5]]):
            a, s = weight @ model.norm_input(vector) + bias, state_weight @ h
            r, z = torch.sigmoid(a[:3] + s[:3]), torch.sigmoid(a[3:6] + s[3:6])
            h = (1 - z) * torch.tanh(a[6:] + r * (s[6:] + reset)) + z * h
        torch.testing.assert_close(model.encode_user(_query([5, 9, 5]))[0], model.decode(h))


@pytest.mark.parametrize("settings", [{}, {"cell": "lstm"}, {"cell": "rnn"}, {"layers": 2}])
def test_asking_after_a_history_equals_training_on_its_next_event(settings):
    model = _model(**settings)
    rows = [[3], [3, 4], [], [3, 4, 5, 6]]
    before = model.encode_before(_query(*([*row, 7] for row in rows)))
    ends = np.cumsum([len(row) + 1 for row in rows]) - 1
    torch.testing.assert_close(model.encode_user(_query(*rows)), before[ends], rtol=1e-4, atol=1e-6)


def test_items_are_recommended_by_the_embedding_that_is_read_unless_told_otherwise():
    shared, apart = _model(), _model(constrained=False)
    assert shared.encode_item() is shared.item_embedding.weight
    assert apart.encode_item() is apart.output_embedding.weight
    query = _query([3, 4, 5])
    for model in (shared, apart):
        users = model.encode_batch(Batch(query, query.items, query.values, query.values)).users
        F.cross_entropy(users @ model.encode_item().T, query.items).backward()
    assert shared.item_embedding.weight.grad[20].abs().sum() > 0
    assert apart.item_embedding.weight.grad[20].abs().sum() == 0

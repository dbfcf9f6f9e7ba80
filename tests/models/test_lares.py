"""LARES reads a history once and thinks about it in hops that share their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.lares import LARES
from tastemaker.nn.ragged import Packing


def _model(**settings):
    torch.manual_seed(0)
    return LARES(LARES.Config(**{"dim": 8, "max_length": 6, "init": 0.3} | settings), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


@pytest.mark.parametrize(("core", "hops"), [(1, 1), (1, 4), (2, 3)])
def test_the_user_is_what_the_papers_recurrence_says(core, hops):
    model, items = _model(core=core, hops=hops), [5, 9, 5, 7]
    one_row = Packing.of(torch.tensor([0, 5]))
    with torch.no_grad():
        events = torch.stack([model.start, *model.item_embedding.weight[items]])
        history = model.norm_input(events + model.position_embedding.weight[:5].flip(0))
        for block in model.blocks:
            history = block(history, one_row)
        thought = torch.zeros_like(history)
        for _ in range(hops):
            thought = model.norm_hop(thought + history)
            for block in model.core:
                thought = block(thought, one_row)
        torch.testing.assert_close(model.encode_user(_query(items))[0], model.norm(thought)[-1], rtol=1e-4, atol=1e-5)


def test_hops_add_no_weights_and_change_the_answer():
    one, four = _model(hops=1), _model(hops=4)
    assert [value.shape for value in one.state_dict().values()] == [value.shape for value in four.state_dict().values()]
    assert not torch.allclose(one.encode_user(_query([3, 4])), four.encode_user(_query([3, 4])))


@pytest.mark.parametrize("core", [1, 2])
def test_asking_after_a_history_equals_training_on_its_next_event(core):
    model = _model(core=core)
    for row in ([], [3], [3, 4], [3, 4, 5, 6]):
        after = model.encode_user(_query(row, [9, 8, 7, 3, 5]))[0]
        torch.testing.assert_close(after, model.encode_before(_query([*row, 7]))[-1], rtol=1e-4, atol=1e-5)

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

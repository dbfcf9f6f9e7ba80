"""SR-GNN's user comes from the graph of the history."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.srgnn import SRGNN


def _model(max_length=12, steps=1):
    torch.manual_seed(0)
    return SRGNN(SRGNN.Config(dim=4, max_length=max_length, steps=steps, init=0.5), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


def _by_the_paper(model, items):
    """One history, with the connection matrices written out."""
    nodes = sorted(set(items))
    steps = np.zeros((len(nodes), len(nodes)), np.float32)
    for one, other in pairwise(items):
        steps[nodes.index(one), nodes.index(other)] += 1
    outgoing = torch.from_numpy(steps / np.maximum(steps.sum(1, keepdims=True), 1))
    incoming = torch.from_numpy((steps / np.maximum(steps.sum(0, keepdims=True), 1)).T)
    v = model.norm_input(model.item_embedding.weight[nodes])
    for _ in range(model.config.steps):
        heard = torch.cat([incoming @ model.graph.before(v), outgoing @ model.graph.after(v)], 1)
        v = torch.stack([model.graph.cell(a.unsqueeze(0), state.unsqueeze(0))[0] for a, state in zip(heard, v, strict=True)])
    last = v[nodes.index(items[-1])]
    general = torch.zeros(4)
    for item in items:
        one = v[nodes.index(item)]
        general = general + model.weigh(torch.sigmoid(model.present(last) + model.general(one))) * one
    return model.decode(torch.cat([last, general]))


@pytest.mark.parametrize("steps", [1, 2])
@torch.no_grad()
def test_every_prefix_has_the_user_of_the_papers_equations(steps):
    model = _model(steps=steps)
    rows = [[5, 9, 5, 9, 7, 5, 5], [3], [8, 9, 8, 3, 4, 4, 4, 9]]
    found = iter(model.encode_before(_query(*rows)))
    for row in rows:
        torch.testing.assert_close(next(found), model.start.data)
        for end in range(1, len(row)):
            torch.testing.assert_close(next(found), _by_the_paper(model, row[:end]), rtol=1e-4, atol=1e-5)
    assert next(found, None) is None

"""Pointwise attention against its equations, one user at a time."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from tastemaker.nn import lags
from tastemaker.nn.lags import log_lags, rectangles
from tastemaker.nn.pointwise import PointwiseAttention, look_up
from tastemaker.nn.ragged import Packing

BUCKETS = partial(log_lags, buckets=40)


def _layer():
    torch.manual_seed(0)
    layer = PointwiseAttention(8, 2, 12, 40, 0.0).double()
    torch.nn.init.normal_(layer.by_distance)
    torch.nn.init.normal_(layer.by_lag)
    return layer


def _naive(layer, rows, times):
    """The paper's three equations, token by token."""
    results = []
    for tokens, moments in zip(rows, times, strict=True):
        gate, query, key, value = F.silu(layer.project(layer.norm(tokens))).chunk(4, dim=1)
        for i in range(len(tokens)):
            heads = []
            for own in (slice(0, 4), slice(4, 8)):
                seen = torch.zeros(4, dtype=torch.float64)
                for j in range(i + 1):
                    seconds = max(1.0, float(moments[i] - moments[j]) / 1e6)
                    bias = layer.by_distance[i - j] + layer.by_lag[min(39, int(math.log(seconds) / 0.301))]
                    seen = seen + F.silu(query[i, own] @ key[j, own] + bias) * value[j, own]
                heads.append(seen / (i + 1))
            results.append(tokens[i] + layer.mix(layer.norm_seen(torch.cat(heads)) * gate[i]))
    return torch.stack(results)


def _world(generator, lengths):
    rows = [torch.tensor(generator.normal(size=(length, 8))) for length in lengths]
    times = [torch.tensor(np.sort(generator.integers(0, 10**12, length))) for length in lengths]
    return rows, times, torch.tensor([0, *lengths]).cumsum(0)


def test_a_layer_is_what_the_paper_says_of_each_row(monkeypatch):
    layer, (rows, times, offsets) = _layer(), _world(np.random.default_rng(0), [3, 7, 1, 6, 0, 7])
    packing = Packing.of(offsets)
    for cells in (1 << 20, 60):  # the same in one rectangle as cut into pieces
        monkeypatch.setattr(lags, "_CELLS", cells)
        found = layer(torch.cat(rows), packing, rectangles(packing, torch.cat(times), BUCKETS))
        torch.testing.assert_close(found, _naive(layer, rows, times))


def test_data_without_times_is_data_in_which_all_happened_at_once():
    layer, (rows, _, offsets) = _layer(), _world(np.random.default_rng(1), [4, 5, 2])
    packing = Packing.of(offsets)
    none, one = (torch.full((11,), moment) for moment in (0, 77))
    tokens = torch.cat(rows)
    found = [layer(tokens, packing, rectangles(packing, times, BUCKETS)) for times in (none, one)]
    torch.testing.assert_close(*found)


def test_weights_learn_what_the_equations_say():
    layer, (rows, times, offsets) = _layer(), _world(np.random.default_rng(2), [3, 6, 5])
    packing, weights = Packing.of(offsets), list(layer.parameters())
    found = layer(torch.cat(rows), packing, rectangles(packing, torch.cat(times), BUCKETS)).square().sum()
    expected = _naive(layer, rows, times).square().sum()
    for one, two in zip(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(one, two)


def test_a_look_up_is_an_index_with_its_gradient():
    table = torch.randn(5, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[0, 4, 4], [2, 0, 1]])
    torch.testing.assert_close(look_up(table, index), table[index])
    assert torch.autograd.gradcheck(lambda values: look_up(values, index), table)

"""Attention over intervals against the paper's form, which holds an embedding for every pair."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from tastemaker.nn import lags
from tastemaker.nn.intervals import IntervalAttention
from tastemaker.nn.lags import personal_lags, rectangles
from tastemaker.nn.ragged import Packing, positions_from_end

DIM, HEADS, BUCKETS = 8, 2, 7


def _attention():
    torch.manual_seed(0)
    return IntervalAttention(DIM, HEADS, 12, BUCKETS).double()


def _naive(attention, rows, times):
    """Equations 4 to 8 with their (length, length, dim) tensors, a row at a time."""
    results = []
    for tokens, moments in zip(rows, times, strict=True):
        length = len(tokens)
        buckets = personal_lags(moments.unsqueeze(0), BUCKETS)[0]
        query, key, value = attention.project(tokens).chunk(3, dim=1)
        positions = attention.position(torch.arange(length - 1, -1, -1))
        keys = (key + positions[:, :DIM]).expand(length, -1, -1) + attention.interval(buckets)[..., :DIM]
        values = (value + positions[:, DIM:]).expand(length, -1, -1) + attention.interval(buckets)[..., DIM:]
        heads = []
        for own in np.split(np.arange(DIM), HEADS):
            scores = (query[:, None, own] * keys[..., own]).sum(-1) / len(own) ** 0.5
            weights = scores.masked_fill(torch.ones(length, length).triu(1) > 0, -torch.inf).softmax(-1)
            heads.append((weights.unsqueeze(-1) * values[..., own]).sum(1))
        results.append(attention.mix(torch.cat(heads, dim=1)))
    return torch.cat(results)


def _world(generator, lengths, latest):
    rows = [torch.tensor(generator.normal(size=(length, DIM))) for length in lengths]
    times = [torch.tensor(np.sort(generator.integers(0, latest, length))) for length in lengths]
    return rows, times, torch.tensor([0, *lengths]).cumsum(0)


def _found(attention, rows, times, offsets):
    packing = Packing.of(offsets)
    parts = rectangles(packing, torch.cat(times), partial(personal_lags, buckets=BUCKETS), width=BUCKETS)
    return attention(torch.cat(rows), positions_from_end(offsets), packing, parts)


def test_no_tensor_of_pairs_and_dims_is_needed(monkeypatch):
    attention, (rows, times, offsets) = _attention(), _world(np.random.default_rng(0), [3, 7, 1, 6, 0, 7], 60)
    expected = _naive(attention, [row for row in rows if len(row)], [row for row in times if len(row)])
    for cells in (1 << 20, 60):  # the same in one rectangle as cut into pieces
        monkeypatch.setattr(lags, "_CELLS", cells)
        torch.testing.assert_close(_found(attention, rows, times, offsets), expected)


def test_without_times_all_intervals_are_equal():
    attention, (rows, times, offsets) = _attention(), _world(np.random.default_rng(1), [4, 5, 2], 1)
    assert not torch.cat(times).any()
    torch.testing.assert_close(_found(attention, rows, times, offsets), _naive(attention, rows, times))


def test_weights_learn_what_the_equations_say():
    attention, (rows, times, offsets) = _attention(), _world(np.random.default_rng(2), [3, 6, 5], 40)
    weights = list(attention.parameters())
    found = torch.autograd.grad(_found(attention, rows, times, offsets).square().sum(), weights)
    expected = torch.autograd.grad(_naive(attention, rows, times).square().sum(), weights)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)

"""Packing moves tokens without mixing them up."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tastemaker.nn.ragged import Packing, behind, like_lengths, positions_from_end

lengths = st.lists(st.integers(0, 30), min_size=1, max_size=40)


def _offsets(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)


@settings(deadline=None)
@given(lengths)
@example([7])
@example([4, 4, 4])  # rows of one length are not moved
def test_collect_undoes_spread_and_gradients_follow(lengths):
    offsets = _offsets(lengths)
    tokens = torch.randn(int(offsets[-1]), 3, requires_grad=True)
    packing = Packing.of(offsets)
    back = packing.collect(packing.spread(tokens) * 2)
    assert torch.equal(back, tokens * 2)
    (gradient,) = torch.autograd.grad(back.sum(), tokens)
    assert torch.equal(gradient, torch.full_like(tokens, 2.0))


@settings(deadline=None)
@given(lengths)
@example([7])
@example([4, 4, 4])  # rows of one length are not moved
def test_every_slot_holds_a_token_of_its_own_row_in_order(lengths):
    offsets = _offsets(lengths)
    packing = Packing.of(offsets)
    rows = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    start = 0
    for group in packing.groups:
        slots = packing.to_slots[start : start + group.slots].view(group.rows, group.length)
        for line in slots:
            row = int(rows[line[0]])
            real = line[: lengths[row]]
            assert real.tolist() == list(range(int(offsets[row]), int(offsets[row + 1])))
            assert (line[lengths[row] :] == real[-1]).all()
        start += group.slots
    assert start == len(packing.to_slots)


@settings(deadline=None)
@given(lengths)
def test_empty_slots_stay_few(lengths):
    packing = Packing.of(_offsets(lengths))
    allowed = sum(max(length / 0.85, length + 4) for length in lengths if length)
    assert len(packing.to_slots) <= allowed + 1


def test_positions_count_from_the_newest():
    assert positions_from_end(torch.tensor([0, 3, 3, 5])).tolist() == [2, 1, 0, 1, 0]


@given(lengths, st.integers(1, 500))
def test_blocks_of_like_length_hold_every_token_once_and_are_small(lengths, cells):
    offsets = np.cumsum([0, *lengths])
    held = []
    for rows, places, real in like_lengths(offsets, cells):
        assert len(rows) * places.shape[1] ** 2 <= cells or len(rows) == 1
        assert (real.sum(1) == np.asarray(lengths)[rows]).all()
        assert (real.sum(1) >= 0.7 * places.shape[1] - 2).all()
        assert ((places >= offsets[rows, None]) & (places < offsets[rows + 1, None])).all()
        held.append(places[real])
    assert np.array_equal(np.sort(np.concatenate([np.zeros(0, np.int64), *held])), np.arange(offsets[-1]))


@settings(deadline=None)
@given(lengths)
@example([0])
def test_behind_puts_a_rows_own_last_token_after_its_others(lengths):
    offsets = _offsets(lengths)
    tokens, last = torch.arange(float(offsets[-1]))[:, None], -1 - torch.arange(float(len(lengths)))[:, None]
    found, longer = behind(tokens, last, offsets)
    for row, length in enumerate(lengths):
        mine = found[longer[row] : longer[row + 1], 0].tolist()
        assert mine == [*range(int(offsets[row]), int(offsets[row]) + length), -1 - row]

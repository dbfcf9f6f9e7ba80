"""Rows that begin with a start token line up with the events they come before or after."""

from __future__ import annotations

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tastemaker.nn.started import Started

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=12)


def _rows(lengths):
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    events = torch.arange(int(offsets[-1]))
    return 10 + events, 1000 + 7 * events, offsets


@settings(deadline=None, max_examples=40)
@given(LENGTHS)
def test_a_token_after_the_start_is_the_event_before_it_in_its_row(lengths):
    items, times, offsets = _rows(lengths)
    found = Started.before(items, times, offsets)
    assert torch.equal(found.offsets, offsets)
    for first, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if end > first:
            assert first in found.starts
            assert found.items[first + 1 : end].tolist() == items[first : end - 1].tolist()
            assert found.times[first:end].tolist() == times[[first, *range(first, end - 1)]].tolist()


@settings(deadline=None, max_examples=40)
@given(LENGTHS)
@example([0])
@example([5])  # a row alone has a way of its own
def test_the_tokens_after_a_history_are_those_before_its_next_event(lengths):
    items, times, offsets = _rows(lengths)
    found = Started.after(items, times, offsets)
    assert found.newest.tolist() == (found.starts + torch.tensor(lengths)).tolist()
    assert found.positions.tolist() == [place for length in lengths for place in range(length + 1)]
    for row, start in enumerate(found.starts.tolist()):
        first, end = offsets[row : row + 2].tolist()
        assert found.items[start + 1 : start + 1 + end - first].tolist() == items[first:end].tolist()
        expected = [times[first].item() if end > first else 0, *times[first:end].tolist()]
        assert found.times[start : start + 1 + end - first].tolist() == expected

"""A history begins with a token of its own."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.nn.opened import Opened

rows = st.lists(st.lists(st.integers(2, 9), max_size=5), max_size=6)


def _vectors(opened):
    table, start = torch.arange(10.0).unsqueeze(1), torch.tensor([-1.0])
    return [part.flatten().tolist() for part in opened.vectors(table, start).split(opened.offsets.diff().tolist())]


def _packed(rows):
    items = torch.tensor([item for row in rows for item in row], dtype=torch.int64)
    return items, torch.tensor([0, *map(len, rows)]).cumsum(0)


@given(rows)
def test_before_each_event_stands_the_one_before_it_or_the_beginning(rows):
    assert _vectors(Opened.before(*_packed(rows))) == [[-1.0, *row[:-1]] if row else [] for row in rows]


@given(rows)
def test_after_a_history_stands_its_last_event_or_the_beginning(rows):
    opened = Opened.after(*_packed(rows))
    assert _vectors(opened) == [[-1.0, *row] for row in rows]
    values = [value for row in _vectors(opened) for value in row]
    assert [values[place] for place in opened.newest] == [row[-1] if row else -1.0 for row in rows]

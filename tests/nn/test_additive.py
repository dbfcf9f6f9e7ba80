"""A token draws from what came before it in its row."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.additive import AdditiveAttention
from tastemaker.nn.ragged import Packing


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 25), min_size=1, max_size=8))
@torch.no_grad()
def test_all_prefixes_at_once_equal_the_newest_of_each(lengths):
    torch.manual_seed(0)
    attention, offsets = AdditiveAttention(3), torch.tensor([0, *lengths]).cumsum(0)
    tokens = torch.randn(int(offsets[-1]), 3)
    found = attention(tokens, Packing.of(offsets))
    for row in tokens.split(lengths):
        for end in range(1, len(row) + 1):
            alone = attention.newest(row[:end], torch.tensor([0, end]))[0]
            torch.testing.assert_close(found[0], alone, rtol=1e-4, atol=1e-5)
            found = found[1:]
    assert not len(found)


def test_a_token_gets_no_gradient_from_before_it_in_the_row_nor_from_other_rows():
    attention, tokens = AdditiveAttention(3), torch.randn(9, 3, requires_grad=True)
    found = attention(tokens, Packing.of(torch.tensor([0, 5, 9])))
    (gradient,) = torch.autograd.grad(found[2].sum(), tokens)
    assert (gradient[:3].abs().sum(1) > 0).all()
    assert not gradient[3:].any()

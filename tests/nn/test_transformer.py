"""The newest token of each row is what the whole block says of it."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.ragged import Packing
from tastemaker.nn.transformer import Block


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.sampled_from([0.15, 0.5, 1.0]))
def test_the_newest_token_alone_equals_that_of_the_whole_row(lengths, waste):
    torch.manual_seed(0)
    block = Block(8, 2, 16, 0.1).eval()
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    tokens = torch.randn(int(offsets[-1]), 8)
    with torch.no_grad():
        expected = block(tokens, Packing.of(offsets))[offsets[1:] - 1]
        found = block.newest(tokens, Packing.of(offsets, waste))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_newest_token_has_the_gradient_of_the_whole_row():
    torch.manual_seed(0)
    block = Block(8, 2, 8, 0.0)
    offsets = torch.tensor([0, 3, 4, 11])
    tokens = torch.randn(11, 8, requires_grad=True)
    one = torch.autograd.grad(block(tokens, Packing.of(offsets))[offsets[1:] - 1].pow(2).sum(), tokens)[0]
    two = torch.autograd.grad(block.newest(tokens, Packing.of(offsets)).pow(2).sum(), tokens)[0]
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)

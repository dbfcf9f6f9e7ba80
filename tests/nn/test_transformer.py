"""The newest token of each row is what the whole block says of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.ragged import Packing
from tastemaker.nn.transformer import Attention, Block, LiGRBlock, init_glorot, init_normal


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


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_without_a_causal_mask_a_row_is_read_alone_whole_and_once(lengths):
    torch.manual_seed(0)
    block = Block(8, 2, 16, 0.0, causal=False).eval()
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    tokens = torch.randn(int(offsets[-1]), 8)
    with torch.no_grad():
        alone = torch.cat([block(row, Packing.of(torch.tensor([0, len(row)]))) for row in tokens.split(lengths)])
        torch.testing.assert_close(block(tokens, Packing.of(offsets, waste=0.9)), alone, rtol=1e-4, atol=1e-5)
        turned = torch.cat([row.flip(0) for row in tokens.split(lengths)])
        expected = torch.cat([row.flip(0) for row in alone.split(lengths)])
        torch.testing.assert_close(block(turned, Packing.of(offsets)), expected, rtol=1e-4, atol=1e-5)


def test_a_ligr_block_adds_what_its_gates_let_through():
    torch.manual_seed(0)
    block = LiGRBlock(8, 2, 16, 0.0).eval()
    tokens, packing = torch.randn(5, 8), Packing.of(torch.tensor([0, 5]))
    with torch.no_grad():
        seen = block.attention(block.norm_attention(tokens), packing)
        middle = tokens + torch.sigmoid(block.gate_attention(tokens)) * seen
        inside = block.norm_mlp(middle)
        gate, value = inside @ block.mlp.open.weight[:16].T, inside @ block.mlp.open.weight[16:].T
        made = (gate * torch.sigmoid(gate) * value) @ block.mlp.close.weight.T
        expected = middle + torch.sigmoid(block.gate_mlp(middle)) * made
        torch.testing.assert_close(block(tokens, packing), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(block.newest(tokens, packing), expected[-1:], rtol=1e-5, atol=1e-5)
        block.gate_attention.bias.fill_(-1e4)
        block.gate_mlp.bias.fill_(-1e4)
        assert torch.equal(block(tokens, packing), tokens)


@pytest.mark.parametrize("causal", [True, False])
def test_dropped_attention_weights_average_to_attention(causal):
    torch.manual_seed(0)
    attention = Attention(8, 2, causal=causal, dropout=0.5)
    offsets = torch.tensor([0, 6, 8, 13])
    tokens, packing = torch.randn(13, 8), Packing.of(offsets, waste=0.9)
    with torch.no_grad():
        expected = attention.eval()(tokens, packing)
        draws = torch.stack([attention.train()(tokens, packing) for _ in range(2000)])
    torch.testing.assert_close(draws.mean(0), expected, rtol=0, atol=5 * float(draws.std(0).max()) / 2000**0.5)
    assert bool((draws.std(0).amax(1) > 0).all())
    attention.dropout.p = 1e-3  # rounds to none: the way by hand is the fast one's
    with torch.no_grad():
        torch.testing.assert_close(attention(tokens, packing), expected, rtol=1e-4, atol=1e-5)


def test_by_glorot_what_attention_brings_can_be_heard_beside_a_token_from_the_first_step():
    torch.manual_seed(0)
    block, tokens, packing = Block(64, 2, 256, 0.0, causal=False), torch.randn(100, 64), Packing.of(torch.tensor([0, 50, 100]))
    shares = []
    for init in (init_normal, init_glorot):
        init(block, 0.02)
        with torch.no_grad():
            shares.append(float(block.attention(tokens, packing).std() / tokens.std()))
    assert shares[0] < 0.01 < 0.05 < shares[1]

from __future__ import annotations

import torch

from tastemaker.nn.prefix_attention import PrefixAttention, running_mean

OFFSETS = torch.tensor([0, 4, 5, 5, 9])


def test_each_token_gets_the_softmax_over_its_prefix() -> None:
    torch.manual_seed(0)
    module, tokens = PrefixAttention(6, 2), torch.randn(9, 6)
    found = module(tokens, OFFSETS)
    for start, end in zip(OFFSETS[:-1].tolist(), OFFSETS[1:].tolist(), strict=True):
        for place in range(start, end):
            seen = tokens[start : place + 1]
            shares = (8 * torch.tanh(module.score(seen) / 8)).softmax(0)
            expected = (shares.unsqueeze(2) * module.value(seen).view(-1, 2, 3)).sum(0).flatten()
            torch.testing.assert_close(found[place], expected, rtol=1e-4, atol=1e-5)


def test_running_means_begin_anew_in_each_row() -> None:
    tokens = torch.arange(9.0).unsqueeze(1)
    assert running_mean(tokens, OFFSETS).flatten().tolist() == [0, 0.5, 1, 1.5, 4, 5, 5.5, 6, 6.5]


def test_the_newest_token_alone_is_what_all_say_of_it() -> None:
    torch.manual_seed(0)
    module, tokens, offsets = PrefixAttention(6, 3), torch.randn(9, 6), torch.tensor([0, 4, 9])
    torch.testing.assert_close(module.newest(tokens, offsets), module(tokens, offsets)[[3, 8]])

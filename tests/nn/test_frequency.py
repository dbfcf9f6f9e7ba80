"""The low-pass filter is the published transform, read at the newest token of every prefix."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.frequency import LowPass
from tastemaker.nn.ragged import Packing

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def _by_transform(prefix, window, frequencies):
    """The definition: zeros before the first token, a real transform, high frequencies dropped, the inverse; its newest value."""
    padded = torch.zeros(window, prefix.shape[1])
    padded[window - len(prefix) :] = prefix
    waves = torch.fft.rfft(padded, dim=0, norm="ortho")
    waves[frequencies:] = 0
    return torch.fft.irfft(waves, n=window, dim=0, norm="ortho")[-1]


@settings(deadline=None, max_examples=30)
@given(lengths, st.sampled_from([12, 13, 20]), st.integers(1, 12))
def test_the_filter_is_a_fourier_transform_of_each_prefix(lengths, window, frequencies):
    torch.manual_seed(0)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    tokens = torch.randn(int(offsets[-1]), 3)
    expected = [
        _by_transform(row[: place + 1], window, frequencies) for row in tokens.split(lengths) for place in range(len(row))
    ]
    found = LowPass(window, frequencies)(tokens, Packing.of(offsets))
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(lengths, st.sampled_from([0.15, 0.5, 1.0]))
def test_the_newest_token_alone_equals_that_of_the_whole_row(lengths, waste):
    torch.manual_seed(0)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    tokens, slow = torch.randn(int(offsets[-1]), 3), LowPass(13, 3)
    packing = Packing.of(offsets, waste)
    found = packing.lines_to_rows(slow.newest(tokens, packing))
    torch.testing.assert_close(found, slow(tokens, Packing.of(offsets))[offsets[1:] - 1], rtol=1e-4, atol=1e-5)


def test_all_frequencies_keep_all_and_one_keeps_the_mean():
    tokens, packing = torch.randn(6, 2), Packing.of(torch.tensor([0, 6]))
    torch.testing.assert_close(LowPass(6, 99)(tokens, packing), tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(LowPass(6, 1)(tokens, packing)[-1], tokens.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", [0, 3, 5])
def test_the_gradient_of_a_token_reaches_no_later_one(place):
    tokens, slow = torch.randn(9, 2, requires_grad=True), LowPass(8, 3)
    (slope,) = torch.autograd.grad(slow(tokens, Packing.of(torch.tensor([0, 6, 9])))[place].sum(), tokens)
    assert bool((slope[: place + 1] != 0).all())
    assert not slope[place + 1 :].any()

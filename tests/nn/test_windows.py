"""Convolutions over packed rows against those of one padded window at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.windows import WindowConvolutions, windows

DIM, LENGTH, HORIZONTAL, VERTICAL = 3, 4, 2, 5


def _naive(layer, tokens):
    """The paper's convolutions of one row's tokens (length, dim): a two-dimensional convolution of each height, at each place."""
    weight = (layer.across.weight * layer.taken).view(LENGTH, HORIZONTAL, LENGTH, DIM)
    results = []
    for place in range(len(tokens)):
        image = F.pad(tokens[: place + 1], (0, 0, LENGTH, 0))[-LENGTH:]
        parts = []
        for height in range(1, LENGTH + 1):
            filters, bias = weight[height - 1, :, LENGTH - height :], layer.across.bias.view(LENGTH, HORIZONTAL)[height - 1]
            found = F.conv2d(image[None, None], filters.unsqueeze(1), bias)  # (1, filters, places, 1)
            parts.append(F.relu(found)[0, :, :, 0].amax(1))
        parts.append((image.T @ layer.down.weight.T).flatten())
        results.append(torch.cat(parts))
    return torch.stack(results)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_every_place_of_packed_rows_has_the_convolutions_of_its_own_window(lengths):
    torch.manual_seed(0)
    layer = WindowConvolutions(DIM, LENGTH, HORIZONTAL, VERTICAL)
    torch.nn.init.normal_(layer.across.bias)
    rows = [torch.randn(length, DIM) for length in lengths]
    found = layer(torch.cat(rows), windows(torch.cat([torch.arange(length) for length in lengths]), LENGTH))
    assert found.shape[1] == layer.out_features
    torch.testing.assert_close(found, torch.cat([_naive(layer, row) for row in rows]), rtol=1e-4, atol=1e-5)


def test_a_filter_of_a_height_learns_nothing_beyond_it():
    layer = WindowConvolutions(DIM, LENGTH, HORIZONTAL, VERTICAL)
    positions = torch.arange(7)
    layer(torch.randn(7, DIM), windows(positions, LENGTH)).sum().backward()
    gradient = layer.across.weight.grad.view(LENGTH, HORIZONTAL, LENGTH, DIM)
    assert not gradient[0, :, :-1].any()
    assert gradient[-1].any()

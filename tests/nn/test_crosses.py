"""Products of features and their slopes."""

from __future__ import annotations

import itertools

import torch

from tastemaker.nn.crosses import pairwise_sum


def test_the_pairwise_sum_is_the_sum_over_pairs() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(6, 4, 3)
    pairs = sum(vectors[:, one] * vectors[:, other] for one, other in itertools.combinations(range(4), 2))
    torch.testing.assert_close(pairwise_sum(vectors), pairs)


def test_the_slope_of_the_pairwise_sum_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pairwise_sum, (vectors,))
    assert torch.autograd.gradgradcheck(pairwise_sum, (vectors,))

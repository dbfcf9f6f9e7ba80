"""The chunked softmax against the textbook one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.train.softmax import full_softmax


def _case(n, m, dim, scale, seed):
    make = torch.Generator().manual_seed(seed)
    states = (torch.randn(n, dim, generator=make) * scale).requires_grad_()
    table = (torch.randn(m, dim, generator=make) * scale).requires_grad_()
    return states, table, torch.randint(m, (n,), generator=make)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 70),
    m=st.integers(2, 90),
    dim=st.integers(1, 20),
    scale=st.floats(0.01, 8.0),
    chunk=st.integers(1, 80),
    weighted=st.booleans(),
    seed=st.integers(0, 999),
)
def test_value_and_gradients_equal_cross_entropy(n, m, dim, scale, chunk, weighted, seed):
    states, table, targets = _case(n, m, dim, scale, seed)
    weights = torch.rand(n, generator=torch.Generator().manual_seed(seed)) + 0.1 if weighted else None
    got = full_softmax(states, table, targets, weights, chunk=chunk)
    rows = F.cross_entropy(states.double() @ table.double().T, targets, reduction="none")
    expected = rows.mean() if weights is None else (rows * weights).sum() / weights.sum()
    assert got.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)
    for mine, theirs in zip(
        torch.autograd.grad(got, (states, table)), torch.autograd.grad(expected, (states, table)), strict=True
    ):
        assert torch.allclose(mine, theirs, rtol=2e-3, atol=2e-5 * float(theirs.abs().max() + 1))


def test_a_state_with_many_targets_costs_what_the_same_state_repeated_would():
    states, table, _ = _case(5, 40, 6, 1.0, 3)
    rows = torch.tensor([3, 0, 0, 4, 3, 3])  # nobody asks for states 1 and 2
    targets = torch.tensor([7, 7, 9, 0, 39, 7])
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])
    together = full_softmax(states, table, targets, weights, rows=rows, chunk=2)
    repeated = full_softmax(states[rows], table, targets, weights)
    assert together.item() == pytest.approx(repeated.item(), rel=1e-5)
    for one, other in zip(
        torch.autograd.grad(together, (states, table)), torch.autograd.grad(repeated, (states, table)), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_scores_far_beyond_the_range_of_exp_stay_finite():
    states, table, targets = _case(40, 30, 8, 60.0, 0)
    loss = full_softmax(states, table, targets)
    assert loss.item() == pytest.approx(F.cross_entropy(states @ table.T, targets).item(), rel=1e-5)
    assert all(bool(part.isfinite().all()) for part in torch.autograd.grad(loss, (states, table)))


def test_bfloat16_gradients_are_within_one_percent():
    states, table, targets = _case(600, 3000, 64, 0.6, 1)
    exact = torch.autograd.grad(full_softmax(states, table, targets), (states, table))
    rough = torch.autograd.grad(full_softmax(states, table, targets, dtype=torch.bfloat16), (states, table))
    for mine, theirs in zip(rough, exact, strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < 0.01


def test_it_never_holds_tokens_times_items():
    states, table, targets = _case(4096, 4096, 16, 0.5, 2)
    held = []
    original = torch.empty
    try:
        torch.empty = lambda *shape, **options: held.append(shape) or original(*shape, **options)
        full_softmax(states, table, targets).backward()
    finally:
        torch.empty = original
    cells = [shape[0] * shape[1] for shape in held if len(shape) == 2]
    assert cells
    assert max(cells) <= 4096 * 4096 // 8

"""The recurrence in stretches is the recurrence step by step."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.ragged import positions_from_end
from tastemaker.nn.recurrence import LinearRecurrence, decaying_sum

STATES = 3


def _world(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens, offsets = sum(lengths), torch.tensor([0, *lengths]).cumsum(0)
    positions = torch.cat([torch.arange(length) for length in lengths])
    values = torch.randn(tokens, STATES, generator=generator, dtype=torch.complex128)
    decay = torch.polar(
        0.7 + 0.3 * torch.rand(STATES, generator=generator, dtype=torch.float64), torch.tensor([0.1, 1.0, 3.0]).double()
    )
    return values, decay, positions, positions_from_end(offsets)


def _naive(values, decay, positions):
    """h_t = λ h_{t-1} + x_t, token by token."""
    states = []
    for value, position in zip(values, positions.tolist(), strict=True):
        states.append(value + decay * states[-1] if position else value + 0 * decay)
    return torch.stack(states)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(0, 9))
def test_stretches_of_packed_rows_give_what_one_step_after_the_other_gives(lengths, seed):
    values, decay, positions, from_end = _world(lengths, seed)
    torch.testing.assert_close(decaying_sum(values, decay, positions, from_end), _naive(values, decay, positions))


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_its_gradient_is_that_of_the_steps(lengths):
    values, decay, positions, from_end = _world(lengths)
    wanted = [values.requires_grad_(), decay.requires_grad_()]
    shade = torch.randn(len(values), STATES, dtype=torch.complex128)
    found = torch.autograd.grad((decaying_sum(values, decay, positions, from_end) * shade).real.sum(), wanted)
    expected = torch.autograd.grad((_naive(values, decay, positions) * shade).real.sum(), wanted)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)


def test_no_tokens_have_no_states():
    nothing = torch.zeros(0, dtype=torch.int64)
    values = torch.zeros(0, STATES, dtype=torch.complex64)
    assert decaying_sum(values, torch.ones(STATES, dtype=torch.complex64), nothing, nothing).shape == (0, STATES)


def test_a_unit_begins_inside_the_ring_and_keeps_the_size_of_its_state():
    torch.manual_seed(0)
    unit = LinearRecurrence(8, 500)
    radius = (-unit.log_nu.exp()).exp()
    assert 0.8 <= radius.min() < 0.83 < 0.97 < radius.max() <= 0.99
    torch.testing.assert_close(unit.log_gamma.exp().square() + radius.square(), torch.ones(500))
    values, positions = torch.randn(3000, 500, dtype=torch.complex64), torch.arange(3000)
    decay = torch.polar(radius, unit.log_theta.exp())
    states = decaying_sum(values * unit.log_gamma.exp(), decay, positions, positions.flip(0))[1000:].abs().square().mean(0)
    torch.testing.assert_close(states.mean(), torch.tensor(1.0), rtol=0.05, atol=0)

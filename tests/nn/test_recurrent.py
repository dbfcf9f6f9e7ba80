"""The cells are torch's, on rows of any length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.recurrent import Recurrent, Steps

LIBRARY = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}
OURS_OF_THEIRS = {"gru": [0, 1, 2], "lstm": [1, 2, 3, 0], "rnn": [0]}
"""Which of our gates each of the library's is."""


def _offsets(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)


def _as_theirs(cell, values):
    gates = values.chunk(len(OURS_OF_THEIRS[cell]))
    return torch.cat([gates[gate] for gate in OURS_OF_THEIRS[cell]])


@torch.no_grad()
def _twins(cell, layers):
    torch.manual_seed(0)
    ours, theirs = Recurrent(cell, 3, 4, layers), LIBRARY[cell](3, 4, layers)
    for layer in range(layers):
        getattr(theirs, f"weight_ih_l{layer}").copy_(_as_theirs(cell, ours.inputs[layer].weight))
        getattr(theirs, f"bias_ih_l{layer}").copy_(_as_theirs(cell, ours.inputs[layer].bias))
        getattr(theirs, f"weight_hh_l{layer}").copy_(_as_theirs(cell, ours.states[layer]))
        getattr(theirs, f"bias_hh_l{layer}").zero_()
        if cell == "gru":
            getattr(theirs, f"bias_hh_l{layer}")[-4:] = ours.resets[layer].uniform_(-1, 1)
    return ours, theirs


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", sorted(LIBRARY))
def test_states_and_gradients_are_those_of_the_library_for_each_row_alone(cell, layers):
    ours, theirs = _twins(cell, layers)
    offsets = _offsets([3, 0, 7, 1, 7, 0])
    tokens = torch.randn(18, 3, requires_grad=True)
    pull = torch.randn(18, 4)
    found = ours(tokens, Steps.of(offsets))
    rows = tokens.split(offsets.diff().tolist())
    expected = torch.cat([theirs(row)[0] for row in rows if len(row)])
    torch.testing.assert_close(found, expected)
    (one,) = torch.autograd.grad((found * pull).sum(), tokens, retain_graph=True)
    (other,) = torch.autograd.grad((expected * pull).sum(), tokens, retain_graph=True)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("cell", sorted(LIBRARY))
def test_weights_get_the_slope_of_finite_differences(cell):
    torch.manual_seed(0)
    network, steps = Recurrent(cell, 2, 3).double(), Steps.of(_offsets([2, 0, 4]))
    names, values = zip(*network.named_parameters(), strict=True)
    tokens = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)

    def states(tokens, *weights):
        return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (tokens, steps))

    assert torch.autograd.gradcheck(states, (tokens, *values))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), max_size=15))
def test_steps_hold_each_token_once_and_know_the_one_before(lengths):
    steps = Steps.of(_offsets(lengths))
    rows = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths, dtype=torch.int64))
    place = torch.arange(len(rows)) - _offsets(lengths)[rows]
    assert steps.to_steps[steps.to_tokens].tolist() == list(range(len(rows)))
    assert place[steps.to_steps].tolist() == [step for step, count in enumerate(steps.counts) for _ in range(count)]
    assert steps.to_steps[steps.earlier].tolist() == (steps.to_steps[sum(steps.counts[:1]) :] - 1).tolist()


def test_no_rows_give_no_states():
    for cell in LIBRARY:
        assert Recurrent(cell, 3, 4)(torch.zeros(0, 3), Steps.of(torch.tensor([0, 0]))).shape == (0, 4)

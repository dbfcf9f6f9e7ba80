"""DIEN: the gate that attention scales, the loss of the next event, and order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.rankers.pasts import drawn, packed, rows, said

from tastemaker.nn.recurrent import AUGRU, Steps
from tastemaker.nn.segments import softmax, weighted_sum
from tastemaker.rankers import dien
from tastemaker.rankers.dien import DIEN

HISTORIES = [[3, 4, 5, 3], [], [7, 8], [9], [4, 4, 4, 10, 11, 2]]


def _plainly(cell: AUGRU, tokens: torch.Tensor, attention: torch.Tensor | None) -> torch.Tensor:
    """One row, step by step."""
    states, state = [], tokens.new_zeros(cell.reset.shape[0])
    for place, token in enumerate(tokens):
        (r, u, n), (from_r, from_u, from_n) = cell.inputs(token).chunk(3), (cell.states @ state).chunk(3)
        reset, update = torch.sigmoid(r + from_r), torch.sigmoid(u + from_u)
        update = update if attention is None else update * attention[place]
        state = (1 - update) * state + update * torch.tanh(n + reset * (from_n + cell.reset))
        states.append(state)
    return torch.stack(states) if states else tokens.new_zeros(0, len(state))


def _cell() -> AUGRU:
    torch.manual_seed(0)
    cell = AUGRU(3, 4).double()
    with torch.no_grad():
        cell.reset.normal_()
    return cell


@pytest.mark.parametrize("attended", [True, False])
def test_augru_and_its_gradients_are_the_papers_equations(attended: bool) -> None:
    cell, (_, offsets) = _cell(), packed(HISTORIES)
    tokens = torch.randn(13, 3, dtype=torch.double, requires_grad=True)
    attention = torch.rand(13, dtype=torch.double, requires_grad=True) if attended else None
    found = cell(tokens, attention, Steps.of(offsets))
    cuts = offsets.diff().tolist()
    weights = [None] * len(cuts) if attention is None else attention.split(cuts)
    wanted = torch.cat([_plainly(cell, *row) for row in zip(tokens.split(cuts), weights, strict=True)])
    torch.testing.assert_close(found, wanted)
    inputs = [tokens, *cell.parameters()] + ([] if attention is None else [attention])
    weigh = torch.randn_like(found)
    slopes = (torch.autograd.grad((states * weigh).sum(), inputs) for states in (found, wanted))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)


def test_a_token_without_attention_changes_nothing() -> None:
    cell, (_, offsets) = _cell(), packed([[1, 2, 3]])
    attention = torch.tensor([0.7, 0.0, 0.0], dtype=torch.double)
    states = cell(torch.randn(3, 3, dtype=torch.double), attention, Steps.of(offsets))
    assert torch.equal(states[0], states[2])


def test_softmax_and_sums_over_rows_are_those_of_each_row() -> None:
    torch.manual_seed(0)
    _, offsets = packed(HISTORIES)
    scores, values = torch.randn(13, dtype=torch.double) * 30, torch.randn(13, 2, dtype=torch.double)
    cuts = offsets.diff().tolist()
    torch.testing.assert_close(softmax(scores, offsets), torch.cat([part.softmax(0) for part in scores.split(cuts)]))
    wanted = torch.stack([w @ v for w, v in zip(scores.split(cuts), values.split(cuts), strict=True)])
    torch.testing.assert_close(weighted_sum(values, scores, offsets), wanted)
    values.requires_grad_(), scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda v, s: weighted_sum(v, s, offsets), (values, scores))
    assert torch.autograd.gradcheck(lambda s: softmax(s, offsets), (scores,))


def test_the_order_of_a_history_counts() -> None:
    found = said(drawn(DIEN), rows([3, 3], [[4, 5, 6, 7], [7, 6, 5, 4]]))
    assert (found[0] - found[1]).abs() > 1e-3


def test_the_auxiliary_loss_compares_each_state_with_the_next_event(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    _, offsets = packed([[1, 2, 3], [], [4], [5, 6]])
    states, events = torch.randn(6, 4), torch.randn(6, 4)
    monkeypatch.setattr(dien.torch, "randint", lambda *_: torch.tensor([5, 0, 3]))
    pairs = [(0, 1, 5), (1, 2, 0), (4, 5, 3)]
    wanted = [F.softplus(-states[h] @ events[e]) + F.softplus(states[h] @ events[other]) for h, e, other in pairs]
    torch.testing.assert_close(dien._auxiliary(states, events, offsets), torch.stack(wanted).mean())


def test_the_penalty_is_of_the_rows_read_last_and_told_once() -> None:
    ranker, asked = drawn(DIEN).train(), rows([3, 4], [[4, 5, 6], [7]])
    ranker(asked)
    penalty = ranker.penalty()
    assert penalty is not None and penalty > 0
    assert ranker.penalty() is None
    ranker.eval()(asked)
    assert ranker.penalty() is None
    ranker = drawn(DIEN, auxiliary=0.0).train()
    ranker(asked)
    assert ranker.penalty() is None


def test_histories_of_one_event_have_no_next_one() -> None:
    ranker = drawn(DIEN).train()
    ranker(rows([3, 4], [[4], []]))
    assert ranker.penalty().item() == 0.0

"""Batch norm, relu and dropout in one layer are what the three are one after another."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tastemaker.nn import normed
from tastemaker.nn.dropout import KeptRelu, draw_kept, scale
from tastemaker.nn.mlp import mlp
from tastemaker.nn.normed import NormedRelu


def layer(dropout: float) -> NormedRelu:
    torch.manual_seed(0)
    made = NormedRelu(5, dropout)
    nn.init.normal_(made.weight)
    nn.init.normal_(made.bias)
    return made


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_it_is_batch_norm_then_relu_then_dropout(dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    fused, plain = layer(dropout), nn.BatchNorm1d(5)
    plain.load_state_dict(copy.deepcopy(fused.state_dict()))
    ours = torch.randn(64, 5, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    keep = draw_kept(ours, dropout)
    monkeypatch.setattr(normed, "draw_kept", lambda values, p: keep)
    pull = torch.randn(64, 5)

    found = fused(ours)
    expected = plain(theirs).relu() * torch.from_numpy(keep) * scale(dropout)
    torch.testing.assert_close(found, expected)
    found.backward(pull)
    expected.backward(pull)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(fused.weight.grad, plain.weight.grad)
    torch.testing.assert_close(fused.bias.grad, plain.bias.grad)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(fused.state_dict()[name], value)


def test_eval_mode_drops_nothing_and_reads_the_moving_averages() -> None:
    fused, plain = layer(0.3).eval(), nn.BatchNorm1d(5).eval()
    plain.load_state_dict(fused.state_dict())
    values = torch.randn(1, 5)
    torch.testing.assert_close(fused(values), plain(values).relu())


def test_the_slope_of_a_kept_relu_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    values = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    keep = draw_kept(values, 0.3)
    assert torch.autograd.gradcheck(lambda x: KeptRelu.apply(x * 1, keep), (values,))
    assert torch.autograd.gradgradcheck(lambda x: KeptRelu.apply(x * 1, keep), (values,))


def test_in_bfloat16_what_is_kept_is_rounded_once() -> None:
    fused = layer(0.3)
    values = torch.randn(64, 5)
    torch.manual_seed(1)
    found = fused(values.bfloat16())
    torch.manual_seed(1)
    expected = fused(values.bfloat16().float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=1 / 128, atol=1e-6)


def test_a_perceptron_without_batch_norm_or_with_another_activation_has_its_own_layers() -> None:
    assert any(isinstance(module, NormedRelu) for module in mlp(3, (4,), batch_norm=True, dropout=0.1))
    for options in ({"activation": "gelu", "batch_norm": True}, {"dropout": 0.1}):
        assert not any(isinstance(module, NormedRelu) for module in mlp(3, (4,), **options))

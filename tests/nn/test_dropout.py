"""Dropout keeps the mean and forgets nothing in eval mode."""

from __future__ import annotations

import pytest
import torch

from tastemaker.nn.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_the_share_dropped_and_the_mean_are_right(p):
    torch.manual_seed(0)
    layer, values = Dropout(p), torch.ones(400_003)
    out = layer(values)
    assert float((out == 0).float().mean()) == pytest.approx(p, abs=0.005)
    assert float(out.mean()) == pytest.approx(1.0, abs=0.03)


def test_the_gradient_passes_where_the_value_did():
    torch.manual_seed(0)
    values = torch.ones(1000, requires_grad=True)
    out = Dropout(0.5)(values)
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert torch.equal(gradient, out.detach())


def test_eval_mode_and_p_zero_change_nothing():
    values = torch.randn(10)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)


def test_neighbouring_elements_drop_independently():
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(1 << 18)) > 0).float().view(-1, 8)
    correlation = torch.corrcoef(kept.T) - torch.eye(8)
    assert float(correlation.abs().max()) < 0.02


def test_the_slope_of_the_slope_passes_too():
    torch.manual_seed(0)
    values = torch.randn(1000, requires_grad=True)
    out = Dropout(0.5)(values)
    (gradient,) = torch.autograd.grad((out * values).sum(), values, create_graph=True)  # 2 m x
    (second,) = torch.autograd.grad(gradient.sum(), values)
    torch.testing.assert_close(second, 2 * out.detach() / values.detach())

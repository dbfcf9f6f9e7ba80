"""How the layers of a perceptron begin."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tastemaker.nn.crosses import CrossLayers
from tastemaker.nn.mlp import mlp, xavier


@pytest.mark.parametrize("module", [mlp(300, (200,), batch_norm=True), CrossLayers(250, 1), xavier(nn.Linear(200, 300))])
def test_linear_maps_begin_with_the_variance_of_glorot_and_without_a_bias(module: nn.Module) -> None:
    (layer,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    assert float(layer.weight.detach().var()) == pytest.approx(2 / (layer.in_features + layer.out_features), rel=0.05)
    assert torch.equal(layer.bias, torch.zeros_like(layer.bias))

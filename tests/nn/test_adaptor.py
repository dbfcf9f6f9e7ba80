from __future__ import annotations

import torch

from tastemaker.nn.adaptor import MixtureAdaptor


def test_it_is_the_gated_sum_of_whitened_experts() -> None:
    torch.manual_seed(0)
    module, x = MixtureAdaptor(5, 4, 3, 0.2).eval(), torch.randn(6, 5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
        gates = (x @ module.gate).softmax(1)
        expected = sum(gates[:, [k]] * ((x - module.shift[k]) @ module.weight[k]) for k in range(3))
        torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-4)


def test_gates_are_noisy_in_training_alone() -> None:
    torch.manual_seed(0)
    module, x = MixtureAdaptor(5, 4, 3, 0.0), torch.randn(6, 5)
    with torch.no_grad():
        assert not torch.equal(module(x), module(x))
        module.eval()
        assert torch.equal(module(x), module(x))

"""Packed linear maps say what the maps they were made of say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tastemaker.nn import packed as packing
from tastemaker.nn.crosses import CrossLayers
from tastemaker.nn.mlp import mlp
from tastemaker.nn.packed import PackedLinear, packed, packs


class Both(nn.Module):
    """A table, layers that multiply, a perceptron, and a map that two parts share."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 6)
        self.cross = CrossLayers(24, 2)
        self.deep = mlp(24, (32, 16), batch_norm=True, dropout=0.5)
        self.other = mlp(24, (16,), activation="gelu")
        self.output = nn.Linear(24 + 32, 2)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        first = self.table(codes).flatten(1)
        return self.output(torch.cat([self.cross(first), self.deep(first), self.other(first)], 1))


pytestmark = pytest.mark.skipif(not packs(), reason="no oneDNN")


def made() -> Both:
    torch.manual_seed(0)
    return Both().eval()


@pytest.mark.parametrize("rows", [0, 1, 7, 300])
def test_it_says_the_same(rows: int) -> None:
    module, codes = made(), torch.randint(0, 50, (rows, 4))
    with torch.inference_mode():
        torch.testing.assert_close(packed(module)(codes), module(codes), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not packs("bfloat16"), reason="no bfloat16")
def test_with_bfloat16_it_says_nearly_the_same() -> None:
    module, codes = made(), torch.randint(0, 50, (300, 4))
    with torch.inference_mode():
        said, meant = packed(module, "bfloat16")(codes), module(codes)
        assert said.dtype == torch.float32
        assert 0 < (said - meant).abs().max() < 0.05 * meant.std()


def test_all_but_the_maps_is_shared_and_the_module_stays_as_it_is() -> None:
    module = made()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = packed(module)
    assert isinstance(found, Both) and found is not module and found.table.weight is module.table.weight
    assert isinstance(found.output, PackedLinear) and type(module.output) is nn.Linear
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


def test_a_module_without_maps_or_a_machine_without_kernels_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    table = nn.Embedding(3, 2)
    assert packed(table) is table
    monkeypatch.setattr(packing, "packs", lambda precision="float32": False)
    module = made()
    assert packed(module) is module

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tastemaker.data.item_contents import FusionSettings
from tastemaker.nn.fusion import FUSIONS, Fused

SIZES = (7, 5, 3)


def fused(name: str, **given: object) -> Fused:
    torch.manual_seed(0)
    module = Fused(SIZES, 8, FusionSettings.parse({"fusion": name, **given})).eval()
    with torch.no_grad():
        for parameter in module.parameters():  # no zero stands where a part would not be noticed
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def rows(count: int = 6) -> tuple[list[Tensor], Tensor]:
    torch.manual_seed(1)
    there = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=torch.bool)
    return [torch.randn(count, size) for size in SIZES], there[:count]


@pytest.mark.parametrize("name", FUSIONS)
def test_what_is_missing_says_nothing_whatever_stands_in_its_place(name: str) -> None:
    vectors, there = rows()
    other = [torch.where(there[:, [place]], vector, 9.0) for place, vector in enumerate(vectors)]
    torch.testing.assert_close(fused(name)(other, there), fused(name)(vectors, there))


@pytest.mark.parametrize("name", FUSIONS)
def test_an_item_with_nothing_is_zero_and_all_others_are_not(name: str) -> None:
    found = fused(name)(*rows())
    assert not found[-1].any()
    assert (found[:-1].abs().sum(1) > 0).all()


@pytest.mark.parametrize("name", FUSIONS)
def test_rows_stand_alone_and_each_modality_counts(name: str) -> None:
    module, (vectors, there) = fused(name), rows()
    whole = module(vectors, there)
    torch.testing.assert_close(module([one[2:3] for one in vectors], there[2:3]), whole[2:3])
    for place in range(len(SIZES)):
        moved = [one + (number == place) for number, one in enumerate(vectors)]
        changed = (module(moved, there) - whole).abs().sum(1) > 1e-6
        assert changed.tolist() == there[:, place].tolist()


def test_the_outer_product_is_what_its_formula_says() -> None:
    module, (vectors, there) = fused("outer"), rows()
    x, fusion = module.project(vectors), module.fusion
    for row in range(5):
        expected = torch.zeros(8)
        for rank in range(4):
            said = torch.ones(8)
            nothing = torch.ones(8)
            for place in range(3):
                if there[row, place]:
                    said = said * (x[row, place] @ fusion.weight[place, rank] + fusion.bias[place, rank])
                    nothing = nothing * fusion.bias[place, rank]
            expected = expected + fusion.sum[rank] * (said - nothing)
        torch.testing.assert_close(module(vectors, there)[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FUSIONS)
def test_gradients_are_those_of_the_function(name: str) -> None:
    module, (vectors, there) = fused(name).double(), rows()
    vectors = [one.double().requires_grad_() for one in vectors]
    assert torch.autograd.gradcheck(lambda *given: module(list(given), there), vectors)


def test_hidden_modalities_never_leave_an_item_with_nothing() -> None:
    module, (vectors, there) = fused("concat", modality_dropout=0.9).train(), rows()
    torch.manual_seed(0)
    found = torch.stack([module(vectors, there) for _ in range(40)])
    assert (found[:, :-1].abs().sum(2) > 0).all()
    assert found[:, 0].std(0).sum() > 0  # some were hidden
    assert not found[:, 2].std(0).any()  # never the last one

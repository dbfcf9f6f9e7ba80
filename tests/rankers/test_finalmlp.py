from __future__ import annotations

from typing import Any

import pytest
import torch

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.rows import Rows
from tastemaker.rankers.finalmlp import FinalMLP


def test_the_fusion_is_the_bilinear_form_of_each_head(two_labels: RowSchema) -> None:
    torch.manual_seed(0)
    fusion = FinalMLP(FinalMLP.Config(hidden=(12,), second_hidden=(6,), heads=3), two_labels).fusion
    first, second = torch.randn(5, 12), torch.randn(5, 6)
    expected = torch.zeros(5, 2)
    for row in range(5):
        for label in range(2):
            total = fusion.linear.bias[label]
            total = total + fusion.linear.weight[label, :12] @ first[row] + fusion.linear.weight[label, 12:] @ second[row]
            for head in range(3):
                matrix = fusion.products[head, :, 2 * label : 2 * label + 2]
                total = total + first[row, 4 * head : 4 * head + 4] @ matrix @ second[row, 2 * head : 2 * head + 2]
            expected[row, label] = total
    torch.testing.assert_close(fusion(first, second), expected)


@pytest.mark.parametrize("context", [(), ("item",), ("age", "seen")])
def test_a_gate_weighs_each_number_between_0_and_2_by_its_context_alone(
    schema: RowSchema, rows: Rows, context: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    gate = FinalMLP(FinalMLP.Config(init=1.0, first_context=context), schema).gates[0]
    with torch.no_grad():
        for parameter in gate.network.parameters():
            parameter.normal_()
    weights = gate(rows).expand(7, 60)
    assert (weights >= 0).all()
    assert (weights <= 2).all()
    assert weights.max() > 1.5
    assert weights.min() < 0.5
    codes = rows.codes.clone()
    codes[:, 0] = (codes[:, 0] + 1) % 9
    assert torch.equal(gate(Rows(codes, rows.numbers, rows.vectors, rows.bags)).expand(7, 60), weights)
    codes[:, 1] = (codes[:, 1] + 1) % 12
    changed = gate(Rows(codes, rows.numbers, rows.vectors, rows.bags)).expand(7, 60)
    assert torch.equal(changed, weights) == (context != ("item",))


def test_without_gates_both_streams_read_the_fields_as_they_are(schema: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = FinalMLP(FinalMLP.Config(init=1.0, gating=False), schema)
    vectors = ranker.vectors(rows).flatten(1)
    torch.testing.assert_close(ranker(rows), ranker.fusion(ranker.streams[0](vectors), ranker.streams[1](vectors)))


def test_a_context_that_is_no_field_is_named(schema: RowSchema) -> None:
    with pytest.raises(ConfigError, match="'usr'"):
        FinalMLP(FinalMLP.Config(first_context=("usr",)), schema)


@pytest.mark.parametrize(
    ("given", "told"), [({"heads": 3}, "3 heads"), ({"gating": False, "first_context": ["user"]}, "gating = true")]
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FinalMLP.Config.parse(given)

"""PLE: whose experts reach whom."""

from __future__ import annotations

import pytest
import torch

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.ple import PLE

SCHEMA = RowSchema((FieldSchema("a", "category", 9), FieldSchema("b", "category", 9)), ("click", "buy"))


def _ranker(layers: int) -> tuple[PLE, Rows]:
    torch.manual_seed(0)
    ranker = PLE(PLE.Config(dim=4, layers=layers, hidden=(8, 6), tower=(5,), init=1.0), SCHEMA)
    return ranker, Rows(torch.randint(0, 9, (20, 2), dtype=torch.int32), torch.zeros(20, 0), (), ())


def test_one_layer_is_the_papers_cgc() -> None:
    ranker, rows = _ranker(1)
    (layer,), first = ranker.layers, ranker.vectors(rows).flatten(1)
    for task in range(2):
        experts = [*layer.own[task].experts, *layer.shared.experts]
        shares = torch.softmax(first @ layer.gates[task].weigh.weight.T, 1)
        mixed = sum(shares[:, [place]] * expert(first) for place, expert in enumerate(experts))
        torch.testing.assert_close(ranker(rows)[:, task], ranker.towers.towers[task](mixed)[:, 0])


@pytest.mark.parametrize(("layers", "reached"), [(1, False), (2, True)])
def test_a_labels_experts_reach_the_other_label_through_a_later_layer_alone(layers: int, reached: bool) -> None:
    ranker, rows = _ranker(layers)
    ranker(rows)[:, 1].sum().backward()
    slope = ranker.layers[0].own[0].experts[0][0].weight.grad
    assert (slope is not None and bool(slope.abs().sum() > 0)) == reached

"""Shared bottom: labels share the first layers and have the last ones to themselves."""

from __future__ import annotations

import torch

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.shared_bottom import SharedBottom

SCHEMA = RowSchema((FieldSchema("a", "category", 9), FieldSchema("b", "category", 9)), ("click", "buy"))


def test_a_tower_moves_its_own_label_and_the_bottom_moves_all() -> None:
    torch.manual_seed(0)
    ranker = SharedBottom(SharedBottom.Config(dim=4, hidden=(8, 6), tower=(5,), init=1.0), SCHEMA)
    rows = Rows(torch.randint(0, 9, (20, 2), dtype=torch.int32), torch.zeros(20, 0), (), ())
    before = ranker(rows)
    with torch.no_grad():
        ranker.towers.towers[0][0].weight.add_(1.0)
    after = ranker(rows)
    assert torch.equal(before[:, 1], after[:, 1])
    assert not torch.equal(before[:, 0], after[:, 0])
    with torch.no_grad():
        ranker.bottom[0].weight.add_(1.0)
    assert not (ranker(rows) == after).all(0).any()

"""MMoE and the shared bottom that it is with one expert."""

from __future__ import annotations

import torch

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.mmoe import MMoE
from tastemaker.rankers.shared_bottom import SharedBottom

SCHEMA = RowSchema((FieldSchema("a", "category", 9), FieldSchema("b", "category", 9)), ("click", "buy"))
WIDTHS = {"dim": 4, "hidden": (8, 6), "tower": (5,), "init": 1.0}


def _rows() -> Rows:
    torch.manual_seed(1)
    return Rows(torch.randint(0, 9, (20, 2), dtype=torch.int32), torch.zeros(20, 0), (), ())


def test_one_expert_is_a_shared_bottom() -> None:
    one, other = MMoE(MMoE.Config(experts=1, **WIDTHS), SCHEMA), SharedBottom(SharedBottom.Config(**WIDTHS), SCHEMA)
    state = one.state_dict()
    other.load_state_dict({key: state[key.replace("bottom.", "experts.experts.0.")] for key in other.state_dict()})
    torch.testing.assert_close(one(_rows()), other(_rows()))


def test_logits_are_the_papers_formula() -> None:
    ranker, rows = MMoE(MMoE.Config(experts=3, **WIDTHS), SCHEMA), _rows()
    first = ranker.vectors(rows).flatten(1)
    for task in range(2):
        shares = torch.softmax(first @ ranker.gates[task].weigh.weight.T, 1)
        mixed = sum(shares[:, [place]] * expert(first) for place, expert in enumerate(ranker.experts.experts))
        torch.testing.assert_close(ranker(rows)[:, task], ranker.towers.towers[task](mixed)[:, 0])

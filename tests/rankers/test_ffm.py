from __future__ import annotations

import torch

from tastemaker.data.schema import RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.ffm import FFM


def test_logits_are_the_double_loop_over_pairs_of_fields(schema: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = FFM(FFM.Config(dim=4, init=1.0), schema)
    fields = len(schema.fields)
    vectors = ranker.vectors(rows).view(7, fields, fields, 4)  # [row, f, g]: what f has for g
    expected = ranker.linear(rows)[:, 0]
    for f in range(fields):
        for g in range(f + 1, fields):
            expected = expected + (vectors[:, f, g] * vectors[:, g, f]).sum(1)
    torch.testing.assert_close(ranker(rows)[:, 0], expected)


def test_its_own_slope_is_that_of_the_double_loop(schema: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = FFM(FFM.Config(dim=4, init=1.0), schema).double()
    rows = Rows(rows.codes, rows.numbers.double(), tuple(vector.double() for vector in rows.vectors), rows.bags)
    weights = torch.randn(7, dtype=torch.float64)
    (ranker(rows)[:, 0] * weights).sum().backward()
    own = [parameter.grad.clone() for parameter in ranker.vectors.parameters()]
    ranker.zero_grad()
    vectors = ranker.vectors(rows).view(7, 6, 6, 4)
    pairs = (vectors * vectors.transpose(1, 2)).sum(3)
    (pairs.triu(1).sum((1, 2)) * weights).sum().backward()
    for found, parameter in zip(own, ranker.vectors.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad)


def test_the_vectors_of_a_field_for_itself_count_for_nothing(schema: RowSchema, rows: Rows) -> None:
    ranker = FFM(FFM.Config(dim=4, init=1.0), schema)
    before = ranker(rows)
    with torch.no_grad():
        ranker.vectors.table.weight.view(-1, 6, 4)[: schema.fields[0].size, 0] += 100.0  # users' vectors for users
    assert torch.equal(ranker(rows), before)

from __future__ import annotations

import torch

from tastemaker.data.schema import RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.afm import AFM


def test_logits_are_the_loop_over_pairs_with_their_weights(two_labels: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = AFM(AFM.Config(dim=4, init=1.0, attention=3), two_labels)
    vectors = ranker.vectors(rows)
    for row in range(7):
        pairs = [vectors[row, f] * vectors[row, g] for f in range(6) for g in range(f + 1, 6)]
        said = [(ranker.weigh.weight[0] * torch.relu(ranker.hidden.weight @ pair + ranker.hidden.bias)).sum() for pair in pairs]
        shares = torch.stack(said).exp() / torch.stack(said).exp().sum()
        pooled = sum(share * pair for share, pair in zip(shares, pairs, strict=True))
        expected = ranker.linear(rows)[row] + ranker.output.weight @ pooled
        torch.testing.assert_close(ranker(rows)[row], expected)


def test_the_weights_of_a_row_s_pairs_are_above_0_and_1_in_sum(schema: RowSchema, rows: Rows) -> None:
    ranker = AFM(AFM.Config(init=1.0), schema)
    shares = ranker.attention(ranker.pairs(rows))
    assert shares.shape == (15, 7)
    assert (shares > 0).all()
    torch.testing.assert_close(shares.sum(0), torch.ones(7))


def test_pairs_that_are_weighed_alike_make_a_factorization_machine(schema: RowSchema, rows: Rows) -> None:
    ranker = AFM(AFM.Config(init=1.0), schema)
    with torch.no_grad():
        ranker.weigh.weight.zero_()
        ranker.output.weight.fill_(15.0)  # pairs
    vectors = ranker.vectors(rows)
    pairs = (vectors @ vectors.transpose(1, 2)).triu(1).sum((1, 2))
    torch.testing.assert_close(ranker(rows)[:, 0], pairs)

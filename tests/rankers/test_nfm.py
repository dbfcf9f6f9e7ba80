from __future__ import annotations

import torch

from tastemaker.data.schema import RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.nfm import NFM


def test_the_perceptron_reads_the_double_loop_over_products_of_pairs(two_labels: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = NFM(NFM.Config(dim=4, init=1.0, hidden=(5,)), two_labels)
    vectors = ranker.vectors(rows)
    pooled = torch.zeros(7, 4)
    for f in range(6):
        for g in range(f + 1, 6):
            pooled = pooled + vectors[:, f] * vectors[:, g]
    first, last = ranker.deep[0], ranker.deep[-1]
    expected = ranker.linear(rows) + last(torch.relu(first(pooled)))
    assert expected.shape == (7, 2)
    torch.testing.assert_close(ranker(rows), expected)


def test_batch_norm_and_dropout_act_on_the_pooled_pairs(schema: RowSchema, rows: Rows) -> None:
    ranker = NFM(NFM.Config(batch_norm=True, pooled_dropout=0.5, init=1.0), schema)
    read = []
    ranker.deep.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    ranker(rows)
    assert (read[0] == 0).float().mean() > 0.2
    ranker.norm.reset_running_stats()
    ranker.norm.momentum = 1.0
    ranker(rows)
    ranker.eval()(rows)
    torch.testing.assert_close(read[2].mean(0), torch.zeros(10), atol=1e-4, rtol=0)

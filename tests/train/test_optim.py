"""Optimizers and schedules do what their formulas say."""

from __future__ import annotations

import copy

import pytest
import torch

from tastemaker.train.optim import LazyAdam, schedule


def test_lazy_adam_is_adam_where_every_row_is_touched() -> None:
    torch.manual_seed(0)
    start, codes = torch.randn(5, 3), torch.arange(5)
    ends = []
    for sparse in (False, True):
        table = torch.nn.Embedding.from_pretrained(start.clone(), freeze=False, sparse=sparse)
        kind = LazyAdam if sparse else torch.optim.Adam
        optimizer = kind(table.parameters(), lr=0.1, weight_decay=0.01)
        for step in range(4):
            optimizer.zero_grad()
            (table(codes) * (step + 1)).square().sum().backward()
            optimizer.step()
        ends.append(table.weight.detach())
    torch.testing.assert_close(ends[0], ends[1])


def test_lazy_adam_leaves_untouched_rows_alone_and_sums_repeats() -> None:
    table = torch.nn.Embedding.from_pretrained(torch.ones(4, 2), freeze=False, sparse=True)
    dense = torch.nn.Embedding.from_pretrained(torch.ones(1, 2), freeze=False)
    optimizers = LazyAdam(table.parameters(), lr=0.1), torch.optim.Adam(dense.parameters(), lr=0.1)
    table(torch.tensor([1, 1, 1])).sum().backward()
    (3 * dense(torch.tensor([0]))).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    torch.testing.assert_close(table.weight[1].detach(), dense.weight[0].detach())
    assert torch.equal(table.weight[[0, 2, 3]].detach(), torch.ones(3, 2))


def test_lazy_adam_goes_on_from_its_state() -> None:
    def stepped(table: torch.nn.Embedding, optimizer: LazyAdam) -> None:
        optimizer.zero_grad()
        table(torch.tensor([0, 2])).square().sum().backward()
        optimizer.step()

    one = torch.nn.Embedding.from_pretrained(torch.ones(3, 2), freeze=False, sparse=True)
    first = LazyAdam(one.parameters(), lr=0.1)
    stepped(one, first)
    other = torch.nn.Embedding.from_pretrained(one.weight.detach().clone(), freeze=False, sparse=True)
    second = LazyAdam(other.parameters(), lr=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    stepped(one, first)
    stepped(other, second)
    assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize(("drops", "factor"), [(0, 1.0), (1, 0.1), (2, 0.01)])
def test_on_a_plateau_the_rate_falls_to_a_tenth(drops: int, factor: float) -> None:
    assert schedule("plateau", 100, 0, 1000, drops) == pytest.approx(factor)

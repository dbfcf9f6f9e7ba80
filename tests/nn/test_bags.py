from __future__ import annotations

import torch

from tastemaker.nn.bags import HistoryBag

ITEMS = torch.tensor([4, 2, 2, 1, 0, 7, 3])
ROWS = torch.tensor([0, 0, 0, 0, 1, 3, 3])


def bag(dropout: float, dim: int = 3) -> HistoryBag:
    torch.manual_seed(0)
    return HistoryBag(9, dim, dropout)


def dense() -> torch.Tensor:
    """Four users: items 4 and 2 (twice), nothing known, nothing at all, items 7 and 3."""
    table = torch.zeros(4, 9)
    table[0, [2, 4]] = table[3, [3, 7]] = 0.5**0.5
    return table


def test_a_bag_is_a_linear_layer_on_the_normalised_history() -> None:
    layer = bag(0.0)
    with torch.no_grad():
        layer.bias.copy_(torch.arange(3))
    torch.testing.assert_close(layer(ITEMS, ROWS, 4), dense() @ layer.weight + layer.bias)


def test_gradients_are_those_of_the_dense_layer() -> None:
    layer = bag(0.0)
    goal = torch.randn(4, 3)
    (layer(ITEMS, ROWS, 4) * goal).sum().backward()
    torch.testing.assert_close(layer.weight.grad, dense().T @ goal)
    torch.testing.assert_close(layer.bias.grad, goal.sum(0))


def test_dropout_leaves_out_whole_items_and_keeps_the_mean() -> None:
    layer = bag(0.25, dim=9)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(9))
        drawn = torch.stack([layer(ITEMS, ROWS, 4) for _ in range(2000)])
    assert {round(value, 4) for value in drawn[:, 0, 2].tolist()} == {0.0, round(0.5**0.5 / 0.75, 4)}
    torch.testing.assert_close(drawn.mean(0), dense(), atol=0.03, rtol=0)
    assert torch.equal(layer(ITEMS, ROWS, 4, drop=False), dense() @ layer.weight + layer.bias)
    assert torch.equal(layer.eval()(ITEMS, ROWS, 4), dense() @ layer.weight + layer.bias)

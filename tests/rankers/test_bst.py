"""BST: order counts, other rows do not, and what is too old is not read."""

from __future__ import annotations

import pytest
import torch
from tests.rankers.pasts import drawn, rows, said

from tastemaker.errors import ConfigError
from tastemaker.rankers.bst import BST

HISTORIES = [[3, 4, 5, 3], [], [7, 8], [9], [4, 4, 4, 10, 11, 2]]


def test_the_order_of_a_history_counts() -> None:
    found = said(drawn(BST), rows([3, 3], [[4, 5, 6, 7], [7, 6, 5, 4]]))
    assert (found[0] - found[1]).abs() > 1e-3


@pytest.mark.parametrize("blocks", [1, 2])
def test_packed_rows_are_the_rows_one_by_one(blocks: int) -> None:
    ranker, items = drawn(BST, blocks=blocks), [3, 4, 5, 6, 7]
    whole = said(ranker, rows(items, HISTORIES))
    alone = [said(ranker, rows([item], [history])) for item, history in zip(items, HISTORIES, strict=True)]
    torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_events_beyond_max_length_are_not_read() -> None:
    ranker = drawn(BST, max_length=3)
    found = said(ranker, rows([3, 3, 3], [[9, 10, 4, 5, 6], [4, 5, 6], [5, 6]]))
    torch.testing.assert_close(found[0], found[1])
    assert (found[1] - found[2]).abs() > 1e-4


def test_attention_by_hand_in_bfloat16_is_attention() -> None:
    ranker, asked = drawn(BST).train(), rows([3, 4, 5, 6, 7], HISTORIES)
    exact = ranker(asked)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(ranker(asked).float(), exact, rtol=0.05, atol=0.05)


def test_heads_divide_the_vectors() -> None:
    with pytest.raises(ConfigError, match="dim to be a multiple of heads = 3"):
        BST.Config.parse({"heads": 3})

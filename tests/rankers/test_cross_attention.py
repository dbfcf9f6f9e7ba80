"""Cross-attention: the papers' formula row by row, what asks and what is asked, and a world that means of histories cannot solve."""

from __future__ import annotations

import pytest
import torch
from tests.contracts.test_rankers import auc, fitted, world_of
from tests.rankers.pasts import ITEM, drawn, packed, rows, said

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.cross_attention import CrossAttention
from tastemaker.nn.rows import Rows
from tastemaker.rankers.cross_attention import CrossAttentionRanker
from tastemaker.train.rows import predict

HISTORIES = [[3, 4, 5, 3], [], [7, 8], [9], [4, 4, 4, 10, 11, 2]]
NEW = RowSchema((FieldSchema("text", "vector", 3), FieldSchema("read", "sequence", 12)))
"""A candidate known by its vector alone, and a history of other things."""


def new(texts: torch.Tensor, histories: list[list[int]]) -> Rows:
    return Rows(torch.zeros(len(texts), 0, dtype=torch.int32), torch.zeros(len(texts), 0), (texts,), (packed(histories),))


def test_attention_is_the_formula_computed_row_by_row() -> None:
    torch.manual_seed(0)
    unit, (_, offsets) = CrossAttention(4, 2), packed(HISTORIES)
    queries, events = torch.randn(5, 3, 4), torch.randn(int(offsets[-1]), 4)
    with torch.no_grad():
        unit.nothing.normal_()
        found = unit(queries, events, offsets)
        for row in range(5):
            tokens = torch.cat([events[offsets[row] : offsets[row + 1]], unit.nothing[None]])
            keys, values = unit.answer(tokens).chunk(2, 1)
            heads = []
            for head in (slice(0, 2), slice(2, 4)):
                scores = unit.ask(queries[row])[:, head] @ keys[:, head].T / 2**0.5
                heads.append(scores.softmax(1) @ values[:, head])
            torch.testing.assert_close(found[row], unit.mix(torch.cat(heads, 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blocks", [1, 2])
def test_packed_rows_are_the_rows_one_by_one(blocks: int) -> None:
    ranker, items = drawn(CrossAttentionRanker, blocks=blocks), [3, 4, 5, 6, 7]
    whole = said(ranker, rows(items, HISTORIES))
    alone = [said(ranker, rows([item], [history])) for item, history in zip(items, HISTORIES, strict=True)]
    torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_the_order_of_a_history_counts_and_what_is_too_old_does_not() -> None:
    ranker = drawn(CrossAttentionRanker, max_length=3)
    found = said(ranker, rows([3, 3], [[4, 5, 6], [6, 5, 4]]))
    assert (found[0] - found[1]).abs() > 1e-3
    ranker = drawn(CrossAttentionRanker, max_length=3, candidate=("item",))
    attended: list[torch.Tensor] = []
    ranker.blocks[0][0].register_forward_pre_hook(lambda _, given: attended.append(given[1]))
    said(ranker, rows([3], [[9, 10, 4, 5, 6]]))
    assert len(attended[0]) == 3


def test_a_candidate_without_a_code_is_set_against_the_history_by_its_content() -> None:
    ranker, texts = drawn(CrossAttentionRanker, NEW), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    history = [3, 4, 5, 3]
    changed = []
    for text in texts:
        one, other = said(ranker, new(text.repeat(2, 1), [history, [7, 8, 9, 10]]))
        changed.append(other - one)
    assert (changed[0] - changed[1]).abs() > 1e-3  # what the history adds depends on the content


def test_fields_that_ask_are_named_or_all_but_numbers_and_histories() -> None:
    tags, age, bought = FieldSchema("tags", "bag", 9), FieldSchema("age", "number", 1), FieldSchema("bought", "sequence", 9)
    schema = RowSchema((age, ITEM, tags, *NEW.fields, bought))
    ranker = drawn(CrossAttentionRanker, schema)
    assert ranker.queries.tolist() == [0, 1, 5]  # item, tags and text, in the order in which field vectors lie
    assert len(ranker.histories) == 2
    assert drawn(CrossAttentionRanker, schema, candidate=("text",), history=("bought",)).queries.tolist() == [5]
    with pytest.raises(ConfigError, match=r"model\.candidate: 'read'"):
        drawn(CrossAttentionRanker, schema, candidate=("read",))
    with pytest.raises(ConfigError, match=r"expected one of read, bought; found model\.history: 'tags'"):
        drawn(CrossAttentionRanker, schema, history=("tags",))
    with pytest.raises(ConfigError, match="a sequence among the fields"):
        drawn(CrossAttentionRanker, RowSchema((ITEM, tags)))
    with pytest.raises(ConfigError, match="no field beside the history"):
        drawn(CrossAttentionRanker, RowSchema((age, bought)))
    with pytest.raises(ConfigError, match="dim to be a multiple of heads = 3"):
        CrossAttentionRanker.Config.parse({"heads": 3})


def test_it_knows_what_means_of_histories_do_not_tell() -> None:
    made, encoder = world_of("content")
    held = slice(len(made.labels) * 2 // 3, None)
    asked = encoder.encode(made.table)
    one, other = (
        auc(made.labels[held, 0], predict(fitted(name, "content"), asked)[held, 0]) for name in ("cross_attention", "dnn")
    )
    assert one > other + 0.04

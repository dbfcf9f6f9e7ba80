"""DIN: the activation unit of the paper, no order, nothing from an empty history, and a world that means cannot solve."""

from __future__ import annotations

import pytest
import torch
from tests.contracts.test_rankers import auc, fitted, world_of
from tests.rankers.pasts import ITEM, SCHEMA, drawn, packed, rows, said

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.histories import Past
from tastemaker.nn.target_attention import TargetAttention
from tastemaker.rankers.din import DIN

HISTORIES = [[3, 4, 5, 3], [], [7, 8], [9], [4, 4, 4, 10, 11, 2, 3, 5]]


@pytest.mark.parametrize("activation", ["relu", "dice"])
@pytest.mark.parametrize("hidden", [(6,), (6, 5)])
def test_attention_is_the_papers_formula_computed_event_by_event(hidden: tuple[int, ...], activation: str) -> None:
    torch.manual_seed(0)
    unit = TargetAttention(4, hidden, activation).eval()
    target, (codes, offsets) = torch.randn(5, 4), packed(HISTORIES)
    table = torch.randn(12, 4)
    found = unit(table[codes.long()], target, offsets)
    for row, history in enumerate(HISTORIES):
        wanted = torch.zeros(4)
        for code in history:
            event, one = table[code], target[row]
            hidden_layer = unit.activation(unit.first(torch.cat([event, one, event - one, event * one]))[None])
            wanted = wanted + unit.rest(hidden_layer)[0, 0] * event
        torch.testing.assert_close(found[row], wanted, rtol=1e-4, atol=1e-5)


def test_gradients_of_attention_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    unit = TargetAttention(3, (5,), "tanh").double()
    _, offsets = packed(HISTORIES)
    events, target = torch.randn(15, 3, dtype=torch.double), torch.randn(5, 3, dtype=torch.double)
    unit.weights = _in_double(unit)  # weights are float32 outside of tests
    events.requires_grad_(), target.requires_grad_()
    assert torch.autograd.gradcheck(lambda e, t: unit(e, t, offsets), (events, target))


def _in_double(unit: TargetAttention) -> object:
    def weights(events: torch.Tensor, target: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        one = target.repeat_interleave(offsets.diff(), 0)
        return unit.rest(unit.activation(unit.first(torch.cat([events, one, events - one, events * one], 1)))).squeeze(1)

    return weights


def test_the_order_of_a_history_counts_for_nothing() -> None:
    ranker = drawn(DIN)
    found = said(ranker, rows([3, 3], [[4, 5, 6, 7], [7, 5, 4, 6]]))
    torch.testing.assert_close(found[0], found[1])


def test_an_empty_history_is_zero_whatever_the_candidate() -> None:
    ranker = drawn(DIN)
    codes, offsets = packed([[], []])
    past = Past(codes, offsets, torch.randn(2, 4))
    assert ranker.interest(0, past, rows([3, 4], [[], []])).eq(0).all()


def test_what_is_seen_depends_on_the_candidate() -> None:
    ranker, history = drawn(DIN), [3, 4, 5]
    table = ranker.vectors.table
    codes, offsets = packed([history, history])
    past = Past(codes + ranker.vectors.first["history"], offsets, table(torch.tensor([3, 9]) + ranker.vectors.first["item"]))
    one, other = ranker.interest(0, past, rows([3, 9], [history, history]))
    assert not torch.allclose(one, other)


def test_din_knows_what_means_of_histories_do_not_tell() -> None:
    made, encoder = world_of("tastes")
    held = slice(len(made.labels) * 2 // 3, None)
    asked = encoder.encode(made.table)
    from tastemaker.train.rows import predict

    one, other = (auc(made.labels[held, 0], predict(fitted(name, "tastes"), asked)[held, 0]) for name in ("din", "dnn"))
    assert one > other + 0.03


def test_histories_may_be_several_and_are_named_or_found() -> None:
    fields = (*SCHEMA.fields, FieldSchema("bought", "sequence", 12, "item"), FieldSchema("tags", "sequence", 9))
    schema = RowSchema(fields)
    assert [history.name for history in drawn(DIN, schema).histories] == ["history", "bought"]
    one = drawn(DIN, schema, history=("bought",))
    assert [history.name for history in one.histories] == ["bought"]
    asked = rows([3, 4], [[4, 5], []], [[6], [7, 8]], [[2], [3]])
    assert said(one, asked).shape == (2, 1)
    with pytest.raises(ConfigError, match=r"expected one of history, bought; found model\.history: 'tags'"):
        drawn(DIN, schema, history=("tags",))


def test_rows_without_a_history_are_refused() -> None:
    with pytest.raises(ConfigError, match="shares a category's vocabulary"):
        drawn(DIN, RowSchema((ITEM, FieldSchema("tags", "bag", 9))))


def test_dice_bends_where_the_batch_lies_and_remembers_it() -> None:
    from tastemaker.nn.dice import Dice

    torch.manual_seed(0)
    dice, values = Dice(3, momentum=1.0), torch.randn(50, 3) * 2 + 5
    with torch.no_grad():
        dice.alpha.fill_(0.25)
    gate = torch.sigmoid((values - values.mean(0)) / values.std(0, correction=0))
    torch.testing.assert_close(dice(values), gate * values + (1 - gate) * 0.25 * values)
    gate = torch.sigmoid((values - values.mean(0)) / values.std(0))  # what is remembered is the unbiased variance
    torch.testing.assert_close(dice.eval()(values), gate * values + (1 - gate) * 0.25 * values)
    assert dice.train()(values[:0]).shape == (0, 3)
    assert torch.isfinite(dice(values[:1])).all()

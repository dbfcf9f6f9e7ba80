"""SIM: what the searches find, and what is done with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.rankers.pasts import SCHEMA, drawn, packed, rows, said

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.errors import ConfigError, DataError
from tastemaker.nn.histories import Past, highest, newest
from tastemaker.nn.rows import Rows
from tastemaker.rankers.sim import SIM

HISTORIES = [[3, 4, 5, 3], [], [7, 8], [9], [4, 4, 4, 10, 11, 2, 3, 5]]
BRANDED = RowSchema(
    (
        FieldSchema("brand", "category", 5),
        *SCHEMA.fields[1:],
        FieldSchema("brands", "sequence", 5, "brand"),
    )
)


def _past(ranker: SIM, histories: list[list[int]]) -> Past:
    codes, offsets = packed(histories)
    torch.manual_seed(1)
    return Past(codes + ranker.vectors.first["history"], offsets, torch.randn(len(histories), 4))


def test_a_short_history_is_attended_to_as_a_whole() -> None:
    ranker = drawn(SIM, relevant=8)
    past = _past(ranker, HISTORIES)
    found = ranker.interest(0, past, rows([3] * 5, HISTORIES))
    wanted = ranker.of_found[0](ranker.vectors.table(past.codes), past.target, past.offsets)
    torch.testing.assert_close(found[:, :4], wanted)


def test_soft_search_finds_the_largest_inner_products_and_keeps_their_order() -> None:
    ranker = drawn(SIM, relevant=3)
    past = _past(ranker, HISTORIES)
    found = ranker.search(past, rows([3] * 5, HISTORIES))
    cuts = [past.codes.split(past.offsets.diff().tolist()), found.codes.split(found.offsets.diff().tolist())]
    for codes, kept, target in zip(*cuts, past.target, strict=True):
        scores = (ranker.vectors.table.weight[codes.long()] @ target).detach().numpy()
        assert len(kept) == min(3, len(codes))
        best = np.sort(scores)[::-1][: len(kept)]
        again = (ranker.vectors.table.weight[kept.long()] @ target).detach().numpy()
        np.testing.assert_allclose(np.sort(again)[::-1], best, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_highest_and_newest_are_those_of_each_row(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 30, 40)
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
    scores, among = draw.random(lengths.sum()), draw.random(lengths.sum()) < 0.4
    (best, of_best), (last, of_last), (some, of_some) = (
        highest(offsets, 7, torch.from_numpy(scores)),
        newest(offsets, 7),
        newest(offsets, 7, torch.from_numpy(among)),
    )
    wanted: list[list[int]] = [[], [], []]
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        wanted[0] += sorted((start + np.argsort(-scores[start:end])[:7]).tolist())
        wanted[1] += list(range(max(start, end - 7), end))
        wanted[2] += (start + np.flatnonzero(among[start:end])[-7:]).tolist()
    assert [best.tolist(), last.tolist(), some.tolist()] == wanted
    assert torch.equal(of_best.diff(), torch.from_numpy(lengths.clip(max=7)))
    assert torch.equal(of_last, of_best)
    assert int(of_some[-1]) == len(some)


def _branded(items: list[int], brands: list[int], histories: list[list[int]], of: list[list[int]]) -> Rows:
    codes = torch.tensor([brands, items], dtype=torch.int32).T.contiguous()
    return Rows(codes, torch.zeros(len(items), 0), (), (packed(histories), packed(of)))


def test_hard_search_finds_the_newest_of_the_candidates_category() -> None:
    ranker = drawn(SIM, BRANDED, categories="brands", relevant=2)
    assert [history.name for history in ranker.histories] == ["history"]
    histories, of = [[5, 6, 7, 8, 9], [5, 6], []], [[2, 3, 2, 2, 4], [3, 3], []]
    asked = _branded([3, 3, 3], [2, 4, 2], histories, of)
    found = ranker.search(_past(ranker, histories), asked)
    assert (found.codes - ranker.vectors.first["history"]).tolist() == [7, 8]
    assert found.offsets.tolist() == [0, 2, 2, 2]
    assert said(ranker, asked).shape == (3, 1)


def test_every_event_needs_a_category() -> None:
    ranker = drawn(SIM, BRANDED, categories="brands")
    with pytest.raises(DataError, match="2 events with 1 categories in 'brands'"):
        said(ranker, _branded([3], [2], [[5, 6]], [[2]]))
    with pytest.raises(ConfigError, match=r"model\.categories: 'shops'"):
        drawn(SIM, BRANDED, categories="shops")


def test_the_newest_events_are_read_whatever_the_search_finds() -> None:
    ranker = drawn(SIM, BRANDED, categories="brands", recent=2)
    found = said(ranker, _branded([3, 3, 3], [2, 2, 2], [[5, 6, 7], [5, 6, 8], [9, 6, 7]], [[3, 3, 3]] * 3))
    assert (found[0] - found[1]).abs() > 1e-4
    torch.testing.assert_close(found[0], found[2])  # the oldest is neither new nor of the candidate's brand

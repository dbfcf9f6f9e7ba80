from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data import synthetic
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.item_contents import FusionSettings, ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.models.base import Batch, Query
from tastemaker.models.tiger import Tiger

ITEMS = 60
HISTORIES = [[5, 9, 5, 30], [7], [], [UNKNOWN, 12, 13, 14, 60]]


def contents(items: int = ITEMS, *, groups: int = 6, alike: int = 0) -> ItemContents:
    """Items around a few centres; the last `alike` of them have one vector."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(groups, 8)) * 10
    rows = (centres[np.arange(items) % groups] + rng.normal(size=(items, 8))).astype(np.float32)
    if alike:
        rows[-alike:] = rows[-1]
    values = np.concatenate([np.zeros((FIRST, 8), np.float32), rows])
    return ItemContents({"text": values}, {"text": np.arange(items + FIRST) >= FIRST}, FusionSettings.parse({}))


def model(items: int = ITEMS, *, told: ItemContents | None = None, spread: float = 0.3, **settings: object) -> Tiger:
    torch.manual_seed(0)
    found = Tiger(Tiger.Config(init=spread, **settings), FeatureSchema(num_users=4, num_items=items + FIRST))  # type: ignore[arg-type]
    if told is not None:
        found.observe_contents(told, nothing())
    return found.eval()


def nothing() -> Interactions:
    return synthetic.chain().dataset.interactions.take(np.zeros(0, np.int64))


def query(rows: list[list[int]]) -> Query:
    return Query.of(np.full(len(rows), UNKNOWN), Histories.of(rows))


@pytest.fixture(params=["contents", "codes"])
def tiger(request: pytest.FixtureRequest) -> Tiger:
    return model(told=contents(alike=5) if request.param == "contents" else None, codes=8)


@torch.no_grad()
def test_the_chances_of_all_items_sum_to_one(tiger: Tiger) -> None:
    chances = tiger.score(query(HISTORIES))[:, FIRST:].double().exp()
    torch.testing.assert_close(chances.sum(1), torch.ones(len(HISTORIES), dtype=torch.float64), rtol=1e-5, atol=1e-5)
    assert chances.std() > 1e-3


@torch.no_grad()
def test_a_score_is_what_the_token_by_token_reading_says(tiger: Tiger) -> None:
    """Of the last event of a row: those before it stand elsewhere, as places are counted from the newest."""
    rows = [[5, 9, 5, 30, 12, 61], [7], [8, 8]]
    asked = query(rows)
    batch = Batch(asked, asked.items, torch.ones(9), torch.ones(9))
    surprise = tiger.surprise(batch)[asked.offsets[1:] - 1]
    before = tiger.score(query([row[:-1] for row in rows]))
    torch.testing.assert_close(-surprise, before[torch.arange(3), torch.tensor([61, 7, 8])], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_beam_that_holds_everything_finds_the_best_in_order(tiger: Tiger) -> None:
    exact = tiger.score(query(HISTORIES))[:, FIRST:].sort(dim=1, descending=True, stable=True)
    codes, scores = tiger.generate(query(HISTORIES), 10, beams=100)
    torch.testing.assert_close(scores, exact.values[:, :10], rtol=1e-4, atol=1e-4)
    assert (codes[:, 0] == exact.indices[:, 0] + FIRST).all()


@torch.no_grad()
def test_a_narrow_beam_finds_items_with_their_true_scores(tiger: Tiger) -> None:
    exact = tiger.score(query(HISTORIES))
    codes, scores = tiger.generate(query(HISTORIES), 5, beams=5)
    assert all(len(set(row.tolist())) == 5 and int(row.min()) >= FIRST for row in codes)
    torch.testing.assert_close(scores, exact.gather(1, codes), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_more_places_than_items_stay_empty() -> None:
    codes, scores = model(3, codes=4).generate(query([[2], []]), 10, beams=10)
    assert (codes > 0).sum(1).tolist() == [3, 3] and not scores[codes == 0].isfinite().any()


def test_ids_are_unlike_and_begin_alike_where_items_are_alike() -> None:
    found = model(told=contents(), codes=6).ids
    assert len({tuple(row) for row in found.tolist()}) == ITEMS and int(found.max()) < 6
    groups = [{int(found[item, 0]) for item in range(group, ITEMS, 6)} for group in range(6)]
    assert all(len(group) == 1 for group in groups) and len(set.union(*groups)) == 6


def test_a_history_longer_than_is_read_is_its_end(tiger: Tiger) -> None:
    short = model(codes=8, max_length=2)
    with torch.no_grad():
        torch.testing.assert_close(short.score(query([[5, 9, 7, 30]])), short.score(query([[7, 30]])))


def test_a_dim_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        Tiger.Config(dim=10, heads=4)

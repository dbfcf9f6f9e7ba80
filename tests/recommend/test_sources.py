"""Sources side by side: merged without repeats, and on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.experiment.fit import build
from tastemaker.models.base import Query
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.sources import Pool, Source
from tastemaker.resolve import model_class

lists = arrays.arrays(np.int32, (3, 4), elements=st.integers(2, 9)).map(lambda rows: np.array([unique(row) for row in rows]))


def unique(row: np.ndarray) -> list[int]:
    """Without repeats, 0 in their places at the end."""
    found = list(dict.fromkeys(row.tolist()))
    return found + [0] * (len(row) - len(found))


def by_hand(found: Sequence[np.ndarray], request: int) -> dict[int, int]:
    """Codes in the order of their first mention, and who mentioned them."""
    named: dict[int, int] = {}
    for place in range(found[0].shape[1]):
        for source, one in enumerate(found):
            if code := int(one[request, place]):
                named[code] = named.get(code, 0) | 1 << source
    return named


@given(st.lists(lists, min_size=1, max_size=3))
def test_a_pool_names_each_candidate_once_and_who_found_it(found: list[np.ndarray]) -> None:
    pool = Pool.merged(found)
    for request in range(3):
        mine = pool.owner == request
        assert dict(zip(pool.items[mine].tolist(), pool.found[mine].tolist(), strict=True)) == by_hand(found, request)
        assert pool.items[mine].tolist() == list(by_hand(found, request))


def test_nothing_found_is_an_empty_pool() -> None:
    assert len(Pool.merged([np.zeros((2, 3), np.int32)])) == 0


def test_lists_of_different_depths_are_merged() -> None:
    pool = Pool.merged([np.array([[5, 6, 7]], np.int32), np.array([[7]], np.int32)])
    assert pool.items.tolist() == [5, 7, 6] and pool.found.tolist() == [1, 3, 1]


@pytest.mark.parametrize("name", ["sasrec", "mf", "popularity"])
def test_opinions_are_deviations_from_the_mean_over_the_catalogue(name: str) -> None:
    schema = FeatureSchema(5, 30)
    model = build(name, model_class(name).Config.parse({}), schema, 0).eval()
    if name == "popularity":
        model.counts = torch.arange(30.0)
    source = Source(name, Scoring(model), 4)
    histories = Histories.of([[3, 4], [9], [7, 8, 20]])
    query = Query.of(np.array([2, 3, 4]), histories)
    items, owner = np.array([2, 29, 5, 6, 7], np.int32), np.array([0, 0, 1, 2, 2])
    with torch.inference_mode():
        scores = model.score(query)
    real = scores[:, FIRST:]
    flat = real.std(1, correction=0) <= 1e-6 * real.mean(1).abs()
    expected = torch.where(flat[:, None], 0.0, (scores - real.mean(1, keepdim=True)) / real.std(1, correction=0, keepdim=True))
    found = source.standardised(query, items, owner)
    assert found == pytest.approx(expected[owner, items].nan_to_num(0.0).numpy(), abs=1e-3)

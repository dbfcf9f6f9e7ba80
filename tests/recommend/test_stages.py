"""Lists in two stages."""

from __future__ import annotations

import numpy as np
import pytest

from tastemaker.recommend.sources import Pool
from tastemaker.recommend.stages import best_of


def test_the_best_of_each_request_come_first_and_ties_go_to_the_lower_code() -> None:
    pool = Pool(np.array([7, 5, 9, 4, 8], np.int32), np.array([0, 0, 0, 2, 2]), np.ones(5, np.int64))
    codes, scores = best_of(pool, np.array([1.0, 1.0, 3.0, -2.0, 0.5], np.float32), 3, 2)
    assert codes.tolist() == [[9, 5], [0, 0], [8, 4]]
    assert scores[0].tolist() == [3.0, 1.0] and np.isinf(scores[1]).all()


@pytest.mark.parametrize("k", [1, 3, 10])
def test_a_list_is_what_sorting_gives(k: int) -> None:
    draw = np.random.default_rng(k)
    owner = np.sort(draw.integers(0, 5, 60))
    items = np.concatenate([draw.permutation(100)[: int(count)] + 2 for count in np.bincount(owner, minlength=5)]).astype(
        np.int32
    )
    scores = draw.integers(0, 5, 60).astype(np.float32)
    codes, values = best_of(Pool(items, owner, np.ones(60, np.int64)), scores, 5, k)
    for request in range(5):
        mine = sorted(zip(-scores[owner == request], items[owner == request], strict=True))[:k]
        assert codes[request, : len(mine)].tolist() == [code for _, code in mine]
        assert values[request, : len(mine)].tolist() == [-score for score, _ in mine]
        assert not codes[request, len(mine) :].any()

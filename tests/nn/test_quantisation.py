from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.errors import DataError
from tastemaker.nn.quantisation import digits, means, residual_codes, told_apart


def clusters(sizes: list[int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(size, 4)) + 20 * rng.normal(size=4) for size in sizes]).astype(np.float32)


def test_the_first_token_says_which_cluster() -> None:
    codes, _ = residual_codes(clusters([30, 30, 30]), 2, 3, rng=np.random.default_rng(0))
    firsts = [set(codes[start : start + 30, 0].tolist()) for start in (0, 30, 60)]
    assert [len(one) for one in firsts] == [1, 1, 1] and len(set.union(*firsts)) == 3


def test_each_level_leaves_less_over() -> None:
    vectors = clusters([50] * 8)
    left = [float((vectors - vectors.mean(0)).__pow__(2).sum())]
    rest, rng = vectors.copy(), np.random.default_rng(0)
    for _ in range(3):
        centres, own = means(rest, 8, rng=rng)
        rest = rest - centres[own]
        left.append(float((rest**2).sum()))
    assert all(later < earlier for earlier, later in pairwise(left))


def test_every_centre_is_used_even_of_copies() -> None:
    vectors = np.repeat(clusters([3]), 20, axis=0)
    assert len(np.unique(means(vectors, 3, rng=np.random.default_rng(0))[1])) == 3


def test_no_centre_has_more_than_its_multiple_of_a_fair_share() -> None:
    vectors = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32) ** 3
    free, held = (means(vectors, 16, crowding=crowding, rng=np.random.default_rng(1)) for crowding in (np.inf, 2.0))
    assert np.bincount(free[1]).max() > 250 >= np.bincount(held[1]).max()
    even = means(vectors, 16, crowding=1.0, rng=np.random.default_rng(1))[1]
    assert np.bincount(even, minlength=16).tolist() == [125] * 16


def test_equal_seeds_give_equal_codes() -> None:
    one, two = (residual_codes(clusters([40, 40]), 3, 8, crowding=2.0, rng=np.random.default_rng(3))[0] for _ in range(2))
    assert np.array_equal(one, two)


@given(st.integers(1, 60), st.integers(1, 3), st.integers(2, 5))
def test_rows_are_told_apart_as_long_as_there_is_room(rows: int, levels: int, size: int) -> None:
    codes = np.zeros((rows, levels), np.int64)
    order = np.tile(np.arange(size), (rows, 1))
    if rows > size * size:
        with pytest.raises(DataError, match="begin alike"):
            told_apart(codes, order, size)
    else:
        found = told_apart(codes, order, size)
        assert len({tuple(row) for row in found.tolist()}) == rows and int(found.max()) < size


@given(st.integers(0, 300), st.integers(1, 3), st.integers(2, 9))
def test_digits_tell_numbers_apart_and_stay_below_their_base(count: int, levels: int, size: int) -> None:
    if count > size ** (levels + 1):
        with pytest.raises(DataError, match="items"):
            digits(count, levels, size)
        return
    found = digits(count, levels, size)
    assert found.shape == (count, levels + 1)
    assert len({tuple(row) for row in found.tolist()}) == count and int(found.max(initial=0)) < size

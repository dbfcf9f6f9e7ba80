from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tastemaker.index import rounded
from tastemaker.index.exact import search
from tastemaker.index.rounded import Rounded, fits

KINDS = ("normal", "integers", "copies", "zeros", "constant", "lopsided", "outliers", "far", "tiny", "huge", "scales", "heavy")
NOTHING = np.zeros(0, np.int64)


def world(draw: np.random.Generator, kind: str, rows: int, dim: int) -> np.ndarray:
    """Vectors that rounding finds easy, hard or impossible."""
    vectors = draw.standard_normal((rows, dim))
    if kind == "integers":
        vectors = draw.integers(-2, 3, (rows, dim))
    elif kind == "copies":
        vectors = vectors[draw.integers(0, 1 + rows // 5, rows)]
    elif kind == "zeros":
        vectors = vectors * (draw.random((rows, 1)) < 0.3)
    elif kind == "constant":
        vectors = np.ones((rows, dim)) * 0.7
    elif kind == "lopsided":
        vectors = vectors * np.geomspace(1, 1e6, dim)
    elif kind == "outliers":
        vectors = vectors * np.where(draw.random((rows, 1)) < 0.05, 1e7, 1)
    elif kind == "far":  # differences near the last bit of float32
        vectors = 1000 + vectors * 1e-4
    elif kind in ("tiny", "huge"):
        vectors = vectors * (1e-22 if kind == "tiny" else 1e11)
    elif kind == "scales":
        vectors = vectors * 10.0 ** draw.integers(-12, 5, (rows, 1))
    elif kind == "heavy":
        vectors = draw.standard_t(1.5, (rows, dim))
    return np.clip(vectors, -9e11, 9e11).astype(np.float32)


def by_hand(vectors: np.ndarray, user: np.ndarray, k: int, shut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = (vectors.astype(np.float64) * user.astype(np.float64)).sum(axis=1).astype(np.float32)
    codes = np.flatnonzero(~shut)
    order = np.lexsort((codes, -scores[codes]))[:k]
    return scores[codes][order], codes[order]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(KINDS),
    user_kind=st.sampled_from(KINDS),
    size=st.integers(3, 1500),
    dim=st.integers(1, 20),
    k=st.integers(1, 40),
    open_share=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    beside=st.sampled_from([1, 2, 20]),
)
@example(seed=0, kind="normal", user_kind="normal", size=5000, dim=64, k=10, open_share=0.7, beside=1)
def test_lists_are_those_of_all_exact_scores(seed, kind, user_kind, size, dim, k, open_share, beside):
    draw = np.random.default_rng(seed)
    vectors, user = world(draw, kind, size, dim), world(draw, user_kind, 2, dim)[0]
    never = draw.random(size) < draw.choice([0, 0.2])
    closed = draw.random(size) >= open_share
    banned = draw.integers(0, size, 12)
    index = Rounded(torch.from_numpy(vectors), torch.from_numpy(never))
    shut = never | closed
    shut[banned] = shut[:2] = True
    users = np.stack([user] * beside + [draw.standard_normal(dim).astype(np.float32)])
    found = index.best(users, k, [torch.from_numpy(closed)] * beside + [None], [banned] * beside + [banned[:0]])
    if found[0] is None:
        assert np.linalg.norm(user.astype(np.float64)) * np.linalg.norm(vectors, axis=1).max() > 1e29
        return
    values, codes = found[0]
    for others in found[1:-1]:
        assert others is not None
        assert (others[0].tolist(), others[1].tolist()) == (values.tolist(), codes.tolist())
    expected_values, expected_codes = by_hand(vectors, user, k, shut)
    assert codes.tolist() == expected_codes.tolist()
    assert values.tolist() == expected_values.tolist()
    among = [np.flatnonzero(~closed)] * beside + [None]  # told which are open, it looks at no others
    again = index.best(users, k, [torch.from_numpy(closed)] * beside + [None], [banned] * beside + [banned[:0]], among)
    for one, other in zip(found, again, strict=True):
        assert (one is None) == (other is None)
        assert one is None or [part.tolist() for part in one] == [part.tolist() for part in other]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 800), st.integers(1, 12), st.integers(1, 30))
def test_equals_float32_search_where_float32_is_exact(seed, size, dim, k):
    draw = np.random.default_rng(seed)
    vectors, users = (torch.from_numpy(draw.integers(-3, 4, (rows, dim)).astype(np.float32)) for rows in (size, 3))
    values, codes = search(users, vectors, k)
    index = Rounded(vectors)
    for user, line, row in zip(users, values, codes, strict=True):
        (found,) = index.best(user[None].numpy(), k, [None], [NOTHING])
        assert found is not None
        assert found[1].tolist() == row[row > 0].tolist()
        assert found[0].tolist() == line[row > 0].tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(KINDS), st.integers(3, 300), st.integers(1, 200))
def test_an_index_that_takes_over_another_finds_the_same(seed, kind, same, more):
    draw = np.random.default_rng(seed)
    vectors = torch.from_numpy(world(draw, kind, same + more, 8))
    user = draw.standard_normal(8).astype(np.float32)
    grown = Rounded(vectors, like=Rounded(vectors[:same]), same=same)
    (found,) = grown.best(user[None], 10, [None], [NOTHING])
    assert found is not None
    assert found[1].tolist() == by_hand(vectors.numpy(), user, 10, np.arange(same + more) < 2)[1].tolist()


def test_the_second_look_is_at_few():
    vectors = torch.randn(30_000, 64, generator=torch.Generator().manual_seed(0))
    user = np.random.default_rng(0).standard_normal((1, 64))
    for _ in range(2):
        (found,) = Rounded(vectors)._candidates(user, np.linalg.norm(user, axis=1), 10, [None], [NOTHING])
        assert 10 <= len(found) < 100
        vectors[7] *= 1e6  # one item out of measure makes no work for all


def test_machines_whose_sums_of_bytes_saturate_get_smaller_bytes(monkeypatch):
    monkeypatch.setattr(torch, "_int_mm", lambda one, two: (one.float() @ two.float()).clamp(-(2**15), 2**15).int())
    rounded._levels.cache_clear()
    try:
        assert rounded._levels() == 63
    finally:
        rounded._levels.cache_clear()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e20])
def test_vectors_out_of_the_ordinary_do_not_fit_and_such_users_are_not_taken(value):
    vectors = torch.randn(100, 4)
    assert fits(vectors)
    users = np.ones((3, 4), np.float32)
    users[1, 1] = value * 1e12
    found = Rounded(vectors).best(users, 5, [None] * 3, [NOTHING] * 3)
    assert [one is None for one in found] == [False, True, False]
    vectors[50, 2] = value
    assert not fits(vectors)
    assert not fits(torch.zeros(5, 4, dtype=torch.float64))
    assert not fits(torch.zeros(5, 2 * rounded.WIDEST))

from __future__ import annotations

import numpy as np
import pytest

from tastemaker.encoders.parts.skip_gram import SkipGram


def sequences(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one for row in rows for one in row], np.int64), np.cumsum([0, *map(len, rows)])


def pairs(learner: SkipGram, rows: list[list[int]], size: int) -> set[tuple[int, int]]:
    tokens, offsets = sequences(rows)
    found = learner._pairs(tokens, offsets, np.ones(size), np.random.default_rng(0))
    return {pair for centres, others in found for pair in zip(centres.tolist(), others.tolist(), strict=True)}


def test_pairs_are_neighbours_within_a_sequence() -> None:
    found = set()
    for _ in range(20):
        found |= pairs(SkipGram(4, 2, 5, 1, 0, 0), [[0, 1, 2, 3], [4, 5]] * 30, 6)
    assert found == {(a, b) for a in range(4) for b in range(4) if 0 < abs(a - b) <= 2} | {(4, 5), (5, 4)}


def test_a_set_has_all_pairs() -> None:
    found = pairs(SkipGram(4, 1, 5, 1, 0, 0, ordered=False), [[0, 1, 2, 3], [4]] * 30, 5)
    assert found == {(a, b) for a in range(4) for b in range(4) if a != b}


@pytest.mark.parametrize("ordered", [True, False])
def test_what_stands_in_the_same_company_is_near(ordered: bool) -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.permutation(10)[:5] * 2 + half).tolist() for half in (0, 1) for _ in range(200)]
    tokens, offsets = sequences(rows)
    vectors = SkipGram(16, 3, 5, 5, 0, 0, ordered=ordered).learn(tokens, offsets, 20)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = vectors @ vectors.T
    same = np.arange(20)[:, None] % 2 == np.arange(20) % 2
    assert likeness[same].min() > likeness[~same].max()


def test_nothing_gives_nothing() -> None:
    assert SkipGram(4, 2, 5, 2, 1e-3, 0).learn(np.zeros(0, np.int64), np.zeros(1, np.int64), 0).shape == (0, 4)
    assert SkipGram(4, 2, 5, 2, 1e-3, 0).learn(np.zeros(1, np.int64), np.array([0, 1]), 1).shape == (1, 4)

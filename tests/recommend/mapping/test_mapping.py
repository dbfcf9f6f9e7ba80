"""Maps: neighbours stay neighbours, the same input gives the same map, and quality is measured as the literature does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from tastemaker.recommend.mapping import nearest as near
from tastemaker.recommend.mapping import together
from tastemaker.recommend.mapping.__main__ import laid_out
from tastemaker.recommend.mapping.layout import components
from tastemaker.recommend.mapping.quality import kept


def towns(count: int, of: int, dim: int = 24, seed: int = 0, noise: float = 0.45) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 around `of` directions, and which."""
    rng = np.random.default_rng(seed)
    centres, mine = rng.normal(size=(of, dim)), rng.integers(0, of, count)
    found = centres[mine] + noise * rng.normal(size=(count, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), mine


def test_a_map_keeps_neighbours_far_better_than_components_and_comes_out_the_same_again() -> None:
    vectors, mine = towns(3000, 250, noise=0.2)
    layout, told = laid_out(vectors)
    assert told["trustworthiness"] > 0.97 > 0.9 > told["components_trustworthiness"]
    assert told["recall"] > 3 * told["components_recall"]
    apart = ((layout[:400, None] - layout[None]) ** 2).sum(axis=2)
    apart[np.arange(400), np.arange(400)] = np.inf
    assert (mine[apart.argmin(axis=1)] == mine[:400]).mean() > 0.9, "the nearest on the map is of the same group"
    again, _ = laid_out(vectors)
    np.testing.assert_array_equal(layout, again)
    assert np.isfinite(layout).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
def test_few_items_and_equal_items_have_a_map_too(count: int) -> None:
    for vectors in (towns(count, 2)[0], np.tile(towns(1, 1)[0], (count, 1))):
        layout, told = laid_out(vectors)
        assert layout.shape == (count, 2) and np.isfinite(layout).all()
        assert 0 <= told["recall"] <= 1


def test_neighbours_are_the_nearest_and_within_groups_nearly_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = towns(2500, 30)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :12]
    found, _ = near.nearest(vectors, 12, np.random.default_rng(0))
    np.testing.assert_allclose(np.take_along_axis(cosines, found, 1), np.take_along_axis(cosines, best, 1), atol=1e-6)
    monkeypatch.setattr(near, "EXACT", 100)
    found, groups = near.nearest(vectors, 12, np.random.default_rng(0))
    shared = [len(np.intersect1d(one, other)) / 12 for one, other in zip(found, best, strict=True)]
    assert np.mean(shared) > 0.9 and len(np.unique(groups)) > 10
    assert not (found == np.arange(2500)[:, None]).any()


def test_quality_is_what_the_reference_measures() -> None:
    vectors, _ = towns(300, 5)
    layout = components(vectors)
    recall, trust = kept(vectors, layout, 8, np.random.default_rng(0), sample=300)
    cosines = 1 - vectors @ vectors.T
    np.fill_diagonal(cosines, 0)
    assert trust == pytest.approx(
        trustworthiness(np.maximum(cosines, 0), layout, n_neighbors=8, metric="precomputed"), abs=1e-3
    )
    true, shown = (
        np.argsort(one + 1e9 * np.eye(300), axis=1)[:, :8] for one in (cosines, ((layout[:, None] - layout) ** 2).sum(2))
    )
    assert recall == pytest.approx(np.mean([len(np.intersect1d(a, b)) / 8 for a, b in zip(true, shown, strict=True)]), abs=1e-3)
    assert (
        kept(vectors, np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32), 8, np.random.default_rng(0))[1] < 0.6
    )


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    vectors, _ = towns(200, 4)
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(components(vectors)), np.abs(centred @ axes[:2].T), atol=1e-4)


def test_items_met_by_the_same_users_have_vectors_alike() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.choice(np.arange(20) + 20 * (user % 3), 6, replace=False) for user in range(600)]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    found = together.vectors(np.concatenate(rows), offsets, 70, np.random.default_rng(0))
    assert found.shape == (70, 32)
    assert (found[60:] == 0).all(), "nobody met these"
    np.testing.assert_allclose(np.linalg.norm(found[:60], axis=1), 1, atol=1e-5)
    cosines = found[:60] @ found[:60].T
    same = np.arange(60)[:, None] // 20 == np.arange(60) // 20
    assert cosines[same].mean() > 0.4 > 0.1 > cosines[~same].mean()
    np.testing.assert_array_equal(found, together.vectors(np.concatenate(rows), offsets, 70, np.random.default_rng(0)))


def test_much_is_sampled_by_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "EVENTS", 500)
    rng = np.random.default_rng(0)
    items, offsets = rng.integers(0, 30, 4000), np.arange(0, 4001, 4)
    assert together._matrix(items, offsets, 30, rng).shape[0] in (125, 126)


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    vectors, _ = towns(200, 4)
    np.save(tmp_path / "vectors.npy", vectors)
    subprocess.run([sys.executable, "-m", "tastemaker.recommend.mapping", str(tmp_path)], check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "layout.npy"), laid_out(vectors)[0])
    assert json.loads((tmp_path / "quality.json").read_text())["trustworthiness"] > 0.8

"""Small worlds of labelled rows whose true probabilities are known: what a ranker can reach at best can be computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tastemaker.data.features.config import FeaturesConfig


@dataclass(frozen=True, eq=False)
class RowWorld:
    """Rows, their labels and the probabilities that the labels were drawn with."""

    table: pa.Table
    """features alone"""
    labels: np.ndarray
    """float32 (rows, tasks)"""
    truth: np.ndarray
    """float64 (rows, tasks): the probability of each label"""
    features: FeaturesConfig
    outputs: tuple[str, ...] = ("label",)


def additive(rows: int = 6_000, *, seed: int = 0) -> RowWorld:
    """Each of three categories and a number adds its own; a linear model is right."""
    draw = np.random.default_rng(seed)
    codes = [draw.integers(0, size, rows) for size in (4, 12, 30)]
    number = draw.normal(size=rows)
    logit = sum(draw.normal(0, 1, size)[code] for size, code in zip((4, 12, 30), codes, strict=True)) + 0.8 * number
    table = pa.table({"a": _named("a", codes[0]), "b": _named("b", codes[1]), "c": _named("c", codes[2]), "x": number})
    return _drawn(table, {"label": logit}, FeaturesConfig.parse({}), draw)


def crossed(rows: int = 6_000, *, size: int = 8, strength: float = 2.5, seed: int = 0) -> RowWorld:
    """Whether `a` likes `b` is a coin thrown for each pair, and neither says anything alone; a linear model knows nothing."""
    draw = np.random.default_rng(seed)
    likes = draw.permuted(np.tile([1.0, -1.0], (size, size // 2)), axis=1)
    likes = np.where(np.arange(size)[:, None] % 2 == 0, likes, -np.roll(likes, 1, axis=0))
    a, b, c = (draw.integers(0, size, rows) for _ in range(3))
    table = pa.table({"a": _named("a", a), "b": _named("b", b), "c": _named("c", c)})
    return _drawn(table, {"label": strength * likes[a, b]}, FeaturesConfig.parse({}), draw)


def tastes(rows: int = 8_000, *, topics: int = 8, each: int = 5, length: int = 6, seed: int = 0) -> RowWorld:
    """A candidate is liked if the history holds things of its topic; of which topic a thing is must be learned. The newest thing counts double."""
    draw = np.random.default_rng(seed)
    items = topics * each
    candidate = draw.integers(0, items, rows)
    history = draw.integers(0, items, (rows, length))
    near = draw.random(rows) < 0.5  # otherwise few candidates would have anything of their topic behind them
    history[near, draw.integers(0, length, rows)[near]] = draw.integers(0, each, near.sum()) + candidate[near] // each * each
    same = history // each == (candidate // each)[:, None]
    weight = np.ones(length)
    weight[-1] = 2.0
    kept = draw.integers(2, length + 1, rows)  # histories of different length: the oldest are missing
    known = np.arange(length)[None, :] >= length - kept[:, None]
    logit = 2.5 * (same * weight * known).sum(1).clip(max=2) - 1.5
    lists = [[f"i{code}" for code in row[mask]] for row, mask in zip(history, known, strict=True)]
    table = pa.table({"item": _named("i", candidate), "history": pa.array(lists)})
    fields = {"item": {"kind": "category"}, "history": {"kind": "sequence", "shares": "item"}}
    return _drawn(table, {"label": logit}, FeaturesConfig.parse({"fields": fields}), draw)


def funnel(rows: int = 12_000, *, seed: int = 0) -> RowWorld:
    """A click, and a purchase that only a click can be followed by; the two depend on features that they share in part."""
    draw = np.random.default_rng(seed)
    size = 10
    a, b, c = (draw.integers(0, size, rows) for _ in range(3))
    shared, click, buy = draw.normal(0, 1, size), draw.normal(0, 1, size), draw.normal(0, 1, size)
    table = pa.table({"a": _named("a", a), "b": _named("b", b), "c": _named("c", c)})
    clicks = _sigmoid(shared[a] + click[b] - 0.5)
    buys = clicks * _sigmoid(shared[a] + buy[c] - 1.0)
    first = draw.random(rows) < clicks
    second = first & (draw.random(rows) < buys / clicks)
    labels = np.stack([first, second], axis=1).astype(np.float32)
    return RowWorld(table, labels, np.stack([clicks, buys], axis=1), FeaturesConfig.parse({}), ("click", "buy"))


WORLDS = {"additive": additive, "crossed": crossed, "tastes": tastes, "funnel": funnel}


def _drawn(table: pa.Table, logits: dict[str, np.ndarray], features: FeaturesConfig, draw: np.random.Generator) -> RowWorld:
    truth = _sigmoid(np.stack(list(logits.values()), axis=1))
    labels = (draw.random(truth.shape) < truth).astype(np.float32)
    return RowWorld(table, labels, truth, features, tuple(logits))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _named(prefix: str, codes: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix}{code}" for code in codes])

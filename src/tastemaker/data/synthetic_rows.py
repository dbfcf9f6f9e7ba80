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


@dataclass(frozen=True, eq=False)
class ClickLog:
    """Lists as they were shown and clicked, and what would have been clicked had everything been looked at."""

    table: pa.Table
    """a row for each thing shown: list, query, item, position (1 on top), shuffled (whether its list was in random order), click"""
    examination: np.ndarray
    """float64 (positions,): how likely a place is looked at, 1 on top"""
    every: pa.Table
    """query and item, every pair of them, query by query"""
    relevance: np.ndarray
    """float64 (queries, items): how likely a click is on what is looked at"""


def click_log(
    lists: int = 10_000,
    *,
    queries: int = 4,
    items: int = 10,
    length: int = 8,
    severity: float = 1.0,
    noise: float = 0.4,
    shuffled: float = 0.1,
    seed: int = 0,
) -> ClickLog:
    """Lists by a ranker that knows nothing of relevance, clicked by people who look at place k with probability k^-severity.

    Its scores are drawn without regard to relevance, so what it likes is seen and clicked, and clicks alone say that it was right. `noise` moves things, so that each is
    seen at several places; a share `shuffled` of the lists is in random order.
    """
    draw = np.random.default_rng(seed)
    relevance = draw.permuted(np.tile(np.linspace(0.15, 0.75, items), (queries, 1)), axis=1)
    liked = draw.permuted(np.tile(np.linspace(-1, 1, items), (queries, 1)), axis=1)
    query, random = draw.integers(0, queries, lists), draw.random(lists) < shuffled
    score = np.where(random[:, None], 0, liked[query]) + draw.normal(0, noise, (lists, items))
    shown = np.argsort(-score, axis=1)[:, :length]
    examination = np.arange(1, length + 1) ** -severity
    wanted = relevance[query[:, None], shown]
    click = draw.random(shown.shape) < wanted * examination
    table = pa.table(
        {
            "list": np.repeat(np.arange(lists), length),
            "query": _named("q", np.repeat(query, length)),
            "item": _named("i", shown.ravel()),
            "position": np.tile(np.arange(1, length + 1), lists),
            "shuffled": np.repeat(random, length),
            "click": click.ravel().astype(np.int8),
        }
    )
    every = pa.table(
        {"query": _named("q", np.repeat(np.arange(queries), items)), "item": _named("i", np.tile(np.arange(items), queries))}
    )
    return ClickLog(table, examination, every, relevance)


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


def content(rows: int = 9_000, *, topics: int = 5, levels: int = 3, each: int = 2, length: int = 6, seed: int = 0) -> RowWorld:
    """A candidate without an id, known by a noisy vector of its topic and its price level, is liked if one thing of the history was of both.

    A thing of its topic and another of its level are not enough, and half of the histories hold such a pair: what the history holds on the mean says little.
    """
    draw = np.random.default_rng(seed)
    kinds = topics * levels
    topic, level = draw.integers(0, topics, rows), draw.integers(0, levels, rows)
    history = draw.integers(0, topics, (rows, length)) * levels + draw.integers(0, levels, (rows, length))
    both = (history // levels == topic[:, None]) & (history % levels == level[:, None])
    history[both] = ((topic + 1) % topics * levels + (level + 1) % levels).repeat(length).reshape(rows, length)[both]
    first, second = draw.permuted(np.tile(np.arange(length), (rows, 1)), axis=1)[:, :2].T
    near, every = draw.random(rows) < 0.5, np.arange(rows)
    history[every[near], first[near]] = topic[near] * levels + level[near]
    history[every[~near], first[~near]] = topic[~near] * levels + (level[~near] + 1) % levels
    history[every[~near], second[~near]] = (topic[~near] + 1) % topics * levels + level[~near]
    liked = ((history // levels == topic[:, None]) & (history % levels == level[:, None])).any(1)
    things = history * each + draw.integers(0, each, history.shape)
    vectors = np.eye(topics)[topic] + draw.normal(0, 0.2, (rows, topics))
    table = pa.table(
        {
            "text": pa.array(list(vectors.round(3))),
            "level": _named("level", level),
            "history": pa.array([[f"i{code}" for code in row] for row in things]),
        }
    )
    assert things.max() < kinds * each
    fields = {"text": {"kind": "vector"}, "history": {"kind": "sequence"}}
    return _drawn(table, {"label": 3.0 * liked - 1.5}, FeaturesConfig.parse({"fields": fields}), draw)


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


WORLDS = {"additive": additive, "crossed": crossed, "tastes": tastes, "content": content, "funnel": funnel}


def _drawn(table: pa.Table, logits: dict[str, np.ndarray], features: FeaturesConfig, draw: np.random.Generator) -> RowWorld:
    truth = _sigmoid(np.stack(list(logits.values()), axis=1))
    labels = (draw.random(truth.shape) < truth).astype(np.float32)
    return RowWorld(table, labels, truth, features, tuple(logits))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _named(prefix: str, codes: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix}{code}" for code in codes])

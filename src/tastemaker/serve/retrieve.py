"""Scores of a batch of requests and the best items of each: one forward pass, masks before the top-k."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST
from tastemaker.index.exact import top_k
from tastemaker.models.base import Model, Query
from tastemaker.recommend import policy
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.sources import Opinion, Source
from tastemaker.serve.asks import Past, Row
from tastemaker.serve.view import View

_CELLS = 1 << 24
"""Scores held at a time: 64 MB."""


class Retriever:
    """Score matrices that are used again: fresh pages cost more than the product that fills them."""

    def __init__(self) -> None:
        self._local = threading.local()

    def ask(self, source: Source, rows: Sequence[Row], view: View) -> Opinion:
        """What a source of candidates thinks for some rows; good until this thread asks it again."""
        made = source.scoring.vectors is not None or not source.model.personal
        out = None if made else self._buffer(len(rows), view.size, source.name)
        with torch.inference_mode():
            return Opinion.of(source, query_of([row.past for row in rows], view), out=out)

    def best(
        self, rows: Sequence[Row], view: View, popular: np.ndarray | None, depth: int, opinion: Opinion | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `depth` best codes of each row that it may show: int32 and float32 (rows, depth), codes 0 beyond the last.

        Scores are the model's, or where given those of `popular`, float32 (size,), for all rows; or those of a source's `opinion` of them.

        Raises:
            TrainingError: a score is NaN.
        """
        codes = np.zeros((len(rows), depth), np.int32)
        values = np.full((len(rows), depth), -np.inf, np.float32)
        if view.size <= FIRST:
            return codes, values
        scoring = view.scoring if opinion is None else opinion.source.scoring
        if popular is None and scoring is not None and scoring.searches:
            plain = [place for place, row in enumerate(rows) if not row.boosts]
            if plain:
                users = None if opinion is None or opinion.users is None else opinion.users[plain]
                values[plain], codes[plain] = _searched([rows[place] for place in plain], view, scoring, depth, users)
            others = [place for place, row in enumerate(rows) if row.boosts]
        elif opinion is not None and not opinion.source.model.personal:
            line, order, *_ = opinion.source.same
            for place, row in enumerate(rows):
                if not row.boosts:
                    first = _first(order, row, depth)
                    codes[place, : len(first)], values[place, : len(first)] = first, line.numpy()[first]
            others = [place for place, row in enumerate(rows) if row.boosts]
        else:
            others = list(range(len(rows)))
        most = max(1, _CELLS // view.size)
        with torch.inference_mode():
            for start in range(0, len(others), most):
                places = others[start : start + most]
                part = [rows[place] for place in places]
                scores = self._masked(part, view, popular, None if opinion is None else (opinion, places))
                counts = [len(row.banned) for row in part]
                banned = np.fromiter((code for row in part for code in row.banned), np.int64, sum(counts))
                banned_rows = torch.from_numpy(np.repeat(np.arange(len(part)), counts))
                best, found = top_k(scores, depth, banned_rows, torch.from_numpy(banned))
                values[places], codes[places] = best.numpy(), found.numpy()
        return codes, values

    def line(self, row: Row, view: View, popular: np.ndarray | None, opinion: Opinion | None = None) -> np.ndarray:
        """The scores that `best` chooses from for a row, boosts included, float32 (size,): -inf where an item may not come."""
        with torch.inference_mode():
            scores = self._masked([row], view, popular, None if opinion is None else (opinion, [0]))[0].numpy().copy()
        scores[list(row.banned)] = -np.inf
        scores[:FIRST] = -np.inf
        return scores

    def _masked(
        self, rows: Sequence[Row], view: View, popular: np.ndarray | None, said: tuple[Opinion, list[int]] | None
    ) -> Tensor:
        scores = self._scores(rows, view, popular, said)
        model = view.model if said is None else said[0].source.model
        for row, line in zip(rows, scores, strict=True):
            _boost(row, line, model)
            line.masked_fill_(row.gate.closed, -torch.inf)
        return scores

    def _scores(
        self, rows: Sequence[Row], view: View, popular: np.ndarray | None, said: tuple[Opinion, list[int]] | None
    ) -> Tensor:
        if said is not None and said[0].scores is not None:
            opinion, places = said
            assert opinion.scores is not None
            copied = any(row.boosts for row in rows) or len(places) < len(opinion.scores) or not opinion.source.model.personal
            return opinion.scores[places] if copied else opinion.scores  # boosts are not the source's opinion
        matrix = self._buffer(len(rows), view.size)
        if said is not None:
            opinion, places = said
            assert opinion.users is not None
            return opinion.source.scoring.products(opinion.users[places], out=matrix)
        if popular is not None:
            return matrix.copy_(torch.from_numpy(popular).expand_as(matrix))
        assert view.scoring is not None
        return view.scoring(query_of([row.past for row in rows], view), out=matrix)

    def _buffer(self, rows: int, size: int, name: str = "") -> Tensor:
        buffers = self._local.__dict__.setdefault("buffers", {})
        held = buffers.get(name)
        if held is None or held.numel() < rows * size:
            with torch.inference_mode(mode=False):
                held = buffers[name] = torch.empty(rows * size)
        return held[: rows * size].view(rows, size)


def _first(order: np.ndarray, row: Row, depth: int) -> np.ndarray:
    """The first `depth` items of an order that a row may show, int64."""
    banned = np.fromiter(row.banned, np.int64, len(row.banned))
    look = 2 * depth + len(banned)
    while True:
        found = order[:look]
        found = found[row.gate.open[found]]
        if len(banned):
            found = found[~np.isin(found, banned)]
        if len(found) >= depth or look >= len(order):
            return found[:depth]
        look *= 4


def _searched(
    rows: Sequence[Row], view: View, scoring: Scoring, depth: int, users: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Values and codes of the best items of rows whose scores nothing is done to."""
    banned = [np.fromiter(row.banned, np.int64, len(row.banned)) for row in rows]
    with torch.inference_mode():
        gates = [row.gate for row in rows]
        query, few = query_of([row.past for row in rows], view), [gate.few for gate in gates]
        return scoring.best(query, depth, [gate.closed for gate in gates], banned, few, users=users)


def query_of(pasts: Sequence[Past], view: View) -> Query:
    """The model's question about users; items it does not know are those that stand in for them, or UNKNOWN."""
    offsets = np.cumsum([0, *(len(past.codes) for past in pasts)], dtype=np.int64)

    def packed(name: str, kind: type) -> np.ndarray:
        return np.fromiter(chain.from_iterable(getattr(past, name) for past in pasts), kind, offsets[-1])

    return Query(
        torch.from_numpy(np.array([past.user_code for past in pasts], np.int64)),
        torch.from_numpy(view.read_as[packed("codes", np.int64)]),
        torch.from_numpy(packed("times", np.int64)),
        torch.from_numpy(packed("values", np.float32)),
        torch.from_numpy(offsets),
    )


def _boost(row: Row, line: Tensor, model: Model | None) -> None:
    if not row.boosts:
        return
    masks, weights = [mask for mask, _ in row.boosts], [weight for _, weight in row.boosts]
    scores = line.numpy()
    if row.origin == "popular":  # counts: twice as likely is twice the count
        for mask, weight in row.boosts:
            scores[mask] *= weight
        return
    if model is not None and model.learns_from == "sequences":
        spread = 1.0
    else:
        eligible = scores[row.gate.open]
        spread = float(eligible.std()) if len(eligible) else 1.0
    scores[:] = policy.boosted(scores, masks, weights, spread)

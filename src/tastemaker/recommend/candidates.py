"""Candidate retrieval: the best items for many users by exact search, in chunks of bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError
from tastemaker.index.exact import top_k
from tastemaker.models.base import Model, PairModel, Query
from tastemaker.recommend.scoring import Scoring

Scorer = Callable[[Query, Tensor | None], Tensor]
"""Scores of a query: (batch, num_items), or (batch, candidates) for the given item codes."""

_CHUNK_SCORES = 1 << 24
"""Scores held at a time: 64 MB of float32."""
_CHUNK_EVENTS = 1 << 16
"""History events encoded at a time; a single longer history makes a chunk of its own."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Lists of items, a row per user, best first; equal scores are ordered by item code."""

    codes: np.ndarray
    """int32 (users, k): item codes, 0 where there are fewer than k"""
    scores: np.ndarray
    """float32 (users, k): -inf where the code is 0"""

    def __len__(self) -> int:
        return len(self.codes)


def retrieve(
    model: Model,
    users: np.ndarray,
    histories: Histories,
    k: int,
    *,
    exclude: Histories | None = None,
    allowed: np.ndarray | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> Candidates:
    """The `k` best items of each user under the model; PAD and UNKNOWN are never among them.

    Lists do not depend on how users are batched, except where two scores lie within rounding of each other. The model is put
    into evaluation mode, and on `device` if one is given.

    Args:
        model: any model.
        users: int (n,): user codes.
        histories: what each user did, n rows.
        k: length of the lists.
        exclude: item codes that may not be returned, a row per user.
        allowed: int (m,): the only item codes that may be returned, for all users; None allows all.
        batch_size: users scored at a time at most; None takes as many as fit into 64 MB of scores.
        device: where to compute; None stays where the model is.

    Raises:
        ConfigError: `k` or `batch_size` is below 1, or an allowed code is outside the model's items.
    """
    return rank(
        scorer(model, device),
        users,
        histories,
        k,
        num_items=model.schema.num_items,
        exclude=exclude,
        allowed=allowed,
        batch_size=batch_size,
        device=device_of(model),
    )


def choose(
    model: Model, users: np.ndarray, histories: Histories, k: int, among: Histories, *, batch_size: int | None = None
) -> Candidates:
    """As `retrieve`, where each user has an own row of items to choose from, in ascending order of codes, and no others.

    Codes that the model does not know are never chosen.
    """
    score = scorer(model)
    width = FIRST + int(among.lengths.max(initial=0))
    codes = np.zeros((len(users), k), dtype=np.int32)
    scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    limit = max(1, min(batch_size or len(users), _CHUNK_SCORES // model.schema.num_items))
    with torch.inference_mode():
        for rows in _chunks(histories.lengths, limit):
            own = among.take(rows)
            columns = np.zeros((len(rows), width), dtype=np.int64)
            columns[np.arange(width) - FIRST < own.lengths[:, None]] = 1
            columns[:, :FIRST] = 0
            columns[columns > 0] = np.where(own.items < model.schema.num_items, own.items, 0)
            query = Query.of(users[rows], histories.take(rows)).to(device_of(model))
            items = torch.from_numpy(columns).to(query.users.device)
            found = model.score_each(query, items) if isinstance(model, PairModel) else score(query).gather(1, items)
            values, places = top_k(found.masked_fill(items < FIRST, -torch.inf), k)
            codes[rows] = np.take_along_axis(columns, places.cpu().numpy().astype(np.int64), axis=1)
            scores[rows] = values.cpu().numpy()
    return Candidates(codes, scores)


def scorer(model: Model, device: torch.device | str | None = None) -> Scoring:
    """The model's scoring as a function; a retrieval model's item vectors are computed here, once."""
    if device is not None:
        model.to(device)
    return Scoring(model)


def rank(
    score: Scorer,
    users: np.ndarray,
    histories: Histories,
    k: int,
    *,
    num_items: int,
    exclude: Histories | None = None,
    allowed: np.ndarray | None = None,
    batch_size: int | None = None,
    device: torch.device | str = "cpu",
) -> Candidates:
    """As `retrieve`, for any scoring function over `num_items` item codes."""
    for name, number in (("k", k), ("batch_size", batch_size)):
        if number is not None and number < 1:
            raise ConfigError(f"{name} = {number}", expected=f"{name} of 1 or more")
    users = np.asarray(users)
    columns = np.arange(num_items) if allowed is None else _columns(allowed, num_items)
    codes = np.zeros((len(users), k), dtype=np.int32)
    scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    if len(columns) <= FIRST:
        return Candidates(codes, scores)
    items = None if allowed is None else torch.from_numpy(columns).to(device)
    limit = max(1, min(batch_size or len(users), _CHUNK_SCORES // len(columns)))
    with torch.inference_mode():
        for rows in _chunks(histories.lengths, limit):
            query = Query.of(users[rows], histories.take(rows)).to(device)
            if items is None and isinstance(score, Scoring) and score.searches:
                never = (
                    [np.zeros(0, np.int64)] * len(rows)
                    if exclude is None
                    else [exclude.row(row).astype(np.int64) for row in rows]
                )
                scores[rows], codes[rows] = score.best(query, k, [None] * len(rows), never)
                continue
            bans = (None, None) if exclude is None else _bans(exclude.take(rows), columns, device)
            values, places = top_k(score(query, items), k, *bans)
            codes[rows] = columns[places.cpu().numpy()]
            scores[rows] = values.cpu().numpy()
    return Candidates(codes, scores)


def _chunks(lengths: np.ndarray, limit: int) -> Iterator[np.ndarray]:
    """Rows in chunks of at most `limit` users, users of like history length together so that no model works on padding."""
    order = np.argsort(lengths, kind="stable")
    events = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        before = events[start - 1] if start else 0
        fits = int(np.searchsorted(events, before + _CHUNK_EVENTS, side="right"))
        stop = min(start + limit, max(fits, start + 1))
        yield order[start:stop]
        start = stop


def _columns(allowed: np.ndarray, num_items: int) -> np.ndarray:
    """The item code of each column to score: PAD, UNKNOWN, then the allowed codes, ascending and distinct."""
    codes = np.unique(np.asarray(allowed, dtype=np.int64))
    if len(codes) and not 0 <= codes[0] <= codes[-1] < num_items:
        wrong = codes[0] if codes[0] < 0 else codes[-1]
        raise ConfigError(f"allowed item code {wrong}", expected=f"codes 0…{num_items - 1}")
    return np.concatenate([np.arange(FIRST), codes[codes >= FIRST]])


def _bans(exclude: Histories, columns: np.ndarray, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """The cells (row, column) of a chunk's scores that may not be returned."""
    rows, codes = np.repeat(np.arange(len(exclude)), exclude.lengths), exclude.items
    places = np.minimum(np.searchsorted(columns, codes), len(columns) - 1)
    held = columns[places] == codes
    return torch.from_numpy(rows[held]).to(device), torch.from_numpy(places[held]).to(device)


def device_of(model: Model) -> torch.device:
    """Where the model's weights are."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))

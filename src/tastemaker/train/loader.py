"""From interactions to batches: sized in targets, never padded, shuffled anew each epoch from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.models.base import Batch, Query


class Sequences:
    """A window of a user's events as one example with a target at each.

    A history longer than `max_length` + 1 gives its newest events, or with `slide` another stretch of them each epoch, anywhere in it.
    """

    def __init__(self, interactions: Interactions, num_users: int, max_length: int, *, slide: bool = False) -> None:
        rows = replace(interactions, value=interactions.weight).histories(num_users)
        users = np.flatnonzero(rows.lengths > 1)
        self.users, self.rows, self.slide = users, rows.take(users), slide
        self.window = np.minimum(self.rows.lengths, max_length + 1)
        self.num_targets = int(self.window.sum())

    def epoch(self, number: int, seed: int, batch_targets: int) -> Iterator[Batch]:
        draw = np.random.default_rng([seed, number])
        order = draw.permutation(len(self.users))
        spare = self.rows.lengths - self.window
        starts = self.rows.offsets[:-1] + (draw.integers(0, spare + 1) if self.slide else spare)
        ends = np.cumsum(self.window[order])
        batch = (ends - 1) // batch_targets
        for part in np.split(order, np.flatnonzero(np.diff(batch)) + 1):
            if len(part):
                query = Query.of(self.users[part], self.rows.slices(starts[part], starts[part] + self.window[part]))
                yield Batch(query, query.items, query.values, query.values)


class Pairs:
    """One (user, item, value) row as one example; users are known by code alone."""

    def __init__(self, interactions: Interactions) -> None:
        self.user = interactions.user.astype(np.int64)
        self.item = interactions.item.astype(np.int64)
        self.value = np.array(interactions.value, dtype=np.float32)
        self.weight = interactions.weight
        self.num_targets = len(self.user)

    def epoch(self, number: int, seed: int, batch_targets: int) -> Iterator[Batch]:
        order = np.random.default_rng([seed, number]).permutation(self.num_targets)
        for start in range(0, self.num_targets, batch_targets):
            part = order[start : start + batch_targets]
            query = Query.of(self.user[part], _nothing(len(part)))
            yield Batch(
                query,
                torch.from_numpy(self.item[part]),
                torch.from_numpy(self.value[part]),
                torch.from_numpy(self.weight[part]),
            )


class Baskets:
    """All of a user's items as the targets of one row, for losses whose cost is by user and for models that read them all at once.

    With `known` the query holds the same events as history; without, users are known by code alone.
    """

    def __init__(self, interactions: Interactions, num_users: int, *, known: bool = False) -> None:
        rows, weights = interactions.histories(num_users), interactions.weight
        self.users = np.flatnonzero(rows.lengths)
        self.rows, self.known = rows.take(self.users), known
        self.weights = replace(
            self.rows, values=replace(interactions, value=weights).histories(num_users).take(self.users).values
        )
        self.num_targets = len(rows.items)

    def epoch(self, number: int, seed: int, batch_targets: int) -> Iterator[Batch]:
        order = np.random.default_rng([seed, number]).permutation(len(self.users))
        batch = (np.cumsum(self.rows.lengths[order]) - 1) // batch_targets
        for part in np.split(order, np.flatnonzero(np.diff(batch)) + 1):
            taken, weights = self.rows.take(part), self.weights.take(part).values
            yield Batch(
                Query.of(self.users[part], taken if self.known else _nothing(len(part))),
                torch.from_numpy(taken.items.astype(np.int64)),
                torch.from_numpy(np.array(taken.values, dtype=np.float32)),
                torch.from_numpy(np.array(weights, dtype=np.float32)),
                torch.from_numpy(np.repeat(np.arange(len(part)), taken.lengths)),
            )


def _nothing(rows: int) -> Histories:
    return Histories(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(rows + 1, np.int64))

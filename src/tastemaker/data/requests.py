"""Requests: who was asked about when, what was known then, and what came of it; the raw material of a ranker's training rows.

Where nothing was logged, requests are made of events: users are taken to have been asked at a few moments, and what they did from then on
is what came of it. Where lists were shown, see `impressions`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.settings import Settings

CHOSEN = "chosen"
"""The one label where kinds of behaviour are not told apart."""


class RequestsConfig(Settings):
    """The `[rows]` section: how requests are made of events, and rows of requests."""

    at: Literal["cuts", "events"] | None = Field(
        None,
        description="cuts: everybody is asked at the same few moments, as a split by time asks on the test side; events: a user is asked "
        "just before an event, as a live service is; default: as the split asks",
    )
    moments: int = Field(4, ge=1, description="cuts, or events of a user, at which is asked")
    labels: tuple[str, ...] = Field(
        (),
        description="kinds of behaviour that are labels of their own, such as ['view', 'purchase'], for rankers of several labels; default: one "
        "label, whether the item was chosen, in whatever way",
    )
    horizon: int | None = Field(
        None,
        ge=1,
        description="events after a moment that are what came of it; default: all, or one where the split asks for one",
    )
    negatives: int = Field(
        50,
        ge=1,
        description="other candidates of a request that become rows, drawn at random; each weighs as many as it stands for",
    )
    refit: bool = Field(
        True,
        description="sources learn again from train + validation before both stages are tested and saved, as they would before going live",
    )
    validation_share: float = Field(0.2, gt=0, lt=1, description="of the users, whose requests choose the ranker's epoch")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.labels or (CHOSEN,)


@dataclass(frozen=True, eq=False)
class Requests:
    """Moments at which users were, or might have been, asked."""

    users: np.ndarray
    """int32 (requests,): user codes"""
    at: np.ndarray
    """int64 (requests,): µs since 1970 UTC"""
    histories: Histories
    """what each had done before, a row per request, oldest first"""
    truth: Histories
    """what came of it: the items chosen from then on; their `values` are places in the interactions' `kinds`"""

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: np.ndarray) -> Requests:
        """The given requests, in that order; or those where a mask holds."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Requests(self.users[rows], self.at[rows], self.histories.take(rows), self.truth.take(rows))


def at_cuts(known: Interactions, asked: Interactions, num_users: int, config: RequestsConfig) -> Requests:
    """Everybody who does something on the asked side, asked at `config.moments` moments that part it into equal numbers of events.

    Args:
        known: all that may be known by the end of the asked side.
        asked: the rows of that side.
        num_users: codes of users.
        config: the `[rows]` section.
    """
    cuts = np.unique(np.quantile(asked.time, np.arange(config.moments) / config.moments, method="lower"))
    parts = []
    for cut in cuts:
        before, after = known.take(known.time < cut), asked.take(asked.time >= cut)
        users = np.unique(after.user)
        truth = kinds_as_values(after).histories(num_users).take(users)
        parts.append(
            Requests(users, np.full(len(users), cut), before.histories(num_users).take(users), _first(truth, config.horizon))
        )
    return _together(parts)


def at_events(known: Interactions, asked: np.ndarray, num_users: int, config: RequestsConfig, seed: int) -> Requests:
    """Users asked just before some of their events, up to `config.moments` a user, drawn at random.

    What a user did at one moment was done together: no request lies between two events of the same time.

    Args:
        known: all that may be known by the end of the asked side, sorted by user and time.
        asked: bool (rows,): which of it a request may come just before; what comes of it ends with the last of these.
        num_users: codes of users.
        config: the `[rows]` section.
        seed: of the draw.
    """
    places = np.flatnonzero(asked)
    changes = np.ones(len(known), bool)
    changes[1:] = (known.user[1:] != known.user[:-1]) | (known.time[1:] != known.time[:-1])
    starts = places[changes[places]]
    order = np.lexsort((np.random.default_rng(seed).random(len(starts)), known.user[starts]))
    owner = known.user[starts[order]]
    nth = np.arange(len(order)) - np.searchsorted(owner, owner)
    starts = np.sort(starts[order[nth < config.moments]])
    everything, users = known.histories(num_users), known.user[starts]
    last = np.zeros(num_users, np.int64)
    last[known.user[places]] = places + 1
    truth = kinds_as_values(known).histories(num_users).slices(starts, last[users])
    return Requests(
        users, known.time[starts], everything.slices(everything.offsets[users], starts), _first(truth, config.horizon)
    )


def kinds_as_values(rows: Interactions) -> Interactions:
    """The same rows with their kind for a value."""
    return replace(rows, value=rows.kind.astype(np.float32))


def _first(truth: Histories, count: int | None) -> Histories:
    """The oldest `count` events of each row."""
    if count is None:
        return truth
    return truth.slices(truth.offsets[:-1], np.minimum(truth.offsets[1:], truth.offsets[:-1] + count))


def _together(parts: list[Requests]) -> Requests:
    return Requests(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.at for part in parts]),
        Histories.joined([part.histories for part in parts]),
        Histories.joined([part.truth for part in parts]),
    )

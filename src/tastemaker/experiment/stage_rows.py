"""From events to a ranker's rows: requests on the validation side, what the sources find for them, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tastemaker.data.dataset import Dataset
from tastemaker.data.features.moments import Asked
from tastemaker.data.interactions import Histories
from tastemaker.data.requests import Requests, RequestsConfig, at_cuts, at_events
from tastemaker.data.splits import VALIDATION, Split
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import ConfigError, DataError
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.recommend.sources import Pool, batches
from tastemaker.recommend.stages import Stages


@dataclass(frozen=True, eq=False)
class Rows:
    """Candidates of requests, and what came of each."""

    asked: Asked
    labels: np.ndarray
    """float32 (rows, labels)"""
    weights: np.ndarray
    """float32 (rows,)"""


def way(config: RequestsConfig, parts: Split, num_users: int) -> str:
    """How the test side asks: at one moment for all, or just before an event of each."""
    if config.at is not None:
        return config.at
    return "cuts" if parts.questions("test", num_users).together else "events"


def made_requests(config: RequestsConfig, dataset: Dataset, parts: Split, seed: int) -> Requests:
    """Requests made of the validation side, as the test side will ask."""
    known, num_users = parts.before("test"), dataset.users.size
    if not known.has_times:
        raise DataError("events without times", expected="times: rows are what was known at a moment", hint="see data.columns")
    how = way(config, parts, num_users)
    if config.horizon is None and how == "events":
        config = config.model_copy(update={"horizon": 1})
    asked = (parts.label == VALIDATION)[parts.known("test")]
    if how == "cuts":
        found = at_cuts(known, known.take(asked), num_users, config)
    else:
        found = at_events(known, asked, num_users, config, seed)
    learned = np.zeros(num_users, bool)
    learned[parts.train.user] = True
    return replace(found, users=np.where(learned[found.users], found.users, np.int32(UNKNOWN)).astype(np.int32))


def parted(requests: Requests, share: float, seed: int) -> tuple[Requests, Requests]:
    """Requests to learn from and to choose by; no user has requests in both. Whoever has no code is a user of its own."""
    draw = np.random.default_rng(seed)
    of_user = draw.random(int(requests.users.max(initial=1)) + 1) < share
    held = np.where(requests.users > 1, of_user[requests.users], draw.random(len(requests)) < share)
    if not held.any() or held.all():
        raise DataError(f"{len(requests)} requests", expected="enough to learn from some and choose by others")
    return requests.take(~held), requests.take(held)


def pools(stages: Stages, requests: Requests, filter_seen: bool) -> list[tuple[np.ndarray, Pool]]:
    """What the sources find for requests, in batches: the places of the requests, and their pool."""
    found = []
    for rows in batches(requests.histories.lengths, stages.sources[0].scoring.size):
        past = requests.histories.take(rows)
        found.append((rows, stages.pool(requests.users[rows], past, exclude=past if filter_seen else None)))
    return found


def made_rows(stages: Stages, requests: Requests, config: StageConfig, kinds: tuple[str, ...]) -> Rows:
    """All candidates that something came of, and for each request some of the others, which weigh as many as they stand for.

    `kinds` are the names of kinds of behaviour, in the order of the interactions.
    """
    draw = np.random.default_rng(config.train.seed)
    parts, labels, weights = [], [], []
    for rows, pool in pools(stages, requests, config.evaluate.filter_seen):
        truth, size = requests.truth.take(rows), stages.sources[0].scoring.size
        of_kinds = [hits(pool, of_kind(truth, kinds, name), size) for name in config.rows.labels]
        label = np.any(of_kinds, axis=0) if of_kinds else hits(pool, truth, size)
        order = np.lexsort((draw.random(len(pool)), label, pool.owner))  # a request's others first, in a random order
        others = np.bincount(pool.owner[~label], minlength=len(rows))
        begins = np.searchsorted(pool.owner[order], np.arange(len(rows)))
        nth = np.arange(len(order)) - begins[pool.owner[order]]
        kept = np.sort(order[(nth < config.rows.negatives) | label[order]])
        drawn = np.minimum(others, config.rows.negatives)
        weight = np.where(label, 1.0, (others / np.maximum(drawn, 1))[pool.owner])[kept]
        some = Pool(pool.items[kept], pool.owner[kept], pool.found[kept])
        parts.append(stages.asked(requests.users[rows], requests.histories.take(rows), requests.at[rows], some))
        labels.append(np.stack(of_kinds or [label], axis=1)[kept])
        weights.append(weight)
    found = np.concatenate(labels)
    if not found.any():
        raise DataError(
            "nothing that the sources find is chosen by anybody",
            expected="some candidates that were",
            hint="raise sources.NAME.depth",
        )
    return Rows(Asked.joined(parts), found.astype(np.float32), np.concatenate(weights).astype(np.float32))


def of_kind(truth: Histories, kinds: tuple[str, ...], name: str) -> Histories:
    """The part of what came of requests that is of one kind of behaviour.

    Raises:
        ConfigError: the data have no such kind.
    """
    if name not in kinds:
        raise ConfigError(
            f"rows.labels: {name!r}", expected=f"kinds of behaviour, of {', '.join(kinds)}", hint="see data.columns.kind"
        )
    mine = truth.values == kinds.index(name)
    counts = np.concatenate([[0], np.cumsum(mine)])
    return Histories(truth.items[mine], truth.times[mine], truth.values[mine], counts[truth.offsets])


def hits(pool: Pool, truth: Histories, size: int) -> np.ndarray:
    """Whether each candidate is among what came of its request: bool (rows,)."""
    chosen = np.repeat(np.arange(len(truth)), truth.lengths) * np.int64(size) + truth.items
    return np.isin(pool.owner * np.int64(size) + pool.items, chosen)

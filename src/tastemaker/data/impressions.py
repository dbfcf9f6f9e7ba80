"""Impressions: who was shown what, at which rank, when, and what came of it; what a store logged becomes rows that a ranker learns from.

```
answers ──────────────┐
events that point at them (recommendation_id) ─▶ labels ─┐
events before each answer ─▶ histories, popularity ──────┼─▶ Moments ─▶ a row for each item shown
items, users ─────────────┘                              ┘
```

| column | |
|---|---|
| `recommendation_id` | the answer: rows alike in it were shown together |
| `position` | rank, from 1; next pages go on counting |
| `source` | what the list came from: a model's name and version, or a fallback |
| `label.KIND` | 1 where an event of that kind pointed at this item of this answer, from its moment on; else 0 |
| those of `features.moments` | what was known at that moment |

Nothing in a row is later than its answer: histories, popularity and counts end before it. What retrieval models thought was kept with the answer,
since models change. The columns of items and users are what they are when impressions are taken, as a store keeps no past of them: take
them as often as they change, each time after the answers taken before. An event that came in after an answer with a time before it is in the
row all the same; nobody knows any more that the answer was given without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.moments import Asked, Moments, MomentsConfig
from tastemaker.data.features.popularity import EVER, AtLeast, Tally
from tastemaker.data.features.told import item_table, readable, user_table
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.properties import item_columns, user_columns
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.store.base import Item, Shown, Store, User

_HOUR = 3_600_000_000
_PAGE = 5000
_KINDS = 20
"""Kinds of event that become labels, those that point at answers most often: senders choose their names."""


@dataclass(frozen=True, eq=False)
class Impressions:
    """What was shown, a row an item of an answer, and what came of it."""

    answers: list[Shown]
    owner: np.ndarray
    """int64 (rows,): the answer of each row, ascending"""
    items: pa.Array
    """(rows,): ids"""
    position: np.ndarray
    """int64 (rows,): from 1"""
    labels: dict[str, np.ndarray]
    """by kind of event, float32 (rows,)"""
    last: int
    """sequence of the newest answer; 0 when there is none"""

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def of(cls, store: Store, *, after: int = 0, horizon_hours: float | None = None) -> Impressions:
        """The answers of a store and what came of them.

        Args:
            store: an open store.
            after: a sequence (`last` of an earlier call): only later answers.
            horizon_hours: what happens later than so long after an answer did not come of it; None: all does.
        """
        answers: list[Shown] = []
        last, begins = after, dict[str, int]()
        for batch in store.scan_answers(after=after):
            answers += [shown for _, shown in batch]
            last = batch[-1][0]
        ids: list[str] = []
        positions: list[int] = []
        owner: list[int] = []
        for place, shown in enumerate(answers):
            begin = sum(begins.get(one, 0) for one in shown.request.get("previous", ()))
            begins[shown.recommendation_id] = len(shown.item_ids)
            ids += shown.item_ids
            positions += range(begin + 1, begin + 1 + len(shown.item_ids))
            owner += [place] * len(shown.item_ids)
        horizon = None if horizon_hours is None else int(horizon_hours * _HOUR)
        return cls(
            answers,
            np.array(owner, np.int64),
            pa.array(ids, pa.large_string()),
            np.array(positions, np.int64),
            _labels(store, answers, horizon),
            last,
        )

    def table(self, moments: Moments, known: Known) -> pa.Table:
        """Rows with all that was known; see the columns above.

        Args:
            moments: what rows are made of, over `known` (`Known.moments`).
            known: all that the store knows.
        """
        facts = {
            "recommendation_id": pa.array([shown.recommendation_id for shown in self.answers], pa.string()),
            "source": pa.array([shown.source for shown in self.answers], pa.string()),
        }
        columns: dict[str, Any] = {name: column.take(pa.array(self.owner)) for name, column in facts.items()}
        columns["position"] = self.position
        made = moments.table(self.asked(moments, known))
        columns |= {name: made[name] for name in made.column_names}
        return pa.table(columns | {f"label.{kind}": values for kind, values in self.labels.items()})

    def asked(self, moments: Moments, known: Known) -> Asked:
        """The answers as requests, and the items shown as their candidates."""
        users = [None if _is_session(shown) else shown.user_id for shown in self.answers]
        at = np.array([shown.time for shown in self.answers], np.int64)
        histories = known.histories(users, at, [_session(shown) for shown in self.answers])
        codes = moments.users.encode([user or "" for user in users])
        codes = np.where([user is None for user in users], UNKNOWN, codes).astype(np.int32)
        told = [{} if user is None else known.profiles.get(user, {}) for user in users]
        lent = [code - FIRST if code != UNKNOWN else -1 for code in codes.tolist()]
        return Asked(
            np.where(histories.lengths > 0, codes, UNKNOWN).astype(np.int32),
            at,
            histories,
            known.items.encode(self.items),
            self.owner,
            {name: self._standing(name) for name in moments.sources},
            user_table(moments.profiles, told, lent) if moments.profiles.num_columns else None,
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The retrieval models whose opinions were kept with any answer."""
        return tuple(dict.fromkeys(name for shown in self.answers for name in shown.request.get("standings", ())))

    def _standing(self, name: str) -> np.ndarray:
        """What a retrieval model thought of each item, float32 (rows,): NaN where nobody said."""
        found: list[Any] = []
        for shown in self.answers:
            told = shown.request.get("standings", {}).get(name)
            found += told if told is not None and len(told) == len(shown.item_ids) else [None] * len(shown.item_ids)
        return np.array([np.nan if one is None else one for one in found], np.float32)


@dataclass(frozen=True, eq=False)
class Known:
    """All that a store knows of items, users and what they did, in codes."""

    items: Vocabulary
    described: list[Item]
    """by place"""
    users: Vocabulary
    profiles: Mapping[str, Mapping[str, Any]]
    """properties by user id, of those of whom any are known"""
    events: Interactions
    """sorted by user, time and arrival"""

    @classmethod
    def of(cls, store: Store, first: Iterable[str] = ()) -> Known:
        """Reads a store; items in `first` have the first places, whether the store knows them or not: those of an artifact, those shown."""
        items = {item_id: Item(item_id) for item_id in first}
        items |= {item.item_id: item for item in _changes(store)}
        vocabulary = Vocabulary(pa.array(list(items), pa.large_string()))
        batches = list(store.scan_events())
        user_ids, item_ids, kinds = (_column(batches, name) for name in ("user_id", "item_id", "kind"))
        users = Vocabulary(pc.unique(user_ids))
        moment, sequence = (_column(batches, name, pa.int64()).to_numpy() for name in ("time", "sequence"))
        values = _column(batches, "value", pa.float64()).to_numpy().astype(np.float32)
        names = kinds.dictionary_encode()
        user = users.encode(user_ids)
        order = np.lexsort((sequence, moment, user))
        events = Interactions(
            user[order],
            vocabulary.encode(item_ids)[order],
            moment[order],
            values[order],
            names.indices.to_numpy(zero_copy_only=False).astype(np.int16)[order],
            np.full(len(order), -1, np.int8),
            tuple(names.dictionary.to_pylist()),
        )
        profiles = {user.user_id: user.properties for user in _users(store) if user.properties}
        return cls(vocabulary, list(items.values()), users, profiles, events)

    def moments(self, config: MomentsConfig, sources: tuple[str, ...] = ()) -> Moments:
        """Moments over what the store knows, for a ranker that is yet to be trained."""
        kept = [item if not item.deleted else Item(item.item_id) for item in self.described]
        catalogue = item_columns(kept)
        profiles = user_columns([User(user, self.profiles.get(user, {})) for user in self.users.ids.to_pylist()])
        return Moments(
            config,
            self.items,
            catalogue.drop_columns(["item_id"]),
            self.users,
            profiles.drop_columns(["user_id"]),
            Tally.of(self.events, config.popularity),
            sources,
        )

    def over(self, moments: Moments, as_of: int, encoder: FeatureEncoder | None = None) -> Moments:
        """The moments of a ranker that is there, over what the store knows: as a service that uses it makes them.

        Args:
            moments: the ranker's, of an artifact whose items have the first places here.
            as_of: µs: when the artifact's data ended.
            encoder: the ranker's.
        """
        size = len(moments.items)
        told = [bool(item.properties or item.categories or item.deleted) for item in self.described]
        places = [place if place < size and not own else -1 for place, own in enumerate(told)]
        separators = moments.separators(encoder)
        items = readable(
            self.described, lambda some: moments.readable(encoder, item_table(moments.catalogue, separators, some))
        )
        catalogue = item_table(moments.catalogue, separators, items, places)
        columns = catalogue.drop_columns(["item"])
        columns = columns.rename_columns([name.removeprefix("item.") for name in columns.column_names])
        codes = np.arange(moments.items.size, dtype=np.int32)
        ever = moments.popularity.counts(codes, np.full(len(codes), as_of), EVER) if EVER in moments.config.popularity else None
        tally = Tally.of(self.events, moments.config.popularity)
        profiles = moments.profiles.rename_columns([name.removeprefix("user.") for name in moments.profiles.column_names])
        popularity = tally if ever is None else AtLeast(tally, ever)
        return moments.over(self.items, columns, moments.users, profiles, popularity)

    def histories(self, users: list[str | None], at: np.ndarray, sessions: list[list[str] | None]) -> Histories:
        """What each had done before a moment, oldest first; of a session, what it says."""
        codes = self.users.encode([user or "" for user in users])
        codes = np.where([user is None for user in users], UNKNOWN, codes)
        # answers sorted in among events: before those of the same moment, which are not before it
        owner = np.concatenate([self.events.user, codes])
        moment = np.concatenate([self.events.time, at])
        asks = np.arange(len(owner)) >= len(self.events)
        order = np.lexsort((~asks, moment, owner))
        before = np.cumsum(~asks[order])
        ends = np.zeros(len(at), np.int64)
        ends[order[asks[order]] - len(self.events)] = before[asks[order]]
        starts = np.where(codes == UNKNOWN, ends, np.searchsorted(self.events.user, codes))
        flat = Histories(self.events.item, self.events.time, self.events.value, np.zeros(1, np.int64))
        found = flat.slices(starts, ends)
        said = [row for row, session in enumerate(sessions) if session is not None]
        if not said:
            return found
        told = Histories.of([self.items.encode(sessions[row] or []) for row in said])
        held = told.items != UNKNOWN
        lengths = np.concatenate([[0], np.cumsum(held)])[told.offsets]
        told = Histories(told.items[held], told.times[held], told.values[held], lengths)
        places = np.arange(len(at))
        places[said] = len(at) + np.arange(len(said))
        return Histories.joined([found, told]).take(places)


def _labels(store: Store, answers: list[Shown], horizon: int | None) -> dict[str, np.ndarray]:
    """By kind of event: whether one of it came of each row, float32 (rows,)."""
    place, starts = {}, 0
    for number, shown in enumerate(answers):
        place[shown.recommendation_id] = (number, starts)
        starts += len(shown.item_ids)
    found: dict[str, list[int]] = {}
    for batch in store.scan_feedback():
        rows = zip(*(batch.column(name).to_pylist() for name in ("recommendation_id", "item_id", "time", "kind")), strict=True)
        for recommendation_id, item_id, moment, kind in rows:
            number, start = place.get(recommendation_id, (-1, 0))
            if number < 0 or item_id not in answers[number].item_ids:
                continue
            since = moment - answers[number].time
            if since >= 0 and (horizon is None or since <= horizon):
                found.setdefault(kind, []).append(start + answers[number].item_ids.index(item_id))
    labels = {}
    for kind in sorted(found, key=lambda one: (-len(found[one]), one))[:_KINDS]:
        labels[kind] = np.zeros(starts, np.float32)
        labels[kind][found[kind]] = 1
    return labels


def _is_session(shown: Shown) -> bool:
    return shown.request.get("kind") == "session"


def _session(shown: Shown) -> list[str] | None:
    """The items of a session, oldest first; None where a user asked."""
    if not _is_session(shown):
        return None
    body = shown.request.get("body", {})
    return [str(event["item_id"]) for event in body.get("events", []) if isinstance(event, dict) and "item_id" in event]


def _changes(store: Store) -> Iterator[Item]:
    """All items, in the order of their last change."""
    since = 0
    while True:
        items, since = store.changes(since)
        if not items:
            return
        yield from items


def _users(store: Store) -> Iterator[Any]:
    cursor: str | None = None
    while True:
        page = store.users(cursor, _PAGE)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def _column(batches: list[pa.RecordBatch], name: str, kind: pa.DataType | None = None) -> pa.Array:
    kind = kind or pa.large_string()
    return pa.concat_arrays([pa.array([], kind), *(batch.column(name).cast(kind) for batch in batches)])

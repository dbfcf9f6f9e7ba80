"""What a store holds and promises; `open_store(url)` opens one.

```
Store.add_events ──▶ events ──▶ history, seen, popular ──▶ the next answer
                 └─▶ dead_letters: what was refused, and why
Store.put_items  ──▶ items ──▶ changes(since) ──▶ the catalogue a service holds in memory
```

A write is durable when its method returns: it survives a killed process and a power cut. Reads see every write that returned before
they began, in this process and in others. All methods may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_ID_BYTES = 256
"""An id is UTF-8 text of 1 to this many bytes."""

Kind = str
"""What a user did: view, cart, purchase, rating, like… any short name."""
DISLIKE, UNKNOWN_ITEM = "dislike", "unknown"
SILENT: tuple[Kind, ...] = (DISLIKE, UNKNOWN_ITEM)
"""Kinds that say a user did not want an item, or does not know it. They are kept as events, but are no part of what a user did: not of
histories, counts or what is learned from, unless asked for by name. What was disliked counts as seen, what is not known does not."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a user did."""

    user_id: str
    item_id: str
    time: int
    """µs since 1970 UTC"""
    kind: Kind = "view"
    value: float = 1.0
    event_id: str | None = None
    """the sender's name for it: the same one twice has one effect; events without are all kept"""
    session_id: str | None = None
    recommendation_id: str | None = None
    """the answer that showed the item"""
    position: int | None = None
    """its rank there, 1 for the first"""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """context, properties and impressions as sent; JSON"""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that was not taken."""

    index: int
    """its place in the batch, from 0"""
    code: str
    """short and stable: too_old, too_new, id_too_long, not_finite…"""
    detail: str
    raw: Any = None
    """as sent, for the dead letters"""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the catalogue."""

    item_id: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    """title, price, tags…: JSON scalars or lists of them"""
    categories: tuple[str, ...] = ()
    available_from: int | None = None
    """µs; not recommended before"""
    expires_at: int | None = None
    """µs; not recommended from then on"""
    hidden: bool = False
    embedding: tuple[float, ...] | None = None
    """a vector of the caller's own, for likeness of new items"""
    deleted: bool = False
    """a tombstone: kept so that `changes` can tell"""


@dataclass(frozen=True, slots=True)
class User:
    """What is known of a user besides events."""

    user_id: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """One event of a user's history."""

    item_id: str
    time: int
    kind: Kind
    value: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch of events."""

    accepted: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer that was given: what, to whom, by which model."""

    recommendation_id: str
    user_id: str | None
    time: int
    item_ids: tuple[str, ...]
    """in order of rank"""
    source: str
    """the model's name and version ("sasrec/17") or the fallback's"""
    request: Mapping[str, Any] = field(default_factory=dict)
    """as asked, for the next page; JSON"""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows and where to go on."""

    rows: list[T]
    next: str | None
    """an opaque cursor, None at the end"""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key; the secret itself is shown once and never kept."""

    key_id: str
    digest: bytes
    """sha256 of the secret"""
    scopes: frozenset[str]
    name: str
    created: int
    revoked: int | None = None
    signs_users: bool = False
    """whether user ids must come with a token signed by this key's secret (browser keys)"""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model known to the store."""

    name: str
    version: int
    path: str
    """of its artifact"""
    created: int
    state: Literal["candidate", "refused", "promoted", "retired"] = "candidate"
    facts: Mapping[str, Any] = field(default_factory=dict)
    """metrics, gate, training job; JSON"""


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """Long work: a training, an erasure, a backup."""

    job_id: str
    kind: str
    state: JobState
    created: int
    updated: int
    progress: float = 0.0
    """0 … 1"""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """what was asked, and the result or the error; JSON"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named set of rules for lists: a draft, and which of its versions is in force."""

    name: str
    draft: Mapping[str, Any] | None
    """rules that are not published yet; JSON"""
    revision: int
    """grows with each change of any scenario, so that who saw one can tell whether it is still so"""
    changed: int
    """µs since 1970 UTC"""
    changed_by: str
    in_force: int | None
    """the version that requests get; None: none"""
    versions: int
    """how many were ever published"""


@dataclass(frozen=True, slots=True)
class ScenarioVersion:
    """Rules as they were published; they never change."""

    name: str
    version: int
    """1, 2… in each name"""
    rules: Mapping[str, Any]
    published: int
    """µs since 1970 UTC"""
    published_by: str
    replaced: int | None
    """the version that was in force before it"""
    withdrawn: int | None = None
    """when it was last rolled back or deleted, µs"""
    withdrawn_by: str | None = None


class Store(Protocol):
    """Live data behind one interface; SQLite and PostgreSQL pass one conformance suite."""

    url: str

    # events
    def add_events(self, events: Sequence[Event], rejected: Sequence[Rejected] = ()) -> Taken:
        """Keeps a batch, all of it or (when this raises) nothing; `rejected` go to the dead letters with it.

        An event whose `event_id` is known changes nothing and counts as a duplicate. Unknown users and items are made known.
        Calls from several threads are committed together where that is faster (group commit).
        """

    def settle_events(self, events: Sequence[Event], rejected: Sequence[Rejected] = (), *, overwrite: bool) -> Taken:
        """As `add_events`, for senders who know one event of each user, item and kind.

        With `overwrite` it takes the place of all there are, and the last of a batch counts; without, it is kept only where there is
        none, the first of a batch. `event_id`s should be left out. What was not kept counts as a duplicate.
        """

    def history(self, user_id: str, limit: int | None = None) -> list[Done]:
        """The newest `limit` events of a user, oldest first, but for `SILENT` kinds; equal times in the order they arrived."""

    def histories(self, user_ids: Sequence[str], limit: int | None = None) -> list[list[Done]]:
        """As `history` for many users in one question to the database, in the order asked."""

    def seen(self, user_ids: Sequence[str], kinds: Iterable[Kind] | None = None, since: int | None = None) -> list[set[str]]:
        """Items each user ever met (of `kinds`, from time `since` on): exact for histories of any length, retention included.

        None as `kinds` means all but "unknown".
        """

    def events(
        self,
        *,
        user_id: str | None = None,
        item_id: str | None = None,
        kind: Kind | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Event]:
        """Events by user or item, newest first."""

    def counts(self, since: int, until: int | None = None, kinds: Iterable[Kind] | None = None) -> dict[str, int]:
        """Events of each item in [since, until), None: until ever; times are rounded down to the hour (older than nine days: the day).

        None as `kinds` means all but `SILENT` ones. Of a user, item and kind only the newest three events count, so nobody alone makes a bestseller: a million clicks move an item
        by three. Counts of adjoining windows add up. No events are read: it takes as long with a thousand as with twenty million.
        """

    def tallies(
        self, since: int, until: int | None = None, kinds: Iterable[Kind] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`counts` by the store's own numbers of items, for who counts often: keys int64 (items,) and events of each int64 (items,)."""

    def days_of(self, item_id: str, first: int, last: int) -> list[tuple[int, Kind, int]]:
        """Events of one item by day and kind, `SILENT` kinds included: days since 1970 from `first` to `last`, ascending, and counts above 0.

        Counted as in `counts`; it takes a look into an index for each day. Empty for an unknown item.
        """

    def displaced(self, since: int) -> tuple[np.ndarray, np.ndarray]:
        """Events before `since` that newer ones displaced from their user's newest three: item keys and times, int64 (events,) each.

        `SILENT` kinds are left out. It is what `tallies` up to `since` would count besides, if nothing had happened from then on. Reads a row for each user, item and
        kind: seconds with millions of them.
        """

    def item_ids(self, keys: Sequence[int]) -> list[str]:
        """The items that have these numbers, which never change."""

    def scan_events(self, batch_size: int = 65_536, after: int = 0) -> Iterator[pa.RecordBatch]:
        """All events in the order they arrived, for training: sequence, user_id, item_id, time (µs), kind, value.

        `after` is a sequence: only later events.
        """

    def last_sequence(self) -> int:
        """Sequence of the newest event; 0 when there is none."""

    def volumes(self, after: int) -> list[tuple[int, Kind, int]]:
        """Events after a sequence by the hour of their times and by kind: (µs of the hour's begin, kind, events), in that order.

        Reads all of them: bound it by `after`.
        """

    def dead_letters(self, cursor: str | None = None, limit: int = 100, code: str | None = None) -> Page[Mapping[str, Any]]:
        """Refused events, newest first, of one code or all: time, code, detail, raw."""

    def refusals(self, newest: int = 10_000) -> dict[str, int]:
        """How many of the newest refused events there are of each code, the most first."""

    # catalogue and users
    def put_items(self, items: Sequence[Item]) -> None:
        """Inserts or replaces."""

    def delete_item(self, item_id: str) -> bool:
        """Makes a tombstone; False when there is no such item. Events of the item stay."""

    def item(self, item_id: str) -> Item | None:
        """None when unknown or deleted."""

    def items(self, cursor: str | None = None, limit: int = 100) -> Page[Item]:
        """The catalogue by item id, without tombstones."""

    def changes(self, since: int, limit: int = 10_000) -> tuple[list[Item], int]:
        """Items changed after a change number, tombstones and items only met in events included, and the newest number given.

        Ask again with that number until nothing comes; 0 begins at the beginning.
        """

    def put_users(self, users: Sequence[User]) -> None:
        """Inserts or replaces."""

    def user(self, user_id: str) -> User | None:
        """None when never put and without an event."""

    def users(self, cursor: str | None = None, limit: int = 100, prefix: str | None = None) -> Page[User]:
        """Users by id; with `prefix` those whose ids begin so, byte by byte."""

    def profiles(self, user_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """The properties of many users in one question, in the order asked; empty where nobody put any."""

    def merge_users(self, source: str, target: str) -> int:
        """Gives all events of `source` to `target` (an anonymous visitor becomes known) and removes `source`; how many moved."""

    def erase_user(self, user_id: str) -> Mapping[str, int]:
        """Removes every trace of a user; the receipt says how many rows of each table went.

        Erased ids are kept as hashes only, so that training from an older export can leave them out (`erased`).
        """

    def erased(self, user_ids: Sequence[str]) -> list[bool]:
        """Whether each id was erased and has not come back since."""

    def export_user(self, user_id: str) -> Mapping[str, Any]:
        """Everything held on a user, as JSON."""

    # answers
    def add_answers(self, answers: Sequence[Shown]) -> None:
        """Keeps what was shown; the first of an id stays.

        Does not wait for the disk: survives a killed process, and a power cut only if the system wrote it out by then.
        """

    def answer(self, recommendation_id: str) -> Shown | None:
        """None when unknown or past its retention."""

    def scan_answers(self, batch_size: int = 10_000, after: int = 0) -> Iterator[list[tuple[int, Shown]]]:
        """All answers in the order they were kept, each with its sequence. `after` is a sequence: only later ones."""

    def scan_feedback(self, batch_size: int = 65_536, after: int = 0) -> Iterator[pa.RecordBatch]:
        """The events that point at an answer, in the order they arrived: as `scan_events`, with `recommendation_id` and `position`.

        The position is the rank that the sender gave, null where it gave none.
        """

    # keys, models, jobs, audit
    def add_key(self, key: Key) -> None: ...
    def keys(self) -> list[Key]: ...
    def revoke_key(self, key_id: str, time: int) -> bool: ...

    def add_model(self, name: str, path: str, facts: Mapping[str, Any]) -> ModelVersion:
        """A new version, numbered from 1 in each name."""

    def models(self, name: str | None = None) -> list[ModelVersion]:
        """Newest first."""

    def set_model(
        self, name: str, version: int, *, state: str | None = None, facts: Mapping[str, Any] | None = None
    ) -> ModelVersion:
        """Changes state or facts. Promoting is atomic: the version promoted before, of any name, is retired in the same transaction."""

    def promoted(self) -> ModelVersion | None:
        """The version in use."""

    def put_job(self, job: Job) -> None: ...
    def job(self, job_id: str) -> Job | None: ...
    def jobs(self, kind: str | None = None, limit: int = 100) -> list[Job]: ...

    def job_page(
        self, kind: str | None = None, state: JobState | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[Job]:
        """Jobs of a kind and in a state, or all, newest first."""

    def claim_job(self, kind: str) -> Job | None:
        """The oldest queued job, set to running; no two callers get the same one."""

    def audit(self, actor: str, action: str, detail: Mapping[str, Any]) -> None:
        """Keeps who did what; never with secrets."""

    def audit_log(
        self, cursor: str | None = None, limit: int = 100, action: str | None = None, actor: str | None = None
    ) -> Page[Mapping[str, Any]]:
        """Who did what, newest first; `action` is what the actions begin with ("models" or "models.promote"), `actor` who did it."""

    # scenarios
    def scenarios(self, cursor: str | None = None, limit: int = 100) -> Page[Scenario]:
        """By name, without deleted ones."""

    def scenario(self, name: str) -> Scenario | None:
        """None when there is none, or it was deleted."""

    def scenario_versions(self, name: str, cursor: str | None = None, limit: int = 100) -> Page[ScenarioVersion]:
        """Newest first; those of a deleted scenario are still there."""

    def scenario_version(self, name: str, version: int) -> ScenarioVersion | None:
        """One of them."""

    def scenarios_in_force(self, since: int = -1) -> tuple[dict[str, ScenarioVersion], int] | None:
        """The version in force of each name, and the newest revision; None where that is `since`, hence nothing has changed."""

    def put_scenario(self, name: str, draft: Mapping[str, Any], actor: str, revision: int | None = None) -> Scenario:
        """Keeps a draft; what is in force stays.

        With a `revision` only where the scenario still has it (0: where there is none): raises RequestError (409) else.
        """

    def publish_scenario(self, name: str, actor: str, revision: int | None = None) -> ScenarioVersion:
        """Makes the draft a version and puts it in force, in one transaction; `revision` as in `put_scenario`.

        Raises UnknownIdError where there is no such scenario, RequestError (409) where it has no draft.
        """

    def rollback_scenario(self, name: str, actor: str) -> Scenario:
        """Puts the version back that was in force before the present one, or none where that was the first; asked again, the one before.

        Raises UnknownIdError where there is no such scenario, RequestError (409) where none of its versions is in force.
        """

    def delete_scenario(self, name: str, actor: str) -> bool:
        """Takes it out of force and out of the list; False when there is none. Its versions stay, and their numbers go on."""

    # the store itself
    def setting(self, name: str, value: str | None = None) -> str | None:
        """Reads a setting, or writes it when a value is given (a signing secret, retention)."""

    def retain(self, *, events_days: float | None = None, answers_days: float | None = None) -> Mapping[str, int]:
        """Removes what is older; items seen stay known as seen. How many rows of each table went."""

    def backup(self, path: str) -> Mapping[str, Any]:
        """A consistent copy while in use; counts and checksums to verify it by."""

    def verify(self) -> Mapping[str, Any]:
        """Checks the store's integrity; raises StoreError when damaged. Reads everything: seconds with millions of events."""

    def statistics(self) -> Mapping[str, int | float]:
        """Rows of each table, bytes, bytes per event. Counts every row: seconds with millions of events."""

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None: ...


def meant(batch: pa.RecordBatch, named: Collection[Kind] = ()) -> pa.RecordBatch:
    """Scanned events without those of `SILENT` kinds, unless named."""
    silent = [kind for kind in SILENT if kind not in named]
    return batch.filter(pc.invert(pc.is_in(batch.column("kind"), pa.array(silent, pa.string()))))


def open_store(url: str, *, migrate: bool = True) -> Store:
    """Opens the store at `sqlite:///path`, a plain file path, `postgresql://…` or `memory:`; makes or upgrades its tables.

    Raises:
        StoreError: the database cannot be reached, is damaged, or was written by a newer version.
    """
    from tastemaker.store.sql import SqlStore

    return SqlStore(url, migrate=migrate)

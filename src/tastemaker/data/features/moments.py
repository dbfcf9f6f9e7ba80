"""Moments: what is known of a user, of an item and of the two of them when a list is asked for, as rows that a ranker reads.

| columns | of | what |
|---|---|---|
| `item`, `item.X` | item | its id and its columns in the catalogue |
| `user.X` | request | the user's columns; `user`, the id, where the config says so |
| `at` | request | the moment |
| `history`, `events`, `since_last` | request | newest items, oldest first; how many events there are, 200 at most; seconds since the last |
| `popularity.W` | pair | events of the item in the W hours before (`popularity.ever`), see `popularity` |
| `met`, `since_met` | pair | events of this user with this item; seconds since the last |
| `like.X` | pair | share of the newest events whose item has the same X (categories: the mean over them) |
| `ratio.X` | pair | the item's number X over the mean of the newest events' items: price against usual price |
| `score.S` | pair | what retrieval model S thinks, in deviations from its mean over the catalogue |

Rows are made in two ways that give the same numbers: as one table, to learn fields from, and as `Features` in which what belongs to an
item is encoded once for the whole catalogue and what belongs to a request once for all its candidates. Nothing in a row is later than its moment:
histories and popularity end before it. A column of the catalogue is what it is today, as catalogues have no history here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from tastemaker.data.features import columns
from tastemaker.data.features.config import FeaturesConfig, FieldConfig
from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.fitted import Many
from tastemaker.data.features.infer import guess
from tastemaker.data.features.item_side import HISTORY, Attribute, ItemSide
from tastemaker.data.features.joined import Joining, Owner
from tastemaker.data.features.popularity import EVER, Popularity
from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.settings import Settings

_SECOND = 1e6
_COUNTERS = 1 << 17
COUNTED = 200
"""Events of a user that are counted at most, so that nobody's whole past has to be read to answer."""


class MomentsConfig(Settings):
    """The `[moments]` section: what rows are made of, besides the columns of users and items."""

    history: int = Field(50, ge=1, description="newest events of a user that are looked at")
    popularity: tuple[Annotated[int, Field(ge=EVER, le=216)], ...] = Field(
        (1, 24, 168, EVER), description="windows in hours, up to 216; 0: all there ever was"
    )
    user_id: bool = Field(False, description="whether the user's id is a feature: new users have none that training knows")


@dataclass(frozen=True, eq=False)
class Asked:
    """Requests and their candidates."""

    users: np.ndarray
    """int32 (requests,): user codes"""
    at: np.ndarray
    """int64 (requests,): µs since 1970 UTC"""
    histories: Histories
    """what each had done before that moment, oldest first"""
    items: np.ndarray
    """int32 (rows,): the candidates of all requests, one request after the other"""
    owner: np.ndarray
    """int64 (rows,): the request of each candidate, ascending"""
    scores: Mapping[str, np.ndarray]
    """float32 (rows,) of each retrieval model"""
    profiles: pa.Table | None = None
    """columns `user.X` of the users, a row a request; None: as `Moments` knows them"""

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def joined(cls, parts: Sequence[Asked]) -> Asked:
        """The requests of all parts, one part after the other."""
        begins = np.cumsum([0, *(len(part.users) for part in parts)])
        return cls(
            np.concatenate([part.users for part in parts]),
            np.concatenate([part.at for part in parts]),
            Histories.joined([part.histories for part in parts]),
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.owner + begin for part, begin in zip(parts, begins, strict=False)]),
            {name: np.concatenate([part.scores[name] for part in parts]) for name in parts[0].scores},
            None if parts[0].profiles is None else pa.concat_tables([part.profiles for part in parts if part.profiles]),
        )

    def take(self, rows: np.ndarray) -> Asked:
        """The same requests with the given candidates, at ascending places."""
        scores = {name: values[rows] for name, values in self.scores.items()}
        return Asked(self.users, self.at, self.histories, self.items[rows], self.owner[rows], scores, self.profiles)


class Moments:
    """Makes rows of requests and candidates."""

    def __init__(
        self,
        config: MomentsConfig,
        items: Vocabulary,
        catalogue: pa.Table,
        users: Vocabulary,
        profiles: pa.Table,
        popularity: Popularity,
        sources: tuple[str, ...] = (),
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        """Joins what is known.

        Args:
            config: the `[moments]` section.
            items: the items.
            catalogue: a row per item place, or no columns.
            users: the users.
            profiles: a row per user place, or no columns.
            popularity: how often items were used.
            sources: names of the retrieval models whose scores are features.
            kinds: of the catalogue's columns that items are compared by, "categories" or "number"; None: inferred.
        """
        self.config, self.items, self.users, self.popularity, self.sources = config, items, users, popularity, sources
        self.catalogue = pa.table(
            {"item": items.ids} | {f"item.{name}": column for name, column in _columns(catalogue).items()}
        )
        self.profiles = pa.table({f"user.{name}": column for name, column in _columns(profiles).items()})
        self.kinds = dict(kinds) if kinds is not None else _comparable(catalogue)
        self.attributes = {
            name: Attribute.of(name, columns.whole(self.catalogue[f"item.{name}"]), kind) for name, kind in self.kinds.items()
        }
        self._sides: list[tuple[FeatureEncoder, ItemSide]] = []
        self._joinings: list[tuple[FeatureEncoder, tuple[tuple[str, ...], ...], Joining]] = []

    def with_popularity(self, popularity: Popularity) -> Self:
        """The same, asking somebody else how often items were used."""
        return self._with(popularity=popularity)

    def with_items(self, encoder: FeatureEncoder, side: ItemSide) -> Self:
        """The same over a catalogue that went on: `features` takes items from `side`, `table` knows only those there were."""
        return self._with(_sides=[(encoder, side)], attributes=dict(side.attributes))

    def over(
        self, items: Vocabulary, catalogue: pa.Table, users: Vocabulary, profiles: pa.Table, popularity: Popularity
    ) -> Self:
        """The same moments of other items and users: what columns mean stays."""
        names = pa.table({"item": items.ids} | {f"item.{name}": column for name, column in _columns(catalogue).items()})
        attributes = {name: one.over(name, columns.whole(names[f"item.{name}"])) for name, one in self.attributes.items()}
        told = pa.table({f"user.{name}": column for name, column in _columns(profiles).items()})
        return self._with(
            items=items,
            users=users,
            catalogue=names,
            profiles=told,
            attributes=attributes,
            popularity=popularity,
            _sides=[],
        )

    def _with(self, **changes: Any) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__ | {"_sides": list(self._sides)} | changes)
        return other

    def settled(self, config: FeaturesConfig) -> FeaturesConfig:
        """The `[features]` section with the kinds of the columns made here, where it leaves them open."""
        number, logarithm = ({"kind": "number", "scale": scale} for scale in ("standard", "log"))
        made: dict[str, dict[str, Any]] = {
            "item": {"kind": "category"},
            "at": {"kind": "time"},
            "history": {"kind": "sequence", "shares": "item", "max_length": self.config.history},
            **dict.fromkeys(("events", "since_last", "met", "since_met", *map(_window, self.config.popularity)), logarithm),
            **{f"like.{name}": number for name, kind in self.kinds.items() if kind == "categories"},
            **{f"ratio.{name}": number for name, kind in self.kinds.items() if kind == "number"},
            **{f"score.{name}": number for name in self.sources},
        }
        if self.config.user_id:
            made["user"] = {"kind": "category"}
        if "item" in config.leave_out:  # whose vocabulary the history would share
            del made["history"]["shares"]
        fields = {
            name: FieldConfig.parse(
                values | (config.fields[name].model_dump(exclude_unset=True) if name in config.fields else {}),
                f"features.fields.{name}",
            )
            for name, values in made.items()
            if name not in config.leave_out
        }
        return config.model_copy(update={"fields": dict(config.fields) | fields})

    def table(self, asked: Asked) -> pa.Table:
        """A row for each candidate, all columns."""
        places = pa.array(asked.items.astype(np.int64) - FIRST)
        parts = (
            self.catalogue.take(places),
            self._requests(asked).take(pa.array(asked.owner)),
            pa.table(self.pair_columns(asked)),
        )
        return pa.table({name: part[name] for part in parts for name in part.column_names})

    def features(self, asked: Asked, encoder: FeatureEncoder, *, share: bool = False) -> Features:
        """`encoder.encode(self.table(asked))`, without making that table; with `share`, rows of a request share its many-valued cells."""
        side = self.item_side(encoder)
        given, pairs = self.request_columns(asked), self.pair_columns(asked)
        joining = self._joining(encoder, (side.columns, (*given, HISTORY), tuple(pairs)))
        _, of_requests, of_pairs = joining.parts
        owners = (
            Owner(side.features, asked.items.astype(np.int64) - FIRST),
            Owner(self._request_features(asked, given, of_requests, side), asked.owner, share=share),
            Owner(of_pairs.encode_columns(pairs, len(asked)), None),
        )
        return joining.joined(owners, len(asked))

    def _joining(self, encoder: FeatureEncoder, names: tuple[tuple[str, ...], ...]) -> Joining:
        for held, known, joining in self._joinings:
            if held is encoder and known == names:
                return joining
        joining = Joining(encoder, names)
        self._joinings[:] = [(encoder, names, joining)]
        return joining

    def item_side(self, encoder: FeatureEncoder) -> ItemSide:
        """The catalogue as the rows of an encoder have it; encoded once."""
        for held, side in self._sides:
            if held is encoder:
                return side
        side = ItemSide.of(encoder, self.catalogue, self.attributes)
        self._sides[:] = [(encoder, side)]
        return side

    def _request_features(
        self, asked: Asked, given: Mapping[str, pa.Array | np.ndarray], encoder: FeatureEncoder, side: ItemSide
    ) -> Features:
        """The columns of requests, encoded; histories by the codes that their items have."""
        history: Bag | None = None
        for field in encoder.fields:
            if field.name == HISTORY and side.events is not None:
                assert isinstance(field, Many)
                history = _of_events(asked.histories.last(self.config.history), side.events, field)
        return encoder.encode_columns(given, len(asked.users), {} if history is None else {HISTORY: history})

    def _requests(self, asked: Asked) -> pa.Table:
        newest = asked.histories.last(self.config.history)
        history = pa.LargeListArray.from_arrays(newest.offsets, self.items.take(newest.items.astype(np.int64) - FIRST))
        given = self.request_columns(asked)
        return pa.table({"at": given.pop("at"), HISTORY: history, **given})

    def request_columns(self, asked: Asked) -> dict[str, pa.Array | np.ndarray]:
        """The columns of requests but for the history, a row a request."""
        histories = asked.histories
        lengths = histories.lengths
        last = np.where(
            lengths > 0, histories.times[np.maximum(histories.offsets[1:] - 1, 0)] if len(histories.times) else 0, 0
        )
        since = np.where((lengths > 0) & (last > 0), (asked.at - last) / _SECOND, np.nan)
        found: dict[str, Any] = {
            "at": pa.array(asked.at, pa.timestamp("us")),
            "events": np.minimum(lengths, COUNTED).astype(np.float64),
            "since_last": since,
        }
        places = asked.users.astype(np.int64) - FIRST
        if self.config.user_id:
            found["user"] = self.users.take(places)
        if asked.profiles is not None:
            found |= _columns(asked.profiles)
        elif self.profiles.num_columns:
            known = pa.array(places, mask=(places < 0) | (places >= len(self.users)))
            found |= {name: columns.whole(self.profiles[name]).take(known) for name in self.profiles.column_names}
        return found

    def separators(self, encoder: FeatureEncoder | None = None) -> dict[str, str]:
        """What parts the values of columns of the catalogue that are texts and hold several, by their names there."""
        found = {name: one.separator for name, one in self.attributes.items() if one.separator}
        fields = () if encoder is None else encoder.fields
        read = {field.name: field.separator for field in fields if isinstance(field, Many) and field.separator}
        return found | {name.removeprefix("item."): mark for name, mark in read.items() if name.startswith("item.")}

    def readable(self, encoder: FeatureEncoder | None, catalogue: pa.Table) -> None:
        """Raises DataError where a column of other items, `item.X`, does not hold what it holds of those here."""
        for name, one in self.attributes.items():
            one.over(name, columns.whole(catalogue[f"item.{name}"]))
        if encoder is not None:
            encoder.only(catalogue.column_names).encode(catalogue)

    @cached_property
    def reads(self) -> int:
        """The newest events of a user that any column depends on."""
        return max(self.config.history, COUNTED)

    def pair_columns(self, asked: Asked) -> dict[str, np.ndarray]:
        """The columns of candidates with their requests, float64 or float32 (rows,) each."""
        newest, at = asked.histories.last(self.config.history), asked.at[asked.owner]
        met, since = _met(asked, newest)
        found: dict[str, np.ndarray] = {
            _window(hours): self.popularity.counts(asked.items, at, hours) for hours in self.config.popularity
        }
        found |= {"met": met, "since_met": since}
        for name, attribute in self.attributes.items():
            if attribute.kind == "categories":
                found[f"like.{name}"] = _likeness(asked, newest, attribute)
            else:
                found[f"ratio.{name}"] = _ratio(asked, newest, attribute)
        return found | {f"score.{name}": asked.scores[name] for name in self.sources}


def _of_events(histories: Histories, events: Bag, field: Many) -> Bag:
    """The field of histories whose items add these codes, one or none each; items without a place add none."""
    places = histories.items.astype(np.int64) - FIRST
    places = np.where((places >= 0) & (places < len(events.offsets) - 1), places, -1)
    there = (places >= 0) & (events.offsets[places + 1] > events.offsets[places])
    counts = np.concatenate([[0], np.cumsum(there)])
    return field.cut(events.codes[events.offsets[places[there]]], counts[histories.offsets])


def _window(hours: int) -> str:
    return "popularity.ever" if hours == EVER else f"popularity.{hours}h"


def _columns(table: pa.Table) -> dict[str, Any]:
    return {name: columns.whole(table[name]) for name in table.column_names}


def _comparable(catalogue: pa.Table) -> dict[str, str]:
    """The columns that say what kind of item one is, or how much of something it has."""
    found = {}
    for name in catalogue.column_names:
        config = guess(name, columns.whole(catalogue[name]), FieldConfig.parse({}), 1).config
        if config is not None and config.kind in ("category", "categories"):
            found[name] = "categories"
        elif config is not None and config.kind == "number":
            found[name] = "number"
    return found


def _met(asked: Asked, newest: Histories) -> tuple[np.ndarray, np.ndarray]:
    """How often the user met the item among the newest events, float64 (rows,), and seconds since the last time, NaN where never."""
    size = np.int64(max(int(asked.items.max(initial=0)), int(newest.items.max(initial=0))) + 1)
    events = np.repeat(np.arange(len(newest)), newest.lengths) * size + newest.items
    order = np.argsort(events, kind="stable")  # of equal ones the newest is last
    events, wanted = events[order], asked.owner * size + asked.items
    first, behind = np.searchsorted(events, wanted, "left"), np.searchsorted(events, wanted, "right")
    counts = (behind - first).astype(np.float64)
    since = np.full(len(wanted), np.nan)
    there = np.flatnonzero(counts)
    times = newest.times[order[behind[there] - 1]]
    since[there] = np.where(times > 0, (asked.at[asked.owner[there]] - times) / _SECOND, np.nan)
    return counts, since


def _likeness(asked: Asked, newest: Histories, attribute: Attribute) -> np.ndarray:
    """float64 (rows,): of each candidate's values, the mean share of the newest events whose item has that value; NaN where none is known."""
    codes, offsets = attribute.codes, attribute.offsets
    size = np.int64(codes.max(initial=0)) + 1
    values, owner = _of_items(newest.items, codes, offsets)
    events = np.repeat(np.arange(len(newest)), newest.lengths)[owner] * size + values
    values, rows = _of_items(asked.items, codes, offsets)
    wanted = asked.owner[rows] * size + values
    if len(newest) * size <= _COUNTERS:
        hits = np.bincount(events, minlength=len(newest) * size)[wanted]
    else:
        events = np.sort(events)
        hits = np.searchsorted(events, wanted, "right") - np.searchsorted(events, wanted, "left")
    lengths = newest.lengths[asked.owner]
    sums = np.bincount(rows, hits, minlength=len(asked.items))
    counts = np.bincount(rows, minlength=len(asked.items))
    return np.where((counts > 0) & (lengths > 0), sums / np.maximum(counts * lengths, 1), np.nan)


def _ratio(asked: Asked, newest: Histories, attribute: Attribute) -> np.ndarray:
    """float64 (rows,): the candidate's number over the mean of the newest events' items, cut off at 100; NaN where one is not known."""
    of_events = _number_of(newest.items, attribute.codes)
    known = ~np.isnan(of_events)
    owner = np.repeat(np.arange(len(newest)), newest.lengths)[known]
    sums = np.bincount(owner, of_events[known], minlength=len(newest))
    counts = np.bincount(owner, minlength=len(newest))
    usual = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)[asked.owner]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _number_of(asked.items, attribute.codes) / usual
    return np.clip(np.where(np.isfinite(found), found, np.nan), -100, 100)


def _of_items(items: np.ndarray, codes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of items one after the other, and whose each is, int64; items without a place have none."""
    places = items.astype(np.int64) - FIRST
    inside = (places >= 0) & (places < len(offsets) - 1)
    starts = np.where(inside, offsets[np.where(inside, places, 0)], 0)
    ends = np.where(inside, offsets[np.where(inside, places, 0) + 1], 0)
    lengths = ends - starts
    owner = np.repeat(np.arange(len(items)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return codes[np.repeat(starts, lengths) + within], owner


def _number_of(items: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    places = items.astype(np.int64) - FIRST
    inside = (places >= 0) & (places < len(numbers))
    return np.where(inside, numbers[np.where(inside, places, 0)] if len(numbers) else np.nan, np.nan)

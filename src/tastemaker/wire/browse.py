"""Bodies and answers of the routes that browse the catalogue: search, lists that need a look, an item's own page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, UnsetType

from tastemaker.wire.bodies import Body, Filter, ItemReply, Limit, Reply

Cursor = Annotated[str, Meta(max_length=4096)]
ListName = Literal["all", "available", "cold", "newcomers", "never_shown", "hidden", "scheduled", "expired", "deleted"]
"""all: but deleted ones; cold: of few events, or not in the model's training; newcomers: not in the model's training; never_shown:
available, and in no answer of the window; scheduled: available later"""
Sort = Literal["relevance", "popular", "newest", "reach"]
"""relevance: how well the query matches, then as popular; popular: most events; reach: most often shown"""
State = Literal["available", "hidden", "scheduled", "expired", "deleted"]
Knowledge = Literal["training", "contents", "likeness", "nothing", "no_model"]
"""What the model scores an item by: it was trained with it; its contents; items it is like; nothing, so that it cannot recommend it"""
ColdBelow = Annotated[int, Meta(ge=1, le=1_000_000)]


class ItemsQuery(Body):
    """Items of the catalogue: all by id, or those that a query, a list and a filter hold, in an order."""

    cursor: Cursor | None = None
    limit: Limit = 100
    filter: Filter | None = None
    query: Annotated[str, Meta(max_length=256)] | None = None
    """words of id, title, name or description, in any order; all must be there"""
    listed: ListName | None = msgspec.field(default=None, name="list")
    category: Annotated[str, Meta(max_length=256)] | None = None
    sort: Sort | None = None
    """relevance where there is a query, else popular"""
    cold_below: ColdBelow = 5
    """events of all time below which an item is cold"""
    include: Annotated[list[Literal["numbers"]], Meta(max_length=1)] = msgspec.field(default_factory=list)


class CatalogueQuery(Body):
    """The catalogue at a glance."""

    cold_below: ColdBelow = 5


class ItemNumbers(Reply):
    """What is counted of an item."""

    state: State
    known_by: Knowledge
    events: int
    """in the window of the popular list; a user, item and type add three at most"""
    events_ever: int
    rank: int
    """by events in the window, 1 for the most"""
    shown: int | None
    """times it was in an answer, within the window that is counted; null where answers are not counted"""
    clicked: int | None
    """times it was taken up from there"""


class FoundItem(ItemReply):
    """An item as held."""

    numbers: ItemNumbers | UnsetType = msgspec.UNSET
    """where they were asked for"""


class FoundItems(Reply):
    """A page of the catalogue; the figures are there where a query, a list or an order was asked for."""

    items: list[FoundItem]
    next_cursor: str | None
    total: int | UnsetType = msgspec.UNSET
    """items on all pages"""
    searched: int | UnsetType = msgspec.UNSET
    """items that the query was compared with: fewer than there are while a catalogue is being taken in, for seconds after the first search"""
    counted_at: str | UnsetType = msgspec.UNSET
    """when the counts that order the list were made"""


class CategoryCount(Reply):
    """A category."""

    category: str
    items: int
    """that are not deleted"""


class CatalogueReply(Reply):
    """The catalogue at a glance."""

    lists: dict[str, int | None]
    """items in each list; null where it cannot be told"""
    cold_below: int
    categories: list[CategoryCount]
    """those of most items first, 500 at most"""
    categories_total: int
    events_window_seconds: float
    reach_window_seconds: float | None
    reach_counted_at: str | None
    counted_at: str
    """when events, orders and categories were counted; availability is of this moment"""
    fresh: bool
    """False: the store did not answer, so counts are older than they should be"""
    searchable: int
    """items that search has taken in so far"""
    model: str | None
    version: int | None


class Like(Reply):
    """A known item that stands for one the model never saw."""

    item_id: str
    title: str
    """"" where nobody gave one"""
    weight: float
    """its share of the score, 0…1"""


class Day(Reply):
    """Events of a day."""

    day: str
    """UTC, as 2026-01-31"""
    events: dict[str, int]
    """by type; a user, item and type add three at most, whatever the days"""


class ItemProfile(Reply):
    """What is known of an item, deleted ones included."""

    item: ItemReply
    title: str
    """"" where nobody gave one"""
    numbers: ItemNumbers
    ranked: int
    """items that `numbers.rank` is among"""
    like: list[Like]
    """where `numbers.known_by` is likeness: what its score is made of, the weightiest first"""
    trained_with: int | None
    """events of it in the model's training data; null where it was not in there"""
    days: list[Day]
    """the last 30 days, today included, oldest first"""
    events_window_seconds: float
    reach_window_seconds: float | None
    reach_counted_at: str | None
    click_share: float | None
    """clicks of times shown; null where it was not shown"""
    click_low: float | None
    click_high: float | None
    """its 95 % interval (Wilson)"""
    counted_at: str
    model: str | None
    version: int | None


MapSource = Literal["vectors", "co_occurrence"]
"""vectors: the model's own of its items; co_occurrence: by which users met both, for models without"""
MapName = Annotated[str, Meta(min_length=1, max_length=32)]


class MapPointsQuery(Body):
    """Which map's points, and which points."""

    map: MapName | None = None
    """as `GET /v1/catalogue/map` names it, since the order of points is that map's; the present one unless given"""
    points: Annotated[list[Annotated[int, Meta(ge=0, le=10_000_000)]], Meta(max_length=200)] = msgspec.field(
        default_factory=list
    )
    """their numbers"""


class MapSearchQuery(Body):
    """Which points to light up: those of items that a query, a list or a category holds, or of one item."""

    map: MapName | None = None
    query: Annotated[str, Meta(max_length=256)] | None = None
    category: Annotated[str, Meta(max_length=256)] | None = None
    item_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    listed: ListName | None = msgspec.field(default=None, name="list")
    cold_below: ColdBelow = 5


class MapQuality(Reply):
    """How far the map can be trusted."""

    neighbours: int
    """nearest ones that are compared"""
    recall: float
    """share of an item's nearest that are among its nearest on the map, 0…1"""
    trustworthiness: float
    """1 where the map shows no neighbours that are none, about 0.5 at random (Venna & Kaski 2001)"""
    components_recall: float
    components_trustworthiness: float
    """the same of two principal components"""
    seconds: float
    """it took to lay out"""


class MapReply(Reply):
    """Whether there is a map of the items, and of what."""

    state: Literal["ready", "computing", "unavailable"]
    map: str | None
    """its name: another order of points has another"""
    points: int
    items: int
    """that the model knows"""
    source: MapSource | None
    quality: MapQuality | None
    model: str | None
    version: int | None
    detail: str
    """why there is none"""


class MapItem(Reply):
    """The item of a point."""

    point: int
    item_id: str
    title: str
    """"" where nobody gave one"""
    category: str | None
    events: int
    """in the window of the popular list"""
    state: State
    properties: dict[str, Any]


class MapItems(Reply):
    """Items of points, in the order asked."""

    items: list[MapItem]


class MapFound(Reply):
    """Points of items that were searched for."""

    points: list[int]
    """the best matches first, 5000 at most"""
    total: int
    """that are on the map"""

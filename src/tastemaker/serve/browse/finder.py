"""Finder: items by words, in lists that need a look, in an order, page by page.

```
words ──▶ Index ──▶ rows, how well ┐
list, category, filter ──▶ mask    ├──▶ key = how well · 2⁴⁰ + place in the order of the survey ──▶ the smallest after the cursor's
sort ──▶ Survey                    ┘
```
Keys are all different, so a cursor is the last key and the number of the survey: pages of one survey neither repeat nor miss anything.
When the survey is no longer held, or the model is another, the cursor goes on at the same place in the order of the newest one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import RequestError
from tastemaker.recommend.filters import parse
from tastemaker.recommend.filters.columns import Column
from tastemaker.serve import catalogue
from tastemaker.serve.browse.cartographer import Cartographer
from tastemaker.serve.browse.chart import Chart
from tastemaker.serve.browse.index import Index
from tastemaker.serve.browse.segment import title_of
from tastemaker.serve.browse.survey import Survey, Surveys
from tastemaker.serve.live import Live
from tastemaker.serve.stock import Stock
from tastemaker.serve.times import to_text
from tastemaker.serve.view import View
from tastemaker.store.codec import from_cursor, to_cursor
from tastemaker.wire.browse import (
    CatalogueReply,
    CategoryCount,
    FoundItem,
    FoundItems,
    ItemNumbers,
    ItemsQuery,
    Knowledge,
    ListName,
    MapFound,
    MapItem,
    MapItems,
    MapPointsQuery,
    MapReply,
    MapSearchQuery,
    Sort,
    State,
)

_MIDDLE, _TIER = 1 << 39, 1 << 40
_LIT = 5000
"""Points that a search lights up at most."""
_CATEGORIES = 500
"""Categories that are told at most, those of most items."""
LISTS: tuple[ListName, ...] = (
    "all", "available", "cold", "newcomers", "never_shown", "hidden", "scheduled", "expired", "deleted",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Moment:
    """Catalogue, model and counts as one request sees them."""

    view: View
    survey: Survey
    now: int
    cold_below: int

    @property
    def stock(self) -> Stock:
        return self.view.stock

    def mask(self, name: ListName) -> np.ndarray:
        """Bool (rows,): what is in a list."""
        stock = self.stock
        if name == "deleted":
            return stock.deleted
        if name == "available":
            return stock.open_at(self.now).mask
        if name == "hidden":
            return ~stock.listed & ~stock.deleted & self._any
        if name == "scheduled":
            return stock.listed & (stock.opens > self.now)
        if name == "expired":
            return stock.listed & (stock.opens <= self.now) & (stock.closes <= self.now)
        whole = ~stock.deleted & self._any
        if name == "newcomers":
            return whole & ~self._line(self.survey.known)
        if name == "cold":
            return whole & ((self._line(self.survey.ever) < self.cold_below) | ~self._line(self.survey.known))
        if name == "never_shown":
            if self.survey.shown is None:
                raise RequestError("what answers showed is not counted", code="not_counted", status=409)
            return stock.open_at(self.now).mask & (self._line(self.survey.shown) == 0)
        return whole

    @property
    def _any(self) -> np.ndarray:
        """All rows but 0, which is no item's."""
        rows = np.ones(len(self.stock), bool)
        rows[0] = False
        return rows

    def _line(self, line: np.ndarray) -> np.ndarray:
        """A line of the survey with zeros for rows that came since."""
        return np.concatenate([line, np.zeros(len(self.stock) - len(line), line.dtype)])

    def state(self, row: int) -> State:
        """Whether an item may be recommended, or else why not."""
        item = self.stock.items[row]
        if item.deleted:
            return "deleted"
        if item.hidden:
            return "hidden"
        if item.available_from is not None and item.available_from > self.now:
            return "scheduled"
        return "expired" if item.expires_at is not None and item.expires_at <= self.now else "available"

    def numbers(self, row: int) -> ItemNumbers:
        """What is counted of an item."""
        survey, rows = self.survey, np.array([row])
        code = self.view.code(self.stock.items[row].item_id)
        return ItemNumbers(
            state=self.state(row),
            known_by=knowledge(self.view, code),
            events=int(survey.at(survey.events, rows)[0]),
            events_ever=int(survey.at(survey.ever, rows)[0]),
            rank=int(survey.places("popular", rows)[0]) + 1,
            shown=None if survey.shown is None else int(survey.at(survey.shown, rows)[0]),
            clicked=None if survey.clicked is None else int(survey.at(survey.clicked, rows)[0]),
        )


class Finder:
    """Answers what is asked about the catalogue as a whole."""

    def __init__(self, live: Live, surveys: Surveys, clock: Callable[[], int], popular_seconds: float) -> None:
        """`popular_seconds` is the window in which events are counted."""
        self._live, self._surveys, self._clock, self.popular_seconds = live, surveys, clock, popular_seconds
        self.index = Index(lambda: live.view.stock)
        self._maps = Cartographer(surveys.of)

    def items(self, asked: ItemsQuery) -> FoundItems:
        """A page of the items that a query and a list hold, best first.

        Raises:
            RequestError: a cursor that was not given for this question (400); a list that is not counted (409).
            FilterError: the filter does not parse or fit.
        """
        sort: Sort = asked.sort or ("relevance" if asked.query is not None else "popular")
        mark = zlib.crc32(
            repr((asked.query, asked.listed, asked.category, asked.filter, sort, asked.cold_below)).encode("utf-8", "replace")
        )
        view, number, after = self._live.view, None, -1
        if asked.cursor is not None:
            number, after, given = from_cursor(asked.cursor, int, int, int)
            if given != mark:
                raise RequestError("a cursor of another question", code="bad_cursor", status=400, hint="start without a cursor")
        moment = self._moment(view, asked.cold_below, number)
        rows, keys, searched = self._found(moment, asked, sort)
        rest = keys > after
        total, rows, keys = len(rows), rows[rest], keys[rest]
        if len(keys) > asked.limit:
            first = np.argpartition(keys, asked.limit)[: asked.limit]
            more, rows, keys = True, rows[first], keys[first]
        else:
            more = False
        order = np.argsort(keys)
        return FoundItems(
            items=[self._reply(moment, row, asked) for row in rows[order].tolist()],
            next_cursor=to_cursor(moment.survey.number, int(keys[order[-1]]), mark) if more else None,
            total=total,
            searched=searched,
            counted_at=to_text(moment.survey.counted_at),
        )

    def catalogue(self, cold_below: int) -> CatalogueReply:
        """How many items each list and category has."""
        view = self._live.view
        moment = self._moment(view, cold_below)
        survey = moment.survey
        counts: dict[str, int | None] = {}
        for name in LISTS:
            counts[name] = None if name == "never_shown" and survey.shown is None else int(moment.mask(name).sum())
        self.index.begin()
        waiting = self.index.waiting
        return CatalogueReply(
            lists=counts,
            cold_below=cold_below,
            categories=[CategoryCount(category=name, items=items) for name, items in survey.categories[:_CATEGORIES]],
            categories_total=len(survey.categories),
            events_window_seconds=self.popular_seconds,
            reach_window_seconds=survey.reach_seconds,
            reach_counted_at=None if survey.reach_counted_at is None else to_text(survey.reach_counted_at),
            counted_at=to_text(survey.counted_at),
            fresh=survey.fresh,
            searchable=len(view.stock) - 1 - waiting,
            model=view.model_name or None,
            version=None if view.version is None else view.version.version,
        )

    def moment_of(self, item_id: str) -> tuple[Moment, int]:
        """Catalogue and counts, and the row of an item there, deleted ones included. Raises RequestError (404) where there is none."""
        view = self._live.view
        row = view.stock.rows.get(item_id, 0)
        if not 0 < row < len(view.stock):
            raise RequestError(f"no item {item_id[:80]!r}", code="unknown_item", status=404, expected="the id of a known item")
        return self._moment(view, 1), row

    def map(self) -> MapReply:
        """How far the map of the model in use is; has it made where there is none."""
        return self._maps.state(self._live.view)

    def chart(self) -> Chart:
        """The map of the model in use. Raises RequestError (404) where there is none yet."""
        return self._maps.chart(self._live.view)

    def map_items(self, asked: MapPointsQuery) -> MapItems:
        """Items of points. Raises RequestError (409) where the map is another."""
        view = self._live.view
        chart, moment = self._charted(view, asked.map), self._moment(view, 1)
        found = []
        for point in asked.points:
            if point < len(chart.rows):
                row, category = int(chart.rows[point]), int(chart.codes[point])
                item = view.stock.items[row]
                found.append(
                    MapItem(
                        point=point,
                        item_id=item.item_id,
                        title=title_of(item),
                        category=chart.categories[category] if category < len(chart.categories) else None,
                        events=int(moment.survey.at(moment.survey.events, np.array([row]))[0]),
                        state=moment.state(row),
                        properties=dict(item.properties),
                    )
                )
        return MapItems(items=found)

    def map_search(self, asked: MapSearchQuery) -> MapFound:
        """Points of items. Raises RequestError (409) where the map is another."""
        view = self._live.view
        chart, moment = self._charted(view, asked.map), self._moment(view, asked.cold_below)
        if asked.item_id is not None:
            rows, keys = np.array([view.stock.rows.get(asked.item_id, 0)]), np.zeros(1, np.int64)
            rows = rows[(rows > 0) & (rows < len(view.stock))]
        else:
            listing = ItemsQuery(query=asked.query, listed=asked.listed, category=asked.category, cold_below=asked.cold_below)
            rows, keys, _ = self._found(moment, listing, "relevance" if asked.query is not None else "popular")
            rows = rows[np.argsort(keys)]
        points = chart.points(rows, len(view.stock))
        return MapFound(points=points[:_LIT].tolist(), total=len(points))

    def _charted(self, view: View, name: str | None) -> Chart:
        chart = self._maps.chart(view)
        if name is not None and chart.name != name:
            raise RequestError(
                f"points of the map {name[:32]!r}",
                code="another_map",
                status=409,
                expected=f"{chart.name!r}",
                hint="load the map again",
            )
        return chart

    def close(self) -> None:
        """Stops the threads."""
        self._maps.close()
        self.index.close()
        self._surveys.close()

    def _moment(self, view: View, cold_below: int, number: int | None = None) -> Moment:
        return Moment(view, self._surveys.of(view, number), self._clock(), cold_below)

    def _found(self, moment: Moment, asked: ItemsQuery, sort: Sort) -> tuple[np.ndarray, np.ndarray, int | msgspec.UnsetType]:
        """Rows that a question holds, the key of each, all different and the least first; and how many items its words were compared with."""
        searched: int | msgspec.UnsetType = msgspec.UNSET
        tiers = None
        if asked.query is None:
            rows = np.flatnonzero(self._mask(moment, asked))
        else:
            found = self.index.find(asked.query)
            rows, tiers, searched = found.rows, found.tiers, found.searched
            held = rows < len(moment.stock)  # the index may be of a later moment
            held[held] = self._mask(moment, asked)[rows[held]]
            rows, tiers = rows[held], tiers[held]
        keys = moment.survey.places("popular" if sort == "relevance" else sort, rows) + _MIDDLE
        if sort == "relevance" and tiers is not None:
            keys += tiers.astype(np.int64) * _TIER
        return rows, keys, searched

    def _mask(self, moment: Moment, asked: ItemsQuery) -> np.ndarray:
        mask, columns = moment.mask(asked.listed or "all"), moment.stock.columns
        if asked.category is not None:
            mask = mask & _in_category(columns.fields["category"], asked.category)
        if asked.filter is not None:
            mask = mask & parse(asked.filter).mask(columns)
        return mask

    def _reply(self, moment: Moment, row: int, asked: ItemsQuery) -> FoundItem:
        held = msgspec.structs.asdict(catalogue.item_reply(moment.stock.items[row]))
        return FoundItem(**held, numbers=moment.numbers(row) if "numbers" in asked.include else msgspec.UNSET)


def knowledge(view: View, code: int | None) -> Knowledge:
    """What the model in use goes by when it scores an item."""
    scoring = view.scoring
    if scoring is None:
        return "no_model"
    if code is None or code < FIRST:
        return "nothing"
    if code < view.known:
        return "training"
    if scoring.encoded is not None:
        place = int(np.searchsorted(scoring.encoded.codes, code))
        if place < len(scoring.encoded.codes) and scoring.encoded.codes[place] == code:
            return "contents"
    return "likeness" if view.stands_for(code, 1) else "nothing"


def _in_category(column: Column, name: str) -> np.ndarray:
    held = np.zeros(len(column.codes), bool)
    code = column.words.code(name)
    if code is not None:
        held[column.listing(code)] = True
    return held

"""Arrivals: what newcomers are like, kept true to the catalogue and to the events that come in.

Content is compared as soon as an item is put; who met it, as soon as an event of it arrives. The index over the known items takes
seconds to build, so the following thread does that, once for a vocabulary; a newcomer then takes milliseconds.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import UNKNOWN, Vocabulary
from tastemaker.recommend import newcomers
from tastemaker.serve import company
from tastemaker.serve.stock import Stock
from tastemaker.serve.view import View
from tastemaker.store.base import Done, Item, Store

_AT_ONCE = 200
"""Newcomers whose users are looked up in one round; the others have the next."""

_BUILD_PAUSE = 20
"""After a build the next waits so many times as long as it took: at most 5 % of a core, however often known items change."""
_WORK_SECONDS, _REST_SECONDS = 0.001, 0.002
"""A build works and rests in turns."""
_NOTHING = Item("")


@dataclass(frozen=True, eq=False)
class Index:
    """The content of known items, and which items that were."""

    vocabulary: Vocabulary
    stock: Stock
    items: list[Item]
    content: newcomers.Content
    seconds: float
    """it took to build"""


class Arrivals:
    """Weights of newcomers for one vocabulary; not for use by several threads at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._vocabulary: Vocabulary | None = None
        self._content: newcomers.Content | None = None
        self._known = 0
        self._items: list[Item] = []
        self._by_content = self._by_use = sp.csr_matrix((0, 0), dtype=np.float32)
        self._audience = np.zeros(0)
        self._to_count: dict[int, None] = {}
        self._sequence = 0
        self._indexed: list[Item] = []
        self._stock: Stock | None = None
        self._next_build = 0.0

    def behind(self, view: View) -> bool:
        """Whether the index of content should be built: for the first time, or anew since known items changed and the last is old."""
        if view.scoring is None or (self._content is not None and time.monotonic() < self._next_build):
            return False
        return self._stale(view)

    def index(self, view: View) -> Index | None:
        """An index of the known items' content if one should be built; takes seconds and changes nothing here."""
        if not self.behind(view):
            return None
        started, items = time.monotonic(), _known_items(view)
        assert view.recommender is not None
        rows, embeddings = map(_content_of, items), [item.embedding for item in items]
        content = newcomers.Content.of(rows, embeddings, pause=_Breather())
        return Index(view.recommender.items, view.stock, items, content, time.monotonic() - started)

    def install(self, index: Index) -> None:
        """Has all newcomers compared by an index, unless it is of another vocabulary by now."""
        if self._vocabulary is None or self._vocabulary == index.vocabulary:
            self._content, self._stock, self._indexed = index.content, index.stock, index.items
            self._items = [_NOTHING] * len(self._items)
            self._next_build = time.monotonic() + _BUILD_PAUSE * index.seconds

    def weights(self, view: View) -> sp.csr_matrix | None:
        """Weights of the view's newcomers, float32 (newcomers, known); None without a model.

        The view's codes may only have grown since the last time, unless the vocabulary is another.
        """
        recommender = view.recommender
        if recommender is None or view.scoring is None:
            return None
        if self._vocabulary is None or self._known != view.known or self._vocabulary != recommender.items:
            self._forget(view, recommender.items)
        self._compare(view)
        return newcomers.combined(self._by_content, self._by_use, self._audience)

    def use(self) -> sp.csr_matrix:
        """What users say of the newcomers of the last `weights`: see `newcomers.by_use_alone`."""
        return newcomers.by_use_alone(self._by_use, self._audience)

    def count(self, view: View) -> bool:
        """Takes in events of newcomers that came since the last time; whether that changed any weight."""
        if self._vocabulary is None or len(self._items) != view.size - view.known:
            return False
        self._listen(view)
        some = list(self._to_count)[:_AT_ONCE]
        for code in some:
            del self._to_count[code]
        users = company.nearest(company.met_by(self._store, [view.ids[code] for code in some])) if some else []
        if not users:
            return False
        histories = _histories(self._store.histories(users, newcomers.RECENT), view)
        assert view.recommender is not None
        found, audience = newcomers.use(histories, view.known, len(self._items), view.recommender.events)
        places = np.array(some) - view.known
        self._by_use = _replaced(self._by_use, places, found[places])
        self._audience[places] = audience[places]
        return True

    def _stale(self, view: View) -> bool:
        """Whether known items are not as they were indexed."""
        if self._content is not None and view.stock is self._stock:
            return False
        if self._content is None or not all(map(operator.is_, self._indexed, _known_items(view))):
            return True
        self._stock = view.stock
        return False

    def _forget(self, view: View, vocabulary: Vocabulary) -> None:
        self._vocabulary, self._known, self._content = vocabulary, view.known, None
        self._next_build = 0.0
        self._items, self._audience = [], np.zeros(0)
        self._by_content = self._by_use = sp.csr_matrix((0, view.known), dtype=np.float32)
        self._to_count = {}
        self._sequence = self._store.last_sequence()

    def _compare(self, view: View) -> None:
        """Brings the weights by content up to the view's items."""
        items = [view.item(code) for code in range(view.known, view.size)]
        more = len(items) - len(self._items)
        if more > 0:
            empty = sp.csr_matrix((more, view.known), dtype=np.float32)
            self._by_content = sp.vstack([self._by_content, empty], format="csr")
            self._by_use = sp.vstack([self._by_use, empty], format="csr")
            self._audience = np.concatenate([self._audience, np.zeros(more)])
            self._to_count.update(dict.fromkeys(range(view.size - more, view.size)))
        if self._content is None:
            # nothing is compared yet, so that all of it is once the index is there
            self._items = [_NOTHING] * len(items)
            return
        old = [*self._items, *[None] * max(more, 0)]
        places = [place for place, item in enumerate(items) if item is not old[place]]
        if places:
            rows = [_content_of(items[place]) for place in places]
            found = self._content.weights(rows, [items[place].embedding for place in places])
            self._by_content = _replaced(self._by_content, np.array(places), found)
        self._items = items

    def _listen(self, view: View) -> None:
        """Notes which newcomers have had events since the last time."""
        newest = self._store.last_sequence()
        if newest == self._sequence:
            return
        if view.size == view.known:  # nobody is new; whoever comes is counted from the beginning
            self._sequence = newest
            return
        ids = pa.array(view.ids[view.known : view.size], pa.string())
        for batch in self._store.scan_events(after=self._sequence):
            met = pc.unique(batch.column("item_id").cast(pa.string()))
            places = pc.index_in(met, ids).drop_null().to_pylist()
            self._to_count.update(dict.fromkeys(view.known + place for place in places))
            self._sequence = int(pc.max(batch.column("sequence")).as_py())


class _Breather:
    """Lets requests have the interpreter: they ask for it a hundred times each, and would wait as often for a thread that keeps it."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self) -> None:
        if time.perf_counter() - self._since > _WORK_SECONDS:
            time.sleep(_REST_SECONDS)
            self._since = time.perf_counter()


def _known_items(view: View) -> list[Item]:
    items = view.stock.items
    return [items[row] for row in view.rows[: view.known].tolist()]


def _content_of(item: Item) -> Mapping[str, Any]:
    return {**item.properties, "category": list(item.categories)} if item.item_id else {}


def _histories(found: Sequence[Sequence[Done]], view: View) -> Histories:
    return Histories.of([[code for event in events if (code := view.code(event.item_id)) is not None] for events in found])


def _replaced(matrix: sp.csr_matrix, places: np.ndarray, rows: sp.csr_matrix) -> sp.csr_matrix:
    """The matrix with some rows replaced."""
    keep = np.ones(matrix.shape[0])
    keep[places] = 0
    put = sp.csr_matrix((np.ones(len(places)), (places, np.arange(len(places)))), shape=(matrix.shape[0], len(places)))
    return sp.csr_matrix(sp.diags(keep) @ matrix + put @ rows, dtype=np.float32)


def read_as(view: View, weights: sp.csr_matrix | None) -> np.ndarray:
    """The code that the model reads for each code in a history, int64 (size,): newcomers are read as the known item most like them."""
    codes = np.arange(view.size)
    codes[view.known :] = UNKNOWN
    if weights is not None and weights.shape[0]:
        codes[view.known : view.known + weights.shape[0]] = newcomers.stand_ins(weights)
    return codes

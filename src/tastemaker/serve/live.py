"""Live: the catalogue as the store has it now, joined with the model in use; each change makes a new `View`."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import TastemakerError
from tastemaker.log import logger
from tastemaker.nn.packed import Precision
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Scoring
from tastemaker.serve.arrivals import Arrivals, read_as
from tastemaker.serve.contents import Contents
from tastemaker.serve.crowd import Crowd
from tastemaker.serve.staging import Staging, reads_codes
from tastemaker.serve.stock import Stock
from tastemaker.serve.view import View
from tastemaker.store.base import Item, ModelVersion, Store

_numbers = itertools.count(1)
_REST, _MOST_REST_SECONDS = 4, 1.5
"""After a round the following thread rests so many times as long as it took: a stream of new items is not to cost a core."""


class Live:
    """Keeps `view` true to the store; whoever reads `view` once has a catalogue and a model that belong together."""

    def __init__(self, store: Store, crowd: Crowd, precision: Precision = "float32", *, like: Live | None = None) -> None:
        """Reads the catalogue of the store; `start` follows its changes. `crowd` counts for rankers, whose products are of a `precision`.

        With `like` it begins with the catalogue of another, and goes its own way from there.
        """
        self._store = store
        self._staging = Staging(crowd, self._is_lent, precision)
        self._building, self._encoding = threading.Lock(), threading.Lock()
        self._stock, self._artifact = Stock.empty(), pa.table({})
        self._lent: dict[str, dict[str, Any]] = {}
        self._since, self._change = 0, 1
        self._wake, self._end, self._closed = threading.Event(), threading.Event(), False
        self._threads: list[threading.Thread] = []
        self._told = threading.Event()
        self._listeners: list[Callable[[], object]] = []
        self._arrivals, self._contents = Arrivals(store), Contents()
        if like is not None:
            with like._building:
                self._stock, self._since, self._change = like._stock.parted(), like._since, like._change
                self._artifact, self._lent = like._artifact, like._lent
        with self._building:
            self._pull()
            self.view = self._introduced(self._built(None, None))

    def swap(self, recommender: Recommender | None, version: ModelVersion | None = None) -> View:
        """Puts another model in use, from the next request on; requests under way end with the one they began with."""
        with self._building:
            self._pull()
            if recommender is not None:
                self._take_artifact(recommender)
            self.view = self._introduced(self._built(recommender, version))
            self._notice()
            return self.view

    def refresh(self) -> bool:
        """Takes in what changed in the store; whether anything did."""
        with self._building:
            if not self._pull():
                return False
            self.view = self._introduced(self._grown(self.view))
            self._notice()
            self.wake()  # whatever takes longer is done behind the back of whoever changed the catalogue
            return True

    def acquaint(self) -> None:
        """Takes in what users did with newcomers, and builds the index of content where that is due."""
        index = self._arrivals.index(self.view)  # takes seconds: nobody is kept waiting meanwhile
        with self._building:
            if index is not None:
                self._arrivals.install(index)
            if self._arrivals.count(self.view) or index is not None:
                self.view = self._introduced(replace(self.view, number=next(_numbers), _open=[]))

    def encode(self) -> bool:
        """Encodes some of the items that were put or changed since the model was trained; whether others wait."""
        with self._encoding:
            with self._building:
                work = self._contents.work(self.view)
            if work is None:
                return False
            done = self._contents.done(work)  # takes as long as the encoders take: no writer is kept waiting meanwhile
            with self._building:
                if self._contents.keep(done):
                    self.view = self._introduced(replace(self.view, number=next(_numbers), _open=[]))
                return self._contents.behind

    def start(self, every_seconds: float) -> None:
        """Follows the changes of other processes from now on, and of this one as soon as `wake` is called."""
        self._threads = [
            threading.Thread(target=self._follow, args=(every_seconds,), name="catalogue", daemon=True),
            threading.Thread(target=self._encode, name="contents", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def each_round(self, call: Callable[[], object]) -> None:
        """Has the following thread call this too, each time it looks for changes."""
        self._listeners.append(call)

    def wake(self) -> None:
        """Has the following thread look now."""
        self._wake.set()

    def close(self) -> None:
        """Stops following."""
        self._closed = True
        self._wake.set()
        self._told.set()
        self._end.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _notice(self) -> None:
        self._contents.notice(self.view)
        if self._contents.behind:
            self._told.set()

    def _encode(self) -> None:
        """The worker: encodes whatever waits, and rests as long as it worked."""
        while not self._closed:
            self._told.wait()
            self._told.clear()
            more = True
            while more and not self._closed:
                started = time.monotonic()
                try:
                    more = self.encode()
                except Exception:  # whatever an encoder may raise: these items keep the places that likeness gives them
                    logger.exception("contents not encoded")
                    more = self._contents.behind
                self._end.wait(time.monotonic() - started)

    def _follow(self, every_seconds: float) -> None:
        while not self._closed:
            self._wake.wait(every_seconds)
            self._wake.clear()
            started = time.monotonic()
            for call in (self.refresh, self.acquaint, *self._listeners):
                if self._closed:
                    return
                try:
                    call()
                except TastemakerError as error:  # the catalogue stays as it was; the next round tries again
                    logger.warning("catalogue not refreshed: %s", type(error).__name__)
                except Exception:
                    logger.exception("catalogue not refreshed")
            self._end.wait(min(_REST * (time.monotonic() - started), _MOST_REST_SECONDS))

    def _pull(self) -> bool:
        """Brings the stock up to the store; whether anything changed."""
        changed: list[Item] = []
        while True:
            items, newest = self._store.changes(self._since)
            if not items:
                break
            changed += items  # tombstones too: a model that comes later may know what was removed
            self._since = newest
        if changed:
            self._stock = self._stock.put([self._described(item) for item in changed], self._change)
            self._change += len(changed)
        return bool(changed)

    def _take_artifact(self, recommender: Recommender) -> None:
        """Makes the model's items known, with the properties of its own catalogue where the store has none."""
        rows, table = self._stock.rows, recommender.catalogue
        ids = [str(item_id) for item_id in recommender.items.ids.to_pylist()]
        put = [item_id for item_id in ids if item_id not in rows]
        if table.num_columns and not (table is self._artifact or table.equals(self._artifact)):
            self._artifact, self._lent = table, dict(zip(ids, map(_plain, table.to_pylist()), strict=True))
            put = ids
        items = (self._described(self._stock.items[rows[item_id]] if item_id in rows else Item(item_id)) for item_id in put)
        if fresh := [item for item in items if item is not self._stock.items[rows.get(item.item_id, 0)]]:
            self._stock = self._stock.put(fresh, 0)

    def _described(self, item: Item) -> Item:
        """The item with the properties of the artifact's catalogue where nobody put any."""
        if item.properties or item.categories or item.deleted or not (lent := self._lent.get(item.item_id)):
            return item
        return replace(item, properties=lent)

    def _is_lent(self, item: Item) -> bool:
        """Whether what is known of an item comes from the artifact's catalogue, since nobody put anything."""
        told = item.properties or item.categories or item.deleted
        return not told or (item.properties is self._lent.get(item.item_id) and not item.categories)

    def _built(self, recommender: Recommender | None, version: ModelVersion | None) -> View:
        """A view with codes of its own: the model's, then all other items."""
        number, stock = next(_numbers), self._stock
        ids = [""] * FIRST
        if recommender is not None:
            ids += map(str, recommender.items.ids.to_pylist())
        codes = {item_id: code for code, item_id in enumerate(ids) if code >= FIRST}
        view = View(
            number=number,
            base=number,
            stock=stock,
            rows=np.array([stock.rows.get(item_id, 0) for item_id in ids], np.int64),
            ids=ids,
            codes=codes,
            recommender=recommender,
            version=version,
            scoring=None if recommender is None else _scoring(recommender),
            read_as=np.zeros(0, np.int64),
            user_codes=_user_codes(recommender),
        )
        return self._grown(view)

    def _introduced(self, view: View) -> View:
        """The view with its newcomers in the places that their likeness gives them."""
        weights = self._arrivals.weights(view)
        encoded = {} if weights is None else self._contents.of(view, self._arrivals.use())
        stages, scoring = self._staging.of(view, weights, encoded), view.scoring
        if stages is not None:
            scoring = stages.sources[0].scoring
        elif scoring is not None and weights is not None:
            own = encoded.get(scoring.model)
            if weights.shape[0] or own is not None or scoring.newcomers is not None or scoring.encoded is not None:
                scoring = Scoring(scoring.model, weights, like=scoring, encoded=own)
        return replace(view, scoring=scoring, stages=stages, read_as=read_as(view, weights))

    def _grown(self, view: View) -> View:
        """The view over the stock as it is now."""
        stock, ids, codes = self._stock, view.ids, view.codes
        held = np.zeros(len(stock), bool)
        held[view.rows] = True
        held[0] = True
        more = []
        for row in np.nonzero(~held)[0].tolist():
            item = stock.items[row]
            if not item.deleted:
                codes[item.item_id] = len(ids)
                ids.append(item.item_id)
                more.append(row)
        rows = np.concatenate([view.rows, np.array(more, np.int64)]) if more else view.rows
        return replace(view, number=next(_numbers), stock=stock, rows=rows, _open=[])


def _scoring(recommender: Recommender) -> Scoring:
    if recommender.stages is not None and recommender.stages.predictor is not None:
        return recommender.stages.sources[0].scoring
    return Scoring(recommender.model)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Properties as JSON has them."""
    return {
        name: value if isinstance(value, str | bool | int | float | list) else str(value)
        for name, value in row.items()
        if value is not None
    }


def _user_codes(recommender: Recommender | None) -> dict[str, int]:
    """Codes of users where anything reads them; a sequence model reads the history alone."""
    if recommender is None or not reads_codes(recommender):
        return {}
    return {str(user): code for code, user in enumerate(recommender.users.ids.to_pylist(), start=FIRST)}

"""Live: the catalogue as the store has it now, joined with the model in use; each change makes a new `View`."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import TastemakerError
from tastemaker.log import logger
from tastemaker.models.base import SequenceModel
from tastemaker.recommend.filters import Columns
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Scoring
from tastemaker.serve.view import NEVER, View
from tastemaker.store.base import Item, ModelVersion, Store

_numbers = itertools.count(1)
_REBUILD_SHARE = 0.2
"""Changes of more than this share of the catalogue at once are cheaper built anew."""


class Live:
    """Keeps `view` true to the store; whoever reads `view` once has a catalogue and a model that belong together."""

    def __init__(self, store: Store) -> None:
        """Reads the catalogue of the store; `start` follows its changes."""
        self._store = store
        self._building = threading.Lock()
        self._catalogue: dict[str, tuple[Item, int]] = {}
        self._since = self._changes = 0
        self._wake, self._closed = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[], None]] = []
        with self._building:
            self._pull()
            self.view = self._built(None, None)

    def swap(self, recommender: Recommender | None, version: ModelVersion | None = None) -> View:
        """Puts another model in use, from the next request on; requests under way end with the one they began with."""
        with self._building:
            self._pull()
            self.view = self._built(recommender, version)
            return self.view

    def refresh(self) -> bool:
        """Takes in what changed in the store; whether anything did."""
        with self._building:
            changed = self._pull()
            if not changed:
                return False
            many = len(changed) > max(100, _REBUILD_SHARE * self.view.size)
            self.view = self._built(self.view.recommender, self.view.version) if many else self._changed(changed)
            return True

    def start(self, every_seconds: float) -> None:
        """Follows the changes of other processes from now on, and of this one as soon as `wake` is called."""
        self._thread = threading.Thread(target=self._follow, args=(every_seconds,), name="catalogue", daemon=True)
        self._thread.start()

    def each_round(self, call: Callable[[], None]) -> None:
        """Has the following thread call this too, each time it looks for changes."""
        self._listeners.append(call)

    def wake(self) -> None:
        """Has the following thread look now."""
        self._wake.set()

    def close(self) -> None:
        """Stops following."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _follow(self, every_seconds: float) -> None:
        while not self._closed:
            self._wake.wait(every_seconds)
            self._wake.clear()
            for call in (self.refresh, *self._listeners):
                if self._closed:
                    return
                try:
                    call()
                except TastemakerError as error:  # the catalogue stays as it was; the next round tries again
                    logger.warning("catalogue not refreshed: %s", type(error).__name__)
                except Exception:
                    logger.exception("catalogue not refreshed")

    def _pull(self) -> list[str]:
        """Ids of what changed since the last time."""
        changed: dict[str, None] = {}
        while True:
            items, newest = self._store.changes(self._since)
            for item in items:
                self._changes += 1
                self._catalogue[item.item_id] = (item, self._changes)
                changed[item.item_id] = None
            if not items:
                return list(changed)
            self._since = newest

    def _built(self, recommender: Recommender | None, version: ModelVersion | None) -> View:
        """A view from nothing."""
        number = next(_numbers)
        ids = ["", ""] if recommender is None else ["", "", *map(str, recommender.items.ids.to_pylist())]
        codes = {item_id: code for code, item_id in enumerate(ids) if code >= FIRST}
        for item_id, (item, _) in self._catalogue.items():
            if item_id not in codes and not item.deleted:
                codes[item_id] = len(ids)
                ids.append(item_id)
        artifact = _artifact_rows(recommender)
        items = [None if code < FIRST else self._item(item_id, artifact.get(code)) for code, item_id in enumerate(ids)]
        size = len(ids)
        view = View(
            number=number,
            base=number,
            recommender=recommender,
            version=version,
            scoring=None if recommender is None else Scoring(recommender.model),
            user_codes=_user_codes(recommender),
            size=size,
            ids=ids,
            codes=codes,
            items=items,
            columns=Columns.of([_row(item) for item in items]),
            listed=np.zeros(size, bool),
            opens=np.zeros(size, np.int64),
            closes=np.zeros(size, np.int64),
            changed=np.zeros(size, np.int64),
        )
        self._set_windows(view, range(FIRST, size))
        return self._with_newcomers(view)

    def _changed(self, changed: Sequence[str]) -> View:
        """The view with these items as they are now."""
        old = self.view
        ids, codes, items = old.ids, old.codes, old.items.copy()
        artifact = (
            _artifact_rows(old.recommender) if old.recommender is not None and old.recommender.catalogue.num_columns else {}
        )
        places = []
        for item_id in changed:
            item = self._catalogue[item_id][0]
            code = codes.get(item_id)
            if code is None:
                if item.deleted:
                    continue
                code = codes[item_id] = len(ids)
                ids.append(item_id)
                items.append(None)
            items[code] = self._item(item_id, artifact.get(code))
            places.append(code)
        fresh = [code for code in places if code >= old.size]
        held = [code for code in places if code < old.size]
        columns = old.columns.extended([_row(items[code]) for code in sorted(fresh)]) if fresh else old.columns
        if held:
            columns = columns.replaced({code: _row(items[code]) for code in held})
        more = len(ids) - old.size
        view = replace(
            old,
            number=next(_numbers),
            size=len(ids),
            items=items,
            columns=columns,
            listed=np.concatenate([old.listed, np.zeros(more, bool)]),
            opens=np.concatenate([old.opens, np.zeros(more, np.int64)]),
            closes=np.concatenate([old.closes, np.zeros(more, np.int64)]),
            changed=np.concatenate([old.changed, np.zeros(more, np.int64)]),
            _opening=[],
        )
        self._set_windows(view, places)
        return self._with_newcomers(view) if any(code >= view.known for code in places) else view

    def _with_newcomers(self, view: View) -> View:
        return view

    def _item(self, item_id: str, artifact: Mapping[str, Any] | None) -> Item:
        """The item as the store has it; where nobody put its properties, with those of the artifact's catalogue."""
        item = self._catalogue[item_id][0] if item_id in self._catalogue else Item(item_id)
        if artifact and not item.properties and not item.categories and not item.deleted:
            return replace(item, properties=artifact)
        return item

    def _set_windows(self, view: View, places: Sequence[int] | range) -> None:
        for code in places:
            item = view.items[code]
            if item is not None:
                view.listed[code] = not (item.hidden or item.deleted)
                view.opens[code] = 0 if item.available_from is None else item.available_from
                view.closes[code] = NEVER if item.expires_at is None else item.expires_at
                view.changed[code] = self._catalogue[item.item_id][1] if item.item_id in self._catalogue else 0


def _row(item: Item | None) -> Mapping[str, Any]:
    """What filters see of an item."""
    if item is None:
        return {}
    return {**item.properties, "item_id": item.item_id, "category": list(item.categories)}


def _artifact_rows(recommender: Recommender | None) -> dict[int, dict[str, Any]]:
    """Properties by code from the catalogue in the artifact, without what is missing."""
    if recommender is None or not recommender.catalogue.num_columns:
        return {}
    rows = recommender.catalogue.to_pylist()
    return {
        place + FIRST: {name: _plain(value) for name, value in row.items() if value is not None}
        for place, row in enumerate(rows)
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float | list) else str(value)


def _user_codes(recommender: Recommender | None) -> dict[str, int]:
    """Codes of users for models that read them; a sequence model reads the history alone."""
    if recommender is None or isinstance(recommender.model, SequenceModel):
        return {}
    return {str(user): code for code, user in enumerate(recommender.users.ids.to_pylist(), start=FIRST)}

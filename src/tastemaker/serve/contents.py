"""Contents: items that are put or changed after a model was trained, encoded as the model's own items were, by a thread of their own.

```
PUT /v1/items ─▶ refresh: a code is noted ─▶ worker: encoder, then the model's item tower ─▶ a vector in the next view
                 (at once: placed by likeness, see `newcomers`)    (batches, newest first)
```
What an encoder made of an item is held by its version and by what it read, so that only changed texts are encoded again, and another model
with the same encoders needs the item tower alone. A model without encoders leaves newcomers to their likeness. Notes are numbers of
items, so there are never more than items. The thread works for at most half of the time.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from tastemaker.data.features.told import readable, told_of_item
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.vocabulary import FIRST, PAD
from tastemaker.errors import DataError
from tastemaker.log import logger
from tastemaker.models.base import Model, RetrievalModel
from tastemaker.recommend.encoding import Encoding
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Encoded
from tastemaker.serve.view import View
from tastemaker.store.base import Item

BATCH = 64
"""Items encoded at a time."""
_HELD = 20_000
"""Items whose encoded contents are held."""


@dataclass(frozen=True, eq=False)
class Work:
    """Some items of a view to be encoded."""

    base: int
    recommender: Recommender
    codes: list[int]
    items: list[Item]


@dataclass(frozen=True, eq=False)
class Done:
    """What became of it."""

    base: int
    vectors: dict[int, tuple[np.ndarray, ...] | None]
    """by code, of each of `growing`; None: nothing is there to be encoded"""


_Row = tuple[dict[str, np.ndarray], dict[str, bool]]


class Contents:
    """Vectors of what was told, for one view's codes; `work` and `of` are called by whoever builds views, `done` by anybody."""

    def __init__(self) -> None:
        self._base = -1
        self._upto = 0
        self._notes: dict[int, None] = {}
        self._vectors: dict[int, tuple[np.ndarray, ...]] = {}
        self._held: OrderedDict[bytes, _Row] = OrderedDict()

    @property
    def behind(self) -> bool:
        """Whether items wait to be encoded."""
        return bool(self._notes)

    def notice(self, view: View) -> None:
        """Notes what was put since the last time; everything that was, where the codes are another model's."""
        if view.base != self._base:
            self._base, self._upto, self._notes, self._vectors = view.base, 0, {}, {}
        if encoding_of(view.recommender) is None:
            return
        changed = view.stock.changed[view.rows]
        codes = np.flatnonzero(changed > self._upto)
        self._upto = int(changed.max(initial=self._upto))
        for code in codes[np.argsort(changed[codes], kind="stable")].tolist():
            if code >= FIRST:
                self._notes.pop(code, None)
                self._notes[code] = None

    def work(self, view: View) -> Work | None:
        """The newest notes; None where there are none."""
        if view.base != self._base or view.recommender is None:
            return None
        codes = [self._notes.popitem()[0] for _ in range(min(BATCH, len(self._notes)))]
        return Work(view.base, view.recommender, codes, [view.item(code) for code in codes]) if codes else None

    def done(self, work: Work) -> Done:
        """Encodes; takes as long as the encoders take."""
        recommender, encoding = work.recommender, encoding_of(work.recommender)
        assert encoding is not None
        known = recommender.items.size
        rows = [{name: told_of_item(item, name) for name in encoding.columns} for item in work.items]
        untouched = [code < known and _same(row, recommender, code) for code, row in zip(work.codes, rows, strict=True)]
        todo = [place for place, same in enumerate(untouched) if not same]
        vectors: dict[int, tuple[np.ndarray, ...] | None] = dict.fromkeys(work.codes)
        if todo:
            contents = self._encoded(recommender, encoding, [work.items[place] for place in todo], [rows[p] for p in todo])
            codes = [work.codes[place] for place in todo]
            own = np.array([code if code < known else PAD for code in codes], np.int64)
            there = np.any(np.stack(list(contents.present.values())), axis=0)
            with torch.no_grad():
                found = [model.encode_told(contents, own).float().cpu().numpy() for model in growing(recommender)]
            finite = np.all([np.isfinite(rows).all(axis=1) for rows in found], axis=0)
            for place, code in enumerate(codes):
                if finite[place] and (there[place] or code < known):
                    vectors[code] = tuple(rows[place] for rows in found)
        return Done(work.base, vectors)

    def keep(self, done: Done) -> bool:
        """Takes the vectors, unless they are another model's by now; whether anything changed."""
        if done.base != self._base:
            return False
        changed = False
        for code, vector in done.vectors.items():
            if vector is not None:
                self._vectors[code], changed = vector, True
            else:
                changed = self._vectors.pop(code, None) is not None or changed
        return changed

    def of(self, view: View, use: sp.csr_matrix) -> Mapping[Model, Encoded]:
        """The vectors for each model of a view, whose newcomers users have met as `use` says; empty where there are none."""
        if view.base != self._base or not self._vectors or view.recommender is None:
            return {}
        codes = np.array(sorted(self._vectors), np.int64)
        codes = codes[codes < view.size]
        rows = [self._vectors[code] for code in codes.tolist()]
        return {
            model: Encoded(codes, np.stack([row[place] for row in rows]), use)
            for place, model in enumerate(growing(view.recommender))
        }

    def _encoded(
        self, recommender: Recommender, encoding: Encoding, items: Sequence[Item], rows: Sequence[Mapping[str, Any]]
    ) -> ItemContents:
        """Contents of items, a row each; those that were read before come from memory."""
        keys = [_key(encoding.version, row) for row in rows]
        missing = [place for place, key in enumerate(keys) if key not in self._held]
        if missing:
            made = _made(recommender, encoding, [items[place] for place in missing], [rows[place] for place in missing])
            for place, at in enumerate(missing):
                values = {name: table[place] for name, table in made.values.items()}
                self._held[keys[at]] = values, {name: bool(there[place]) for name, there in made.present.items()}
        found = [self._held[key] for key in keys]
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return ItemContents(
            {name: np.stack([row[0][name] for row in found]) for name in encoding.dims},
            {name: np.array([row[1][name] for row in found]) for name in encoding.dims},
            encoding.settings,
            encoding,
        )


def growing(recommender: Recommender) -> list[RetrievalModel]:
    """The models of a recommender, one or those of its sources, that can take in more items."""
    stages = recommender.stages
    models = [recommender.model] if stages is None else [source.model for source in stages.sources]
    return [model for model in models if isinstance(model, RetrievalModel) and model.grows]


def encoding_of(recommender: Recommender | None) -> Encoding | None:
    """What encodes items for a recommender that can take in more of them."""
    return recommender.encoding if recommender is not None and growing(recommender) else None


def _made(
    recommender: Recommender, encoding: Encoding, items: Sequence[Item], rows: Sequence[Mapping[str, Any]]
) -> ItemContents:
    try:
        return encoding.of_rows(rows, recommender.catalogue)
    except DataError as error:  # of those that cannot be read nothing is known
        logger.warning("contents of some items are not read: %s", type(error).__name__)

        def read(some: Sequence[Item]) -> object:
            return encoding.of_rows([{name: told_of_item(one, name) for name in encoding.columns} for one in some], like)

        like = recommender.catalogue
        fine = readable(items, read)
        return encoding.of_rows([{name: told_of_item(one, name) for name in encoding.columns} for one in fine], like)


def _same(row: Mapping[str, Any], recommender: Recommender, code: int) -> bool:
    """Whether a known item is told to be what the model learned that it is."""
    catalogue, place = recommender.catalogue, code - FIRST
    return all(_plain(catalogue[name][place].as_py()) == _plain(value) for name, value in row.items())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool | int | float | list) else str(value)


def _key(version: str, row: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps([version, sorted(row.items())], default=str).encode()).digest()

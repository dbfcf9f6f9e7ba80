"""View: catalogue and model as one request sees them; nothing in it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.models.base import Model
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.stages import Stages
from tastemaker.serve.stock import Opening, Stock
from tastemaker.store.base import Item, ModelVersion


@dataclass(frozen=True, eq=False)
class View:
    """Items in codes: PAD, UNKNOWN, those of the model, then newcomers; and the model that scores them.

    `codes` and `ids` are shared with later views, which only append: a code of `size` or more is none of this view's.
    """

    number: int
    """grows with each view, and never comes twice in a process"""
    base: int
    """number of the first view with these codes: later ones only append"""
    stock: Stock
    rows: np.ndarray
    """int64 (size,): the row of the stock of each code"""
    ids: list[str]
    codes: dict[str, int]
    recommender: Recommender | None
    version: ModelVersion | None
    scoring: Scoring | None
    read_as: np.ndarray
    """int64 (size,): the code that the model reads for each, UNKNOWN where it can read nothing for it"""
    user_codes: dict[str, int]
    """of users the model has vectors of; empty where it reads histories alone"""
    stages: Stages | None = None
    """what makes the lists of a two-stage recommender, over this catalogue; `scoring` is then that of its first source"""
    _open: list[tuple[Opening, np.ndarray]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.rows)

    @property
    def known(self) -> int:
        """Codes the model knows; the rest are newcomers."""
        return 0 if self.scoring is None else self.scoring.model.schema.num_items

    @property
    def model(self) -> Model | None:
        """The model in use."""
        return None if self.recommender is None else self.recommender.model

    @property
    def personal(self) -> bool:
        """Whether the model says something else to each user, and so needs to know something of them."""
        if self.stages is not None:
            return self.stages.personal
        return self.model is not None and self.model.personal

    @property
    def model_name(self) -> str:
        """Its name, as `source` of what it recommends; "" without a model."""
        if self.version is not None:
            return self.version.name
        if self.stages is not None and self.stages.predictor is not None:
            return type(self.stages.predictor.ranker).__module__.rpartition(".")[2]
        return "" if self.model is None else type(self.model).__module__.rpartition(".")[2]

    @property
    def source(self) -> str:
        """Name and version, as kept with answers."""
        return self.model_name if self.version is None else f"{self.version.name}/{self.version.version}"

    def code(self, item_id: str) -> int | None:
        """The code of an id; None when neither model nor catalogue knows it."""
        code = self.codes.get(item_id)
        return code if code is not None and code < self.size else None

    def readable(self, codes: list[int]) -> bool:
        """Whether the model can read any of the codes of a history."""
        return bool(codes) and bool((self.read_as[codes] != UNKNOWN).any())

    def item(self, code: int) -> Item:
        """The item of a code."""
        return self.stock.items[self.rows[code]]

    def open_at(self, now: int) -> tuple[Opening, np.ndarray]:
        """The items that may be recommended at a time (µs): for how long that is so, and bool (size,)."""
        opening = self.stock.open_at(now)
        last = self._open[-1] if self._open else None
        if last is None or last[0] is not opening:
            last = (opening, opening.mask[self.rows])
            self._open[:] = [last]
        return last

    def properties(self, code: int) -> dict[str, Any]:
        """What is known of an item, for answers."""
        item = self.item(code)
        return {**item.properties, **({"categories": list(item.categories)} if item.categories else {})}

    def stands_for(self, code: int, limit: int = 3) -> list[tuple[int, float]]:
        """The known items whose scores a newcomer's is made of, the weightiest first, with their weights."""
        if self.scoring is None or self.scoring.newcomers is None or not self.known <= code < self.scoring.size:
            return []
        row = self.scoring.newcomers[[code - self.known]]
        order = np.lexsort((row.indices, -row.data))[:limit]
        return [(int(row.indices[place]), float(row.data[place])) for place in order if row.data[place] > 0]

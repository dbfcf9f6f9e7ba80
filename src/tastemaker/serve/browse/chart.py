"""Chart: a map as it goes out: a few bytes a point, names only for those that are looked at.

```
"TMAP" · length of the head, uint32 · head, JSON · padding to 4 bytes · x uint16 (n) · y uint16 (n) · category uint16 (n) · popularity uint8 (n) · state uint8 (n)
```
Little-endian. `category` is a place in the head's list, 65535 where an item has none that is listed there. `popularity` is a rank by events, 255 for the most
popular. `state` is 1 for items that may be recommended, else 0.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from tastemaker.serve.browse.survey import Survey
from tastemaker.serve.view import View

MEDIA = "application/octet-stream"
NONE = 65_535
_CATEGORIES = 1000
"""Categories with a code of their own, those of most items."""


@dataclass(frozen=True, eq=False)
class Chart:
    """A map at a moment."""

    base: int
    name: str
    """of the points and their order: who asks for a point says which map it is of"""
    tag: str
    """of the bytes"""
    content: bytes
    rows: np.ndarray
    """int64 (points,): of the stock"""
    categories: list[str]
    codes: np.ndarray
    """uint16 (points,): categories"""

    @classmethod
    def of(cls, view: View, survey: Survey, base: int, codes: np.ndarray, layout: np.ndarray) -> Chart:
        """Draws points of item codes at float32 (points, 2)."""
        rows = view.rows[codes]
        categories = [name for name, _ in survey.categories[:_CATEGORIES]]
        of_points = _categories(view, rows, categories)
        name = hashlib.sha256(codes.astype("<i8").tobytes() + layout.astype("<f4").tobytes()).hexdigest()[:16]
        head = json.dumps({"map": name, "points": len(codes), "categories": categories}).encode()
        x, y = _squared(layout).T
        listed = view.stock.listed[rows].astype(np.uint8)
        content = b"".join(
            (
                b"TMAP",
                np.uint32(len(head)).astype("<u4").tobytes(),
                head,
                b" " * (-len(head) % 4),
                *(np.ascontiguousarray(line).astype("<u2").tobytes() for line in (x, y, of_points)),
                _bytes_of_rank(survey, rows).tobytes(),
                listed.tobytes(),
            )
        )
        return cls(base, name, hashlib.sha256(content).hexdigest()[:16], content, rows, categories, of_points)

    def points(self, rows: np.ndarray, size: int) -> np.ndarray:
        """The points of some rows of a stock of `size` rows, int64; rows that are on no point are left out."""
        places = np.full(max(size, int(self.rows.max(initial=0)) + 1), -1, np.int64)
        places[self.rows] = np.arange(len(self.rows))
        found = places[rows]
        return found[found >= 0]


def _squared(layout: np.ndarray) -> np.ndarray:
    """A layout in whole numbers 0…65535, uint16 (points, 2), its shape unchanged but for the outermost hundredth, which is drawn closer."""
    if not len(layout):
        return np.zeros((0, 2), np.uint16)
    low, high = np.quantile(layout, [0.005, 0.995], axis=0)
    unit = (layout - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-9)
    away = np.maximum(np.abs(unit).max(axis=1, keepdims=True), 1.0)
    unit = unit * (1 + np.log(away)) / away
    return np.rint((unit / (2 * max(1.0, float(np.abs(unit).max()))) + 0.5) * 65_535).astype(np.uint16)


def _categories(view: View, rows: np.ndarray, names: list[str]) -> np.ndarray:
    """The commonest category of each row that is listed, as a place in `names`, uint16."""
    column = view.stock.columns.fields["category"]
    places = np.full(len(column.words) + 1, NONE, np.int64)
    for place, name in enumerate(names):
        code = column.words.code(name)
        if code is not None:
            places[code] = place
    found = np.full(len(view.stock), NONE, np.int64)
    owners = np.repeat(np.arange(len(view.stock)), np.diff(column.offsets))
    np.minimum.at(found, owners, places[column.tokens])
    return found[rows].astype(np.uint16)


def _bytes_of_rank(survey: Survey, rows: np.ndarray) -> np.ndarray:
    """Ranks by events as bytes, uint8: 255 for the most popular of these rows."""
    places = survey.places("popular", rows)
    ranks = np.empty(len(rows), np.int64)
    ranks[np.argsort(places, kind="stable")] = np.arange(len(rows))
    return (255 - ranks * 255 // max(1, len(rows) - 1)).astype(np.uint8)

"""Lays out items: `python -m tastemaker.recommend.mapping FOLDER` reads `vectors.npy` there and writes `layout.npy` and `quality.json`.

Without vectors it reads who met what, `items.npy` and `offsets.npy`, and writes in `places.npy` besides which items it laid out.

A process of its own, so that whoever serves meanwhile shares neither the interpreter's lock nor a thread pool with it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from tastemaker.recommend.mapping import together
from tastemaker.recommend.mapping.layout import NEIGHBOURS, components, spread
from tastemaker.recommend.mapping.nearest import nearest
from tastemaker.recommend.mapping.quality import kept

JUDGED = 10
"""Neighbours by which the layout is judged."""
MOST = 250_000
"""Items on a map, those of most events."""
_SEED = 0


def laid_out(vectors: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """A layout of float32 (n, dim) of length 1, float32 (n, 2), and what it keeps, beside what principal components keep."""
    started = time.perf_counter()
    rng = np.random.default_rng(_SEED)
    neighbours, groups = nearest(vectors, NEIGHBOURS, rng)
    order = np.argsort(groups, kind="stable")  # neighbours beside each other in memory are found faster
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    layout = np.empty((len(vectors), 2), np.float32)
    layout[order] = spread(vectors[order], place[neighbours[order]], rng)
    seconds = time.perf_counter() - started
    recall, trust = kept(vectors, layout, JUDGED, np.random.default_rng(_SEED))
    flat_recall, flat_trust = kept(vectors, components(vectors), JUDGED, np.random.default_rng(_SEED))
    return layout, {
        "neighbours": JUDGED,
        "recall": round(recall, 4),
        "trustworthiness": round(trust, 4),
        "components_recall": round(flat_recall, 4),
        "components_trustworthiness": round(flat_trust, 4),
        "seconds": round(seconds, 2),
    }


def main(folder: Path) -> None:
    """See the module."""
    os.nice(19)
    if (folder / "vectors.npy").exists():
        vectors, places = np.load(folder / "vectors.npy"), None
    else:
        items, offsets = np.load(folder / "items.npy"), np.load(folder / "offsets.npy")
        vectors = together.vectors(items, offsets, int(items.max(initial=-1)) + 1, np.random.default_rng(_SEED))
        counts = np.bincount(items, minlength=len(vectors))
        places = np.flatnonzero(vectors.any(axis=1))
        places = np.sort(places[np.argsort(-counts[places], kind="stable")[:MOST]])
        vectors = vectors[places]
    layout, quality = laid_out(vectors)
    np.save(folder / "layout.npy", layout)
    if places is not None:
        np.save(folder / "places.npy", places)
    (folder / "quality.json").write_text(json.dumps(quality))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

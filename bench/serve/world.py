"""The world of the bar, made once and kept in a folder: 100 k items, 1 M users, 20 M events in a store, and an artifact of a sasrec.

    python -m bench.serve.world [--world DIR] [--scale 1]

Items are drawn by a Zipf-like law, histories have 20 events in the mean (geometric), times cover the last 90 days. The model (d = 64, two
blocks, 50 events) is not trained: its weights are drawn with the spread that trained ones have, since speed does not depend on what
it learned. Building 20 M events takes minutes and some 5 GB of memory; each step is kept, so that a build that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

ITEMS, USERS, EVENTS, LENGTH, DIM, BLOCKS = 100_000, 1_000_000, 20_000_000, 50, 64, 2
CATEGORIES, BRANDS, TAGS = 60, 500, 200
_DAYS = 90
_DAY = 86_400_000_000
DEFAULT = Path(os.environ.get("XDG_CACHE_HOME", tempfile.gettempdir())) / "tastemaker-bench-serve"


@dataclass(frozen=True)
class World:
    """Where it is, and how large."""

    folder: Path
    items: int
    users: int
    events: int

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    @property
    def artifact(self) -> Path:
        return self.folder / "artifact"


def item(place: int) -> str:
    return f"sku-{place:06}"


def user(place: int) -> str:
    return f"user-{place:07}"


def world(folder: Path | None = None, scale: float = 1.0) -> World:
    """The world at a scale, built where it is not there; `folder` holds one for each scale."""
    made = World((folder or DEFAULT) / f"scale-{scale:g}", int(ITEMS * scale), int(USERS * scale), int(EVENTS * scale))
    made.folder.mkdir(parents=True, exist_ok=True)
    done = made.folder / "world.json"
    if not done.exists():
        started = time.perf_counter()
        _artifact(made)
        _store(made)
        facts = {key: str(value) for key, value in asdict(made).items()} | {"seconds": round(time.perf_counter() - started, 1)}
        done.write_text(json.dumps(facts, indent=1))
    return made


def _artifact(made: World) -> None:
    import torch

    from tastemaker.data.interactions import Histories
    from tastemaker.data.schema import FeatureSchema
    from tastemaker.data.vocabulary import Vocabulary
    from tastemaker.models.sasrec import SASRec
    from tastemaker.recommend import artifact
    from tastemaker.recommend.recommender import Recommender

    if (made.artifact / "manifest.json").exists():
        return
    torch.manual_seed(0)
    vocabulary = Vocabulary([item(place) for place in range(made.items)])
    model = SASRec(SASRec.Config(dim=DIM, blocks=BLOCKS, max_length=LENGTH), FeatureSchema(3, vocabulary.size))
    with torch.no_grad():
        model.item_embedding.weight.mul_(0.3 / model.config.init)
    popular = np.zeros(vocabulary.size, np.int64)
    popular[2:] = _popularity(made.items) * made.events
    nobody = Histories.of([np.zeros(0, np.int32)] * 3)
    artifact.save(Recommender(model, Vocabulary(["nobody"]), vocabulary, nobody, events=popular), made.artifact)


def _store(made: World) -> None:
    from tastemaker.store.bulk import load_events, load_items
    from tastemaker.store.sql import SqlStore

    with SqlStore(f"sqlite:///{made.store}") as store:
        if not (made.folder / "items.done").exists():
            load_items(store, catalogue(made.items))
            (made.folder / "items.done").touch()
        if store.last_sequence() == 0:  # all of them come in, or none
            load_events(store, events(made))


def catalogue(count: int) -> pa.Table:
    """Items with a category, a price, tags and a brand."""
    draw = np.random.default_rng(1)
    tags = pa.array([f"t{place}" for place in range(TAGS)])
    offsets = np.concatenate([[0], np.cumsum(draw.integers(0, 5, count))]).astype(np.int32)
    columns = {
        "item_id": [item(place) for place in range(count)],
        "category": [f"c{place}" for place in draw.integers(0, CATEGORIES, count)],
        "price": np.round(draw.lognormal(3, 1, count), 2),
        "brand": [f"b{place}" for place in draw.integers(0, BRANDS, count)],
        "tags": pa.ListArray.from_arrays(offsets, tags.take(pa.array(draw.integers(0, TAGS, offsets[-1])))),
        "title": [f"Thing {place} of its kind" for place in range(count)],
    }
    return pa.table(columns)


def events(made: World) -> pa.Table:
    """Who did what: user_id, item_id, time, kind."""
    draw = np.random.default_rng(2)
    counts = draw.geometric(made.users / made.events, made.users)
    owners = np.repeat(np.arange(made.users, dtype=np.int32), counts)
    owners = np.resize(owners, made.events)
    which = np.searchsorted(np.cumsum(_popularity(made.items)), draw.random(made.events)).clip(0, made.items - 1)
    newest = time.time_ns() // 1000
    kinds = pa.DictionaryArray.from_arrays(
        pa.array(np.searchsorted([0.9, 0.97], draw.random(made.events)).astype(np.int8)), pa.array(["view", "cart", "purchase"])
    )
    names = lambda word, size, places: pa.DictionaryArray.from_arrays(
        pa.array(places.astype(np.int32)), pa.array([word(place) for place in range(size)])
    )
    return pa.table(
        {
            "user_id": names(user, made.users, owners),
            "item_id": names(item, made.items, which),
            "time": newest - draw.integers(0, _DAYS * _DAY, made.events),
            "kind": kinds,
        }
    )


def _popularity(count: int) -> np.ndarray:
    """Shares of a Zipf-like law, in an order that has nothing to do with ids."""
    weights = 1 / (np.arange(count) + 20.0)
    return np.random.default_rng(3).permutation(weights / weights.sum())


def arguments(parser: argparse.ArgumentParser) -> None:
    """`--world` and `--scale`."""
    parser.add_argument("--world", type=Path, default=None, metavar="DIR", help=f"where it is kept (default: {DEFAULT})")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the bar's world, such as 0.01")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(parser)
    asked = parser.parse_args()
    made = world(asked.world, asked.scale)
    print((made.folder / "world.json").read_text())


if __name__ == "__main__":
    main()

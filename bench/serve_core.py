"""Time of one request and CPU of many, without HTTP: a service over a synthetic catalogue and an untrained sasrec.

    python -m bench.serve_core [--items 100000] [--users 2000] [--length 50] [--batch 32]

The model is not trained, since its speed does not depend on that; the store is SQLite in a temporary folder, with `--length` events of
each user. Every request names a user, a filter that a tenth of the catalogue passes, and leaves out what was seen. CPU counts all threads of the
process, the one that keeps the answers included: on a machine that does other things too it says more than the clock, and the lower quantiles say
more than the mean.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.models.sasrec import SASRec
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.service import Service
from tastemaker.store.base import Event, Item, Store, open_store
from tastemaker.wire.bodies import Recommend


def recommender(items: int, length: int) -> Recommender:
    torch.manual_seed(0)
    config = SASRec.Config(dim=64, max_length=length)
    vocabulary = Vocabulary([f"item-{place}" for place in range(items)])
    model = SASRec(config, FeatureSchema(3, vocabulary.size))
    return Recommender(model, Vocabulary(["nobody"]), vocabulary, Histories.of([[], [], []]))


def fill(store: Store, items: int, users: int, length: int) -> None:
    draw = np.random.default_rng(0)
    now = time.time_ns() // 1000
    prices = draw.integers(1, 100, items).tolist()
    rows = [Item(f"item-{place}", {"price": prices[place]}, (f"c{place % 50}",)) for place in range(items)]
    for start in range(0, items, 10_000):
        store.put_items(rows[start : start + 10_000])
    chosen = draw.integers(0, items, (users, length)).tolist()
    events = [
        Event(f"user-{user}", f"item-{item}", now - 60_000_000 * (length - place))
        for user, row in enumerate(chosen)
        for place, item in enumerate(row)
    ]
    for start in range(0, len(events), 10_000):
        store.add_events(events[start : start + 10_000])


def requests(users: int, count: int) -> list[Recommend]:
    draw = np.random.default_rng(1)
    return [
        Recommend(user_id=f"user-{user}", filter="price < $most", parameters={"most": 10}, limit=10)
        for user in draw.integers(0, users, count).tolist()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("items", 100_000), ("users", 2000), ("length", 50), ("batch", 32), ("alone", 300), ("rounds", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{Path(folder) / 'store.db'}") as store:
        fill(store, asked.items, asked.users, asked.length)
        started = time.perf_counter()
        with Service(store) as service:
            loaded = time.perf_counter() - started
            started = time.perf_counter()
            service.swap(recommender(asked.items, asked.length))
            swapped = time.perf_counter() - started
            service.warm()
            for request in requests(asked.users, 20):
                service.recommend([request])
            service.recommend(requests(asked.users, asked.batch))
            alone, alone_cpu = [], []
            for request in requests(asked.users, asked.alone):
                started, cpu = time.perf_counter(), time.process_time()
                service.recommend([request])
                alone_cpu.append((time.process_time() - cpu) * 1000)
                alone.append((time.perf_counter() - started) * 1000)
            cpu, started = time.process_time(), time.perf_counter()
            for _ in range(asked.rounds):
                service.recommend(requests(asked.users, asked.batch))
            count = asked.rounds * asked.batch
            figures = {
                "alone_ms_p50": float(np.median(alone)),
                "alone_ms_p99": float(np.quantile(alone, 0.99)),
                "alone_cpu_ms": float(np.mean(alone_cpu)),
                "alone_cpu_ms_p50": float(np.median(alone_cpu)),
                "alone_cpu_ms_p10": float(np.quantile(alone_cpu, 0.1)),
                "batch_cpu_ms_a_request": (time.process_time() - cpu) / count * 1000,
                "batch_wall_ms_a_request": (time.perf_counter() - started) / count * 1000,
                "catalogue_seconds": loaded,
                "swap_seconds": swapped,
            }
            print(json.dumps({**vars(asked), **{name: round(value, 3) for name, value in figures.items()}}, indent=1))


if __name__ == "__main__":
    main()

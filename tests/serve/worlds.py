"""What the tests here stand on: a store on disk, a model whose scores are integers, a clock that stands still."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tests.recommend.worlds import Grid

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.recommend.language import Language
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.service import Service
from tastemaker.serve.settings import ServeSettings
from tastemaker.store.base import Store, open_store
from tastemaker.wire.bodies import Answer, Recommend

NOW = 1_750_000_000_000_000
"""2025-06-15 in µs."""

_people = itertools.count()


class Clock:
    """µs; moves when told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def somebody() -> str:
    """A user nobody else is."""
    return f"user {next(_people)}"


def items(count: int) -> list[str]:
    return [f"item {place}" for place in range(count)]


def grid(count: int = 38) -> Recommender:
    """A recommender over `count` items with ties everywhere; a user is the sum of the items met."""
    nobody = Histories.of([np.zeros(0, np.int32)] * 3)
    return Recommender(Grid(count + 2, 3), Vocabulary(["somebody"]), Vocabulary(items(count)), nobody)


@contextmanager
def opened(
    folder: Path, recommender: Recommender | None = None, language: Language | None = None, **settings: Any
) -> Iterator[tuple[Service, Store, Clock]]:
    """A service over a store of its own that looks for changes only when asked."""
    clock = Clock()
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        known = {"popular_refresh_seconds": 1e-6, "store_budget_ms": 30_000, "deadline_ms": 60_000, **settings}
        known = {"retrieval_budget_ms": 60_000, "ranking_budget_ms": 60_000, **known}
        with Service(store, settings=ServeSettings(**known), clock=clock, follow=False, language=language) as service:
            service.swap(recommender)
            yield service, store, clock


def did(service: Service, user: str, *item_ids: str, **more: Any) -> None:
    """The user meets items, now."""
    taken = service.feedback([{"user_id": user, "item_id": item_id, **more} for item_id in item_ids])
    assert taken.accepted == len(item_ids), taken


def ask(service: Service, **request: Any) -> Answer:
    """The answer to one request."""
    (answer,) = service.recommend([Recommend(**request)])
    assert isinstance(answer, Answer), answer
    return answer


def ids(answer: Answer) -> list[str]:
    return [shelf.item_id for shelf in answer.items]

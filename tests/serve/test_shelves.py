"""Counts become a line of the view, and a store that hangs meanwhile halts nobody."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from tastemaker.serve.shelves import Codes


class _Names:
    """Items are called by their number; once `hangs`, nobody is told anything."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.hangs, self.freed = threading.Event(), threading.Event()

    def item_ids(self, keys: list[int]) -> list[str]:
        if self.hangs.is_set():
            self.freed.wait(30)
        self.asked += keys
        return [f"i{key}" for key in keys]


def _view(base: int, ids: list[str], size: int | None = None) -> Any:
    return cast(
        Any, SimpleNamespace(base=base, codes={name: place for place, name in enumerate(ids, 2)}, size=size or len(ids) + 2)
    )


def test_codes_are_those_of_the_view_and_each_item_is_asked_for_once():
    store = _Names()
    codes = Codes(cast(Any, store))
    keys = np.array([7, 3, 500])
    codes.meet(keys)
    codes.meet(np.array([3, 7]))
    assert sorted(store.asked) == [3, 7, 500]
    first = _view(1, ["i3", "i7"])
    assert codes.of(first, keys).tolist() == [3, 2, 0]
    grown = _view(1, ["i3", "i7", "i500"])
    assert codes.of(grown, keys).tolist() == [3, 2, 4]
    assert codes.of(_view(1, ["i3", "i7", "i500"], size=4), keys).tolist() == [3, 2, 0], "a code that is none of this view's"
    assert codes.of(_view(2, ["i500"]), keys).tolist() == [0, 0, 2]
    assert codes.of(first, np.zeros(0, np.int64)).tolist() == []


def test_a_store_that_does_not_answer_halts_no_list():
    store = _Names()
    codes = Codes(cast(Any, store))
    keys = np.array([1, 2])
    codes.meet(keys)
    store.hangs.set()
    counting = threading.Thread(target=codes.meet, args=(np.array([3]),))
    counting.start()
    found: list[list[int]] = []
    asking = threading.Thread(target=lambda: found.append(codes.of(_view(1, ["i1", "i2"]), keys).tolist()))
    asking.start()
    asking.join(5)
    answered = not asking.is_alive()
    store.freed.set()
    counting.join()
    asking.join()
    assert answered and found == [[2, 3]]
    assert len(store.asked) == 3

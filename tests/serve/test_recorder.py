from __future__ import annotations

import threading

from tastemaker.errors import StoreError
from tastemaker.serve.recorder import Recorder
from tastemaker.store.base import Shown, open_store


def shown(place: int, user: str = "u") -> Shown:
    return Shown(f"answer {place}", user, 1_750_000_000_000_000 + place, ("a",), "sasrec/1")


def test_answers_are_kept_in_groups_and_a_flush_waits_for_them(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        recorder = Recorder(store, queue=100, group=10, gather_seconds=60)
        recorder.put([shown(place) for place in range(25)])
        assert recorder.flush()
        assert all(store.answer(f"answer {place}") for place in range(25))
        recorder.close()


class Unwilling:
    """A store whose writes fail until it is willing."""

    def __init__(self) -> None:
        self.willing, self.kept, self.asked = False, [], threading.Event()

    def add_answers(self, answers) -> None:
        self.asked.set()
        if not self.willing:
            raise StoreError("not now")
        self.kept += answers


def test_a_store_that_fails_costs_the_oldest_beyond_the_queue_and_gets_the_others_in_order_later():
    store = Unwilling()
    recorder = Recorder(store, queue=5, group=3, gather_seconds=0, pause_seconds=0.01)
    recorder.put([shown(place) for place in range(4)])
    assert store.asked.wait(5)
    recorder.put([shown(place) for place in range(4, 9)])
    store.willing = True
    assert recorder.flush()
    recorder.close()
    kept = [answer.recommendation_id for answer in store.kept]
    assert kept == sorted(kept)
    assert kept[-5:] == [f"answer {place}" for place in range(4, 9)]
    assert recorder.dropped == 9 - len(kept)


def test_what_waits_about_a_forgotten_user_is_never_kept():
    store = Unwilling()
    recorder = Recorder(store, queue=50, group=10, gather_seconds=0, pause_seconds=0.01)
    recorder.put([shown(1, "canary"), shown(2, "other")])
    assert store.asked.wait(5)
    recorder.forget("canary")
    store.willing = True
    assert recorder.flush()
    recorder.close()
    assert [answer.user_id for answer in store.kept] == ["other"]

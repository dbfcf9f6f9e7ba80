"""What is answered when parts are gone: nothing here is simulated but a model that raises."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from tests.recommend.worlds import Grid
from tests.serve.worlds import ask, did, grid, ids, opened

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import StoreError
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.guard import Guard
from tastemaker.store.base import Store
from tastemaker.wire.bodies import ItemBody, Rank, Recommend


class Moody(Grid):
    """A model that fails when told to."""

    mood = "fine"

    def encode_user(self, query):
        if self.mood == "raises":
            raise RuntimeError("out of luck")
        vectors = super().encode_user(query)
        return vectors * torch.nan if self.mood == "nan" else vectors


def moody() -> Recommender:
    return Recommender(
        Moody(40, 3), Vocabulary(["somebody"]), Vocabulary([f"item {n}" for n in range(38)]), Histories.of([[], [], []])
    )


def lose(store: Store, folder: Path) -> None:
    """The database is no longer there, as when its disk is gone."""
    store.close()
    for file in folder.glob("store.db*"):
        file.unlink()
    (folder / "store.db").mkdir()


def test_with_the_store_gone_there_are_the_last_lists_and_the_popular_ones(tmp_path):
    with opened(tmp_path, grid(), store_pause_seconds=0.0) as (service, store, _clock):
        did(service, "regular", "item 3", "item 8")
        good = ask(service, user_id="regular", limit=5)
        popular = ask(service, limit=3)
        service.recorder.flush()
        lose(store, tmp_path)
        known = ask(service, user_id="regular", limit=5)
        assert (known.status, known.fallback, ids(known)) == ("degraded", "cached", ids(good))
        assert "history_unavailable" in known.warnings
        assert {shelf.source for shelf in known.items} == {"cached"}
        stranger = ask(service, user_id="stranger", limit=3)
        assert (stranger.status, stranger.fallback, ids(stranger)) == ("degraded", "popular", ids(popular))
        assert ids(ask(service, limit=3)) == ids(popular)
        assert service.popular(limit=3).status in ("ok", "degraded")
        assert service.rank(Rank(item_ids=["item 1", "item 3"], user_id="regular")).status == "degraded"
        assert service.similar("item 3").items
        with pytest.raises(StoreError):
            service.feedback([{"user_id": "regular", "item_id": "item 1"}])


def test_a_cached_list_is_filtered_as_the_request_says_and_filled_up(tmp_path):
    with opened(tmp_path, grid(), store_pause_seconds=0.0) as (service, store, _clock):
        did(service, "regular", "item 3")
        first = ids(ask(service, user_id="regular", limit=4))
        service.put_item(first[0], ItemBody(hidden=True))
        service.recorder.flush()
        lose(store, tmp_path)
        answer = ask(service, user_id="regular", limit=6, exclude_item_ids=[first[1]])
        assert (answer.status, ids(answer)[:2]) == ("degraded", first[2:])
        assert len(set(ids(answer))) == 6
        assert not {first[0], first[1]} & set(ids(answer))


@pytest.mark.parametrize("mood", ["raises", "nan"])
def test_a_model_that_fails_costs_no_answer(tmp_path, mood):
    ours = moody()
    with opened(tmp_path, ours) as (service, _store, _clock):
        did(service, "regular", "item 3")
        did(service, "other", "item 5")
        good = ask(service, user_id="regular", limit=5)
        ours.model.mood = mood
        cached, fresh = service.recommend([Recommend(user_id="regular", limit=5), Recommend(user_id="other", limit=5)])
        assert (cached.status, cached.fallback, ids(cached)) == ("degraded", "cached", ids(good))
        assert (fresh.status, fresh.fallback, len(fresh.items)) == ("degraded", "popular", 5)
        assert cached.warnings == fresh.warnings == ["model_failed"]
        assert "item 5" not in ids(fresh)
        ours.model.mood = "fine"
        assert ask(service, user_id="regular", limit=5).status == "ok"


def test_a_deadline_that_has_passed_is_answered_without_the_model(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        did(service, "regular", "item 3")
        answer = ask(service, user_id="regular", deadline_ms=1e-6, limit=3)
        assert (answer.status, len(answer.items)) == ("degraded", 3)
        assert "deadline" in answer.warnings


def test_a_slow_store_costs_its_budget_once():
    guard, going = Guard(pause_seconds=60.0), threading.Event()
    try:
        with pytest.raises(StoreError, match="no answer in"):
            guard.ask(going.wait, 0.01)
        with pytest.raises(StoreError, match="a moment ago"):
            guard.ask(lambda: 1, 10.0)
        assert not guard.open
    finally:
        going.set()
        guard.close()


def test_a_store_that_is_back_is_asked_again():
    guard = Guard(pause_seconds=0.0)
    with pytest.raises(StoreError):
        guard.ask(lambda: 1 / 0, 1.0)
    assert guard.ask(lambda: 1, 1.0) == 1
    guard.close()


def test_a_stage_that_fails_costs_its_own_request_the_stage_and_others_nothing(tmp_path, monkeypatch):
    from tastemaker.serve import desk

    honest = desk.chosen

    def fails_for_three(row, *rest):
        if row.request.limit == 3:
            raise ZeroDivisionError
        return honest(row, *rest)

    with opened(tmp_path, grid()) as (service, _store, _clock):
        did(service, "regular", "item 3", "item 8")
        asks = [Recommend(user_id="regular", limit=limit) for limit in (5, 3)]
        before = service.recommend(asks)
        monkeypatch.setattr(desk, "chosen", fails_for_three)
        five, three = service.recommend(asks)
        assert (five.status, ids(five)) == ("ok", ids(before[0]))
        assert (three.status, ids(three)) == ("degraded", ids(before[1]))
        assert "reranking_failed" in three.warnings

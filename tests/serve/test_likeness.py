from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recommend.worlds import recommender
from tests.serve.worlds import ask, did, grid, ids, opened

from tastemaker.errors import RequestError
from tastemaker.serve.shelves import WINDOWS, rounded
from tastemaker.wire.bodies import Complementary, ItemBody, Rank, RecommendSession, SessionEvent

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Bread and butter are bought together, nails are not; nobody has met the rest."""
    with opened(tmp_path_factory.mktemp("likeness"), grid()) as (service, store, clock):
        for place in range(12):
            did(service, f"cook {place}", "item 1", "item 2", *(["item 3"] if place % 3 == 0 else []))
            did(service, f"smith {place}", "item 4", "item 3")
        service.refresh()
        yield service, store, clock


@pytest.mark.parametrize("name", ["sasrec", "ease", "popularity"])
def test_similar_items_are_the_recommenders(name, tmp_path):
    ours = recommender(name)
    item = ours.items.ids[4].as_py()
    with opened(tmp_path, ours) as (service, _store, _clock):
        for user in range(3):
            did(service, f"u {user}", item, ours.items.ids[5].as_py())
        answer = service.similar(item, 5)
        if name == "popularity":
            assert (answer.fallback, ids(answer)) == ("co_occurrence", [ours.items.ids[5].as_py()])
        else:
            assert ids(answer) == [found.item for found in ours.similar(item, 5)]


def test_similar_items_obey_filters_and_an_unknown_item_is_said_to_be(world):
    service, _store, _clock = world
    service.put_item("item 9", ItemBody(properties={"price": 3}))
    assert ids(service.similar("item 1", 5, filter="price = 3")) == ["item 9"]
    with pytest.raises(RequestError) as refused:
        service.similar("never heard of")
    assert (refused.value.status, refused.value.code) == (404, "unknown_item")


def test_what_goes_with_a_basket_is_what_the_same_users_met_more_than_by_chance(world):
    service, _store, _clock = world
    answer = service.complementary(Complementary(item_ids=["item 1", "no such"], limit=4))
    assert ids(answer)[:2] == ["item 2", "item 3"]
    assert [shelf.source for shelf in answer.items[:2]] == ["co_occurrence"] * 2
    assert {shelf.source for shelf in answer.items[2:]} == {"worlds"}
    assert not {"item 1", "no such"} & set(ids(answer))
    assert answer.warnings == ["unknown_items"]


def test_users_of_like_taste_met_the_same(world):
    service, _store, _clock = world
    found = service.similar_users("cook 1", 8)
    assert {user.user_id.split()[0] for user in found.users} == {"cook"}
    assert "cook 1" not in [user.user_id for user in found.users]
    assert service.similar_users("nobody").users == []
    service.erase("cook 5")
    assert "cook 5" not in [user.user_id for user in service.similar_users("cook 1", 100).users]


def test_the_audience_of_an_item_has_not_met_it(world):
    service, store, _clock = world
    like = ids(service.similar("item 3", 10))
    did(service, "fan of its like", like[0])
    users = [user.user_id for user in service.audience("item 3", 100).users]
    assert "fan of its like" in users
    assert not any("item 3" in seen for seen in store.seen(users))


def test_a_ranked_list_is_in_the_order_of_the_recommendations_and_strangers_come_last(world):
    service, _store, _clock = world
    wanted = [f"item {place}" for place in (20, 7, 30, 12, 25)]
    answer = service.rank(Rank(user_id="cook 1", item_ids=["stranger", *wanted, "item 7"], include=["score"]))
    (order,) = service.recommend(
        [RecommendSession(events=[SessionEvent(item_id="item 1"), SessionEvent(item_id="item 2")], limit=38)]
    )
    assert ids(answer) == [*(item for item in ids(order) if item in wanted), "stranger"]
    assert (answer.items[-1].known, answer.items[0].known) == (False, None)
    assert [shelf.rank for shelf in answer.items] == [1, 2, 3, 4, 5, 6]
    popular = service.rank(Rank(item_ids=["item 4", "item 3"]))
    assert (ids(popular), popular.fallback) == (["item 3", "item 4"], "popular")


def test_popular_counts_events_and_nobody_alone_makes_a_bestseller(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        did(service, "robot", *["item 9"] * 50)
        for place in range(4):
            did(service, f"u {place}", "item 8")
        service.refresh()
        assert ids(service.popular(limit=2)) == ["item 8", "item 9"]


def test_trending_is_what_rose_and_popular_what_is_large(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, clock):
        yesterday = (clock.now - 1.5 * DAY) / 1e6
        for place in range(30):
            did(service, f"u {place}", "old hit", timestamp=yesterday)
            if place < 20:
                did(service, f"u {place}", "old hit", timestamp=clock.now / 1e6 - 60)
            if place < 12:
                did(service, f"u {place}", "rising", timestamp=clock.now / 1e6 - 60)
        service.refresh()
        assert ids(service.popular(limit=1)) == ["old hit"]
        assert ids(service.popular("trending", limit=1)) == ["rising"]


def test_latest_is_newest_first_and_categories_narrow_every_list(tmp_path):
    with opened(tmp_path) as (service, _store, clock):
        for place, days in enumerate((3, 1, 2)):
            service.put_item(
                f"n {place}", ItemBody(available_from=(clock.now - days * DAY) / 1e6, categories=[f"c{place % 2}"])
            )
        service.put_item("tomorrow", ItemBody(available_from=(clock.now + DAY) / 1e6))
        assert ids(service.popular("latest")) == ["n 1", "n 2", "n 0"]
        assert ids(service.popular("latest", category="c0")) == ["n 2", "n 0"]
        assert ids(service.popular("latest", category="c0", filter="item_id != 'n 2'")) == ["n 0"]
        clock.now += DAY
        assert ids(service.popular("latest", limit=1)) == ["tomorrow"]


def test_a_popular_list_that_was_made_before_is_made_again_when_anything_changed(tmp_path):
    with opened(tmp_path) as (service, _store, _clock):
        service.put_items([{"item_id": "a"}, {"item_id": "b"}])
        first = ids(service.popular())
        service.delete_item(first[0])
        assert ids(service.popular()) == first[1:]
        assert ids(ask(service)) == first[1:]


def test_whatever_windows_are_asked_for_few_are_counted(tmp_path, monkeypatch):
    with opened(tmp_path, grid(), popular_refresh_seconds=600) as (service, store, _clock):
        did(service, "u", "item 9")
        asked, counts = [], store.counts

        def counted(since, until=None, kinds=None):
            asked.append((since, until))
            return counts(since, until, kinds)

        monkeypatch.setattr(store, "counts", counted)
        for seconds in range(1, 3_000_000, 10_007):
            answer = service.popular("popular", window_seconds=seconds, limit=1)
            assert (ids(answer), answer.warnings) == (["item 9"], ["window_rounded"])
        assert len(set(asked)) <= len(WINDOWS)
        whole = service.popular("popular", window_seconds=86_400, limit=1)
        assert (ids(whole), whole.warnings) == (["item 9"], [])
        assert "window_rounded" in service.popular("trending", window_seconds=5000).warnings
        assert "window_rounded" not in service.popular("latest", window_seconds=5000).warnings


@given(st.floats(1e-6, 3.2e8))
def test_a_window_is_rounded_up_to_one_that_there_is(seconds):
    assert rounded(seconds) in WINDOWS
    assert rounded(seconds) >= seconds
    assert all(rounded(one) == one for one in WINDOWS)

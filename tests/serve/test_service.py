from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.recommend.worlds import recommender, trained
from tests.serve.worlds import NOW, ask, did, grid, ids, items, opened, somebody

from tastemaker.data.synthetic import two_tastes
from tastemaker.errors import FilterError, RequestError
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_names
from tastemaker.wire.bodies import (
    Boost,
    ItemBody,
    Pin,
    Recommend,
    RecommendBatch,
    RecommendSession,
    SeenRule,
    SessionEvent,
)

on_a_store = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A service over the grid model; prices are places, and one item in forty is rare."""
    with opened(tmp_path_factory.mktemp("service"), grid(200)) as (service, store, clock):
        service.put_items(
            [
                ItemBody(item_id=item, properties={"price": place, "rare": place % 100 == 7}, categories=[f"c{place % 5}"])
                for place, item in enumerate(items(200))
            ]
        )
        yield service, store, clock


@pytest.mark.parametrize("name", model_names())
def test_a_service_gives_the_list_and_the_scores_that_the_recommender_gives_for_the_same_history(name, tmp_path):
    ours = recommender(name)
    history = [str(item) for item in ours.items.ids.to_pylist()[3:8]]
    with opened(tmp_path, ours) as (service, _store, _clock):
        did(service, "newcomer of today", *history)
        answer = ask(service, user_id="newcomer of today", limit=8, include=["score"])
    expected = ours.recommend_history(history, 8)
    assert ids(answer) == [found.item for found in expected]
    np.testing.assert_allclose([shelf.score for shelf in answer.items], [found.score for found in expected], rtol=1e-5)
    assert (answer.status, answer.model.name) == ("ok", name)


def test_a_session_is_answered_as_a_user_with_that_history(world):
    service, _store, _clock = world
    user, history = somebody(), items(200)[10:14]
    did(service, user, *history)
    session = RecommendSession(events=[SessionEvent(item_id=item) for item in history], include=["score"])
    (answer,) = service.recommend([session])
    assert answer.items == ask(service, user_id=user, include=["score"]).items


def test_an_event_of_a_moment_ago_is_in_the_next_answer(world):
    service, _store, _clock = world
    user = somebody()
    did(service, user, "item 3")
    before = ids(ask(service, user_id=user))
    did(service, user, before[0])
    after = ids(ask(service, user_id=user))
    assert before[0] not in after
    assert after == [found.item for found in grid(200).recommend_history(["item 3", before[0]], 10)]


def test_each_of_two_tastes_gets_its_own(tmp_path):
    world = two_tastes(40, 20, seed=0) if "seed" in two_tastes.__code__.co_varnames else two_tastes(40, 20)
    ours = Recommender.of(trained("ease", world.dataset), world.dataset)
    left, right = ours.history(ours.users.ids[0].as_py()), ours.history(ours.users.ids[1].as_py())
    with opened(tmp_path, ours) as (service, _store, _clock):
        did(service, "left", *map(str, left[:3]))
        did(service, "right", *map(str, right[:3]))
        one, other = ask(service, user_id="left", limit=4), ask(service, user_id="right", limit=4)
        assert ids(one) == [str(found.item) for found in ours.recommend_history(left[:3], 4)]
        assert ids(one) != ids(other)


def test_an_unknown_user_gets_the_popular_items_and_the_answer_says_so(world):
    service, _store, _clock = world
    for _ in range(3):
        did(service, somebody(), "item 99", "item 98")
    did(service, somebody(), "item 99")
    for answer in (ask(service, user_id="never seen", limit=2), ask(service, limit=2)):
        assert ids(answer) == ["item 99", "item 98"]
        assert (answer.status, answer.fallback, answer.model) == ("fallback", "popular", None)
        assert {shelf.source for shelf in answer.items} == {"popular"}


@on_a_store
@given(histories=st.lists(st.lists(st.integers(0, 199), max_size=6), min_size=2, max_size=6), k=st.integers(1, 40))
def test_an_answer_does_not_depend_on_who_is_answered_with_it(world, histories, k):
    service, _store, _clock = world
    sessions = [
        RecommendSession(events=[SessionEvent(item_id=f"item {item}") for item in history], limit=k, include=["score"])
        for history in histories
    ]
    for session, together in zip(sessions, service.recommend(sessions, record=False), strict=True):
        (alone,) = service.recommend([session], record=False)
        assert (together.items, together.status, together.counts) == (alone.items, alone.status, alone.counts)


@on_a_store
@given(
    history=st.lists(st.integers(0, 199), min_size=1, max_size=150),
    most=st.integers(0, 200),
    k=st.integers(1, 30),
    rare=st.booleans(),
)
def test_filters_and_what_was_seen_are_exact_at_any_selectivity(world, history, most, k, rare):
    service, _store, _clock = world
    ours, met = grid(200), [f"item {item}" for item in history]
    text = "rare = true AND price <= $most" if rare else "price <= $most"  # rare: 1 % of the catalogue
    session = RecommendSession(
        events=[SessionEvent(item_id=item) for item in met], limit=k, filter=text, parameters={"most": most}
    )
    (answer,) = service.recommend([session], record=False)
    allowed = [item for place, item in enumerate(items(200)) if place <= most and (not rare or place % 100 == 7)]
    assert ids(answer) == [found.item for found in ours.recommend_history(met, k, allow=allowed)]
    assert answer.counts.candidates == len(allowed)
    assert answer.counts.filtered_rule == 200 - len(allowed)
    assert answer.counts.filtered_seen == len(set(met) & set(allowed))
    assert ("insufficient_candidates" in answer.warnings) == (len(answer.items) < k)


def test_a_lifted_filter_fills_the_list_up_after_what_matches(world):
    service, _store, _clock = world
    asked = {"events": [SessionEvent(item_id="item 3")], "filter": "rare = true", "limit": 6}
    (strict,), (lifted,) = (
        service.recommend([RecommendSession(**asked)]),
        service.recommend([RecommendSession(**asked, strict_filter=False)]),
    )
    assert (len(strict.items), strict.warnings) == (2, ["insufficient_candidates"])
    assert (len(lifted.items), lifted.warnings) == (6, ["filter_relaxed"])
    assert ids(lifted)[:2] == ids(strict)
    assert (
        ids(lifted)[2:] == [i for i in (f.item for f in grid(200).recommend_history(["item 3"], 8)) if i not in ids(strict)][:4]
    )


def test_seen_rules_count_types_and_days(world):
    service, _store, clock = world
    user = somebody()
    did(service, user, "item 1", type="view", timestamp=NOW / 1e6 - 10 * 86_400)
    did(service, user, "item 2", type="purchase")
    within = "price IN (1, 2)"

    def left(rule):
        return set(ids(ask(service, user_id=user, filter=within, exclude_seen=rule)))

    assert left(True) == set()
    assert left(False) == {"item 1", "item 2"}
    assert left(SeenRule(types=["purchase"])) == {"item 1"}
    assert left(SeenRule(days=1)) == {"item 1"}
    assert clock.now == NOW


def test_availability_counts_from_the_next_request_on(tmp_path):
    with opened(tmp_path, grid(20)) as (service, _store, clock):
        did(service, "u", "item 0")
        first = ids(ask(service, user_id="u", limit=3))
        service.put_item(first[0], ItemBody(hidden=True))
        service.put_item(first[1], ItemBody(available_from=(NOW + HOUR) / 1e6))
        service.put_item(first[2], ItemBody(expires_at=(NOW + HOUR) / 1e6))
        answer = ask(service, user_id="u", limit=20)
        assert first[2] in ids(answer)
        assert not {first[0], first[1]} & set(ids(answer))
        assert answer.counts.filtered_unavailable == 2
        clock.now += HOUR
        later = ids(ask(service, user_id="u", limit=20))
        assert first[1] in later
        assert first[2] not in later
        service.delete_item(first[1])
        assert first[1] not in ids(ask(service, user_id="u", limit=20))
        with pytest.raises(RequestError, match="no item"):
            service.delete_item("never there")


def test_pins_stand_where_they_were_put_unless_they_are_not_available(world):
    service, _store, _clock = world
    user = somebody()
    did(service, user, "item 3", "item 50")
    pins = [Pin(item_id="item 50", position=2), Pin(item_id="no such", position=1)]
    answer = ask(service, user_id=user, limit=4, pins=pins, filter="price < 20")
    assert ids(answer)[1] == "item 50"  # by filters and what was seen too
    assert answer.items[1].source == "pin"
    assert "pin_unavailable" in answer.warnings
    plain = ids(ask(service, user_id=user, limit=4, filter="price < 20"))
    assert [item for item in ids(answer) if item != "item 50"] == plain[:3]


def test_a_boost_raises_what_matches_and_nothing_else(world):
    service, _store, _clock = world
    session = {"events": [SessionEvent(item_id="item 3")], "limit": 200, "include": ["score"]}
    (plain,) = service.recommend([RecommendSession(**session)])
    (boosted,) = service.recommend([RecommendSession(**session, boosts=[Boost(filter="category HAS 'c1'", weight=50.0)])])
    old, new = ({shelf.item_id: shelf.score for shelf in answer.items} for answer in (plain, boosted))
    for item in old:
        assert (new[item] > old[item]) == (int(item.split()[1]) % 5 == 1)


@on_a_store
@given(cap=st.integers(1, 4), k=st.integers(1, 30), start=st.integers(0, 199))
def test_no_category_has_more_places_than_it_may(world, cap, k, start):
    service, _store, _clock = world
    session = RecommendSession(events=[SessionEvent(item_id=f"item {start}")], limit=k, max_per={"category": cap})
    (answer,) = service.recommend([session], record=False)
    places = [int(item.split()[1]) % 5 for item in ids(answer)]
    assert max(places.count(category) for category in range(5)) <= cap
    assert len(answer.items) == min(k, 5 * cap)  # there is always another to be found


def test_one_bad_request_fails_alone(world):
    service, _store, _clock = world
    bad, good = service.recommend([Recommend(filter="price <"), Recommend(limit=3)])
    assert isinstance(bad, FilterError)
    assert len(good.items) == 3


def test_shelves_of_a_page_show_no_item_twice(world):
    service, _store, _clock = world
    user = somebody()
    did(service, user, "item 3")
    requests = [Recommend(user_id=user, limit=5), Recommend(user_id=user, limit=5), Recommend(limit=5)]
    answers = service.batch(RecommendBatch(requests=requests)).answers
    shown = [item for answer in answers for item in ids(answer)]
    assert len(shown) == len(set(shown)) == 15
    assert ids(answers[0]) + ids(answers[1]) == ids(ask(service, user_id=user, limit=10))
    twice = service.batch(RecommendBatch(requests=requests, distinct=False)).answers
    assert ids(twice[0]) == ids(twice[1])


def test_answers_are_kept_where_asked_and_only_there(world):
    service, store, _clock = world
    (kept,) = service.recommend([Recommend(user_id="watched", limit=2)])
    (unkept,) = service.recommend([Recommend(user_id="watched", limit=2)], record=False)
    service.recorder.flush()
    assert store.answer(kept.recommendation_id).item_ids == tuple(ids(kept))
    assert store.answer(unkept.recommendation_id) is None
    assert unkept.recommendation_id > kept.recommendation_id or unkept.recommendation_id[:10] == kept.recommendation_id[:10]


def test_without_a_model_everybody_gets_what_is_popular(tmp_path):
    with opened(tmp_path) as (service, _store, _clock):
        assert ids(ask(service, user_id="u")) == []
        did(service, "u", "a", "b")
        did(service, "v", "b")
        service.refresh()
        answer = ask(service, user_id="w", limit=2)
        assert (ids(answer), answer.status, answer.fallback) == (["b", "a"], "fallback", "popular")


def test_a_large_catalogue_gives_the_same_lists_with_and_without_boosts_that_change_nothing(tmp_path):
    with opened(tmp_path, grid(20_000)) as (service, _store, _clock):
        service.put_items([ItemBody(item_id=item, properties={"price": place}) for place, item in enumerate(items(500))])
        assert service.view.scoring.searches
        user = somebody()
        did(service, user, *items(20_000)[40:44])
        for how in ({}, {"filter": "price < 90"}, {"filter": "price < 3", "strict_filter": True}):
            found, whole = service.recommend(
                [
                    Recommend(user_id=user, limit=30, include=["score"], boosts=boosts, **how)
                    for boosts in ([], [Boost(filter="price >= 0", weight=1.0)])
                ]
            )
            assert ids(found) == ids(whole)
            assert [shelf.score for shelf in found.items] == [shelf.score for shelf in whole.items]
            assert not set(ids(found)) & set(items(20_000)[40:44])

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serve.worlds import ask, did, grid, ids, items, opened, somebody

from tastemaker.errors import RequestError
from tastemaker.serve.service import Service
from tastemaker.wire.bodies import Pin, Recommend, RecommendSession, Rotation, SessionEvent


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("pages"), grid(60)) as (service, store, _clock):
        yield service, store


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    limits=st.lists(st.integers(1, 25), min_size=2, max_size=6),
    events=st.lists(st.lists(st.integers(0, 59), max_size=3), min_size=6, max_size=6),
    diversity=st.sampled_from([0.0, 0.5]),
    rotation=st.sampled_from([None, Rotation(rate=0.5)]),
    record=st.booleans(),
)
def test_next_pages_never_repeat_an_item_whatever_happens_between_them(world, limits, events, diversity, rotation, record):
    service, _store = world
    user = somebody()
    did(service, user, "item 1")
    request = Recommend(user_id=user, limit=limits[0], diversity=diversity, rotation=rotation)
    (answer,) = service.recommend([request], record=record)
    shown, met = ids(answer), {"item 1"}
    for limit, between in zip(limits[1:], events, strict=False):
        if between:
            did(service, user, *(f"item {item}" for item in between))
            met |= {f"item {item}" for item in between}
        if answer.next_cursor is None:
            break
        answer = service.next_page(answer.next_cursor, limit, record=record)
        assert not met & set(ids(answer))
        shown += ids(answer)
    assert len(shown) == len(set(shown))


def test_pages_without_events_between_are_one_long_list(world):
    service, _store = world
    user = somebody()
    did(service, user, "item 1")
    pages = [ask(service, user_id=user, limit=10)]
    while pages[-1].next_cursor:
        pages.append(service.next_page(pages[-1].next_cursor))
    shown = [item for page in pages for item in ids(page)]
    assert shown == ids(ask(service, user_id=user, limit=100))
    assert set(shown) == set(items(60)) - {"item 1"}


def test_a_recommendation_id_does_as_well_as_the_cursor(world):
    service, _store = world
    answer = ask(service, limit=5)
    assert ids(service.next_page(answer.recommendation_id)) == ids(service.next_page(answer.next_cursor))


@settings(max_examples=60)
@given(place=st.integers(0, 55), letter=st.sampled_from("ABCxyz019-_=%é\0"))
def test_a_forged_cursor_is_refused(world, place, letter):
    service, _store = world
    cursor = ask(service, limit=5).next_cursor
    forged = cursor[:place] + letter + cursor[place + 1 :]
    if forged != cursor:
        with pytest.raises(RequestError) as refused:
            service.next_page(forged)
        assert (refused.value.status, refused.value.code) == (400, "bad_cursor")


def test_an_answer_nobody_gave_has_no_next_page(world):
    service, _store = world
    with pytest.raises(RequestError) as refused:
        service.next_page("01" + "0" * 24)
    assert refused.value.status == 404


def test_a_recorded_answer_can_be_continued_after_a_restart_and_an_unrecorded_one_cannot(world):
    service, store = world
    session = RecommendSession(events=[SessionEvent(item_id="item 4")], limit=7, filter="item_id != 'item 9'")
    (first,) = service.recommend([session])
    second = service.next_page(first.next_cursor)
    (unrecorded,) = service.recommend([session], record=False)
    service.recorder.flush()
    with Service(store, follow=False) as later:
        later.swap(grid(60))
        third = later.next_page(second.next_cursor)
        shown = ids(first) + ids(second) + ids(third)
        assert len(set(shown)) == 21
        assert "item 9" not in shown
        with pytest.raises(RequestError) as refused:
            later.next_page(unrecorded.next_cursor)
        assert refused.value.status == 404


def test_a_pin_of_the_second_page_stands_there(world):
    service, _store = world
    first = ask(service, limit=4, pins=[Pin(item_id="item 50", position=6)])
    assert "item 50" not in ids(first)
    assert ids(service.next_page(first.next_cursor))[1] == "item 50"

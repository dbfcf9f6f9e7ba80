from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serve.worlds import ask, did, grid, ids, items, opened

from tastemaker.wire.bodies import Boost, Explain, ItemBody, Pin, Recommend


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("explain"), grid()) as (service, _store, _clock):
        service.put_items(
            [
                ItemBody(item_id=item, properties={"price": place}, categories=[f"c{place % 3}"], hidden=place == 30)
                for place, item in enumerate(items(38))
            ]
        )
        did(service, "u", "item 3", "item 4")
        yield service


def failed(service, item, **request):
    trace = service.explain(Explain(user_id="u", item_id=item, request=Recommend(**request)))
    return [step.stage for step in trace.steps if not step.passed]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    item=st.sampled_from(items(38)),
    limit=st.integers(1, 12),
    diversity=st.sampled_from([0.0, 0.7]),
    cap=st.sampled_from([0, 1, 3]),
)
def test_an_item_is_on_the_list_exactly_if_the_trace_says_so(world, item, limit, diversity, cap):
    request = Recommend(
        user_id="u",
        limit=limit,
        diversity=diversity,
        max_per={"category": cap} if cap else {},
        include=["score"],
        filter="price < 33",
    )
    (answer,) = world.recommend([request], record=False)
    trace = world.explain(Explain(user_id="u", item_id=item, request=request))
    assert trace.recommended == (item in ids(answer))
    if trace.recommended:
        shelf = answer.items[ids(answer).index(item)]
        assert (trace.rank, trace.score) == (shelf.rank, shelf.score)
        assert all(step.passed for step in trace.steps)
    else:
        assert not all(step.passed for step in trace.steps)


def test_each_reason_why_not_is_told(world):
    best = ids(ask(world, user_id="u", limit=38))
    assert failed(world, "item 3") == ["seen", "limit"]
    assert failed(world, "item 30") == ["availability", "limit"]
    assert failed(world, best[0], filter="price < 0") == ["filter", "limit"]
    assert failed(world, best[0], exclude_item_ids=[best[0]]) == ["seen", "limit"]
    assert failed(world, best[-1]) == ["limit"]
    assert failed(world, "never heard of") == ["retrieve"]


def test_boosts_and_pins_are_in_the_trace(world):
    request = Recommend(boosts=[Boost(filter="price = 20", weight=3.0)], pins=[Pin(item_id="item 21", position=2)])
    boosted = world.explain(Explain(user_id="u", item_id="item 20", request=request))
    assert [step.detail for step in boosted.steps if step.stage == "boosts"] == ["weighs 3 times as much"]
    pinned = world.explain(Explain(user_id="u", item_id="item 21", request=request))
    assert (pinned.rank, [step.detail for step in pinned.steps if step.stage == "pins"]) == (2, ["pinned at rank 2"])


def test_the_reasons_are_events_of_the_user(world):
    best = ids(ask(world, user_id="u", limit=1))[0]
    trace = world.explain(Explain(user_id="u", item_id=best))
    assert {reason.item_id for reason in trace.reasons} <= {"item 3", "item 4"}
    assert trace.reasons


def test_a_stranger_is_told_of_the_popular_list(world):
    trace = world.explain(Explain(user_id="stranger", item_id="item 3"))
    assert trace.model is None
    assert "no history" in trace.steps[0].detail

"""A request and the rules of its scenario, made one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from tests.serve.worlds import did, grid, ids, items, opened

from tastemaker.serve.rules import EVERYTHING, LIMIT, Clause, InForce, settled
from tastemaker.wire.bodies import Answer, Boost, ItemBody, Pin, Recommend, RecommendSession, Rotation, SeenRule, SessionEvent
from tastemaker.wire.scenarios import Rules

ITEMS = items(38)
ids_of = st.lists(st.sampled_from(ITEMS), max_size=4)
pins = st.lists(st.builds(Pin, item_id=st.sampled_from(ITEMS), position=st.integers(1, 9)), max_size=4)
seen = st.sampled_from([True, False, SeenRule(types=["purchase"]), SeenRule(days=1.0)])
diversity = st.sampled_from([0.0, 0.4, 1.0])
rotation = st.sampled_from([Rotation(rate=0.5, seconds=60.0), Rotation(rate=0.0)])
caps = st.dictionaries(st.sampled_from(["category", "colour"]), st.integers(1, 4), max_size=2)


def boosts(text: str) -> st.SearchStrategy[list[Boost]]:
    return st.lists(st.builds(Boost, filter=st.just(text), weight=st.sampled_from([0.25, 1.0, 3.0])), max_size=2)


def left_out(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(UNSET), some)


rules_ = st.builds(
    Rules,
    filter=st.sampled_from([None, "price >= $low", "category = 'c1' OR price > 20"]),
    parameters=st.just({"low": 5, "odd": "red"}),
    boosts=boosts("colour = $odd"),
    pins=pins,
    exclude_item_ids=ids_of,
    exclude_seen=st.one_of(st.none(), seen),
    diversity=st.one_of(st.none(), diversity),
    max_per=caps,
    rotation=st.one_of(st.none(), rotation),
    limit=st.one_of(st.none(), st.integers(1, 15)),
)
requests = st.builds(
    Recommend,
    user_id=st.sampled_from(["u", "v", "nobody", None]),
    scenario=st.just("home"),
    limit=left_out(st.integers(1, 12)),
    filter=st.sampled_from([None, "price < $high", "price != 7 OR category = 'c0'"]),
    parameters=st.just({"high": 30}),
    boosts=boosts("price > $high"),
    pins=pins,
    exclude_item_ids=ids_of,
    exclude_seen=left_out(seen),
    diversity=left_out(diversity),
    max_per=caps,
    rotation=left_out(st.one_of(st.none(), rotation)),
    include=st.just(["score"]),
)


def written(request: Recommend, rules: Rules) -> Recommend:
    """The request with the rules written out, as somebody would who has no scenarios."""
    both = [f"({text})" for text in (rules.filter, request.filter) if text is not None]
    own_places, own_ids = {pin.position for pin in request.pins}, {pin.item_id for pin in request.pins}
    change: dict[str, Any] = {
        "filter": " AND ".join(both) or None,
        "parameters": {**rules.parameters, **request.parameters},
        "boosts": [*rules.boosts, *request.boosts],
        "pins": [
            *request.pins,
            *(pin for pin in rules.pins if pin.position not in own_places and pin.item_id not in own_ids),
        ],
        "exclude_item_ids": [*request.exclude_item_ids, *rules.exclude_item_ids],
        "max_per": {**rules.max_per, **request.max_per},
    }
    for name in ("limit", "exclude_seen", "diversity", "rotation"):
        if getattr(request, name) is UNSET and getattr(rules, name) is not None:
            change[name] = getattr(rules, name)
    return msgspec.structs.replace(request, scenario=None, **change)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("rules"), grid()) as (service, store, _clock):
        service.put_items(
            [
                ItemBody(
                    item_id=item,
                    properties={"price": place, "colour": ("red", "blue")[place % 2]},
                    categories=[f"c{place % 3}"],
                    hidden=place == 30,
                )
                for place, item in enumerate(ITEMS)
            ]
        )
        did(service, "u", "item 3", "item 4")
        did(service, "v", "item 9", type="purchase")
        yield service, store


def publish(service, store, rules: Rules, name: str = "home") -> int:
    store.put_scenario(name, msgspec.to_builtins(rules), "anna")
    version = store.publish_scenario(name, "anna").version
    service.scenarios.refresh()
    return version


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(request=requests, rules=rules_, session=st.booleans())
def test_a_scenario_answers_as_the_request_with_its_rules_written_out(world, request, rules, session):
    service, store = world
    version = publish(service, store, rules)
    if session:
        fields = {name: getattr(request, name) for name in request.__struct_fields__}
        request = RecommendSession(**fields, events=[SessionEvent(item_id="item 5"), SessionEvent(item_id="item 11")])
    by_name, by_hand = service.recommend([request, written(request, rules)], record=False)
    assert isinstance(by_name, Answer) and isinstance(by_hand, Answer), (by_name, by_hand)
    assert (by_name.scenario_version, by_hand.scenario_version) == (version, None)
    for field in ("items", "status", "fallback", "warnings", "counts"):
        assert getattr(by_name, field) == getattr(by_hand, field), field
    assert (by_name.next_cursor is None) == (by_hand.next_cursor is None)
    if by_name.next_cursor is not None:
        pages = [service.next_page(one.next_cursor, record=False) for one in (by_name, by_hand)]
        assert pages[0].items == pages[1].items and pages[0].scenario_version == version


@given(request=requests)
def test_rules_that_say_nothing_change_nothing(request):
    bare, under = settled(request), settled(request, InForce("home", 1, Rules()))
    for name in bare.__slots__:
        if name != "in_force":
            assert getattr(under, name) == getattr(bare, name), name


@given(request=requests, rules=rules_)
def test_what_a_request_gives_is_what_it_gets(request, rules):
    got = settled(request, InForce("home", 1, rules))
    if request.limit is not UNSET:
        assert got.limit == request.limit
    if request.diversity is not UNSET:
        assert got.diversity == request.diversity
    if request.rotation is not UNSET:
        assert got.rotation == request.rotation
    if request.exclude_seen is not UNSET:
        asked = request.exclude_seen
        assert got.exclude_seen == (asked if isinstance(asked, SeenRule) else EVERYTHING if asked else None)
    assert got.max_per.items() >= request.max_per.items()
    assert list(got.pins)[: len(request.pins)] == request.pins


@given(request=requests, rules=rules_)
def test_nothing_that_the_rules_shut_out_is_let_in_by_a_request(request, rules):
    got = settled(request, InForce("home", 1, rules))
    assert set(rules.exclude_item_ids) <= set(got.exclude_item_ids)
    if rules.filter is not None:
        assert Clause(rules.filter, rules.parameters, True, scenario=True) in got.clauses
    assert {pin.position for pin in rules.pins} <= {pin.position for pin in got.pins} | {
        pin.position for pin in rules.pins if pin.item_id in {one.item_id for one in request.pins}
    }


def test_the_defaults_are_those_of_a_request_without_a_scenario():
    got = settled(Recommend())
    assert (got.limit, got.diversity, got.rotation, got.exclude_seen) == (LIMIT, 0.0, None, EVERYTHING)
    assert (got.version, got.clauses, got.events) == (0, (), None)


def test_a_default_that_is_asked_for_is_not_overruled():
    rules = InForce("home", 1, Rules(limit=20, exclude_seen=False, diversity=0.5, rotation=Rotation()))
    asked = msgspec.json.decode(b'{"limit":10,"exclude_seen":true,"diversity":0,"rotation":null}', type=Recommend)
    got = settled(asked, rules)
    assert (got.limit, got.exclude_seen, got.diversity, got.rotation) == (10, EVERYTHING, 0.0, None)
    left = settled(msgspec.json.decode(b"{}", type=Recommend), rules)
    assert (left.limit, left.exclude_seen, left.diversity, left.rotation) == (20, None, 0.5, Rotation())


def test_each_filter_reads_its_own_parameters(world):
    service, store = world
    publish(
        service, store, Rules(filter="price >= $at", parameters={"at": 20}, boosts=[Boost(filter="price = $at", weight=500)])
    )
    (answer,) = service.recommend(
        [Recommend(user_id="u", scenario="home", filter="price <= $at", parameters={"at": 24}, limit=38)], record=False
    )
    assert sorted(ids(answer)) == [f"item {n}" for n in range(20, 25)] and ids(answer)[0] == "item 20"


def test_a_lenient_request_lifts_its_own_filter_alone(world):
    service, store = world
    request = Recommend(user_id="u", scenario="home", filter="price = 7", strict_filter=False, limit=6)
    publish(service, store, Rules(filter="category = 'c1'"))
    (answer,) = service.recommend([request], record=False)
    assert ids(answer)[0] == "item 7" and "filter_relaxed" in answer.warnings
    assert len(answer.items) == 6 and all(int(one.split()[1]) % 3 == 1 for one in ids(answer))
    publish(service, store, Rules(filter="price = 8", strict_filter=False))
    (answer,) = service.recommend([Recommend(user_id="u", scenario="home", limit=3)], record=False)
    assert ids(answer)[0] == "item 8" and len(answer.items) == 3 and "filter_relaxed" in answer.warnings

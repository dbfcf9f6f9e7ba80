"""Scenarios in force: what a request finds of them, when, and what becomes of lists that began under others."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from tests.serve import shops
from tests.serve.worlds import ask, did, grid, ids, items, opened

from tastemaker.errors import StoreError
from tastemaker.recommend.objective import Objective
from tastemaker.serve.service import Service
from tastemaker.store.base import open_store
from tastemaker.wire.bodies import (
    Boost,
    Explain,
    ItemBody,
    Pin,
    Recommend,
    RecommendBatch,
    RecommendSession,
    Rotation,
    SessionEvent,
)
from tastemaker.wire.scenarios import PreviewBody, Rules

ITEMS = items(38)


@pytest.fixture
def world(tmp_path):
    with opened(tmp_path, grid()) as (service, store, _clock):
        service.put_items(
            [
                ItemBody(item_id=item, properties={"price": place}, categories=[f"c{place % 3}"], hidden=place == 30)
                for place, item in enumerate(ITEMS)
            ]
        )
        did(service, "u", "item 3", "item 4")
        yield service, store


def publish(service, store, rules: Rules, name: str = "home") -> int:
    store.put_scenario(name, msgspec.to_builtins(rules), "anna")
    version = store.publish_scenario(name, "anna").version
    service.scenarios.refresh()
    return version


def test_rules_hold_wherever_a_scenario_can_be_named(world):
    service, store = world
    publish(service, store, Rules(filter="category = 'c1'", limit=4, exclude_item_ids=["item 7"]))
    good = {item for place, item in enumerate(ITEMS) if place % 3 == 1} - {"item 7"}
    session = RecommendSession(events=[SessionEvent(item_id="item 5")], scenario="home")
    answers = [ask(service, user_id="u", scenario="home"), *service.recommend([session])]
    batch = service.batch(RecommendBatch(requests=[Recommend(user_id="u", scenario="home")] * 2))
    for answer in (*answers, *batch.answers):
        assert len(answer.items) == 4 and set(ids(answer)) <= good
        assert (answer.scenario, answer.scenario_version) == ("home", 1)
    assert not set(ids(batch.answers[0])) & set(ids(batch.answers[1])), "shelves of a page stay distinct"


def test_a_list_goes_on_under_the_rules_that_it_began_with(world, tmp_path):
    service, store = world
    publish(service, store, Rules(filter="category = 'c1'", limit=3))
    first = ask(service, user_id="u", scenario="home")
    bare = ask(service, user_id="u", scenario="other")
    publish(service, store, Rules(filter="category = 'c2'", limit=5))
    publish(service, store, Rules(filter="category = 'c2'"), "other")
    second = service.next_page(first.next_cursor)
    assert second.scenario_version == 1 and len(second.items) == 3
    assert all(int(one.split()[1]) % 3 == 1 for one in ids(second))
    assert service.next_page(bare.next_cursor).scenario_version is None, "it began when no rules were in force"
    assert ask(service, user_id="u", scenario="home").scenario_version == 2
    service.recorder.flush()
    assert json.loads(json.dumps(store.answer(second.recommendation_id).request))["scenario_version"] == 1
    store.delete_scenario("home", "anna")
    with open_store(store.url) as other, Service(other, follow=False) as later:
        later.swap(grid())
        third = later.next_page(second.recommendation_id)
    assert third.scenario_version == 1 and not set(ids(third)) & {*ids(first), *ids(second)}
    assert all(int(one.split()[1]) % 3 == 1 for one in ids(third))


def test_a_list_whose_version_cannot_be_found_goes_on_with_a_warning(world, monkeypatch):
    service, store = world
    publish(service, store, Rules(limit=3))
    first = ask(service, user_id="u", scenario="home")
    publish(service, store, Rules(limit=5))

    def away(*_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(store, "scenario_version", away)
    second = service.next_page(first.next_cursor)
    assert second.scenario_version == 2 and "scenario_changed" in second.warnings
    assert not set(ids(first)) & set(ids(second))


def test_another_process_knows_within_two_seconds(world):
    service, store = world
    with open_store(store.url) as other, Service(other) as follower:
        follower.swap(grid())
        follower.warm()
        assert ask(follower, user_id="u", scenario="home").scenario_version is None
        publish(service, store, Rules(limit=2))
        until = time.monotonic() + 2.0
        while ask(follower, user_id="u", scenario="home").scenario_version != 1:
            assert time.monotonic() < until, "published two seconds ago"
            time.sleep(0.02)
        store.rollback_scenario("home", "anna")
        until = time.monotonic() + 2.0
        while ask(follower, user_id="u", scenario="home").scenario_version is not None:
            assert time.monotonic() < until, "rolled back two seconds ago"
            time.sleep(0.02)


def test_a_store_that_is_away_leaves_the_last_rules_in_force(world, monkeypatch):
    service, store = world
    publish(service, store, Rules(limit=2))

    def away(*_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(store, "scenarios_in_force", away)
    with pytest.raises(StoreError):
        service.scenarios.refresh()
    assert len(ask(service, user_id="u", scenario="home").items) == 2


def test_rules_that_another_version_wrote_are_left_out_and_the_others_hold(world):
    service, store = world
    publish(service, store, Rules(limit=2))
    store.put_scenario("odd", {"rule_of_tomorrow": 1}, "anna")
    store.publish_scenario("odd", "anna")
    service.scenarios.refresh()
    assert service.scenarios.get("odd") is None and service.scenarios.get("home") is not None


def test_a_name_that_nothing_stands_behind_is_a_label_and_a_warning_where_there_are_rules_at_all(world):
    service, store = world
    alone = ask(service, user_id="u", scenario="hmoe")
    assert alone.scenario == "hmoe" and alone.warnings == []
    publish(service, store, Rules())
    assert ask(service, user_id="u", scenario="hmoe").warnings == ["unknown_scenario"]
    assert ask(service, user_id="u", scenario="home").warnings == []
    assert ask(service, user_id="u").warnings == []


def test_a_rule_that_no_longer_fits_the_catalogue_is_left_out_and_the_answer_says_so(world):
    service, store = world
    publish(
        service,
        store,
        Rules(filter="colour = 'red'", boosts=[Boost(filter="size = 1", weight=2)], max_per={"maker": 1}, limit=4),
    )
    answer = ask(service, user_id="u", scenario="home", max_per={"category": 2})
    assert answer.status == "degraded" and answer.warnings == ["scenario_rule_skipped"] and len(answer.items) == 4
    (refused,) = service.recommend([Recommend(user_id="u", scenario="home", filter="size = 1")])
    assert isinstance(refused, Exception), "what the request itself asks for is still an error"


def test_explain_says_which_rules_are_the_scenarios(world):
    service, store = world
    rules = Rules(
        filter="price < 35",
        boosts=[Boost(filter="category = 'c1'", weight=3)],
        pins=[Pin(item_id="item 20", position=2)],
        exclude_item_ids=["item 8"],
        diversity=0.3,
        max_per={"category": 2},
        rotation=Rotation(rate=0.5),
    )
    publish(service, store, rules)

    def steps(item: str, **request: object) -> dict[str, str]:
        trace = service.explain(Explain(user_id="u", item_id=item, request=Recommend(scenario="home", **request)))
        return {step.stage: step.detail for step in trace.steps}

    told = steps("item 7")
    assert told["filter"] == "matches the filter of scenario home version 1"
    assert told["boosts"] == "weighs 3 times as much by scenario home version 1"
    assert all(told[name].endswith(", by scenario home version 1") for name in ("diversity", "max_per", "rotation"))
    assert steps("item 8")["seen"] == "excluded by scenario home version 1"
    assert steps("item 20")["pins"] == "pinned at rank 2 by scenario home version 1"
    own = steps(
        "item 7", filter="price > 1", diversity=0.2, exclude_item_ids=["item 9"], pins=[Pin(item_id="item 7", position=1)]
    )
    assert own["filter"] == "matches the filter of scenario home version 1; matches the filter"
    assert not own["diversity"].endswith("version 1") and own["pins"] == "pinned at rank 1"
    assert steps("item 9", exclude_item_ids=["item 9"])["seen"] == "excluded by the request"


def test_objectives_of_a_ranker_go_on_by_the_name_of_the_scenario(tmp_path, monkeypatch):
    with opened(tmp_path, shops.shop(), retrieval_budget_ms=60_000) as (service, store, _clock):
        predictor = service.view.stages.predictor
        objective = Objective.parse({"weights": {"chosen": -1.0}}, "objective")
        monkeypatch.setattr(predictor, "objectives", {"plain": Objective.of("chosen=1"), "reversed": objective})
        user = shops.user(1)
        plain, turned = (ask(service, user_id=user, scenario=name, limit=5) for name in ("plain", "reversed"))
        assert ids(plain) != ids(turned)
        publish(service, store, Rules(limit=3), "reversed")
        assert ids(ask(service, user_id=user, scenario="reversed")) == ids(turned)[:3]
        assert ask(service, user_id=user, scenario="plain").warnings == [], "a name that a ranker knows is no mistake"


def test_a_scenario_costs_a_request_nothing_that_can_be_measured(world, monkeypatch):
    """No question to the store; and no more than 20 µs for putting the rules into a request."""
    service, store = world
    publish(
        service,
        store,
        Rules(filter="price < 35", boosts=[Boost(filter="price > 5", weight=2)], pins=[Pin(item_id="item 20", position=2)]),
    )
    desk = service._desk
    from tastemaker.serve.asks import Ask

    with monkeypatch.context() as patched:
        for name in ("scenario", "scenarios", "scenario_version", "scenarios_in_force"):
            patched.setattr(store, name, None)
        assert ask(service, user_id="u", scenario="home").scenario_version == 1
    named, bare = Ask(Recommend(user_id="u", scenario="home")), Ask(Recommend(user_id="u"))

    def each(asked: Ask, rounds: int = 5, calls: int = 2000) -> float:
        took = []
        for _ in range(rounds):
            started = time.perf_counter()
            for _ in range(calls):
                desk.settled(asked)
            took.append((time.perf_counter() - started) / calls)
        return min(took)

    assert each(bare) < 20e-6 and each(named) < 20e-6, (each(bare), each(named))


def test_two_stages_are_previewed_and_drawn_as_they_run(tmp_path, monkeypatch):
    with opened(tmp_path, shops.shop(), retrieval_budget_ms=60_000) as (service, _store, _clock):
        predictor = service.view.stages.predictor
        monkeypatch.setattr(predictor, "objectives", {"plain": Objective.of("chosen=1"), "sale": Objective.of("chosen=2")})
        for user in range(5):
            did(service, shops.user(user), shops.item(user))
        rules = Rules(boosts=[Boost(filter="item_id = 'item 40'", weight=1000)], exclude_item_ids=["item 3"])
        told = service.preview("sale", rules, PreviewBody(user_ids=[shops.user(n) for n in range(5)], limit=6))
        assert told.totals.changed > 0 and told.totals.score_given_up is not None
        for one in told.users:
            raised = [item for item in one.after if item.item_id == "item 40"]
            assert all(item.by in ("boost", "") for item in raised) and "item 3" not in [item.item_id for item in one.after]
            (plain,) = service.recommend([Recommend(user_id=one.user_id, scenario="sale", limit=6, include=["score"])])
            assert [item.item_id for item in one.before] == ids(plain)
            assert [item.score for item in one.before] == pytest.approx([shelf.score for shelf in plain.items], abs=1e-5)
        stages = {stage.name: stage for stage in service.pipeline("sale", {"rank": (0.5, 10)}).stages}
        assert list(stages)[:6] == ["sources", "availability", "filter", "seen", "ranker", "boosts"]
        assert [part.title for part in stages["sources"].parts] == ["item_knn", "popularity"]
        assert stages["ranker"].settings["objective"] == "sale" and stages["ranker"].by_scenario
        assert [(one.stage, one.mean_ms, one.batches) for one in stages["ranker"].measured] == [("rank", 50.0, 10)]
        assert service.pipeline(None, {}).stages[4].settings["objective"] == "plain"


def test_without_a_model_lists_are_popular_ones_and_a_preview_has_no_scores(tmp_path):
    with opened(tmp_path) as (service, _store, _clock):
        did(service, "u", "item 1", "item 2")
        did(service, "v", "item 1", "item 3")
        service.refresh()
        told = service.preview("home", Rules(exclude_item_ids=["item 3"]), PreviewBody(users=2))
        assert told.model is None and told.totals.score_given_up is None and [one.user_id for one in told.users] == ["u", "v"]
        assert [item.by for item in told.users[0].before] == ["excluded"]
        assert service.pipeline(None, {}).kind == "none"

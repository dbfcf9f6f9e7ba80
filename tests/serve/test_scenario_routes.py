"""The routes of scenarios: from a draft to a list that has changed, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serve.serving import Server, serving

from tastemaker.serve.auth import new_key
from tastemaker.store.base import Store

RULES: dict[str, Any] = {"filter": "price < $most", "parameters": {"most": 30}, "exclude_seen": False, "limit": 6}

KEYS = {"admin": "", "dashboard": "", "catalog:write": ""}
"""What a key of each scope sends."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = {scope: new_key([scope]) for scope in KEYS}

    def add(store: Store) -> None:
        for key, _ in made.values():
            store.add_key(key)

    with serving(tmp_path_factory.mktemp("town"), keys=add) as found:
        KEYS.update({scope: f"Bearer {secret}" for scope, (_, secret) in made.items()})
        found.client.headers["authorization"] = KEYS["admin"]
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of a service without scenarios."""
    yield server.client
    for one in server.client.get("/v1/scenarios").json()["scenarios"]:
        server.client.delete(f"/v1/scenarios/{one['name']}")


def save(client: httpx.Client, rules: dict[str, Any], name: str = "home", **more: Any) -> httpx.Response:
    return client.put(f"/v1/scenarios/{name}", json={"rules": rules, **more})


def shown(client: httpx.Client, **request: Any) -> list[str]:
    answer = client.post("/v1/recommendations", json={"user_id": "u3", "scenario": "home", **request})
    return [item["item_id"] for item in answer.json()["items"]]


def test_a_draft_is_saved_published_and_rolled_back(client: httpx.Client) -> None:
    before = shown(client)
    draft = save(client, RULES, revision=0).json()
    assert draft["draft"] == RULES and draft["published"] is None and shown(client) == before
    assert [one["rule"] for one in draft["changes"]] == ["filter", "parameters", "exclude_seen", "limit"]
    published = client.post("/v1/scenarios/home:publish", json={"revision": draft["revision"]}).json()
    assert published["published"]["version"] == 1 and published["draft"] is None
    after = shown(client)
    assert len(after) == 6 and all(int(one[1:]) * 1.5 < 30 and int(one[1:]) % 2 == 0 for one in after)
    got = client.get("/v1/users/u3/recommendations", params={"scenario": "home"}).json()
    assert [one["item_id"] for one in got["items"]] == after and got["scenario_version"] == 1
    assert len(client.get("/v1/users/u3/recommendations", params={"scenario": "home", "limit": 2}).json()["items"]) == 2
    back = client.post("/v1/scenarios/home:rollback").json()
    assert back["published"] is None and back["versions"] == 1 and shown(client) == before


def test_history_says_who_changed_what_and_when(client: httpx.Client, server: Server) -> None:
    for limit in (3, 4):
        save(client, {"limit": limit, "exclude_seen": False})
        client.post("/v1/scenarios/home:publish", json={})
    client.post("/v1/scenarios/home:rollback")
    versions = client.get("/v1/scenarios/home/versions", params={"limit": 1}).json()
    (second,) = versions["versions"]
    assert second["changes"] == [{"rule": "limit", "before": 3, "after": 4}] and second["replaced"] == second["version"] - 1
    assert second["withdrawn"] is not None and second["published_by"] == second["withdrawn_by"] != ""
    rest = client.get("/v1/scenarios/home/versions", params={"cursor": versions["next_cursor"]}).json()
    assert rest["versions"][0]["version"] == second["version"] - 1 and rest["versions"][0]["withdrawn"] is None
    actions = [row["action"] for row in server.store.audit_log(limit=5).rows]
    assert actions == ["scenarios.rollback"] + ["scenarios.publish", "scenarios.draft"] * 2
    (one,) = client.get("/v1/scenarios").json()["scenarios"]
    assert one["description"] == "" and one["in_force"] == second["version"] - 1 and not one["draft"]


@pytest.mark.parametrize(
    ("rules", "code", "told"),
    [
        ({"filter": "price <"}, "filter_syntax", "filter"),
        ({"filter": "prise < 3"}, "filter_unknown_field", "did you mean 'price'"),
        ({"filter": "price < $most"}, "filter_parameter", "filter"),
        (
            {"boosts": [{"filter": "price < 3", "weight": 2}, {"filter": "colour = 1", "weight": 2}]},
            "filter_unknown_field",
            "boosts[1]",
        ),
        ({"max_per": {"maker": 2}}, "filter_unknown_field", "max_per"),
        ({"boosts": [{"filter": "price < 3", "weight": 0}]}, "invalid", "weight"),
        ({"limit": 0}, "invalid", "limit"),
        ({"filtre": "price < 3"}, "invalid", "filtre"),
        ({"max_per": {f"property {n}": 1 for n in range(33)}}, "invalid", "max_per"),
    ],
)
def test_rules_that_cannot_hold_are_refused_and_say_which(
    client: httpx.Client, rules: dict[str, Any], code: str, told: str
) -> None:
    answer = save(client, rules)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == code and told in answer.text, answer.text
    looked = client.post("/v1/scenarios:check", json=rules)
    if code == "invalid":
        assert looked.status_code == 422
    else:
        (error,) = looked.json()["errors"]
        assert error["code"] == code and told in f"{error['detail']} of {error['rule']}"
    assert client.get("/v1/scenarios/home").status_code == 404


def test_rules_that_are_too_many_to_be_held_in_memory_are_refused(client: httpx.Client) -> None:
    answer = save(client, {"parameters": {"unread": "x" * (1 << 19)}})
    assert answer.status_code == 422 and answer.json()["code"] == "too_large"


def test_what_is_odd_is_noted(client: httpx.Client, server: Server) -> None:
    client.put("/v1/items/secret", json={"properties": {"price": 1}, "hidden": True})
    client.put("/v1/items/late", json={"properties": {"price": 1}, "available_from": "2999-01-01T00:00:00Z"})
    client.put("/v1/items/old", json={"properties": {"price": 1}, "expires_at": "2001-01-01T00:00:00Z"})
    rules = {
        "filter": "price < 10",
        "parameters": {"unread": 1},
        "boosts": [{"filter": "price > 1000", "weight": 2}],
        "pins": [
            {"item_id": one, "position": place}
            for one, place in (("secret", 1), ("nothing", 2), ("late", 3), ("old", 4), ("i40", 5), ("i4", 6), ("i4", 7))
        ],
        "exclude_item_ids": ["nobody", "i4"],
    }
    told = client.post("/v1/scenarios:check", json=rules).json()
    assert {(note["rule"], note["code"]) for note in told["notes"]} == {
        ("boosts[0]", "matches_nothing"),
        ("parameters", "unused_parameter"),
        ("pins[0]", "hidden"),
        ("pins[1]", "unknown_item"),
        ("pins[2]", "not_yet_available"),
        ("pins[3]", "expired"),
        ("pins[4]", "filtered"),
        ("pins[5]", "excluded"),
        ("pins[6]", "excluded"),
        ("pins[6]", "pinned_twice"),
        ("exclude_item_ids[0]", "unknown_item"),
    }
    assert [(one["rule"], one["matches"]) for one in told["matches"]] == [("filter", 3), ("boosts[0]", 0)]  # i2, i4, i6
    for one in ("secret", "late", "old"):
        client.delete(f"/v1/items/{one}")


def test_a_preview_is_what_publishing_then_does(client: httpx.Client, server: Server) -> None:
    users = [f"u{n}" for n in range(2, 12)]
    save(
        client,
        {
            "pins": [{"item_id": "i30", "position": 2}],
            "exclude_item_ids": ["i4"],
            "boosts": [{"filter": "price > 40", "weight": 3}],
        },
    )
    told = client.post("/v1/scenarios/home:preview", json={"user_ids": users, "limit": 8}).json()
    audit = server.store.audit_log(limit=1).rows[0]["action"]
    assert audit == "scenarios.draft" and client.get("/v1/scenarios/home").json()["published"] is None, "it changes nothing"
    before = {user: shown(client, user_id=user, limit=8) for user in users}
    client.post("/v1/scenarios/home:publish", json={})
    after = {user: shown(client, user_id=user, limit=8) for user in users}
    slots = changed = 0
    for one in told["users"]:
        assert [item["item_id"] for item in one["before"]] == before[one["user_id"]]
        assert [item["item_id"] for item in one["after"]] == after[one["user_id"]]
        pinned = one["after"][1]
        assert (pinned["item_id"], pinned["by"], pinned["why"]) == ("i30", "pin", "pinned at position 2")
        for mine, other in (("before", "after"), ("after", "before")):
            places = {item["item_id"]: item["rank"] for item in one[other]}
            assert all(item.get("other_rank") == places.get(item["item_id"]) for item in one[mine])
        assert all(item["by"] == "excluded" for item in one["before"] if item["item_id"] == "i4")
        size = max(len(one["before"]), len(one["after"]))
        moved = sum(
            [item["item_id"] for item in one["before"]][place : place + 1]
            != [item["item_id"] for item in one["after"]][place : place + 1]
            for place in range(size)
        )
        assert one["changed"] == moved
        slots, changed = slots + size, changed + moved
    totals = told["totals"]
    assert (totals["users"], totals["slots"], totals["changed"]) == (10, slots, changed) and changed > 0
    assert totals["share_changed"] == pytest.approx(changed / slots)
    was, will = ({item for ids in lists.values() for item in ids} for lists in (before, after))
    assert (totals["entering"], totals["leaving"]) == (len(will - was), len(was - will))
    assert told["entering"][0]["item_id"] in will and told["checked"]["matches"][0]["rule"] == "boosts[0]"


def test_the_score_given_up_is_the_difference_of_mean_scores_without_boosts(client: httpx.Client) -> None:
    rules = {"boosts": [{"filter": "price > 40", "weight": 50}]}
    told = client.post("/v1/scenarios/home:preview", json={"rules": rules, "user_ids": ["u3"], "limit": 5}).json()
    (one,) = told["users"]
    known = client.post("/v1/recommendations", json={"user_id": "u3", "limit": 40, "include": ["score"]}).json()["items"]
    scores = {item["item_id"]: item["score"] for item in known}
    mean = [sum(scores[item["item_id"]] for item in one[side]) / len(one[side]) for side in ("before", "after")]
    assert one["score_given_up"] == pytest.approx(mean[0] - mean[1], abs=1e-5) and one["score_given_up"] > 0
    assert told["totals"]["score_given_up"] == one["score_given_up"]
    assert told["totals"]["score_before"] == pytest.approx(mean[0], abs=1e-5)


def test_lists_that_become_too_short_are_counted(client: httpx.Client) -> None:
    rules = {"filter": "price < 7", "exclude_seen": False}
    told = client.post("/v1/scenarios/home:preview", json={"rules": rules, "users": 4}).json()
    assert told["drawn"] and len(told["users"]) == 4 and told["totals"]["short"] == 4
    assert told["totals"]["warnings"] == {"insufficient_candidates": 4}
    assert all(
        item["by"] in ("filter", "displaced") for one in told["users"] for item in one["before"] if "other_rank" not in item
    )
    assert client.post("/v1/scenarios/home:preview", json={}).status_code == 404
    again = client.post("/v1/scenarios/home:preview", json={"rules": rules, "users": 4}).json()
    assert [one["user_id"] for one in again["users"]] == [one["user_id"] for one in told["users"]]


def test_nobody_who_was_erased_is_drawn(client: httpx.Client, server: Server) -> None:
    def drawn() -> list[str]:
        told = client.post("/v1/scenarios/home:preview", json={"rules": {}, "users": 3}).json()
        return [one["user_id"] for one in told["users"]]

    first = drawn()
    server.store.erase_user(first[0])
    assert first[0] not in drawn() and len(drawn()) == 3


def test_the_list_tells_what_each_is_for(client: httpx.Client) -> None:
    for name, state in (("a", "draft"), ("b", "published"), ("c", "both")):
        save(client, {"description": f"for {name}"}, name=name)
        if state != "draft":
            client.post(f"/v1/scenarios/{name}:publish", json={})
        if state == "both":
            save(client, {"description": "for later"}, name=name)
    page = client.get("/v1/scenarios", params={"limit": 2}).json()
    rows = page["scenarios"] + client.get("/v1/scenarios", params={"cursor": page["next_cursor"]}).json()["scenarios"]
    told = [(one["name"], one["description"], one["draft"], bool(one["in_force"])) for one in rows]
    assert told == [("a", "for a", True, False), ("b", "for b", False, True), ("c", "for later", True, True)]


def test_nobody_overwrites_what_they_have_not_seen(client: httpx.Client) -> None:
    mine = save(client, RULES, revision=0).json()["revision"]
    save(client, {"limit": 9}, revision=mine)
    for answer in (save(client, RULES, revision=mine), client.post("/v1/scenarios/home:publish", json={"revision": mine})):
        assert answer.status_code == 409 and answer.json()["code"] == "draft_changed"
    client.post("/v1/scenarios/home:publish", json={})
    assert client.post("/v1/scenarios/home:publish", json={}).json()["code"] == "no_draft"


def test_names_are_checked_and_what_is_not_there_is_404(client: httpx.Client) -> None:
    assert save(client, RULES, name="9 lives").json()["code"] == "bad_name"
    for path in ("/v1/scenarios/none", "/v1/scenarios/none/versions"):
        assert client.get(path).status_code == 404
    for verb in ("publish", "rollback", "preview"):
        assert client.post(f"/v1/scenarios/none:{verb}", json={}).status_code == 404
    assert client.delete("/v1/scenarios/none").status_code == 404
    assert client.get("/v1/pipeline", params={"scenario": "no name"}).json()["code"] == "bad_name"


def test_who_may_look_sees_everything_and_changes_nothing(client: httpx.Client, server: Server) -> None:
    save(client, RULES)
    look = {"authorization": KEYS["dashboard"]}
    for path in ("/v1/scenarios", "/v1/scenarios/home", "/v1/scenarios/home/versions", "/v1/pipeline"):
        assert client.get(path, headers=look).status_code == 200
    assert client.post("/v1/scenarios/home:preview", json={"users": 2}, headers=look).status_code == 200
    assert client.post("/v1/scenarios:check", json=RULES, headers=look).status_code == 200
    changes = [
        client.put("/v1/scenarios/home", json={"rules": RULES}, headers=look),
        client.post("/v1/scenarios/home:publish", json={}, headers=look),
        client.post("/v1/scenarios/home:rollback", headers=look),
        client.delete("/v1/scenarios/home", headers=look),
    ]
    assert [one.status_code for one in changes] == [403] * 4
    assert save(client, RULES, name="mine").status_code == 200
    write = {"authorization": KEYS["catalog:write"]}
    assert client.put("/v1/scenarios/home", json={"rules": RULES}, headers=write).status_code == 200


def test_the_pipeline_is_what_runs(client: httpx.Client, server: Server) -> None:
    plain = client.get("/v1/pipeline").json()
    names = [stage["name"] for stage in plain["stages"]]
    assert names == [
        "sources",
        "availability",
        "filter",
        "seen",
        "boosts",
        "language",
        "diversity",
        "max_per",
        "rotation",
        "pins",
        "explain",
        "fallback",
    ]
    assert plain["kind"] == "one_stage" and not any(stage["by_scenario"] for stage in plain["stages"])
    save(client, {**RULES, "pins": [{"item_id": "i4", "position": 1}], "max_per": {"category": 2}, "diversity": 0.2})
    client.post("/v1/scenarios/home:publish", json={})
    shown(client)
    told = client.get("/v1/pipeline", params={"scenario": "home"}).json()
    stages = {stage["name"]: stage for stage in told["stages"]}
    assert told["version"] == client.get("/v1/scenarios/home").json()["published"]["version"]
    assert stages["filter"]["counts"]["matches"] == 9 and stages["filter"]["settings"]["filter"] == "price < $most"  # i2 … i18
    assert [name for name, stage in stages.items() if stage["by_scenario"]] == [
        "filter",
        "seen",
        "diversity",
        "max_per",
        "pins",
    ]
    assert not stages["diversity"]["active"] and "no vectors" in stages["diversity"]["detail"]
    assert stages["pins"]["settings"] == {"pins": [{"item_id": "i4", "position": 1}], "limit": 6}
    assert not told["draft"]
    save(client, {"limit": 3})
    drafted = client.get("/v1/pipeline", params={"scenario": "home", "draft": "true"}).json()
    assert drafted["draft"] and drafted["version"] == told["version"] + 1
    assert [stage["name"] for stage in drafted["stages"] if stage["by_scenario"]] == ["pins"]
    assert client.get("/v1/pipeline", params={"scenario": "home"}).json()["version"] == told["version"]
    seconds, batches = server.monitor.list_stages()["score"]
    (score,) = stages["sources"]["measured"]
    assert score["batches"] == batches and score["mean_ms"] == pytest.approx(seconds / batches * 1000, abs=1e-3)

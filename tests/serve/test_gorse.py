"""Gorse's verbs, with the very JSON its clients send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.serve.serving import Server, serving

from tastemaker.serve.auth import new_key

ITEM = {
    "ItemId": "gorse-io:gorse",
    "IsHidden": False,
    "Labels": {"topics": ["recommendation", "machine-learning"]},
    "Categories": ["go"],
    "Timestamp": "2022-02-22",
    "Comment": "Gorse is an open-source recommender system.",
}
BOB = {"UserId": "bob", "Labels": {"company": "gorse", "location": "hangzhou, china"}, "Comment": "Bob is a software engineer."}
STARS = [
    {"FeedbackType": "star", "UserId": "bob", "ItemId": f"i{n}", "Value": 1.0, "Timestamp": f"2022-02-{20 + n}"}
    for n in range(4, 9)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("gorse")) as found:
        yield found


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/api", headers={"X-API-Key": "any"}, timeout=20) as client:
        yield client


def affected(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["RowAffected"]
    return answer.json()["RowAffected"]


def test_items_go_in_and_come_out_the_same(server: Server, api: httpx.Client) -> None:
    assert affected(api.post("/item", json=ITEM)) == 1
    assert api.get("/item/gorse-io:gorse").json() == {**ITEM, "Timestamp": "2022-02-22T00:00:00Z"}
    held = server.client.get("/v1/items/gorse-io:gorse").json()
    assert held["properties"]["topics"] == ["recommendation", "machine-learning"] and held["categories"] == ["go"]
    patch = {"Categories": None, "Comment": None, "IsHidden": True, "Labels": None, "Timestamp": None}
    assert affected(api.patch("/item/gorse-io:gorse", json=patch)) == 1
    assert api.get("/item/gorse-io:gorse").json() == {**ITEM, "IsHidden": True, "Timestamp": "2022-02-22T00:00:00Z"}
    assert affected(api.put("/item/gorse-io:gorse/category/tools")) == 1
    assert affected(api.delete("/item/gorse-io:gorse/category/go")) == 1
    assert api.get("/item/gorse-io:gorse").json()["Categories"] == ["tools"]
    assert affected(api.delete("/item/gorse-io:gorse")) == 1
    assert api.get("/item/gorse-io:gorse").status_code == 404
    listed = {"ItemId": "plain", "Labels": ["a", "b"], "Timestamp": "2020-01-01 00:00:00 +0000 UTC", "Updated": "2020"}
    assert affected(api.post("/items", json=[listed, {"ItemId": "bare"}])) == 2
    assert api.get("/item/plain").json()["Labels"] == ["a", "b"]
    assert api.get("/item/bare").json()["Timestamp"] == "0001-01-01T00:00:00Z"


def test_items_and_users_are_paged(api: httpx.Client) -> None:
    seen, cursor = [], ""
    for _ in range(100):
        page = api.get("/items", params={"n": 7, "cursor": cursor}).json()
        seen += [one["ItemId"] for one in page["Items"]]
        cursor = page["Cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) >= 20
    assert len(api.get("/users", params={"n": 3, "cursor": ""}).json()["Users"]) == 3


def test_users_go_in_and_come_out_the_same(api: httpx.Client) -> None:
    assert affected(api.post("/user", json=BOB)) == 1
    assert affected(api.post("/users", json=[BOB, {"UserId": "eve"}])) == 2
    assert api.get("/user/bob").json() == BOB
    assert affected(api.patch("/user/bob", json={"Labels": {"company": "none"}, "Comment": None})) == 1
    assert api.get("/user/bob").json() == {**BOB, "Labels": {**BOB["Labels"], "company": "none"}}
    assert affected(api.delete("/user/eve")) == 1
    assert api.get("/user/eve").status_code == 404


def test_feedback_sent_twice_has_one_effect_and_changes_the_list(api: httpx.Client) -> None:
    before = api.get("/recommend/newcomer/", params={"n": 10, "offset": 0}).json()
    stars = [{**one, "UserId": "newcomer"} for one in STARS]
    assert affected(api.post("/feedback", json=stars)) == 5
    assert affected(api.post("/feedback", json=stars)) == 0
    later = {**stars[0], "Timestamp": "2022-03-01T10:00:00Z"}
    assert affected(api.post("/feedback", json=[later])) == 0
    assert len(api.get("/user/newcomer/feedback/star").json()) == 5
    assert affected(api.put("/feedback", json=[later])) == affected(api.put("/feedback", json=[later])) == 1
    found = api.get("/user/newcomer/feedback/star").json()
    assert len(found) == 5 and found[0] == {**stars[0], "Timestamp": "2022-03-01T10:00:00Z", "Comment": ""}
    assert api.get("/user/newcomer/feedback/read").json() == []
    assert {one["UserId"] for one in api.get("/item/i4/feedback").json()} >= {"newcomer"}
    after = api.get("/recommend/newcomer/", params={"n": 10, "offset": 0}).json()
    assert after != before and not set(after) & {one["ItemId"] for one in stars}


def test_refused_feedback_is_an_error_and_the_rest_is_kept(api: httpx.Client) -> None:
    answer = api.post("/feedback", json=[{**STARS[0], "UserId": "half"}, {**STARS[1], "UserId": "half", "FeedbackType": "a b"}])
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_type") and "1 of 2" in answer.json()["detail"]
    assert len(api.get("/user/half/feedback").json()) == 1
    assert api.post("/feedback", json=[{**STARS[0], "Timestamp": "yesterday"}]).json()["code"] == "bad_time"


def test_lists_have_gorses_shapes(server: Server, api: httpx.Client) -> None:
    ids = api.get("/recommend/u5", params={"n": 6}).json()
    assert len(ids) == 6 and all(isinstance(one, str) for one in ids)
    assert api.get("/recommend/u5", params={"n": 4, "offset": 2}).json() == ids[2:]
    scored = api.get("/recommend/u5", params={"n": 6}, headers={"X-API-Version": "2"}).json()
    assert [one["Id"] for one in scored] == ids and all(isinstance(one["Score"], float) for one in scored)
    even = api.get("/recommend/u5/even", params={"n": 5}).json()
    assert even == api.get("/recommend/u5", params={"n": 5, "category": "even"}).json()
    held = {one["item_id"] for one in server.client.get("/v1/items?limit=1000").json()["items"] if "even" in one["categories"]}
    assert even and set(even) <= held
    for where in (
        "item/i4/neighbors",
        "item/i4/neighbors/",
        "item/i4/neighbors/even",
        "popular",
        "popular/even",
        "latest",
        "latest/",
    ):
        rows = api.get(f"/{where}", params={"n": 3, "offset": 0}).json()
        assert len(rows) == 3 and {tuple(one) for one in rows} == {("Id", "Score")}, where
    assert [one["Score"] for one in api.get("/popular").json()] == sorted(
        (one["Score"] for one in api.get("/popular").json()), reverse=True
    )
    assert {tuple(one) for one in api.get("/user/u5/neighbors").json()} == {("Id", "Score")}


def test_what_a_user_has_met_is_left_out_of_popular(server: Server, api: httpx.Client) -> None:
    met = server.store.seen(["u5"])[0]
    assert met & {one["Id"] for one in api.get("/popular", params={"n": 40}).json()}
    rows = [one["Id"] for one in api.get("/popular", params={"n": 5, "user-id": "u5"}).json()]
    assert len(rows) == 5 and not set(rows) & met
    assert api.get("/popular", params={"n": 3, "offset": 2, "user-id": "u5"}).json()[0]["Id"] == rows[2]


def test_a_session_is_answered_without_being_kept(server: Server, api: httpx.Client) -> None:
    sent = [{**one, "UserId": "passer-by", "Comment": ""} for one in STARS]
    rows = api.post("/session/recommend?n=4", json=sent).json()
    assert len(rows) == 4 and not {one["Id"] for one in rows} & {one["ItemId"] for one in sent}
    assert api.post("/session/recommend?n=4", json=list(reversed(sent))).json() == rows
    assert api.get("/user/passer-by/feedback").json() == []


def test_nothing_writes_on_a_read(api: httpx.Client) -> None:
    answer = api.get("/recommend/u5", params={"write-back-type": "read"})
    assert (answer.status_code, answer.json()["code"]) == (422, "write_back")


def test_health_is_told_to_everybody_and_the_rest_to_keys(tmp_path: Path) -> None:
    key, secret = new_key(["recommend"])
    with serving(tmp_path, keys=lambda store: store.add_key(key)) as server:
        assert server.client.get("/api/health/live").json() == {"Ready": True}
        assert server.client.get("/api/recommend/u5").status_code == 401
        assert server.client.get("/api/recommend/u5", headers={"X-API-Key": secret}).status_code == 200
        assert server.client.post("/api/item", json=ITEM, headers={"X-API-Key": secret}).status_code == 403


def test_an_id_may_hold_a_newline(server: Server, api: httpx.Client) -> None:
    assert affected(api.post("/item", json={"ItemId": "two\nlines"})) == 1
    assert api.get("/item/two%0Alines").json()["ItemId"] == "two\nlines"
    assert server.client.get("/v1/items/two%0Alines").json()["item_id"] == "two\nlines"
    assert server.client.get("/no%0Asuch").headers["content-type"] == "application/problem+json"

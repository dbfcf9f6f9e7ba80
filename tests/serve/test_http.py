"""The application on a real socket."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.serving import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town"), max_body_bytes=200_000) as found:
        yield found


def test_a_recommendation_changes_with_an_event(server: Server) -> None:
    asked = {"user_id": "reader", "limit": 5}
    first = server.client.post("/v1/recommendations", json=asked)
    assert (first.status_code, first.json()["status"], len(first.json()["items"])) == (200, "fallback", 5)
    sent = server.client.post("/v1/events", json={"events": [{"user_id": "reader", "item_id": "i4", "event_id": "a1"}]})
    assert (sent.status_code, sent.json()) == (202, {"accepted": 1, "duplicates": 0, "rejected": [], "durable": True})
    second = server.client.post("/v1/recommendations", json=asked).json()
    assert second["status"] == "ok"
    assert "i4" not in [one["item_id"] for one in second["items"]]
    again = server.client.post("/v1/events", json={"events": [{"user_id": "reader", "item_id": "i4", "event_id": "a1"}]})
    assert again.json()["duplicates"] == 1


def test_the_address_alone_gives_the_same_list_and_keeps_nothing(server: Server) -> None:
    asked = server.client.get("/v1/users/u5/recommendations", params={"limit": 4, "include": "score,reasons"}).json()
    posted = server.client.post("/v1/recommendations", json={"user_id": "u5", "limit": 4}).json()
    assert [one["item_id"] for one in asked["items"]] == [one["item_id"] for one in posted["items"]]
    assert all(one["score"] is not None and one["reasons"] is not None for one in asked["items"])
    server.service.recorder.flush()
    assert server.store.answer(asked["recommendation_id"]) is None
    assert server.store.answer(posted["recommendation_id"]) is not None


def test_next_pages_never_repeat(server: Server) -> None:
    page = server.client.post("/v1/recommendations", json={"user_id": "u6", "limit": 3}).json()
    seen = [one["item_id"] for one in page["items"]]
    for verb in ("POST", "GET", "POST"):
        page = server.client.request(verb, f"/v1/recommendations/{page['next_cursor']}/next").json()
        seen += [one["item_id"] for one in page["items"]]
    assert len(seen) == len(set(seen)) == 12
    forged = server.client.get("/v1/recommendations/forged/next")
    assert (forged.status_code, forged.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/v1/sessions/recommendations", {"events": [{"item_id": "i4"}, {"item_id": "i6"}]}),
        ("POST", "/v1/recommendations:batch", {"requests": [{"user_id": "u1", "limit": 3}, {"limit": 3}]}),
        ("POST", "/v1/rank", {"user_id": "u1", "item_ids": ["i4", "i7", "nothing"]}),
        ("POST", "/v1/items:complementary", {"item_ids": ["i4"]}),
        ("GET", "/v1/items/i4/similar?limit=3", None),
        ("GET", "/v1/users/u4/similar", None),
        ("GET", "/v1/items/i4/audience", None),
        ("GET", "/v1/popular?limit=3", None),
        ("GET", "/v1/trending?window=3600", None),
        ("GET", "/v1/latest", None),
        ("POST", "/v1/explain", {"user_id": "u1", "item_id": "i4"}),
        ("GET", "/v1/events?user_id=u1&limit=2", None),
        ("GET", "/v1/dead-letters", None),
        ("GET", "/v1/items?limit=2", None),
        ("GET", "/v1/users?limit=2", None),
        ("GET", "/v1/users/u1/export", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/schedules", None),
        ("GET", "/v1/jobs", None),
        ("GET", "/v1/audit", None),
        ("GET", "/v1/statistics", None),
        ("GET", "/v1/slow-requests", None),
        ("GET", "/livez", None),
        ("GET", "/readyz", None),
        ("GET", "/metrics", None),
        ("GET", "/openapi.json", None),
        ("GET", "/docs", None),
    ],
)
def test_every_kind_of_question_is_answered(server: Server, verb: str, path: str, body: object) -> None:
    answer = server.client.request(verb, path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.content
    if verb == "GET":
        head = server.client.head(path)
        assert (head.status_code, head.content) == (200, b"")


def test_items_and_users_are_put_changed_read_and_removed(server: Server) -> None:
    path = "/v1/items/a%2Fb%20%C3%A9"
    assert server.client.put(path, json={"properties": {"title": "x"}, "categories": ["c"]}).status_code == 200
    assert server.client.patch(path, json={"hidden": True}).json()["hidden"] is True
    held = server.client.get(path).json()
    assert (held["item_id"], held["properties"]) == ("a/b é", {"title": "x"})
    assert server.client.put(path, json={"item_id": "other"}).status_code == 422
    assert server.client.delete(path).status_code == 204
    assert server.client.get(path).status_code == 404
    assert server.client.put("/v1/users/new", json={"properties": {"city": "Rome"}}).status_code == 200
    assert server.client.patch("/v1/users/new", json={"properties": {"age": 7}}).json()["properties"] == {
        "city": "Rome",
        "age": 7,
    }
    server.client.post("/v1/events", json={"events": [{"anonymous_id": "visitor", "item_id": "i4"}]})
    assert server.client.post("/v1/users/new:merge", json={"from": "anon:visitor"}).json() == {"events": 1}
    erased = server.client.delete("/v1/users/new")
    assert (erased.status_code, erased.json()["state"]) == (202, "done")
    assert "new" not in erased.text
    assert server.client.get("/v1/users/new").status_code == 404


@pytest.mark.parametrize("item_id", ["line\nbreak", "..", "a/../b", "100%", "?#&", " ", "\u2028", "ü" * 128])
def test_an_id_may_be_any_text(server: Server, item_id: str) -> None:
    path = f"/v1/items/{quote(item_id, safe='').replace('.', '%2E')}"
    assert server.client.put(path, json={}).json()["item_id"] == item_id
    assert server.client.get(path).json()["item_id"] == item_id
    assert server.client.get(f"{path}/similar").status_code == 200
    assert server.client.delete(path).status_code == 204


def test_a_list_for_everybody_forgets_a_removed_item_at_once(server: Server) -> None:
    for verb, path, body in (("PATCH", "hidden", {"hidden": True}), ("DELETE", "gone", None)):
        name = f"/v1/items/top-{path}"
        assert server.client.put(name, json={"categories": [path]}).status_code == 200
        for which in ("latest", "popular"):
            asked = f"/v1/{which}?category={path}"
            assert [one["item_id"] for one in server.client.get(asked).json()["items"]] == [f"top-{path}"]
        assert server.client.request(verb, name, json=body).status_code in (200, 204)
        for which in ("latest", "popular"):
            assert server.client.get(f"/v1/{which}?category={path}").json()["items"] == []


def test_rows_come_as_json_or_as_lines(server: Server) -> None:
    rows = [{"item_id": f"r{n}", "categories": ["rows"]} for n in range(3)]
    taken = server.client.post("/v1/items:batch", json={"items": [*rows, {"categories": []}]})
    assert (taken.json()["accepted"], [one["index"] for one in taken.json()["rejected"]]) == (3, [3])
    lines = [json.dumps({"item_id": f"s{n}"}) for n in range(1200)]
    lines[700], lines[900] = "no json", '{"item_id":"a","item_id":"b"}'
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    streamed = server.client.post("/v1/items:batch", content=gzip.compress("\n".join(lines).encode()), headers=headers)
    assert streamed.json()["accepted"] == 1198
    assert [(one["index"], one["code"]) for one in streamed.json()["rejected"]] == [
        (700, "malformed_json"),
        (900, "duplicate_key"),
    ]
    assert server.client.get("/v1/items/s1199").status_code == 200


def test_a_bad_event_does_not_fail_the_others(server: Server) -> None:
    events = [{"user_id": "w", "item_id": "i4"}, {"user_id": "w"}, 7, {"user_id": "w", "item_id": "i4", "timestamp": 1}]
    answer = server.client.post("/v1/events", json={"events": events})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [one["index"] for one in answer.json()["rejected"]] == [1, 2, 3]
    codes = {row["code"] for row in server.client.get("/v1/dead-letters").json()["rows"]}
    assert {"missing_field", "too_old"} <= codes


@pytest.mark.parametrize(
    ("verb", "path", "content", "headers", "status"),
    [
        ("POST", "/v1/recommendations", b'{"limit":0}', {}, 422),
        ("POST", "/v1/recommendations", b'{"limit":1001}', {}, 422),
        ("POST", "/v1/recommendations", b'{"limitt":1}', {}, 422),
        ("POST", "/v1/recommendations", b'{"limit":1,"limit":2}', {}, 400),
        ("POST", "/v1/recommendations", b'{"diversity":NaN}', {}, 400),
        ("POST", "/v1/recommendations", b'{"user_id":"\\ud800"}', {}, 400),
        ("POST", "/v1/recommendations", b'{"user_id":"\xff"}', {}, 400),
        ("POST", "/v1/recommendations", b'{"user_id":"\\u0000"}', {}, 422),
        ("POST", "/v1/recommendations", b'{"filter":"price <"}', {}, 422),
        ("POST", "/v1/recommendations", b'{"context":' + b'{"a":' * 40 + b"1" + b"}" * 41, {}, 400),
        ("POST", "/v1/recommendations", b'{"context":{"a":' + b"9" * 5000 + b"}}", {}, 422),
        ("POST", "/v1/recommendations", b"{}", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/recommendations", b"{}", {"content-encoding": "br"}, 415),
        ("POST", "/v1/events", b"[" + b" " * 200_000 + b"]", {}, 413),
        ("POST", "/v1/events", b'{"events":[]}', {}, 422),
        ("GET", "/v1/popular?limit=0", b"", {}, 422),
        ("GET", "/v1/popular?limit=1001", b"", {}, 422),
        ("GET", "/v1/popular?limt=3", b"", {}, 422),
        ("GET", "/v1/models?limit=3", b"", {}, 422),
        ("GET", "/v1/events", b"", {}, 422),
        ("GET", "/v1/events?user_id=u1&cursor=forged", b"", {}, 400),
        ("GET", "/v1/items/" + "a" * 257, b"", {}, 422),
        ("GET", "/v1/items/nothing/similar", b"", {}, 404),
        ("GET", "/v1/nothing", b"", {}, 404),
        ("GET", "/nowhere", b"", {}, 404),
        ("DELETE", "/v1/popular", b"", {}, 405),
        ("POST", "/v1/models/nothing/versions/1:promote", b"", {}, 404),
        ("POST", "/v1/models/nothing/versions/x:promote", b"", {}, 422),
        ("POST", "/v1/models/nothing:train", b"", {}, 422),
        ("POST", "/v1/models:rollback", b"", {}, 409),
        ("POST", "/v1/jobs/nothing:cancel", b"", {}, 404),
        ("POST", "/v1/keys", b'{"scopes":["everything"]}', {}, 422),
    ],
)  # fmt: skip
def test_a_request_at_fault_gets_a_problem(
    server: Server, verb: str, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = server.client.request(verb, path, content=content, headers={"content-type": "application/json", **headers})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] and body["detail"] and body["title"]
    assert body["request_id"] == answer.headers["x-request-id"]


def test_a_validation_problem_names_the_place(server: Server) -> None:
    body = server.client.post("/v1/recommendations", json={"boosts": [{"filter": "a = 1", "weight": "2"}]}).json()
    assert body["errors"] == [{"path": "$.boosts[0].weight", "detail": "Expected `float`, got `str`"}]


@settings(max_examples=60)
@given(
    st.binary(max_size=200)
    | st.text(max_size=60).map(lambda text: json.dumps({"events": [{"user_id": text, "item_id": text}]}).encode())
)
def test_no_bytes_make_the_service_fail(server: Server, content: bytes) -> None:
    answer = server.client.post("/v1/events", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (202, 400, 422), answer.text


def test_request_ids_are_kept_where_they_are_harmless(server: Server) -> None:
    assert server.client.get("/livez", headers={"x-request-id": "shop-1.a_b"}).headers["x-request-id"] == "shop-1.a_b"
    for bad in ("with space", "x" * 65, "<script>", 'quote"'):
        assert server.client.get("/livez", headers={"x-request-id": bad}).headers["x-request-id"] != bad


def test_answers_are_packed_for_those_who_take_it(server: Server) -> None:
    plain = server.client.get("/openapi.json", headers={"accept-encoding": "identity"})
    packed = server.client.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert plain.json() == packed.json()
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 4
    assert packed.headers["vary"] == "accept-encoding"


def test_options_say_what_a_path_takes(server: Server) -> None:
    answer = server.client.options("/v1/items/x")
    assert (answer.status_code, answer.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT")
    refused = server.client.post("/v1/items/x")
    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT")


def test_the_page_runs_nothing_but_its_own_script(server: Server) -> None:
    page = server.client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in page.text.replace("http-equiv", "")
    assert "innerHTML" not in page.text

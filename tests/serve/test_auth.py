"""Who may do what: every route with no key, a wrong one, a right one, a revoked one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.serve.serving import Server, serving

from tastemaker.errors import ConfigError
from tastemaker.serve import auth, browser
from tastemaker.serve.auth import ANY, PUBLIC, SCOPES, Keyring, new_key
from tastemaker.serve.route import Route
from tastemaker.serve.routes import ROUTES

SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that has keys."""
    first, _ = new_key(["metrics"])
    with serving(
        tmp_path_factory.mktemp("keys"), keys=lambda store: store.add_key(first), model=False, origins=(SHOP,)
    ) as found:
        yield found


@pytest.fixture(scope="module")
def keys(server: Server) -> dict[str, dict[str, str]]:
    """A key for each scope, one for browsers, and one that is revoked."""
    made = {scope: server.key(scope) for scope in SCOPES}
    made["browser"] = server.key(browser=True)
    made["revoked"] = server.key(*SCOPES)
    server.store.revoke_key(made["revoked"]["key-id"], 1)
    time.sleep(auth.REFRESH_SECONDS + 0.5)
    return made


def ask(server: Server, route: Route, headers: dict[str, str] | None) -> httpx.Response:
    """A harmless request for a route: it names nothing that is there, and its body is none."""
    path = route.path
    for name in route.ids:
        path = path.replace(f"{{{name}}}", "anon:nothing")
    content = None if route.body is None else b"[]"
    return server.begin(route.method, path, content=content, headers={**(headers or {}), "content-type": "application/json"})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_lets_in_who_holds_its_scope_and_nobody_else(
    server: Server, keys: dict[str, dict[str, str]], route: Route
) -> None:
    refused = {name: ask(server, route, headers).status_code for name, headers in keys.items()}
    without = ask(server, route, None).status_code
    if route.scope == PUBLIC:
        assert {without, *refused.values()} == {200}
        return
    assert without == refused["revoked"] == ask(server, route, {"authorization": "Bearer tm_made_up"}).status_code == 401
    let_in = {name for name, status in refused.items() if status not in (401, 403)}
    others = set(SCOPES) if route.scope == ANY else {route.scope, "admin"}
    assert let_in == others | ({"browser"} if route.browser else set()) | ({"dashboard"} if route.dashboard else set())


def test_what_may_be_looked_at_changes_nothing() -> None:
    asking = {"/v1/recommendations", "/v1/sessions/recommendations", "/v1/recommendations:batch", "/v1/rank"}
    asking |= {
        "/v1/items:complementary",
        "/v1/explain",
        "/v1/scenarios:check",
        "/v1/scenarios/{name}:preview",
        "/v1/runs:compare",
        "/v1/compare",
    }
    assert {route.path for route in ROUTES if route.dashboard and route.writes} == asking
    assert not any(route.dashboard for route in ROUTES if route.path.endswith("/export"))


def test_who_may_only_look_leaves_no_answer_behind(server: Server, keys: dict[str, dict[str, str]]) -> None:
    def kept(scope: str) -> bool:
        answer = server.client.post("/v1/recommendations", json={"user_id": "u3"}, headers=keys[scope]).json()
        server.service.recorder.flush()
        return server.store.answer(answer["recommendation_id"]) is not None

    assert kept("recommend") and not kept("dashboard")


def test_a_key_can_ask_what_it_may_do(server: Server, keys: dict[str, dict[str, str]]) -> None:
    me = server.client.get("/v1/me", headers=keys["dashboard"]).json()
    assert me == {"key_id": keys["dashboard"]["key-id"], "scopes": ["dashboard"], "open": False}


def test_only_health_and_the_page_without_data_need_no_key() -> None:
    assert {route.path for route in ROUTES if route.scope == PUBLIC} == {
        "/livez",
        "/readyz",
        "/docs",
        "/v1/tastemaker.js",
        "/api/health/live",
        "/api/health/ready",
    }


def test_get_never_writes(server: Server, keys: dict[str, dict[str, str]]) -> None:
    before = server.store.statistics()
    for route in ROUTES:
        if not route.writes:
            ask(server, route, keys["admin"])
    server.client.get("/v1/users/u3/recommendations", headers=keys["admin"])
    server.service.recorder.flush()
    after = server.store.statistics()
    changed = {name for name in before if before[name] != after[name] and "bytes" not in name}
    assert changed == set()


def test_a_key_may_come_in_either_header(server: Server, keys: dict[str, dict[str, str]]) -> None:
    secret = keys["recommend"]["authorization"].removeprefix("Bearer ")
    assert server.client.get("/v1/popular", headers={"x-api-key": secret}).status_code == 200
    assert server.client.get("/v1/popular", headers={"authorization": f"bearer {secret}"}).status_code == 200
    assert server.client.get("/v1/popular", headers={"authorization": f"Basic {secret}"}).status_code == 401
    refused = server.client.get("/v1/popular")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_keys_are_made_listed_and_revoked_over_http(server: Server, keys: dict[str, dict[str, str]]) -> None:
    admin = keys["admin"]
    made = server.client.post("/v1/keys", json={"scopes": ["recommend"], "name": "page"}, headers=admin)
    assert made.status_code == 201
    own = {"authorization": f"Bearer {made.json()['secret']}"}
    assert server.client.get("/v1/popular", headers=own).status_code == 200
    listed = server.client.get("/v1/keys", headers=admin).text
    assert made.json()["key_id"] in listed
    assert made.json()["secret"] not in listed
    assert server.client.delete(f"/v1/keys/{made.json()['key_id']}", headers=admin).status_code == 204
    assert server.client.get("/v1/popular", headers=own).status_code == 401
    assert server.client.delete("/v1/keys/nothing", headers=admin).status_code == 404
    told = server.client.get("/v1/audit", headers=admin).text
    assert "keys.create" in told
    assert "keys.revoke" in told
    assert made.json()["secret"] not in told


def test_a_page_asks_for_its_own_user_only(server: Server, keys: dict[str, dict[str, str]]) -> None:
    key = {**keys["browser"], "origin": SHOP}
    secret = browser.signing_secret(browser.master(server.store), key["key-id"])
    token = {**key, "x-user-token": browser.sign(secret, "u3", int(time.time()) + 60)}

    def status(headers: dict[str, str], user: str) -> set[int]:
        asked = [
            server.client.post("/v1/recommendations", json={"user_id": user}, headers=headers),
            server.client.get(f"/v1/users/{user}/recommendations", headers=headers),
            server.client.post(
                "/v1/recommendations:batch", json={"requests": [{"limit": 2}, {"user_id": user}]}, headers=headers
            ),
            server.client.post("/v1/rank", json={"user_id": user, "item_ids": ["i4"]}, headers=headers),
            server.client.post("/v1/events", json={"events": [{"user_id": user, "item_id": "i4"}]}, headers=headers),
            server.client.post("/v1/events", json={"events": [{"user_id": user}, 3]}, headers=headers),
        ]
        return {200 if answer.status_code == 202 else answer.status_code for answer in asked}

    assert status(token, "u3") == {200}
    assert status(token, "u4") == status(key, "u3") == {403}
    assert status(key, "anon:7f3a") == {200}
    assert status({**token, "x-user-token": token["x-user-token"][:-2] + "xx"}, "u3") == {401}
    assert status({**token, "x-user-token": browser.sign(secret, "u3", 1000)}, "u3") == {401}
    others = server.client.post("/v1/recommendations", json={"user_id": "u5", "limit": 3}, headers=keys["admin"]).json()
    for verb in ("GET", "POST"):
        path = f"/v1/recommendations/{others['next_cursor']}/next"
        assert server.client.request(verb, path, headers=token).status_code == 403
    assert server.client.get("/v1/popular", headers=key).status_code == 200
    assert (
        server.client.post("/v1/events", json={"events": [{"anonymous_id": "7f3a", "item_id": "i4"}]}, headers=key).status_code
        == 202
    )


def test_pages_of_listed_origins_are_told_that_they_may(server: Server, keys: dict[str, dict[str, str]]) -> None:
    wish = {"origin": SHOP, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    asked = server.client.options("/v1/recommendations", headers=wish)
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert "x-user-token" in asked.headers["access-control-allow-headers"]
    for path, origin in (("/v1/recommendations", "https://other.example"), ("/v1/items:batch", SHOP)):
        refused = server.client.options(path, headers={**wish, "origin": origin})
        assert "access-control-allow-origin" not in refused.headers
    page = {**keys["browser"], "origin": SHOP}
    assert server.client.get("/v1/popular", headers=page).headers["access-control-allow-origin"] == SHOP
    assert server.client.get("/v1/popular?limit=0", headers=page).headers["access-control-allow-origin"] == SHOP
    assert server.client.get("/v1/popular", headers={**page, "origin": "https://other.example"}).status_code == 403
    assert (
        "access-control-allow-origin"
        not in server.client.get("/v1/popular", headers={**keys["recommend"], "origin": SHOP}).headers
    )


def test_an_open_service_closes_with_the_first_key_and_stays_closed(tmp_path: Path) -> None:
    with serving(tmp_path, model=False) as server:
        assert server.client.get("/v1/popular").status_code == 200
        assert server.client.get("/v1/popular", headers={"host": "rebound.example"}).status_code == 403
        assert server.client.get("/v1/popular", headers={"origin": "https://stranger.example"}).status_code == 403
        made = server.client.post("/v1/keys", json={"scopes": ["admin"]}).json()
        assert server.client.get("/v1/popular").status_code == 401
        own = {"authorization": f"Bearer {made['secret']}"}
        assert server.client.delete(f"/v1/keys/{made['key_id']}", headers=own).status_code == 204
        assert server.client.get("/v1/popular").status_code == 401
        assert server.client.get("/livez").status_code == 200


def test_a_key_over_its_rate_is_told_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, model=False, rate_limit=2.0) as server:
        one, other = server.key("recommend"), server.key("recommend")
        time.sleep(auth.REFRESH_SECONDS + 0.5)
        answers = [server.client.get("/v1/popular", headers=one) for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert server.client.get("/v1/popular", headers=other).status_code == 200


@pytest.mark.parametrize(("scopes", "page"), [([], False), (["everything"], False), (["admin"], True)])
def test_a_key_that_makes_no_sense_is_not_made(scopes: list[str], page: bool) -> None:
    with pytest.raises(ConfigError):
        new_key(scopes, browser=page)


def test_secrets_are_not_kept(server: Server) -> None:
    key, secret = new_key(["recommend"])
    assert secret.encode() not in key.digest
    assert len(key.digest) == 32
    assert len(secret) > 40
    assert Keyring(server.store).closed

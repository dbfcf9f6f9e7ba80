"""The table of routes."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.errors import ConfigError
from tastemaker.serve.problems import Refused
from tastemaker.serve.route import Route, Table


async def _nothing(call: object) -> None:
    """Does nothing."""


def _route(method: str, path: str, scope: str = "admin") -> Route:
    return Route(method, path, scope, _nothing, "")


TABLE = Table(
    [
        _route("GET", "/v1/users/{user_id}"),
        _route("PUT", "/v1/users/{user_id}"),
        _route("POST", "/v1/users/{user_id}:merge"),
        _route("GET", "/v1/users/{user_id}/similar"),
        _route("GET", "/v1/users"),
        _route("POST", "/v1/users:batch"),
    ]
)


@given(st.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text))
def test_an_id_of_any_characters_arrives_as_it_was(user_id: str) -> None:
    for path, method in (("", "GET"), (":merge", "POST"), ("/similar", "GET")):
        raw = f"/v1/users/{quote(user_id, safe='')}{path}".encode()
        route, ids = TABLE.find(method, raw)
        assert (route.path, ids) == (f"/v1/users/{{user_id}}{path}", {"user_id": user_id})


def test_a_colon_in_an_id_is_no_verb_where_the_method_says_otherwise() -> None:
    assert TABLE.find("GET", b"/v1/users/a:merge")[1] == {"user_id": "a:merge"}
    assert TABLE.find("POST", b"/v1/users/a:merge")[1] == {"user_id": "a"}


@pytest.mark.parametrize(
    "path", [b"/", b"", b"/v1", b"/v1/users/", b"/v1/users/a/", b"/v1/users/a/b", b"/v1//users", b"/V1/users"]
)
def test_what_is_not_in_the_table_is_not_found(path: bytes) -> None:
    with pytest.raises(Refused) as caught:
        TABLE.find("GET", path)
    assert caught.value.status == 404


def test_another_method_names_those_that_are_allowed() -> None:
    with pytest.raises(Refused) as caught:
        TABLE.find("DELETE", b"/v1/users/a:merge")
    assert caught.value.status == 405
    assert caught.value.headers["allow"] == "GET, HEAD, OPTIONS, POST, PUT"


@pytest.mark.parametrize("raw", [b"%ff", b"%00", b"a" * 257, "é".encode() * 129])
def test_an_id_that_no_store_can_hold_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        TABLE.find("GET", b"/v1/users/" + raw)
    assert caught.value.status == 422


@pytest.mark.parametrize("scope", ["", "everything", "recommend "])
def test_a_route_without_a_known_scope_is_not_served(scope: str) -> None:
    with pytest.raises(ConfigError, match="not served"):
        Table([_route("GET", "/v1/users", scope)])


def test_a_route_is_in_the_table_once() -> None:
    with pytest.raises(ConfigError, match="twice"):
        Table([_route("GET", "/v1/users"), _route("GET", "/v1/users")])


def test_a_browser_gets_no_route_beyond_its_scopes() -> None:
    with pytest.raises(ConfigError, match="browsers"):
        Table([replace(_route("GET", "/v1/users", "catalog:write"), browser=True)])

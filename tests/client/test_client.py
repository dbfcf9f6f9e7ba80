"""The clients, against a real server and over a line that fails."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.faults import Proxy
from tests.serve.serving import Server, serving

from tastemaker import client as public
from tastemaker.client import (
    AsyncClient,
    Client,
    ConnectionFailedError,
    FailedError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    Retry,
    UnavailableError,
)
from tastemaker.client.verbs import Verb, Verbs
from tastemaker.serve.routes import ROUTES
from tastemaker.wire.bodies import Boost, EventBody, ItemBody, Recommend, SessionEvent, UserBody
from tastemaker.wire.scenarios import Rules

QUICK = Retry(base_seconds=0.001)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, retry=QUICK) as found:
        yield found


@pytest.fixture
def shaky(line: Proxy) -> Iterator[Client]:
    with Client(line.url, retry=QUICK, generator=random.Random(1)) as found:
        yield found


def test_it_needs_no_torch() -> None:
    code = "import sys, tastemaker.client as c; c.Client(); print([n for n in ('torch', 'pyarrow', 'starlette') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names() -> None:
    assert sorted(public.__all__) == public.__all__
    assert all(hasattr(public, name) for name in public.__all__)


def test_every_route_has_a_verb() -> None:
    """So a route that is added without one ends here; reads of what a POST does better, pages and Gorse's addresses have none."""
    arguments: dict[str, tuple[Any, ...]] = {
        "send_events": ([EventBody(item_id="ID")],),
        "put_items": ([],),
        "put_users": ([],),
        "promote": ("ID", 1),
    }
    options = {"track": {"item_id": "ID"}, "rank": {"item_ids": []}, "complementary": {"item_ids": []}}
    options |= {"recommend_batch": {"requests": []}, "explain": {"user_id": "ID", "item_id": "ID"}, "merge": {"source": "ID"}}
    options |= {"save_scenario": {"rules": Rules()}}
    called = set()
    for name, verb in vars(Verbs).items():
        if isinstance(verb, Verb):
            try:
                call = verb.build(*arguments.get(name, ()), **options.get(name, {}))
            except TypeError:
                call = verb.build("ID", **options.get(name, {}))
            called.add((call.method, call.path))
    routes = {(route.method, re.sub(r"{\w+}", "ID", route.path.replace("{version}", "1"))) for route in ROUTES}
    assert called <= routes
    left = {
        ("GET", "/v1/users/ID/recommendations"),
        ("GET", "/v1/recommendations/ID/next"),
        ("GET", "/v1/tastemaker.js"),
        ("GET", "/docs"),
        ("GET", "/v1/me"),
        ("GET", "/v1/live"),
        ("GET", "/v1/overview"),
        ("GET", "/v1/catalogue/map/points"),
        ("GET", "/v1/system"),
        ("GET", "/v1/data/quality"),
        ("GET", "/v1/data/intake"),
        ("GET", "/v1/data/drift"),
        ("POST", "/v1/data:describe"),
        ("GET", "/v1/model-names"),
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/ID"),
        ("POST", "/v1/runs:compare"),
        ("GET", "/v1/jobs/ID/records"),
        ("GET", "/v1/models/ID/versions/1"),
        ("POST", "/v1/compare"),
    }
    assert {one for one in routes - called if not one[1].startswith("/api/")} == left


def test_a_recommendation_changes_with_an_event(client: Client) -> None:
    first = client.recommend(user_id="caller", limit=5, include=["score"])
    assert (first.status, len(first.items)) == ("fallback", 5)
    taken = client.track(user_id="caller", item_id="i4", recommendation_id=first.recommendation_id, position=1)
    assert (taken.accepted, taken.duplicates, taken.rejected) == (1, 0, [])
    second = client.recommend(user_id="caller", limit=5)
    assert second.status == "ok" and "i4" not in [one.item_id for one in second.items]
    third = client.next_page(second.next_cursor or "", limit=3)
    assert not {one.item_id for one in second.items} & {one.item_id for one in third.items}


def test_verbs_of_every_kind_answer(client: Client) -> None:
    assert client.alive().status == "alive" and client.ready().status == "ready"
    assert client.put_item("a/b c?", properties={"title": "Ä"}, categories=["odd"]).categories == ["odd"]
    assert client.patch_item("a/b c?", hidden=True).hidden
    assert client.item("a/b c?").properties == {"title": "Ä"}
    assert client.delete_item("a/b c?") is None
    rows = client.put_items(ItemBody(item_id=f"n{n}", properties={"price": n}) for n in range(2500))
    assert (rows.accepted, rows.rejected) == (2500, [])
    assert client.put_users([UserBody(user_id="u1", properties={"age": 3}), UserBody()]).rejected[0].index == 1
    assert client.user("u1").properties == {"age": 3}
    assert len(client.items(limit=7).items) == 7
    assert len(client.recommend(user_id="u1", boosts=[Boost(filter="price > 3", weight=2.0)]).items) == 10
    assert client.recommend_session(events=[SessionEvent(item_id="i4")], limit=3).status == "ok"
    shelves = client.recommend_batch(requests=[Recommend(user_id="u1", limit=3), Recommend(limit=3)]).answers
    assert len({one.item_id for shelf in shelves for one in shelf.items}) == 6
    assert [one.known for one in client.rank(user_id="u1", item_ids=["i4", "nothing"]).items][-1] is False
    assert len(client.similar("i4", limit=3).items) == 3
    assert client.popular(limit=2, window=1e8).items and client.latest(limit=2).items
    assert client.explain(user_id="u1", item_id="i4").steps
    assert client.events(user_id="u5", limit=2).events
    assert client.merge("u1", source="u2").events > 0
    assert client.erase("u3").state == "done"
    assert b"tastemaker" in client.metrics()
    assert "/v1/rank" in client.openapi()["paths"]


def test_refusals_are_typed_and_say_why(client: Client) -> None:
    with pytest.raises(NotFoundError) as missing:
        client.item("nothing at all")
    assert missing.value.code == "unknown_item" and missing.value.request_id and missing.value.status == 404
    with pytest.raises(InvalidError) as wrong:
        client.recommend(limit=100_000)
    assert wrong.value.errors[0]["path"] == "$.limit" and "1000" in wrong.value.detail
    with pytest.raises(InvalidError, match="filter"):
        client.recommend(filter="price >")
    with pytest.raises(TypeError):
        client.recommend(limt=3)  # type: ignore[call-arg]


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    made: list[str] = []
    with serving(tmp_path) as server:
        with Client(server.url) as first:
            made.append(first.make_key(scopes=["admin"]).secret)
        with Client(server.url, key=made[0]) as admin:
            limited = admin.make_key(scopes=["recommend"])
            with Client(server.url, key=limited.secret) as caller, Client(server.url) as nobody:
                assert caller.recommend().items
                with pytest.raises(NotAllowedError, match="events:write") as refused:
                    caller.track(user_id="u", item_id="i4")
                assert refused.value.status == 403
                with pytest.raises(NotAllowedError) as nameless:
                    nobody.recommend()
                assert nameless.value.status == 401
                assert limited.secret not in repr(caller)
            assert admin.revoke_key(limited.key_id) is None


@pytest.mark.parametrize("plan", [["drop"], ["swallow"], [503, "drop", 429], ["swallow", "swallow", 503]])
def test_a_retried_event_has_one_effect(server: Server, shaky: Client, line: Proxy, plan: list[str | int]) -> None:
    user = f"retried-{'-'.join(map(str, plan))}"
    line.plan = list(plan)
    taken = shaky.track(user_id=user, item_id="i4")
    assert taken.accepted + taken.duplicates == 1
    assert len(line.requests) == len(plan) + 1
    assert len({body for _, _, body in line.requests}) == 1
    assert len(server.client.get("/v1/events", params={"user_id": user}).json()["events"]) == 1


def test_what_must_not_happen_twice_is_not_sent_twice(shaky: Client, line: Proxy) -> None:
    line.plan = ["swallow"]
    with pytest.raises(ConnectionFailedError) as unknown:
        shaky.rollback()
    assert unknown.value.code == "connection" and len(line.requests) == 1
    line.plan = [503]
    with pytest.raises(UnavailableError):
        shaky.rollback()
    assert len(line.requests) == 2


def test_a_delete_whose_answer_was_lost_is_done(server: Server, shaky: Client, line: Proxy) -> None:
    server.client.put("/v1/items/short-lived", json={})
    line.plan = ["swallow"]
    assert shaky.delete_item("short-lived") is None
    with pytest.raises(NotFoundError):
        shaky.delete_item("short-lived")


def test_retry_after_is_waited_for(shaky: Client, line: Proxy) -> None:
    line.plan, line.retry_after = [503, 429], "1"
    start = time.monotonic()
    assert shaky.popular().items
    assert 2.0 <= time.monotonic() - start < 4.0


def test_all_attempts_together_are_bounded_in_time(line: Proxy) -> None:
    line.plan, line.retry_after = [503] * 100, "3600"
    with Client(line.url) as client:
        start = time.monotonic()
        with pytest.raises(UnavailableError) as busy:
            client.popular()
    assert time.monotonic() - start < 1.0 and busy.value.status == 503 and len(line.requests) == 1
    line.retry_after, line.requests[:] = None, []
    with Client(line.url, retry=Retry(attempts=1000, total_seconds=0.5, most_seconds=0.05)) as client:
        start = time.monotonic()
        with pytest.raises(UnavailableError):
            client.popular()
    assert time.monotonic() - start < 2.0 and len(line.requests) > 3


def test_no_server_and_another_server_are_told_apart(line: Proxy) -> None:
    with (
        Client("http://127.0.0.1:9", retry=Retry(attempts=2, base_seconds=0.001)) as client,
        pytest.raises(ConnectionFailedError),
    ):
        client.alive()
    line.plan = [500]
    with Client(line.url, retry=QUICK) as client, pytest.raises(FailedError, match="http_500"):
        client.popular()
    line.plan = [204]
    with Client(line.url, retry=QUICK) as client, pytest.raises(FailedError, match="another shape"):
        client.popular()


def test_the_asynchronous_client_does_the_same(server: Server, line: Proxy) -> None:
    async def work() -> None:
        line.plan = ["swallow", 503]
        async with AsyncClient(line.url, retry=QUICK) as client:
            assert (await client.track(user_id="waiter", item_id="i4")).duplicates == 1
            answers = await asyncio.gather(*(client.recommend(user_id=f"u{n}", limit=3) for n in range(10)))
            assert [len(one.items) for one in answers] == [3] * 10
            with pytest.raises(NotFoundError):
                await client.item("nothing at all")

    asyncio.run(work())
    assert len(server.client.get("/v1/events", params={"user_id": "waiter"}).json()["events"]) == 1

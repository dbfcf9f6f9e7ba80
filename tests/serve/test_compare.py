"""Versions side by side: each answers as it would if it were in use, and nobody else notices."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve import shops
from tests.serve.serving import running
from tests.serve.worlds import did, grid, ids, opened

from tastemaker.errors import RequestError
from tastemaker.recommend import artifact
from tastemaker.serve.compare import compare, key_of, moves, overlap, wanted
from tastemaker.serve.registry import Registry
from tastemaker.serve.service import Service
from tastemaker.serve.settings import ServeSettings
from tastemaker.store.base import Store
from tastemaker.wire.bodies import ItemBody, Recommend, SessionEvent
from tastemaker.wire.compare import CompareBody, ComparedReply, VersionName

GOOD, WEAK, SHUFFLED = ("shop", 1), ("shop", 2), ("shop", 3)
INCLUDE: Any = ["score", "reasons"]


@pytest.fixture
def registry(store: Store, artifacts: Path) -> Registry:
    found = Registry(store)
    for name in ("good", "weak", "shuffled"):
        found.add(artifacts / name, "shop")
    return found


@pytest.fixture
def service(store: Store, registry: Registry) -> Iterator[Service]:
    settings = ServeSettings(popular_refresh_seconds=1e-6, deadline_ms=60_000, store_budget_ms=30_000, refresh_seconds=1e-6)
    with Service(store, settings=settings, follow=False) as found:
        use(found, registry, GOOD)
        yield found


def use(service: Service, registry: Registry, key: tuple[str, int]) -> None:
    version = registry.find(*key)
    service.swap(registry.load(version), version)
    service.refresh()


def asked(service: Service, registry: Registry, *keys: tuple[str, int], events: Any = None, **request: Any) -> ComparedReply:
    body = CompareBody(Recommend(**{"limit": 8, "include": INCLUDE, **request}), [VersionName(*key) for key in keys], events)
    names = wanted(body, service.view, service.beside.capacity)
    besides = [key for key in names if key is not None and key != key_of(service.view)]
    return service.compare(body, names, service.beside.take(besides, registry))


def shown(answer: Any) -> list[tuple[str, float | None, Any]]:
    return [(one.item_id, one.score, one.reasons) for one in answer.items]


REQUESTS: tuple[dict[str, Any], ...] = (
    {"user_id": "u2"},
    {"user_id": "u7", "filter": "price > 9"},
    {"user_id": "u7", "exclude_seen": False, "diversity": 0.5},
    {"user_id": "u9", "limit": 3, "exclude_item_ids": ["i4", "i6"]},
    {"user_id": "nobody"},
)


def test_a_version_answers_as_the_service_does_once_it_is_in_use(service: Service, registry: Registry) -> None:
    service.put_item("twin", ItemBody(properties={"title": "Thing 4", "price": 9.5}, categories=["even"]))
    did(service, "u2", "i11", "twin")
    did(service, "u5", "twin", "i4")
    service.refresh()
    before = {
        key: [asked(service, registry, key, **request).columns[0].answer for request in REQUESTS] for key in (WEAK, SHUFFLED)
    }
    for key, answers in before.items():
        use(service, registry, key)
        live = service.recommend(
            [Recommend(**{"limit": 8, "include": INCLUDE, **request}) for request in REQUESTS], record=False
        )
        for one, other in zip(answers, live, strict=True):
            assert one is not None and shown(one) == shown(other)
            assert (one.status, one.model, one.counts) == (other.status, other.model, other.counts)
    assert shown(before[WEAK][0]) != shown(before[SHUFFLED][0])


def test_two_stages_too(tmp_path: Path) -> None:
    with opened(tmp_path, shops.shop()) as (service, store, _clock):
        registry = Registry(store)
        saved = artifact.save(shops.shop(("popularity", "item_knn"), "dcnv2"), tmp_path / "other")
        registry.add(saved, "stages")
        did(service, "user 3", "item 5")
        (column,) = asked(service, registry, ("stages", 1), user_id="user 3").columns
        use(service, registry, ("stages", 1))
        (live,) = service.recommend([Recommend(user_id="user 3", limit=8, include=INCLUDE)], record=False)
        assert column.answer is not None and shown(column.answer) == shown(live) and live.status == "ok"


def test_live_answers_are_what_they_were(service: Service, registry: Registry) -> None:
    def live() -> list[Any]:
        return [
            shown(one)
            for one in service.recommend([Recommend(**{"include": INCLUDE, **one}) for one in REQUESTS], record=False)
        ]

    before, number = live(), service.view.number
    asked(service, registry, GOOD, WEAK, SHUFFLED, user_id="u2")
    assert live() == before and service.view.number == number and key_of(service.view) == GOOD


def test_the_version_in_use_is_not_loaded_twice_and_comes_first_by_itself(service: Service, registry: Registry) -> None:
    reply = asked(service, registry, user_id="u2")
    (column,) = reply.columns
    (live,) = service.recommend([Recommend(user_id="u2", limit=8, include=INCLUDE)], record=False)
    assert column.in_use and column.answer is not None and shown(column.answer) == shown(live)
    assert reply.in_use is not None and (reply.in_use.name, reply.in_use.version) == GOOD
    assert len(service.beside) == 0


def test_nothing_is_kept_of_an_answer(service: Service, registry: Registry, store: Store) -> None:
    before = dict(store.statistics())
    reply = asked(service, registry, GOOD, WEAK, user_id="u2")
    service.recorder.flush()
    assert {one.answer and one.answer.recommendation_id for one in reply.columns} == {None}
    assert {name: rows for name, rows in store.statistics().items() if "bytes" not in name} == {
        name: rows for name, rows in before.items() if "bytes" not in name
    }


def test_an_event_and_an_item_of_a_moment_ago_count(service: Service, registry: Registry) -> None:
    first = ids(asked(service, registry, WEAK, user_id="u2").columns[0].answer)
    did(service, "u2", first[0])
    service.put_item("new", ItemBody(properties={"title": "Thing 4", "price": 6}, categories=["even"]))
    second = ids(asked(service, registry, WEAK, user_id="u2", limit=100).columns[0].answer)
    assert first[0] not in second and "new" in second


def test_events_stand_in_the_place_of_the_history(service: Service, registry: Registry) -> None:
    events = [SessionEvent("i4"), SessionEvent("i6")]
    told = asked(service, registry, GOOD, WEAK, user_id="u2", events=events)
    nobody = asked(service, registry, GOOD, WEAK, events=events)
    assert [shown(one.answer) for one in told.columns] == [shown(one.answer) for one in nobody.columns]
    assert not {"i4", "i6"} & set(ids(told.columns[1].answer))
    own = asked(service, registry, WEAK, user_id="u2").columns[0]
    assert shown(own.answer) != shown(told.columns[1].answer)


def test_the_newest_events_as_a_session_are_the_history_that_is_read(store: Store, registry: Registry) -> None:
    settings = ServeSettings(history_length=4, popular_refresh_seconds=1e-6, deadline_ms=60_000, store_budget_ms=30_000)
    with Service(store, settings=settings, follow=False) as service:
        use(service, registry, GOOD)
        for column, key in ((asked(service, registry, one, user_id="u2").columns[0], one) for one in (GOOD, WEAK)):
            met = [one.item_id for one in store.histories(["u2"], 100)[0]]
            assert column.reads == 6 < len(met)
            events, older = [SessionEvent(one) for one in met[-6:]], met[:-6]
            told = asked(service, registry, key, events=events, exclude_item_ids=older).columns[0]
            assert ids(told.answer) == ids(column.answer)


def test_few_are_held_the_least_used_go_and_idle_ones_are_released(service: Service, registry: Registry) -> None:
    service.beside.capacity = 2
    asked(service, registry, WEAK, SHUFFLED, user_id="u2")
    assert len(service.beside) == 2
    registry.add(registry.folder / "shop" / "1", "shop")
    with pytest.raises(RequestError, match="at most 2 besides") as refused:
        asked(service, registry, WEAK, SHUFFLED, ("shop", 4), user_id="u2")
    assert refused.value.status == 422
    asked(service, registry, WEAK, ("shop", 4), user_id="u2")
    assert len(service.beside) == 2 and service.beside.ready([SHUFFLED]) is None
    service.beside._clock = lambda: 1e12
    service.beside.release()
    assert len(service.beside) == 0


def test_a_held_version_is_not_loaded_again(service: Service, registry: Registry) -> None:
    asked(service, registry, WEAK, user_id="u2")
    shutil.rmtree(registry.folder / "shop" / "2")
    assert asked(service, registry, WEAK, user_id="u2").columns[0].answer is not None


def test_damaged_pruned_and_unknown_versions_have_a_problem_and_the_others_answer(
    service: Service, registry: Registry, store: Store
) -> None:
    weights = registry.folder / "shop" / "2" / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-5] ^= 0x10
    weights.write_bytes(raw)
    reply = asked(service, registry, GOOD, WEAK, SHUFFLED, user_id="u2")
    assert [one.problem and one.problem.code for one in reply.columns] == [None, "artifact", None]
    assert reply.columns[1].answer is None and reply.columns[2].overlap is not None
    third = registry.find(*SHUFFLED)
    store.set_model("shop", 3, facts={**third.facts, "pruned": True})
    service.beside.close()
    reply = asked(service, registry, SHUFFLED, GOOD, ("shop", 9), user_id="u2")
    assert [one.problem and one.problem.code for one in reply.columns] == ["version_pruned", None, "unknown_model"]
    assert reply.columns[1].overlap is None and reply.columns[1].answer is not None


def test_who_is_erased_is_forgotten_by_versions_that_are_held(service: Service, registry: Registry) -> None:
    asked(service, registry, WEAK, user_id="u2")
    bench = service.beside.take([WEAK], registry)[WEAK]
    assert not isinstance(bench, Exception) and bench.desk.last.get("u2") is not None
    service.erase("u2")
    assert bench.desk.last.get("u2") is None and "u2" not in bench.live.view.user_codes


def test_a_version_that_changed_meanwhile_is_not_taken_for_the_one_in_use(service: Service, registry: Registry) -> None:
    body = CompareBody(Recommend(user_id="u2"), [VersionName(*GOOD)])
    keys = wanted(body, service.view, 2)
    use(service, registry, WEAK)
    (column,) = compare(body, keys, {}, service._desk, service.view, 200).columns
    assert column.problem is not None and column.problem.code == "version_changed"


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_overlap_and_moves_are_what_they_are_called(first: list[str], second: list[str]) -> None:
    share, moved = overlap(first, second), moves(first, second)
    assert share == overlap(second, first)
    both = [item for item in second if item in first]
    assert share == (None if not first and not second else len(both) / max(len(first), len(second)))
    for item, move in zip(second, moved, strict=True):
        assert move == (first.index(item) - second.index(item) if item in first else None)


def test_over_http_it_asks_the_same(store: Store, registry: Registry) -> None:
    settings = ServeSettings(compare_versions=2)
    with Service(store, settings=settings) as service:
        use(service, registry, GOOD)
        with running(service, store, registry=registry) as url, httpx.Client(base_url=url, timeout=20) as client:
            versions = [{"name": "shop", "version": number} for number in (1, 2, 9)]
            body = {"versions": versions[:2], "request": {"user_id": "u2", "limit": 5, "include": ["score"]}}
            answer = client.post("/v1/compare", json=body)
            assert answer.status_code == 200, answer.text
            first, second = answer.json()["columns"]
            live = client.post("/v1/recommendations", json=body["request"]).json()
            assert first["answer"]["items"] == live["items"] and second["answer"]["model"] == versions[1]
            assert first["overlap"] == 1.0 and first["moves"] == [0] * 5
            wrong = client.post("/v1/compare", json={"versions": [*versions, {"name": "shop", "version": 8}]})
            assert wrong.status_code == 422
            assert (
                client.post("/v1/compare", json={"versions": [], "request": {"filter": "nonsense >"}}).json()["columns"][0][
                    "problem"
                ]["status"]
                == 422
            )


def test_a_service_of_one_fixed_model_shows_that_one_and_says_so_of_others(tmp_path: Path) -> None:
    with (
        opened(tmp_path, grid()) as (service, store, _clock),
        running(service, store, registry=None) as url,
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        (column,) = client.post("/v1/compare", json={"request": {"limit": 3}}).json()["columns"]
        assert column["in_use"] and len(column["answer"]["items"]) == 3 and column["model"] is None
        named = client.post("/v1/compare", json={"versions": [{"name": "shop", "version": 1}]}).json()
        assert named["columns"][0]["problem"]["code"] == "no_registry" and named["in_use"] is None

"""Lists in two stages, served: what the sources name is ranked by everything known at the moment, and a stage that fails is done without."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tastemaker.data.features.popularity import EVER, Tally
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Scoring
from tastemaker.serve.desk import Ranked
from tastemaker.serve.monitor import Monitor
from tastemaker.serve.service import Service
from tastemaker.store.base import Event, Item, User
from tastemaker.store.tally import HOUR
from tastemaker.wire.bodies import Boost, Explain, ItemBody, Pin, Recommend, RecommendSession, Rotation, SessionEvent

from . import shops
from .worlds import NOW, ask, did, ids, opened


@contextmanager
def shop(folder: Path, recommender: Recommender | None = None, **settings: Any) -> Iterator[Service]:
    with opened(folder, recommender or shops.shop(), **settings) as (service, _store, clock):
        for place in range(6):
            did(service, shops.user(place), *(shops.item(place * one % 50) for one in range(1, 5)))
        clock.now += 1_000_000
        yield service


def rows_of(service: Service, **request: Any) -> tuple[Any, Ranked]:
    """An answer and what the ranker read for it."""
    kept: list[Ranked] = []
    service.watch_rows(kept.append)
    answer = ask(service, **request)
    service.watch_rows(None)
    (one,) = kept
    assert one.recommendation_id == answer.recommendation_id
    return answer, one


def column(service: Service, ranked: Ranked, name: str) -> np.ndarray:
    """A field's numbers, or codes, in the rows that the ranker read."""
    stages = service.view.stages
    assert stages is not None and stages.predictor is not None
    kinds = [field.kind for field in stages.predictor.encoder.schema]
    names = [field.name for field in stages.predictor.encoder.fields]
    kind = kinds[names.index(name)]
    place = sum(one == kind for one in kinds[: names.index(name)])
    return (ranked.features.codes if kind == "category" else ranked.features.numbers)[:, place]


class Broken(Scoring):
    """A source that cannot."""

    def __call__(self, *_: Any, **__: Any) -> Tensor:
        raise RuntimeError("out of order")


def breaking(*names: str) -> Recommender:
    """The shop with some sources out of order."""
    whole = shops.shop()
    assert whole.stages is not None
    sources = tuple(one.over(Broken(one.model)) if one.name in names else one for one in whole.stages.sources)
    return Recommender.of(whole.model, shops.data(), stages=replace(whole.stages, sources=sources))


def test_a_list_is_what_both_stages_say_offline(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        view, at = service.view, service._clock()
        assert view.stages is not None
        for place in range(6):
            answer = ask(service, user_id=shops.user(place), limit=8, include=["score"])
            past = [view.codes[shops.item(place * one % 50)] for one in range(1, 5)]
            history = Histories(np.array(past, np.int32), np.full(4, NOW), np.ones(4, np.float32), np.array([0, 4]))
            users = shops.data().users.encode([shops.user(place)])
            lists = view.stages.lists(users, history, 8, at=at, exclude=history)
            assert ids(answer) == [view.ids[code] for code in lists.codes[0]]
            assert [shelf.score for shelf in answer.items] == pytest.approx(lists.scores[0].tolist())
            assert answer.status == "ok" and not answer.warnings
            assert answer.model is not None and answer.model.name == "dcnv2"


def test_a_shelf_says_which_sources_named_it(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        answer = ask(service, user_id=shops.user(2), limit=8, pins=[Pin(item_id="item 70", position=2)])
        assert answer.items[1].source == "pin"
        assert {shelf.source for shelf in answer.items} - {"pin"} <= {"item_knn", "popularity", "item_knn+popularity"}
        assert len({shelf.source for shelf in answer.items}) > 2


def test_requests_of_a_batch_do_not_touch_each_other(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        requests = [
            Recommend(user_id=shops.user(1), limit=5),
            Recommend(user_id=shops.user(2), limit=40),
            Recommend(user_id="nobody", limit=5, filter="colour = 'red'"),
            Recommend(user_id=shops.user(3), limit=5, boosts=[Boost(filter="colour = 'blue'", weight=9.0)]),
            RecommendSession(events=[SessionEvent(item_id="item 4")], limit=5),
            Recommend(user_id=shops.user(4), limit=5, diversity=0.5, max_per={"colour": 2}),
        ]
        together = service.recommend(requests)
        for request, answer in zip(requests, together, strict=True):
            (alone,) = service.recommend([request])
            assert not isinstance(alone, Exception) and not isinstance(answer, Exception)
            assert ids(alone) == ids(answer) and alone.items, request


def test_whoever_asks_for_more_gets_more(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        answer = ask(service, user_id=shops.user(2), limit=60)
        assert len(answer.items) == 60 and len(set(ids(answer))) == 60
        few = ask(service, user_id=shops.user(2), limit=10, filter="price < 6", strict_filter=True)
        assert len(few.items) == 4 - len({f"item {one}" for one in (2, 4, 6, 8)} & {f"item {one}" for one in range(4)})


def test_boosts_are_log_odds_and_bring_candidates(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        plain = ask(service, user_id=shops.user(3), limit=10, include=["score"])
        blue = ask(
            service, user_id=shops.user(3), limit=10, include=["score"], boosts=[Boost(filter="colour = 'blue'", weight=1e4)]
        )
        of = {shelf.item_id: shelf.score for shelf in plain.items}
        again = [shelf for shelf in blue.items if shelf.item_id in of]
        assert again
        for shelf in again:
            more = np.log(1e4) if int(shelf.item_id.split()[1]) % 3 == 2 else 0.0
            assert shelf.score == pytest.approx((of[shelf.item_id] or 0.0) + more, abs=1e-4)
        assert sum(int(one.split()[1]) % 3 == 2 for one in ids(blue)) == 10


def test_rotation_and_next_pages_work_on_ranked_lists(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        first = ask(service, user_id=shops.user(3), limit=6)
        assert first.next_cursor is not None
        second = service.next_page(first.next_cursor)
        assert len(second.items) == 6 and not set(ids(first)) & set(ids(second))
        turned = ask(service, user_id=shops.user(3), limit=6, rotation=Rotation(rate=0.5, seconds=60))
        assert len(set(ids(turned))) == 6


# what a source or the ranker may do
def test_a_source_that_fails_is_done_without(tmp_path: Path) -> None:
    with shop(tmp_path, breaking("item_knn")) as service:
        skips: list[tuple[str, str, int]] = []
        service.watch_skips(lambda *told: skips.append(told))
        answer = ask(service, user_id=shops.user(1), limit=5)
        assert answer.status == "degraded" and answer.warnings == ["source_failed"]
        assert {shelf.source for shelf in answer.items} == {"popularity"}
        assert skips == [("item_knn", "failed", 1)]


def test_where_all_sources_fail_the_popular_list_comes(tmp_path: Path) -> None:
    with shop(tmp_path, breaking("item_knn", "popularity")) as service:
        answer = ask(service, user_id=shops.user(1), limit=5)
        assert answer.status == "degraded" and answer.fallback == "popular" and len(answer.items) == 5
        assert set(answer.warnings) == {"source_failed", "model_failed"}


def test_only_whoever_a_source_fails_for_does_without_it(tmp_path: Path) -> None:
    class Picky(Scoring):
        def __call__(self, query: Any, items: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
            if bool((query.items == shops.data().items.encode(["item 3"])[0]).any()):
                raise RuntimeError("not that one")
            return super().__call__(query, items, out=out)

    whole = shops.shop()
    assert whole.stages is not None
    knn, popular = whole.stages.sources
    stages = replace(whole.stages, sources=(popular, knn.over(Picky(knn.model))))
    picky = Recommender.of(popular.model, shops.data(), stages=stages)
    with shop(tmp_path, picky) as service:
        events = [[SessionEvent(item_id=one)] for one in ("item 7", "item 3", "item 9")]
        answers = service.recommend([RecommendSession(events=one, limit=6) for one in events])
        assert [answer.status for answer in answers if not isinstance(answer, Exception)] == ["ok", "degraded", "ok"]
        (alone,) = service.recommend([RecommendSession(events=events[0], limit=6)])
        assert not isinstance(alone, Exception) and not isinstance(answers[0], Exception)
        assert ids(alone) == ids(answers[0])


def test_a_ranker_that_fails_leaves_the_order_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop(tmp_path) as service:
        stages = service.view.stages
        assert stages is not None and stages.predictor is not None
        monkeypatch.setattr(stages.predictor.ranker, "forward", lambda rows: torch.full((len(rows), 1), torch.nan))
        answer = ask(service, user_id=shops.user(1), limit=6)
        assert answer.status == "degraded" and answer.warnings == ["ranker_failed"] and answer.model is not None
        monkeypatch.undo()
        row = service._desk.rows([service._pages.continued(answer.recommendation_id or "", 6)], service.view, service._clock())[
            0
        ]
        assert row.staged is not None and row.staged.ranked
        trace = service.explain(Explain(user_id=shops.user(1), item_id=ids(answer)[0]))
        assert trace.steps[4].stage == "rank"


def test_stages_that_would_take_too_long_are_left_out_and_tried_again(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        two = service._desk.two_stage
        two._pace.took("popularity", 1000.0, 1)
        two._pace.took("rank", 1000.0, 1)
        skips: list[tuple[str, str, int]] = []
        service.watch_skips(lambda *told: skips.append(told))
        answer = ask(service, user_id=shops.user(1), limit=6)
        assert answer.status == "degraded" and answer.warnings == ["source_late", "ranker_late"]
        assert {shelf.source for shelf in answer.items} == {"item_knn"}
        assert skips == [("popularity", "late", 1), ("ranker", "late", 1)]
        for _ in range(100):
            answer = ask(service, user_id=shops.user(1), limit=6)
        assert answer.status == "ok"


def test_what_was_left_out_is_counted() -> None:
    monitor = Monitor(log=io.StringIO())
    monitor.skipped("ranker", "late", 3)
    assert b'tastemaker_skipped_stages_total{reason="late",stage="ranker"} 3.0' in monitor.text()


def test_stages_are_timed(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        seen: dict[str, float] = {}
        service.watch_stages(lambda stage, seconds: seen.__setitem__(stage, seconds))
        ask(service, user_id=shops.user(1))
        assert {"filter", "history", "retrieve", "features", "rank", "score", "rerank", "record"} == set(seen)
        assert seen["score"] >= seen["retrieve"] + seen["features"] + seen["rank"]


# what is known now
def test_a_changed_item_is_ranked_as_it_is_now(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        _, before = rows_of(service, user_id=shops.user(1), limit=60)
        service.put_items([ItemBody(item_id="item 0", properties={"price": 500.0, "colour": "blue", "tags": ["e"]})])
        _, after = rows_of(service, user_id=shops.user(1), limit=60)
        at, where = before.item_ids.index("item 0"), after.item_ids.index("item 0")
        price, priced = (column(service, one, "item.price") for one in (before, after))
        assert priced[where] > price.max() and priced[where] == priced.max()
        assert column(service, before, "item.colour")[at] != column(service, after, "item.colour")[where]
        for other, one in enumerate(after.item_ids):
            if one != "item 0" and one in before.item_ids:
                assert priced[other] == price[before.item_ids.index(one)]
        service.put_items([ItemBody(item_id="item 0")])  # nobody says anything of it: the artifact does
        _, again = rows_of(service, user_id=shops.user(1), limit=60)
        assert column(service, again, "item.price")[again.item_ids.index("item 0")] == price[at]


def test_newcomers_are_candidates_with_what_is_known_of_them(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        fresh = [
            ItemBody(item_id=f"new {n}", properties={"price": 4.75, "colour": "red", "tags": ["d", "e"]}) for n in range(3)
        ]
        service.put_items(fresh)
        service.refresh()
        answer, ranked = rows_of(service, user_id=shops.user(5), limit=70)
        places = [ranked.item_ids.index(one) for one in ("new 0", "new 1", "new 2") if one in ranked.item_ids]
        assert places and set(ids(answer)) & {"new 0", "new 1", "new 2"}
        twin = ranked.item_ids.index("item 3")  # the same price, colour and tags
        for place in places:
            assert column(service, ranked, "item")[place] == 1 and column(service, ranked, "item")[twin] > 1
            for name in ("item.price", "item.colour", "ratio.price", "like.colour", "like.tags"):
                assert column(service, ranked, name)[place] == column(service, ranked, name)[twin], name
        did(service, "somebody", "new 1")
        service._clock.now += 1_000_000  # type: ignore[attr-defined]
        _, after = rows_of(service, user_id="somebody", limit=70)
        liked = column(service, after, "like.colour")
        assert liked[after.item_ids.index("item 3")] == liked.max()  # a newcomer in the history counts by its colour


def test_users_are_ranked_for_as_they_are_now(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        _, artifact = rows_of(service, user_id=shops.user(1), limit=5)
        service.store.put_users(
            [User(shops.user(1), {"age": 70, "city": "Oslo"}), User("a stranger", {"city": "Lima", "age": "old"})]
        )
        _, put = rows_of(service, user_id=shops.user(1), limit=5)
        _, same = rows_of(service, user_id=shops.user(4), limit=5)
        _, other = rows_of(service, user_id="a stranger", limit=5)
        _, unknown = rows_of(service, user_id="nobody at all", limit=5)
        assert column(service, put, "user.age")[0] > column(service, artifact, "user.age")[0]
        assert column(service, artifact, "user.city")[0] == column(service, same, "user.city")[0]  # users 1 and 4 are of Oslo
        assert column(service, put, "user.city")[0] == column(service, same, "user.city")[0]
        assert column(service, other, "user.city")[0] > 1 and np.isnan(column(service, other, "user.age")[0])
        assert column(service, unknown, "user.city")[0] == 0 and np.isnan(column(service, unknown, "user.age")[0])


def test_what_cannot_be_read_of_items_and_users_is_missing(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        service.put_items(
            [
                ItemBody(item_id="item 0", properties={"price": 7.0, "size": "n/a"}),
                ItemBody(item_id="item 6", properties={"price": 8.0, "size": "3"}),
                ItemBody(item_id="item 7", properties={"price": [1], "size": ["x"], "colour": 3, "tags": {"a": 1}}),
            ]
        )
        service.store.put_users([User(shops.user(1), {"since": "long ago"}), User(shops.user(2), {"since": "2015-01-01"})])
        first, odd = rows_of(service, user_id=shops.user(1), limit=60)
        assert first.status == "ok"
        size, price = column(service, odd, "item.size"), column(service, odd, "item.price")
        at = {name: odd.item_ids.index(name) for name in ("item 0", "item 6", "item 7")}
        assert np.isnan(size[at["item 0"]]) and np.isnan(price[at["item 0"]])  # of it nothing but the id
        assert not np.isnan(size[at["item 6"]]) and np.isnan(size[at["item 7"]]) and np.isnan(price[at["item 7"]])
        two = service.recommend([Recommend(user_id=shops.user(1)), Recommend(user_id=shops.user(2))])
        assert [answer.status for answer in two if not isinstance(answer, Exception)] == ["ok", "ok"]


def test_nothing_of_the_moment_or_later_is_in_a_row(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        _, before = rows_of(service, user_id=shops.user(1), limit=5)
        service.feedback([{"user_id": shops.user(1), "item_id": "item 9"}])  # at this very moment
        _, now = rows_of(
            service, user_id=shops.user(1), limit=5, exclude_seen=False, exclude_item_ids=[f"item {n}" for n in range(1, 5)]
        )
        events = column(service, before, "events")[0]
        assert (column(service, now, "events") == events).all()
        service._clock.now += 1  # type: ignore[attr-defined]
        _, later = rows_of(service, user_id=shops.user(1), limit=5)
        assert (column(service, later, "events") > events).all()


# popularity
def interactions(events: list[Event], view: Any) -> Interactions:
    users = {name: place for place, name in enumerate(dict.fromkeys(event.user_id for event in events), 2)}
    kinds = {name: place for place, name in enumerate(dict.fromkeys(event.kind for event in events))}
    rows = sorted((users[e.user_id], e.time, view.codes[e.item_id], kinds[e.kind]) for e in events)
    user, moment, item, kind = (np.array(one) for one in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), np.int8)
    return Interactions(
        user.astype(np.int32),
        item.astype(np.int32),
        moment.astype(np.int64),
        np.ones(len(rows), np.float32),
        kind.astype(np.int8),
        zeros - 1,
    )


def test_popularity_is_counted_as_it_was_in_training(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    start = NOW // HOUR * HOUR
    with opened(tmp_path, shops.shop()) as (service, store, clock):
        events: list[Event] = []
        clock.now = start + HOUR // 2
        for _ in range(4):
            # few users and items, so that many events are displaced by newer ones, also by some of the hour that is not over
            more = [
                Event(
                    f"u{draw.integers(4)}",
                    shops.item(int(draw.integers(6))),
                    int(clock.now - draw.integers(0, 30 * HOUR)),
                    str(draw.choice(["view", "cart"])),
                )
                for _ in range(300)
            ]
            store.add_events(more)
            events += more
            service._crowd._hour = None
            service.refresh()
            view = service.view
            assert view.stages is not None
            tally = Tally.of(interactions(events, view), (1, 24, 168, EVER))
            codes = np.array([view.codes[shops.item(one)] for one in range(10)], np.int32)
            at = np.full(10, clock.now)
            for hours in (1, 24, 168):
                expected = tally.counts(codes, at, hours)
                assert view.stages.moments.popularity.counts(codes, at, hours).tolist() == expected.tolist()
            artifact = shops.shop().stages
            assert artifact is not None
            least = artifact.moments.popularity.counts(codes, np.full(10, artifact.as_of), EVER)
            expected = np.maximum(tally.counts(codes, at, EVER), least)
            assert view.stages.moments.popularity.counts(codes, at, EVER).tolist() == expected.tolist()
            clock.now += 2 * HOUR


def test_popularity_stands_still_for_an_hour(tmp_path: Path) -> None:
    with opened(tmp_path, shops.shop()) as (service, store, clock):
        clock.now = NOW // HOUR * HOUR + 60_000_000
        store.add_events([Event("u", "item 7", clock.now - HOUR)])
        service.refresh()
        view = service.view
        assert view.stages is not None
        code = np.array([view.codes["item 7"]], np.int32)
        counts = lambda: view.stages.moments.popularity.counts(code, np.array([clock.now]), 1).tolist()
        assert counts() == [0.0]  # counted when the model was put in use
        clock.now += HOUR
        store.add_events([Event("v", "item 7", clock.now - HOUR)])
        service.refresh()
        assert counts() == [1.0]


def test_a_store_that_does_not_count_leaves_what_there_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tastemaker.errors import StoreError

    with opened(tmp_path, shops.shop()) as (service, store, clock):
        clock.now += 2 * HOUR

        def gone(*_: Any) -> Any:
            raise StoreError("gone")

        monkeypatch.setattr(store, "tallies", gone)
        service._count()
        assert ask(service, user_id=shops.user(1)).items


# why, and why not
def test_explain_tells_the_way_through_both_stages(tmp_path: Path) -> None:
    with shop(tmp_path) as service:
        answer = ask(service, user_id=shops.user(2), limit=5)
        first = service.explain(
            Explain(user_id=shops.user(2), item_id=ids(answer)[0], request=Recommend(limit=5), features=True)
        )
        steps = {step.stage: step for step in first.steps}
        assert first.recommended and first.rank == 1 and all(step.passed for step in first.steps)
        assert "named by" in steps["retrieve"].detail and "item_knn: place" in steps["retrieve"].detail
        assert (
            f"place 1 of {len(rows_of(service, user_id=shops.user(2), limit=5)[1].item_ids)} candidates" in steps["rank"].detail
        )
        assert first.features is not None and first.features["item"] == ids(answer)[0]
        assert first.features["history"] == ["item 2", "item 4", "item 6", "item 8"] and first.features["events"] == 4
        assert first.features["user.age"] == 20 and "score.item_knn" in first.features
        seen = service.explain(Explain(user_id=shops.user(2), item_id="item 4", features=True))
        assert not seen.recommended and seen.features is None
        assert {step.stage: step.passed for step in seen.steps}["seen"] is False
        last = service.explain(Explain(user_id=shops.user(2), item_id="item 79"))
        assert {step.stage: step.passed for step in last.steps}["retrieve"] is False and last.score is None


def test_a_model_without_stages_takes_their_place(tmp_path: Path, good: Recommender) -> None:
    with shop(tmp_path) as service:
        service.swap(good)
        assert service.view.stages is None and service.view.model_name == "ease"
        service.swap(shops.shop())
        assert ask(service, user_id=shops.user(2), limit=5).items[0].source != "ease"


def test_items_of_the_store_that_training_did_not_know_are_there_from_the_start(tmp_path: Path) -> None:
    with opened(tmp_path) as (service, store, clock):
        store.put_items([Item("late", {"colour": "red", "price": 0.25, "tags": ["a"]}), Item("item 1", {"price": 9.0})])
        service.swap(shops.shop())
        service.refresh()
        clock.now += 1
        answer = ask(service, user_id="x", limit=79)
        assert answer.status == "ok" and len(answer.items) == 79

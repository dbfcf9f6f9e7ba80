"""What a ranker reads when it answers is what it learns from later: rows of logged answers, made again from the store alone, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.impressions import Impressions, Known
from tastemaker.serve.desk import Ranked
from tastemaker.serve.service import Service
from tastemaker.store.base import Event, Item, Store, User
from tastemaker.store.tally import HOUR
from tastemaker.wire.bodies import Answer, Recommend, RecommendSession, SessionEvent

from . import shops
from .worlds import Clock, opened

MINUTE = 60_000_000


class Traffic:
    """People who come, look, are recommended things and take some of them, while the catalogue changes now and then."""

    def __init__(self, service: Service, store: Store, clock: Clock, seed: int) -> None:
        self.service, self.store, self.clock = service, store, clock
        self.draw = np.random.default_rng(seed)
        self.log: dict[str, Ranked] = {}
        self.asked = 0
        self.items = [shops.item(place) for place in range(shops.ITEMS)]
        service.watch_rows(lambda ranked: self.log.__setitem__(ranked.recommendation_id, ranked))

    def user(self) -> str:
        place = int(self.draw.integers(shops.USERS + 40))
        return shops.user(place) if place < shops.USERS else f"new user {place}"

    def item(self) -> str:
        return self.items[int(self.draw.random() ** 2 * len(self.items))]

    def round(self) -> None:
        """Some events, a few requests at once, and what comes of them."""
        draw, before = self.draw, self.clock.now
        self.clock.now = now = before + int(draw.integers(10, 12 * MINUTE))
        done = [(self.user(), self.item(), str(draw.choice(["view", "cart"]))) for _ in range(draw.integers(0, 6))]
        moments = draw.integers(before + 2, now, len(done)).tolist()
        self.store.add_events([Event(who, what, at, kind) for (who, what, kind), at in zip(done, moments, strict=True)])
        if now // HOUR != before // HOUR:
            self.service.refresh()
        answers = self.service.recommend([self.request() for _ in range(int(draw.integers(1, 9)))])
        self.asked += len(answers)
        for answer in answers:
            assert isinstance(answer, Answer) and answer.status in ("ok", "fallback"), answer
            if draw.random() < 0.2 and answer.next_cursor:
                answer = self.service.next_page(answer.next_cursor)
                self.asked += 1
            self.take(answer)

    def request(self) -> Recommend:
        draw, limit = self.draw, int(self.draw.integers(1, 12))
        if draw.random() < 0.25:
            events = [SessionEvent(item_id=self.item()) for _ in range(draw.integers(1, 6))]
            return RecommendSession(events=events, limit=limit)
        more: dict[str, Any] = {"filter": "price < 60"} if draw.random() < 0.2 else {}
        more |= {"diversity": 0.3} if draw.random() < 0.2 else {}
        return Recommend(user_id=self.user(), limit=limit, exclude_seen=bool(draw.random() < 0.7), **more)

    def take(self, answer: Answer) -> None:
        if not answer.items or self.draw.random() < 0.5:
            return
        place = int(self.draw.integers(len(answer.items)))
        kind = str(self.draw.choice(["click", "purchase"]))
        self.store.add_events(
            [
                Event(
                    self.user(),
                    answer.items[place].item_id,
                    self.clock.now + 1,
                    kind,
                    recommendation_id=answer.recommendation_id,
                    position=place + 1,
                )
            ]
        )

    def change(self) -> None:
        """The catalogue and what is known of users go on."""
        draw = self.draw
        fresh = [f"newcomer {len(self.items)}.{place}" for place in range(int(draw.integers(0, 3)))]
        self.items += fresh
        put = [
            Item(
                one,
                {
                    "colour": str(draw.choice(["red", "pink"])),
                    "tags": [str(draw.choice(["a", "z"]))],
                    "price": round(float(draw.lognormal(3)), 2),
                },
            )
            for one in (*fresh, *draw.choice(self.items, 3).tolist())
        ]
        put.append(Item(self.item(), {"price": "not a number", "tags": "a"}))
        put.append(Item(self.item(), {"price": 3.0, "size": "12" if draw.random() < 0.5 else "n/a"}))
        put.append(Item(self.item()))
        self.store.put_items(put)
        if draw.random() < 0.3:
            self.store.delete_item(self.item())
        self.store.put_users(
            [User(self.user(), {"age": int(draw.integers(10, 90)), "city": str(draw.choice(["Oslo", "Paris"]))})]
        )
        self.service.refresh()


def differences(one: Features, other: Features) -> int:
    """Cells that are not the same bits."""
    found = int((one.codes != other.codes).sum()) + int((bits(one.numbers) != bits(other.numbers)).sum())
    for mine, theirs in zip(one.vectors, other.vectors, strict=True):
        found += int((bits(mine) != bits(theirs)).sum())
    for a, b in zip(one.bags, other.bags, strict=True):
        found += sum(not np.array_equal(cell(a, row), cell(b, row)) for row in range(len(one)))
    return found


def bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.int32)


def cell(bag: Bag, row: int) -> np.ndarray:
    return bag.codes[bag.offsets[row] : bag.offsets[row + 1]]


def compared(traffic: Traffic, after: int) -> tuple[int, int, int, Impressions]:
    """Requests and rows compared, and differences, of what was answered since."""
    service, store = traffic.service, traffic.store
    assert service.recorder.flush()
    shop = shops.shop()
    assert shop.stages is not None and shop.stages.predictor is not None
    encoder = shop.stages.predictor.encoder
    known = Known.of(store, [str(one) for one in shop.items.ids.to_pylist()])
    moments = known.over(shop.stages.moments, shop.stages.as_of, encoder)
    impressions = Impressions.of(store, after=after)
    offline = moments.features(impressions.asked(moments, known), encoder)
    table = impressions.table(moments, known)
    assert differences(offline, encoder.encode(table)) == 0
    ids = impressions.items.to_pylist()
    requests = rows = wrong = 0
    for place, shown in enumerate(impressions.answers):
        ranked = traffic.log.get(shown.recommendation_id)
        if ranked is None:
            continue
        mine = np.flatnonzero(impressions.owner == place)
        places = [ranked.item_ids.index(ids[row]) for row in mine]
        wrong += differences(offline.take(mine), ranked.features.take(np.array(places, np.int64)))
        requests, rows = requests + 1, rows + len(mine)
    traffic.log.clear()
    return requests, rows, wrong, impressions


def replayed(folder: Path, requests: int, seed: int) -> tuple[int, int, int, list[Impressions]]:
    found = np.zeros(3, np.int64)
    seen: list[Impressions] = []
    with opened(folder, shops.shop()) as (service, store, clock):
        traffic = Traffic(service, store, clock, seed)
        while found[0] < requests:
            for _ in range(12 if requests < 1000 else 40):
                traffic.round()
            *counts, impressions = compared(traffic, seen[-1].last if seen else 0)
            found += counts
            seen.append(impressions)
            traffic.change()
    return int(found[0]), int(found[1]), int(found[2]), seen


def test_the_rows_of_logged_requests_are_those_that_were_ranked(tmp_path: Path) -> None:
    requests, rows, wrong, seen = replayed(tmp_path, 300, seed=0)
    assert wrong == 0 and requests >= 300 and rows > 1000
    labels = {kind: sum(float(one.labels[kind].sum()) for one in seen if kind in one.labels) for kind in ("click", "purchase")}
    assert min(labels.values()) > 10
    assert max(int(one.position.max()) for one in seen) > 11  # of second pages


@pytest.mark.slow
def test_ten_thousand_logged_requests_have_no_difference(tmp_path: Path) -> None:
    requests, rows, wrong, _ = replayed(tmp_path, 10_000, seed=1)
    print(f"{requests} requests, {rows} rows, {wrong} differences")
    assert wrong == 0 and requests >= 10_000


def test_a_row_that_knows_too_much_is_found(tmp_path: Path) -> None:
    with opened(tmp_path, shops.shop()) as (service, store, clock):
        traffic = Traffic(service, store, clock, 5)
        for _ in range(6):
            traffic.round()
        store.add_events([Event(f"late {n}", shops.item(n), clock.now - 2 * HOUR) for n in range(20)])
        _, _, wrong, _ = compared(traffic, 0)
        assert wrong > 0  # events that came in late are in the rows made later

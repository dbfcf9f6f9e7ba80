from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from tests.serve.worlds import ask, did, grid, ids, items, opened

from tastemaker.data import synthetic
from tastemaker.errors import FilterError, RequestError
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.serve.service import Service
from tastemaker.serve.settings import ServeSettings
from tastemaker.store.base import Item, ModelVersion, open_store
from tastemaker.wire.bodies import ItemBody, ItemPatch, RecommendSession, SessionEvent


def described(count: int) -> list[ItemBody]:
    """Items that share no words."""
    return [
        ItemBody(item_id=item, properties={"title": f"word{place} other{place} third{place}"})
        for place, item in enumerate(items(count))
    ]


def test_a_new_item_with_the_words_of_a_known_one_is_recommended_at_once_beside_it(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_items(described(38))
        service.refresh()
        did(service, "u", "item 3")
        best = ask(service, user_id="u", limit=1, exclude_item_ids=["twin"]).items[0].item_id
        twin_of = described(38)[int(best.split()[1])]
        service.put_item("twin", ItemBody(properties=twin_of.properties))
        answer = ask(service, user_id="u", limit=10, include=["score", "reasons"])
        assert "twin" in ids(answer)
        reasons = next(shelf.reasons for shelf in answer.items if shelf.item_id == "twin")
        assert reasons[0].kind == "like"
        assert best in [one.item_id for one in reasons]


def test_a_new_item_without_content_is_recommended_once_users_have_met_it(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        for place in range(20):
            did(service, f"fan {place}", "item 7", "surprise")
        did(service, "u", "item 3")
        service.refresh()
        view = service.view
        neighbours = [view.ids[known] for known, _ in view.stands_for(view.code("surprise"))]
        assert neighbours == ["item 7"]
        everything = ask(service, user_id="u", limit=100)
        assert "surprise" in ids(everything)


def test_a_user_who_met_nothing_but_a_newcomer_is_read_by_what_stands_in_for_it(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_items(described(38))
        service.put_item("twin", described(38)[4])
        for place in range(40):
            did(service, f"fan {place}", "item 4", "twin")
        service.refresh()
        did(service, "u", "twin")
        answer = ask(service, user_id="u", limit=5, exclude_item_ids=["item 4"])
        assert answer.status == "ok"
        (session,) = service.recommend(
            [RecommendSession(events=[SessionEvent(item_id="item 4")], limit=5, exclude_item_ids=["twin"])]
        )
        assert ids(answer) == ids(session)


def test_the_change_of_another_process_is_seen_within_seconds(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    settings = ServeSettings(refresh_seconds=0.05)
    with open_store(url) as ours, open_store(url) as theirs, Service(ours, settings=settings) as service:
        service.swap(grid())
        service.warm()
        theirs.put_items([Item("from elsewhere")])
        until = time.monotonic() + 5
        while service.view.code("from elsewhere") is None and time.monotonic() < until:
            time.sleep(0.02)
        assert service.view.code("from elsewhere") is not None
        theirs.delete_item("from elsewhere")
        until = time.monotonic() + 5
        while "from elsewhere" in ids(service.popular(limit=100)) and time.monotonic() < until:
            time.sleep(0.02)
        assert "from elsewhere" not in ids(service.popular(limit=100))


def test_a_patch_changes_what_it_names_and_filters_see_it(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_item("item 1", ItemBody(properties={"price": 5, "colour": "red"}, categories=["a"]))
        service.patch_item("item 1", ItemPatch(properties={"price": 7, "colour": None}))
        held = service.item("item 1")
        assert (held.properties, held.categories) == ({"price": 7}, ["a"])
        assert ids(ask(service, filter="price = 7")) == ["item 1"]


def test_every_answer_under_swaps_comes_from_one_version(tmp_path):
    """Two models that know disjoint items: a list with items of both, or under the wrong name, would be a mixture."""
    from tests.recommend.worlds import Grid

    from tastemaker.data.interactions import Histories
    from tastemaker.data.vocabulary import Vocabulary
    from tastemaker.recommend.recommender import Recommender

    def only(prefix: str) -> Recommender:
        names = ["shared", *(f"{prefix} {place}" for place in range(37))]
        return Recommender(Grid(40, 3), Vocabulary(["u"]), Vocabulary(names), Histories.of([[], [], []]))

    versions = {name: (only(name), ModelVersion(name, 1, "", 0)) for name in ("left", "right")}
    with opened(tmp_path) as (service, _store, _clock):
        service.swap(*versions["left"])
        asked = RecommendSession(events=[SessionEvent(item_id="shared")], limit=5, filter="item_id LIKE '%t %'")
        mixed, count, going = [], [0], threading.Event()

        def client() -> None:
            while not going.is_set():
                for answer in service.recommend([asked] * 4, record=False):
                    count[0] += 1
                    sources = {shelf.source for shelf in answer.items} | {answer.model.name}
                    if len(sources) != 1 or len(answer.items) != 5:
                        mixed.append(answer)

        threads = [threading.Thread(target=client) for _ in range(2)]
        for thread in threads:
            thread.start()
        place, until = 0, time.monotonic() + 30
        while place < 60 or (count[0] <= 20 and time.monotonic() < until):
            service.swap(*versions[("left", "right")[place % 2]])
            place += 1
        going.set()
        for thread in threads:
            thread.join()
        assert not mixed
        assert count[0] > 20


@pytest.mark.parametrize("again", [False, True])
def test_a_swap_keeps_the_catalogue(tmp_path, again):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_item("item 1", ItemBody(properties={"price": 5}))
        service.put_item("new", ItemBody(properties={"price": 5}))
        service.delete_item("item 2")
        service.swap(grid() if again else grid(30))
        assert set(ids(ask(service, filter="price = 5"))) == {"item 1", "new"}
        assert "item 2" not in ids(ask(service, limit=100))


def test_a_catalogue_changed_while_the_service_was_away_is_served_as_it_is_now(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_items(described(38))
        before = ids(ask(service, limit=100))
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.put_items([Item("item 3", {"title": "flipped"}, hidden=True), Item("item 5", {"title": "flipped"})])
        store.delete_item("item 4")
    with opened(tmp_path, grid()) as (service, _store, _clock):
        assert set(before) - set(ids(ask(service, limit=100))) == {"item 3", "item 4"}
        assert ids(ask(service, limit=100, filter="title = 'flipped'")) == ["item 5"]


@pytest.mark.parametrize(("name", "reads_codes"), [("ease", True), ("sasrec", False), ("bert4rec", False)])
def test_a_model_that_reads_the_history_alone_keeps_no_user_codes(tmp_path, name, reads_codes):
    data = synthetic.two_tastes().dataset
    kind = model_class(name)
    model = kind(kind.Config(), data.schema)
    if not model.learns_from:
        model.solve(data.interactions)
    with opened(tmp_path, Recommender.of(model, data)) as (service, _store, _clock):
        assert bool(service.view.user_codes) == reads_codes
        did(service, "u", "item 3", "item 5")
        assert len(ids(ask(service, user_id="u", limit=5))) == 5


def test_a_service_starts_without_what_trains_and_judges():
    said = "import sys, tastemaker.serve.server; print(*{name.partition('.')[0] for name in sys.modules}, *sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", said], stdout=subprocess.PIPE, text=True, check=True).stdout.split())
    assert "tastemaker.serve.service" in loaded
    assert not loaded & {"ibis", "duckdb", "scipy.stats", "tastemaker.evaluate", "tastemaker.experiment", "tastemaker.train"}


def test_the_catalogue_is_listed_by_a_filter_page_by_page(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_items(
            [ItemBody(item_id=f"é{place:02}", properties={"price": place}, hidden=place == 3) for place in range(30)]
        )
        service.delete_item("é05")
        did(service, "u", "only met")
        found, cursor = [], None
        while True:
            page = service.items(cursor, 4, "price < 11")
            found += [(item.item_id, item.hidden) for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == [(f"é{place:02}", place == 3) for place in range(11) if place != 5]
        with pytest.raises(FilterError):
            service.items(None, 4, "prise < 11")
        with pytest.raises(RequestError):
            service.items("forged", 4, "price < 11")

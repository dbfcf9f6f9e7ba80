from __future__ import annotations

import base64
import io
import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from tests.serve.twins import GROUPS, taught, twins
from tests.serve.worlds import ask, did, grid, ids, opened

from tastemaker.data.synthetic import cold_twins
from tastemaker.data.vocabulary import FIRST
from tastemaker.recommend.encoding import Encoding
from tastemaker.serve.contents import BATCH
from tastemaker.wire.bodies import ItemBody, ItemPatch


def lists(service, found, limit=3):
    """Who is shown what, new users with the history of the old ones."""
    return {user: ids(ask(service, user_id=user, limit=limit)) for users in found.fans.values() for user in users}


def people(service, found):
    for code in range(found.recommender.users.size):
        history = found.recommender.items.decode(found.recommender.histories.row(code))
        if len(history):
            did(service, str(found.recommender.users.decode(np.array([code]))[0]), *map(str, history))


@pytest.mark.parametrize("name", ["content", "sasrec", "mf", "two_tower"])
def test_a_new_item_is_shown_to_the_fans_of_its_twin(name, tmp_path):
    found = twins(name)
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        people(service, found)
        for item, title in found.titles.items():
            service.put_item(item, ItemBody(properties={"title": title}))
        service.refresh()
        shown = lists(service, found, limit=2)
        right = [item in shown[user] for item, fans in found.fans.items() for user in fans]
        wrong = [item in shown[user] for item, fans in found.fans.items() for user in shown if user not in fans]
        assert np.mean(right) > 0.9
        assert np.mean(wrong) < 0.05


def test_vectors_of_new_items_are_those_the_grown_model_gives(tmp_path):
    found = twins()
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        for item, title in found.titles.items():
            service.put_item(item, ItemBody(properties={"title": title}))
        service.refresh()
        view, recommender = service.view, found.recommender
        contents = recommender.encoding.of_rows([{"title": title} for title in found.titles.values()], recommender.catalogue)
        grown = recommender.model.grown(contents).encode_item().detach().numpy()
        for place, item in enumerate(found.titles):
            np.testing.assert_allclose(view.scoring.vectors[view.code(item)], grown[view.known + place], rtol=1e-4, atol=1e-5)


def test_a_changed_text_is_encoded_again_and_an_unchanged_one_is_not(tmp_path, monkeypatch):
    found, encoded = twins(), []
    whole = Encoding.of_rows
    monkeypatch.setattr(Encoding, "of_rows", lambda self, rows, like: (encoded.append(len(rows)), whole(self, rows, like))[1])
    item = next(iter(found.titles))
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        people(service, found)
        service.put_item(item, ItemBody(properties={"title": found.titles[item], "price": 1}))
        service.refresh()
        fan = min(found.fans[item])
        assert item in ids(ask(service, user_id=fan, limit=2))
        service.patch_item(item, ItemPatch(properties={"price": 2}))  # which no encoder reads
        service.refresh()
        assert sum(encoded) == 1
        stranger = next(
            title for name, title in found.known.items() if not set(title.split()) & set(found.titles[item].split())
        )
        service.patch_item(item, ItemPatch(properties={"title": stranger}))
        service.refresh()
        assert sum(encoded) == 2
        assert item not in ids(ask(service, user_id=fan, limit=2))
        service.patch_item(item, ItemPatch(properties={"title": None}))  # nothing to be encoded: back to its likeness
        service.refresh()
        assert service.view.scoring.vectors.isfinite().all()


def test_known_items_move_when_their_text_changes_and_back(tmp_path):
    found = twins()
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        before = service.view.scoring.vectors.clone()
        item, title = next(iter(found.known.items()))
        code = service.view.code(item)
        stranger = next(one for one in found.known.values() if not set(one.split()) & set(title.split()))
        service.put_item(item, ItemBody(properties={"title": stranger}))
        service.refresh()
        after = service.view.scoring.vectors
        assert not np.allclose(after[code], before[code], atol=1e-3)
        rest = np.arange(len(before)) != code
        assert (after[rest] == before[rest]).all()
        service.put_item(item, ItemBody(properties={"title": title}))
        service.refresh()
        assert (service.view.scoring.vectors == before).all()


def test_users_take_over_from_contents(tmp_path):
    found = twins()
    item = next(iter(found.titles))
    stranger = next(user for user in lists_of(found) if user not in found.fans[item])
    group = found.fans[next(name for name, fans in found.fans.items() if stranger in fans)]
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        people(service, found)
        service.put_item(item, ItemBody(properties={"title": found.titles[item]}))
        service.refresh()
        vectors = [service.view.scoring.vectors[service.view.code(item)].clone()]
        scored = [ask(service, user_id=stranger, limit=40, include=["score"])]
        for user in sorted(group - {stranger})[:12]:  # who, for all its title, take it
            did(service, user, item)
            service.refresh()
            vectors.append(service.view.scoring.vectors[service.view.code(item)].clone())
        scored.append(ask(service, user_id=stranger, limit=40, include=["score"]))
        moved = [float((one - vectors[0]).norm()) for one in vectors]
        assert all(a <= b + 1e-4 for a, b in pairwise(moved))
        assert moved[-1] > moved[1] > 0
        first, last = (next((s.rank for s in answer.items if s.item_id == item), 99) for answer in scored)
        assert last < first


def lists_of(found):
    return sorted({user for fans in found.fans.values() for user in fans})


def test_another_model_encodes_anew_and_the_same_encoder_does_not(tmp_path, monkeypatch):
    one, other = twins(), twins(seed=1)
    again = twins("sasrec")  # fitted on the same titles: the same encoder
    encoded, whole = [], Encoding.of_rows
    monkeypatch.setattr(Encoding, "of_rows", lambda self, rows, like: (encoded.append(len(rows)), whole(self, rows, like))[1])
    assert one.recommender.encoding.version == again.recommender.encoding.version != other.recommender.encoding.version
    item = next(iter(one.titles))
    with opened(tmp_path, one.recommender) as (service, _store, _clock):
        service.put_item(item, ItemBody(properties={"title": one.titles[item]}))
        service.refresh()
        service.swap(again.recommender)
        service.refresh()
        assert sum(encoded) == 1
        assert service.view.code(item) in service._live._contents._vectors
        service.swap(other.recommender)
        service.refresh()
        assert sum(encoded) == 2
        service.swap(grid(5))  # which encodes nothing
        service.refresh()
        assert not service._live._contents.behind


def test_what_cannot_be_encoded_keeps_its_place_by_likeness_and_stops_nobody(tmp_path, monkeypatch):
    found = twins()
    first, second, *_ = found.titles
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        for item, title in ((first, ["no", "text"]), (second, found.titles[second])):
            service.put_item(item, ItemBody(properties={"title": title}))
        service.put_item("nothing", ItemBody())
        service.refresh()
        told = service._live._contents._vectors
        assert service.view.code(second) in told
        assert service.view.code("nothing") not in told


def test_newest_first_in_batches_and_the_writer_does_not_wait(tmp_path):
    found = twins()
    title = next(iter(found.titles.values()))
    with opened(tmp_path, found.recommender) as (service, _store, _clock):
        service.put_items([{"item_id": f"bulk {n}", "properties": {"title": title}} for n in range(3 * BATCH)])
        service.put_item("urgent", ItemBody(properties={"title": title}))
        live = service._live
        assert live.encode()
        told = live._contents._vectors
        assert len(told) == BATCH
        assert service.view.code("urgent") in told
        while live.encode():
            pass
        assert len(told) == 3 * BATCH + 1
        gate, entered = threading.Event(), threading.Event()
        done = live._contents.done
        live._contents.done = lambda work: (entered.set(), gate.wait(10), done(work))[2]
        service.put_item("slow", ItemBody(properties={"title": title}))
        worker = threading.Thread(target=live.encode)
        worker.start()
        entered.wait(10)
        started = time.monotonic()
        service.put_item("meanwhile", ItemBody(properties={"title": title}))
        assert ask(service, user_id="anyone", limit=3).items
        assert time.monotonic() - started < 5
        gate.set()
        worker.join(10)
        assert service.view.code("slow") in told


def test_the_thread_of_a_warm_service_encodes_by_itself(tmp_path):
    from tastemaker.serve.service import Service
    from tastemaker.serve.settings import ServeSettings
    from tastemaker.store.base import open_store

    found = twins()
    item = next(iter(found.titles))
    with (
        open_store(f"sqlite:///{tmp_path / 'store.db'}") as store,
        Service(store, settings=ServeSettings(store_budget_ms=30_000, deadline_ms=60_000)) as service,
    ):
        service.swap(found.recommender)
        people(service, found)
        service.warm()
        service.put_item(item, ItemBody(properties={"title": found.titles[item]}))
        until = time.monotonic() + 20
        while (encoded := service.view.scoring.encoded) is None or service.view.code(item) not in encoded.codes:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert item in ids(ask(service, user_id=min(found.fans[item]), limit=1))
    assert len({min(fans) for fans in found.fans.values()}) == GROUPS


def test_a_new_item_with_a_picture_in_a_property_is_shown_to_whom_pictures_like_it_suit(tmp_path):
    rng = np.random.default_rng(0)

    def picture(red: bool) -> str:
        pixels = rng.integers(0, 60, (16, 16, 3))
        pixels[..., 0 if red else 2] += 180
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

    world = cold_twins(40, 16, 2, twins=0, generator=0).dataset
    group = dict(zip(world.interactions.item.tolist(), (world.interactions.user % 2).tolist(), strict=True))
    pictures = [picture(group[code] == 0) for code in range(FIRST, world.items.size)]
    dataset = replace(world, catalogue=pa.table({"photo": pictures}))
    content = {"modalities": {"photo": {"encoder": "image_cnn", "columns": ["photo"], "settings": {"size": 32}}}}
    recommender = taught(dataset, content, "content")
    with opened(tmp_path, recommender) as (service, store, _clock):
        for code in (FIRST, FIRST + 1):  # a user of each group, who met all of it
            did(service, str(code), *map(str, recommender.items.decode(recommender.histories.row(code))))
        for name, red in (("red", True), ("blue", False)):
            service.put_item(name, ItemBody(properties={"photo": picture(red)}))
        service.put_item("nowhere", ItemBody(properties={"photo": "https://example.org/a.png"}))
        service.refresh()
        assert ids(ask(service, user_id=str(FIRST), limit=1)) == ["red"]
        assert ids(ask(service, user_id=str(FIRST + 1), limit=1)) == ["blue"]
        encoded = service.view.scoring.encoded
        assert service.view.code("nowhere") not in encoded.codes
        assert store.item("red").properties["photo"].startswith("data:")

from __future__ import annotations

import numpy as np
import pytest
from tests.serve.serving import serving
from tests.serve.worlds import ask, grid, ids, items, opened

from tastemaker.client import Client
from tastemaker.data.interactions import Histories
from tastemaker.data.synthetic import two_tastes
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.errors import FilterError, RequestError
from tastemaker.experiment.baselines import solved
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.auth import new_key
from tastemaker.store.base import User
from tastemaker.wire.bodies import Answered, ItemBody, Onboarding


@pytest.fixture(scope="module")
def tastes():
    """Two tastes, a model of them, and the taste of each item."""
    dataset = two_tastes(60, 20, generator=0).dataset
    model = solved("ease", {}, dataset, dataset.interactions)
    known = dict(zip(map(str, dataset.items.ids.to_pylist()), dataset.catalogue["taste"].to_pylist(), strict=True))
    return Recommender.of(model, dataset), known


def said(service, user, *answers, **options):
    body = Onboarding(answers=[Answered(item_id=item, answer=answer) for item, answer in answers], **options)
    return service.answer_onboarding(user, body)


def test_a_new_user_is_asked_and_then_gets_the_taste_that_was_told(tastes, tmp_path):
    recommender, known = tastes
    with opened(tmp_path, recommender) as (service, store, _clock):
        service.refresh()
        first = service.onboarding("new", 1)
        assert (first.status, first.certainty, first.answered) == ("ok", 0.0, {"like": 0, "dislike": 0, "unknown": 0})
        (asked,) = first.items
        assert asked.source == "onboarding"
        after = said(service, "new", (asked.item_id, "like"), limit=3)
        assert after.answered == {"like": 1, "dislike": 0, "unknown": 0}
        assert after.certainty > 0.3
        assert asked.item_id not in ids(after)
        assert {known[item] for item in ids(ask(service, user_id="new", limit=5))} == {known[asked.item_id]}
        assert [event.kind for event in store.events(user_id="new").rows] == ["like"]


def test_what_was_disliked_is_not_shown_and_what_is_not_known_may_be(tastes, tmp_path):
    recommender, known = tastes
    with opened(tmp_path, recommender) as (service, _store, _clock):
        service.refresh()
        one, two, three = list(known)[:3]
        reply = said(service, "new", (one, "like"), (two, "dislike"), (three, "unknown"), limit=50)
        assert not {one, two, three} & set(ids(reply))
        shown = ids(ask(service, user_id="new", limit=20))
        assert not {one, two} & set(shown)
        assert three in shown
        dislikes = said(service, "other", *((item, "dislike") for item in known if known[item] == "taste 0"))
        assert dislikes.answered["dislike"] == 10
        assert {known[item] for item in ids(dislikes)} == {"taste 1"}
        assert ask(service, user_id="other", limit=3).status == "fallback"  # nothing that the model could read


def test_an_answer_takes_the_place_of_an_earlier_one_and_other_events_are_likes(tastes, tmp_path):
    recommender, known = tastes
    with opened(tmp_path, recommender) as (service, store, clock):
        service.refresh()
        one, two = list(known)[:2]
        for answer in ("like", "like", "dislike"):
            clock.now += 1_000_000
            reply = said(service, "new", (one, answer))
        assert reply.answered == {"like": 0, "dislike": 1, "unknown": 0}
        assert len(store.events(user_id="new").rows) == 2  # the newest of each kind
        clock.now += 1_000_000
        service.feedback([{"user_id": "new", "item_id": two, "type": "purchase"}])
        assert service.onboarding("new").answered == {"like": 1, "dislike": 1, "unknown": 0}


def test_values_are_likes_from_where_the_settings_say(tmp_path):
    rng = np.random.default_rng(0)
    rows = [np.arange(FIRST, 22)[rng.random(20) < 0.7] for _ in range(80)]
    histories = Histories.of([[], [], *rows])
    good = (histories.items % 2) == (np.repeat(np.arange(82), histories.lengths) % 2)
    rated = Histories(histories.items, histories.times, np.where(good, 5.0, 1.0).astype(np.float32), histories.offsets)
    base = grid(20)
    model = type(base.model)(22, 82)
    recommender = Recommender(model, Vocabulary([f"u{n}" for n in range(80)]), Vocabulary(items(20)), rated)
    with opened(tmp_path, recommender, like_from=4.0) as (service, store, _clock):
        service.refresh()
        reply = said(service, "new", ("item 0", "like"))
        assert store.history("new")[0].value == 4.0
        assert {int(item.removeprefix("item ")) % 2 for item in ids(reply)} == {0}  # the rest of the liked half
        service.feedback([{"user_id": "new", "item_id": "item 2", "type": "rating", "value": 2}])
        assert service.onboarding("new").answered == {"like": 1, "dislike": 1, "unknown": 0}


def test_profiles_in_the_store_are_a_prior(tastes, tmp_path):
    recommender, known = tastes
    with opened(tmp_path, recommender) as (service, store, _clock):
        store.put_users([User(f"user {n}", {"town": f"town {n % 2}"}) for n in range(60)])
        store.put_users([User("new", {"town": "town 1"})])
        service.refresh()
        assert service.onboarding("stranger").certainty == 0
        reply = service.onboarding("new", 3)
        assert reply.certainty == 0  # of doubt that answers took away
        assert {known[item] for item in ids(reply)} == {"taste 1"}


def test_hidden_items_and_filters_are_obeyed_and_short_lists_filled_with_what_is_popular(tastes, tmp_path):
    recommender, _ = tastes
    with opened(tmp_path, recommender) as (service, _store, _clock):
        service.refresh()
        first = service.onboarding("new", 1).items[0].item_id
        service.put_item(first, ItemBody(hidden=True))
        service.put_item("newest", ItemBody(properties={"colour": "red"}))
        assert first not in ids(service.onboarding("new", 50))
        only = service.onboarding("new", 5, filter="colour = 'red'", include=["properties"])
        assert (ids(only), only.items[0].source, only.status) == (["newest"], "popular", "fallback")
        assert only.items[0].properties == {"colour": "red"}
        assert only.warnings == ["insufficient_candidates"]
        with pytest.raises(FilterError):
            service.onboarding("new", 5, filter="colour ==")
        with pytest.raises(RequestError):
            service.onboarding("x" * 300)


def test_without_a_model_or_before_it_is_looked_at_what_is_popular_is_asked(tmp_path):
    with opened(tmp_path) as (service, _store, _clock):
        service.feedback([{"user_id": f"u{n}", "item_id": f"i{n % 3}", "type": "view"} for n in range(9)])
        service.feedback([{"user_id": "more", "item_id": "i1", "type": "view"}])
        service.refresh()
        reply = service.onboarding("new", 2)
        assert (reply.status, reply.fallback, ids(reply)) == ("fallback", "popular", ["i1", ids(reply)[1]])
        service.swap(grid(10))  # whose one user did nothing
        service.refresh()
        assert service.onboarding("new", 2).status == "fallback"


def test_over_http_a_visitor_is_asked_and_answers(tmp_path):
    made = [new_key(["recommend", "events:write"], browser=browser) for browser in (True, False)]
    page, own = ({"authorization": f"Bearer {secret}"} for _, secret in made)
    with serving(tmp_path, keys=lambda store: [store.add_key(key) for key, _ in made]) as server:
        server.service.refresh()
        where = "/v1/users/anon:abc/onboarding"
        first = server.client.get(where, params={"limit": 2}, headers=page)
        assert first.status_code == 200, first.text
        asked = [item["item_id"] for item in first.json()["items"]]
        assert len(asked) == 2
        body = {"answers": [{"item_id": asked[0], "answer": "like"}, {"item_id": asked[1], "answer": "unknown"}], "limit": 3}
        after = server.client.post(where, json=body, headers=page).json()
        assert after["answered"] == {"like": 1, "dislike": 0, "unknown": 1}
        assert not set(asked) & {item["item_id"] for item in after["items"]}
        assert server.client.get("/v1/users/somebody/onboarding", headers=page).status_code == 403
        assert server.client.get("/v1/users/somebody/onboarding", headers=own).status_code == 200
        for wrong in ({"answers": [{"item_id": "x", "answer": "maybe"}]}, {"limit": 51}, {"limits": 5}):
            assert server.client.post(where, json=wrong, headers=own).status_code == 422
        with Client(server.url, key=own["authorization"].removeprefix("Bearer ")) as client:
            reply = client.answer_onboarding("anon:abc", answers=[Answered(item_id=asked[1], answer="like")], limit=1)
            assert reply.answered["like"] == 2
            assert len(client.onboarding("anon:abc", limit=4).items) == 4

"""What becomes of users: erased, merged, exported."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from tests.serve.worlds import ask, did, grid, ids, opened

from tastemaker.errors import RequestError
from tastemaker.wire.bodies import Recommend, UserBody, UserPatch


def test_an_erased_user_is_gone_from_the_store_its_file_and_the_memory(tmp_path: Path):
    with opened(tmp_path, grid()) as (service, store, _clock):
        did(service, "canary-user", "item 3", "item 4", context={"page": "canary-page"})
        did(service, "somebody else", "item 5")
        answer = ask(service, user_id="canary-user", limit=3)
        service.next_page(answer.next_cursor)
        service.put_user("canary-user", UserBody(properties={"name": "canary-name"}))
        service.feedback([{"user_id": "canary-user", "item_id": ""}])
        job = service.erase("canary-user")
        assert (job.state, job.kind, job.detail["removed"]["events"]) == ("done", "erase", 2)
        assert service.events(user_id="canary-user").events == []
        with pytest.raises(RequestError):
            service.user("canary-user")
        with pytest.raises(RequestError) as refused:
            service.next_page(answer.next_cursor)
        assert refused.value.status == 404
        after = ask(service, user_id="canary-user", limit=3)
        assert (after.status, after.fallback) == ("fallback", "popular")
        service.erase("canary-user")
        gc.collect()
        assert store.job(job.job_id).detail == job.detail
        assert "canary" not in repr(store.job(job.job_id))
        assert service.events(user_id="somebody else").events


def test_erasure_forgets_what_the_service_would_fall_back_on(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        did(service, "u", "item 3")
        ask(service, user_id="u", limit=3)
        service.erase("u")
        late = ask(service, user_id="u", limit=3, deadline_ms=1e-6)
        assert late.fallback == "popular"


def test_a_visitor_who_signs_in_takes_along_what_they_did(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.feedback([{"anonymous_id": "cookie", "item_id": "item 3"}])
        before = ask(service, user_id="anon:cookie", limit=5)
        assert before.status == "ok"
        assert service.merge("anon:cookie", "known").events == 1
        assert ids(ask(service, user_id="known", limit=5)) == ids(before)
        assert ask(service, user_id="anon:cookie").status == "fallback"
        with pytest.raises(RequestError):
            service.merge("known", "known")


def test_an_export_holds_what_is_known_of_a_user(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        service.put_user("u", UserBody(properties={"name": "Ada", "town": "x"}))
        service.patch_user("u", UserPatch(properties={"town": None}))
        did(service, "u", "item 3")
        answer = ask(service, user_id="u", limit=2)
        exported = repr(service.export("u"))
        assert service.user("u").properties == {"name": "Ada"}
        for trace in ("Ada", "item 3", answer.recommendation_id):
            assert trace in exported


def test_rows_of_a_batch_that_are_no_good_are_refused_by_their_place(tmp_path):
    with opened(tmp_path, grid()) as (service, _store, _clock):
        taken = service.put_items([{"item_id": "a"}, {"properties": {}}, {"item_id": "b", "available_from": "soon"}, 7])
        assert taken.accepted == 1
        assert [(one.index, one.code) for one in taken.rejected] == [(1, "bad_id"), (2, "bad_time"), (3, "malformed")]
        people = service.put_users([{"user_id": "a", "properties": {"x": 1}}, {"user_id": ""}])
        assert (people.accepted, [one.index for one in people.rejected]) == (1, [1])
        assert [user.user_id for user in service.users().users] == ["a"]
        assert "a" in [item.item_id for item in service.items().items]
        assert isinstance(service.recommend([Recommend(user_id="\ud800")])[0], RequestError)

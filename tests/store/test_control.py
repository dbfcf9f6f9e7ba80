"""Keys, models, jobs, audit, settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tastemaker.errors import StoreError, UnknownIdError
from tastemaker.store.base import Job, Key


def test_keys_are_listed_and_revoked_once(store):
    key = Key("k1", b"\0" * 32, frozenset({"recommend", "admin"}), "laptop", 5, signs_users=True)
    store.add_key(key)
    assert store.keys() == [key]
    with pytest.raises(StoreError, match="there already"):
        store.add_key(key)
    assert store.revoke_key("k1", 9) and not store.revoke_key("k1", 10) and not store.revoke_key("k2", 9)
    assert store.keys()[0].revoked == 9


def test_versions_count_from_one_in_each_name_and_one_is_promoted(store):
    assert [store.add_model(name, "path", {"n": 1}).version for name in ("a", "a", "b")] == [1, 2, 1]
    assert store.promoted() is None
    assert store.set_model("a", 2, state="promoted").state == "promoted"
    store.set_model("b", 1, state="promoted", facts={"gate": [1.5]})
    assert store.promoted().name == "b" and store.promoted().facts == {"gate": [1.5]}
    assert {(one.name, one.version): one.state for one in store.models()} == {
        ("a", 1): "candidate",
        ("a", 2): "retired",
        ("b", 1): "promoted",
    }
    assert [one.version for one in store.models("a")] == [2, 1]
    assert store.set_model("b", 1, facts={}).facts == {}
    with pytest.raises(UnknownIdError):
        store.set_model("a", 9, state="promoted")
    assert store.promoted().name == "b"
    with pytest.raises(StoreError):
        store.set_model("a", 1, state="loved")


def test_promotions_at_once_leave_one(store):
    for _ in range(6):
        store.add_model("m", "path", {})
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda version: store.set_model("m", version, state="promoted"), range(1, 7)))
    assert [one.state for one in store.models()].count("promoted") == 1


def test_a_job_is_claimed_by_one(store):
    for n in range(5):
        store.put_job(Job(f"j{n}", "train", "queued", n, n))
    store.put_job(Job("other", "erase", "queued", 0, 0))
    with ThreadPoolExecutor(8) as threads:
        claimed = list(threads.map(lambda _: store.claim_job("train"), range(8)))
    assert sorted(job.job_id for job in claimed if job) == [f"j{n}" for n in range(5)]
    assert {job.state for job in claimed if job} == {"running"}
    store.put_job(Job("j1", "train", "done", 1, 7, 1.0, {"result": 1}))
    assert store.job("j1") == Job("j1", "train", "done", 1, 7, 1.0, {"result": 1}) and store.job("none") is None
    assert [job.job_id for job in store.jobs("train", limit=2)] == ["j4", "j3"] and len(store.jobs()) == 6


def test_the_audit_log_is_newest_first(store):
    for n in range(5):
        store.audit("key:1", "promote", {"n": n})
    page = store.audit_log(limit=3)
    assert [row["detail"]["n"] for row in page.rows] == [4, 3, 2]
    assert [row["detail"]["n"] for row in store.audit_log(page.next).rows] == [1, 0]


def test_settings_are_read_and_written_and_apart_from_the_stores_own(store):
    assert store.setting("sequence") is None
    assert store.setting("sequence", "x") == store.setting("sequence") == "x"
    store.setting("sequence", "y")
    assert store.setting("sequence") == "y" and store.last_sequence() == 0

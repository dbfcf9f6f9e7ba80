"""Users: known, merged, exported, erased without a trace."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest

from tastemaker.errors import DataError
from tastemaker.store.base import Event, Job, Rejected, Shown, User

NOW = 1_700_000_000_000_000
CANARY = "canary-7f3a91"


def test_users_are_known_by_events_or_by_being_put(store):
    store.add_events([Event("b", "i", NOW)])
    store.put_users([User("a", {"age": 3}), User("b", {"x": "\0"}), User("a", {"age": 4})])
    assert store.user("a") == User("a", {"age": 4}) and store.user("b") == User("b", {"x": "\0"}) and store.user("c") is None
    page = store.users(limit=1)
    assert [user.user_id for user in page.rows + store.users(page.next).rows] == ["a", "b"]


def test_merging_gives_all_to_the_target(store):
    store.put_users([User("anon", {"a": 1, "b": 1}), User("u", {"b": 2})])
    store.add_events([Event("anon", "x", NOW + n, event_id=f"a{n}") for n in range(5)] + [Event("anon", "y", NOW)])
    store.add_events([Event("u", "x", NOW + 2), Event("u", "z", NOW)])
    store.add_answers([Shown("r", "anon", NOW, ("x",), "s")])
    before = store.counts(0)
    assert before == {"x": 4, "y": 1, "z": 1}
    assert store.merge_users("anon", "u") == 6
    assert store.user("anon") is None and store.user("u") == User("u", {"a": 1, "b": 2})
    assert len(store.history("u")) == 8 and store.seen(["u", "anon"]) == [{"x", "y", "z"}, set()]
    assert store.counts(0) == {"x": 3, "y": 1, "z": 1}
    assert store.answer("r").user_id == "u"
    assert store.verify()
    assert store.merge_users("anon", "u") == 0 and store.merge_users("never", "nobody") == 0
    assert store.user("nobody") is None
    store.merge_users("u", "new")
    assert len(store.history("new")) == 8
    with pytest.raises(DataError):
        store.merge_users("u", "u")


def test_merging_and_sending_again_counts_nothing_twice(store):
    event = Event("anon", "x", NOW, event_id="e")
    store.add_events([event])
    store.merge_users("anon", "u")
    assert store.add_events([event]).duplicates == 1 and store.counts(0) == {"x": 1}


def full_of_canary(store):
    store.put_users([User(CANARY, {"mail": CANARY + "@x"})])
    store.add_events(
        [
            Event(CANARY, f"i{n}", NOW + n, event_id=f"e-{CANARY}-{n}", session_id=f"s-{CANARY}", extra={"q": CANARY})
            for n in range(300)
        ],
        [Rejected(0, "too_old", "too old", {"user_id": CANARY, "item_id": "x"}), Rejected(1, "c", "d", {"user_id": "other"})],
    )
    store.add_events([Event("other", "i1", NOW)])
    store.add_answers([Shown("r1", CANARY, NOW, ("i1",), "m/1", {"user_id": CANARY}), Shown("r2", "other", NOW, (), "m/1")])
    store.audit("admin", "user.get", {"user_id": CANARY, "list": [CANARY, 1]})
    store.put_job(Job("j", "erase", "done", NOW, NOW, 1.0, {"user_id": CANARY}))


def test_an_erased_user_is_nowhere_and_the_receipt_says_what_went(store):
    full_of_canary(store)
    receipt = store.erase_user(CANARY)
    assert receipt == {"events": 300, "seen": 300, "users": 1, "answers": 1, "dead_letters": 1, "audit": 1, "jobs": 1}
    assert store.user(CANARY) is None and store.history(CANARY) == [] and store.seen([CANARY]) == [set()]
    assert store.answer("r1") is None and store.answer("r2") is not None
    assert store.counts(0) == {"i1": 1}
    assert [row["raw"]["user_id"] for row in store.dead_letters().rows] == ["other"]
    assert store.erased([CANARY, "other"]) == [True, False]
    assert store.verify()
    assert store.erase_user(CANARY)["events"] == 0


def test_an_erased_user_may_come_back_as_somebody_new(store):
    full_of_canary(store)
    store.erase_user(CANARY)
    store.add_events([Event(CANARY, "fresh", NOW, event_id=f"e-{CANARY}-1")])
    assert [one.item_id for one in store.history(CANARY)] == ["fresh"]
    assert store.erased([CANARY]) == [False]


def test_no_byte_of_an_erased_user_is_left_on_disk(store, backend, url):
    full_of_canary(store)
    store.retain(events_days=1)
    store.erase_user(CANARY)
    if backend == "sqlite":
        path = Path(url.removeprefix("sqlite:///"))
        held = b"".join(file.read_bytes() for file in path.parent.glob("store.db*"))
    else:
        held = subprocess.run(
            ["pg_dump", f"--dbname={url}", "--inserts"], capture_output=True, check=True
        ).stdout  # its pages and log are its own; a dump is what it gives
        assert CANARY.encode().hex().encode() not in held
    assert b"other" in held or b"other".hex().encode() in held
    assert CANARY.encode() not in held


def test_an_export_holds_everything(store):
    full_of_canary(store)
    found = store.export_user(CANARY)
    assert found["properties"] == {"mail": CANARY + "@x"} and len(found["events"]) == len(found["seen"]) == 300
    assert found["events"][0]["item_id"] == "i0" and found["events"][0]["extra"] == {"q": CANARY}
    assert [one["recommendation_id"] for one in found["answers"]] == ["r1"]
    assert [one["code"] for one in found["dead_letters"]] == ["too_old"]
    assert store.export_user("nobody")["properties"] is None


def test_ids_that_are_part_of_others_are_not_taken_for_them(store):
    store.add_events([Event("a", "i", NOW)], [Rejected(0, "c", "d", {"user_id": "ab"}), Rejected(0, "c", "d", {"x%_": "a"})])
    assert store.erase_user("a")["dead_letters"] == 1
    assert store.dead_letters().rows[0]["raw"] == {"user_id": "ab"}


def test_the_file_itself_is_sqlite(tmp_path):
    from tastemaker.store import open_store

    with open_store(str(tmp_path / "x.db")) as store:
        full_of_canary(store)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert connection.execute("SELECT COUNT(*) FROM users").fetchone() == (2,)
    connection.close()


def test_profiles_of_many_users_come_in_one_question(store):
    store.put_users([User("a", {"age": 3}), User("b", {"city": "Rome"})])
    store.add_events([Event("c", "i", NOW)])
    assert store.profiles(["b", "never", "a", "c", "b"]) == [{"city": "Rome"}, {}, {"age": 3}, {}, {"city": "Rome"}]
    assert store.profiles([]) == [] and store.profiles([f"u{n}" for n in range(3000)])[2999] == {}


def test_users_by_the_beginning_of_their_ids_page_by_page(store):
    names = ["a", "ab", "abc", "ab\U0010ffff", "ab%", "aB", "ac", "b", "é", "éa"]
    store.put_users([User(name, {}) for name in names])
    for prefix in ("a", "ab", "ab%", "é", "ab\U0010ffff", "z", "_", None):
        found, cursor = [], None
        while True:
            page = store.users(cursor, 2, prefix)
            found += [user.user_id for user in page.rows]
            if (cursor := page.next) is None:
                break
        expected = sorted((name for name in names if name.startswith(prefix or "")), key=str.encode)
        assert found == expected, prefix

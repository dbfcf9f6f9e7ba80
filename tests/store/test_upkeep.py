"""Retention, verification, figures, backups."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from tastemaker.errors import StoreError, UserError
from tastemaker.store import copies, open_store
from tastemaker.store.base import Event, Item, Rejected, Shown

DAY = 86_400_000_000


def now() -> int:
    return time.time_ns() // 1000


def test_retention_removes_old_events_and_what_was_seen_stays_seen(store, monkeypatch):
    monkeypatch.setattr("tastemaker.store.upkeep._STRETCH", 7)
    events = [Event("u", f"i{n}", now() - n * DAY, event_id=f"e{n}") for n in range(60)]
    store.add_events(events, [Rejected(0, "c", "d")])
    store.add_answers([Shown("old", "u", now() - 40 * DAY, (), "s"), Shown("new", "u", now(), (), "s")])
    counts = store.counts(now() - 50 * DAY)
    assert store.retain(events_days=29.5, answers_days=30) == {"events": 30, "dead_letters": 0, "answers": 1}
    assert len(store.history("u")) == 30 and store.seen(["u"]) == [{f"i{n}" for n in range(60)}]
    assert store.counts(now() - 50 * DAY) == counts
    assert store.answer("old") is None and store.answer("new") is not None
    assert store.verify() and store.retain(events_days=29.5)["events"] == 0
    store.add_events(events[:30])
    assert len(store.history("u")) == 30, "what is still there is still known by its id"


def test_statistics_count_rows_and_bytes(store):
    empty = store.statistics()
    assert empty["events"] == 0 and empty["bytes_per_event"] == 0
    store.add_events([Event(f"u{n % 50}", f"i{n % 90}", now() + n, event_id=f"{n:026}") for n in range(5000)])
    full = store.statistics()
    assert (full["events"], full["users"], full["items"], full["seen"]) == (5000, 50, 90, 450)
    assert 50 < full["bytes_per_event"] == full["bytes"] / 5000 < 600


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM users", "DELETE FROM items", "DELETE FROM tallies WHERE level = 1", "UPDATE models SET state = 'promoted'"],
)
def test_verify_finds_contradictions(store, damage):
    store.add_events([Event("u", "i", now())])
    store.retain()
    for _ in range(2):
        store.add_model("m", "p", {})
    assert store.verify()
    with store.db.writing() as connection:
        connection.execute(sa.text(damage))
    with pytest.raises(StoreError, match="damaged"):
        store.verify()


def fill(store) -> None:
    store.add_events([Event(f"u{n % 5}", f"i{n % 7}", 10**15 + n, event_id=f"e{n}") for n in range(500)])
    store.put_items([Item("i1", {"title": "One"})])


def test_a_backup_taken_in_use_is_consistent_and_restores(store, url, backend, tmp_path):
    fill(store)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            store.add_events([Event("w", f"i{k}", 10**15 + n, event_id=f"w{n}-{k}") for k in range(10)])
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        facts = store.backup(str(tmp_path / "copy"))
    finally:
        stop.set()
        writer.join()
    assert facts["bytes"] > 0 and len(facts["sha256"]) == 64
    store.erase_user("u1")
    store.close()
    with pytest.raises(UserError, match="already"):
        copies.restore(tmp_path / "copy", url)
    copies.restore(tmp_path / "copy", url, replace=True)
    with open_store(url) as back:
        assert len(back.history("u1")) == 100 and back.item("i1").properties == {"title": "One"}
        assert len(back.history("w")) % 10 == 0, "no half batch"
        assert back.add_events([Event("u1", "i1", 0, event_id="e1")]).duplicates == 1


def test_a_damaged_or_foreign_backup_is_refused_and_the_store_stays(store, url, tmp_path):
    fill(store)
    copy = tmp_path / "copy"
    store.backup(str(copy))
    with pytest.raises(UserError, match="there already"):
        store.backup(str(copy))
    raw = bytearray(copy.read_bytes())
    raw[len(raw) // 2] ^= 1
    copy.write_bytes(raw)
    with pytest.raises(StoreError, match="not what"):
        copies.restore(copy, url, replace=True)
    with pytest.raises(UserError, match="no backup"):
        copies.restore(tmp_path / "none", url, replace=True)
    assert len(store.history("u1")) == 100


def test_a_backup_of_one_database_does_not_fit_the_other(tmp_path, cluster):
    with open_store(str(tmp_path / "a.db")) as store:
        store.backup(str(tmp_path / "copy"))
    with pytest.raises(UserError, match="a backup of sqlite"):
        copies.restore(tmp_path / "copy", cluster.url())


def test_a_dump_without_pg_dump_says_what_is_missing(cluster, template, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with open_store(cluster.url(template)) as store, pytest.raises(StoreError, match="no pg_dump"):
        store.backup(str(tmp_path / "copy"))
    assert not Path(tmp_path / "copy").exists()

"""Killed processes, damaged files, databases that are gone: what was acknowledged is there, and the rest is a StoreError."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tastemaker.errors import StoreError
from tastemaker.store import open_store
from tastemaker.store.base import Event, Item

NOW = 1_700_000_000_000_000
WRITER = Path(__file__).with_name("killed_writer.py")


def kill(url: str, folder: Path, times: int) -> None:
    """Kills a writing process again and again, and holds the store against what its clients were told."""
    ledger = folder / "ledger"
    command = [sys.executable, str(WRITER), url, str(ledger), str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + 20 * times)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line.endswith("]")]
    acknowledged = {name for line in lines for name in line}
    with open_store(url) as store:
        store.verify()
        page, found = None, Counter()
        while True:
            events = store.events(cursor=page, limit=1000)
            found.update(event.event_id for event in events.rows)
            page = events.next
            if page is None:
                break
        assert len(acknowledged) > 10 * times, "the writer got to write"
        assert not acknowledged - set(found), "acknowledged and lost"
        assert set(found.values()) == {1}, "doubled"
        batches = Counter(name.rsplit("-", 1)[0] for name in found)
        assert set(batches.values()) == {10}, "half a batch"
        assert sum(store.counts(0).values()) <= sum(found.values())


def test_nothing_acknowledged_is_lost_or_doubled_when_the_writer_is_killed(url, tmp_path):
    kill(url, tmp_path, 5)


@pytest.mark.chaos
@pytest.mark.skipif("TASTEMAKER_KILLS" not in os.environ, reason="set TASTEMAKER_KILLS to the number of kills")
@pytest.mark.timeout(36_000)
def test_nothing_is_lost_in_many_kills(url, tmp_path):
    kill(url, tmp_path, int(os.environ["TASTEMAKER_KILLS"]))


def filled(path: Path) -> Path:
    with open_store(str(path)) as store:
        store.add_events([Event(f"u{n}", f"i{n}", NOW + n) for n in range(2000)])
    return path


def test_a_damaged_file_is_a_store_error(tmp_path):
    path = filled(tmp_path / "a.db")
    raw = bytearray(path.read_bytes())
    raw[4096 * 8 :] = os.urandom(len(raw) - 4096 * 8)
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="damaged"), open_store(str(path)) as store:
        store.verify()
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="damaged or no SQLite database"):
        open_store(str(path))


def test_a_file_cut_short_is_a_store_error(tmp_path):
    path = filled(tmp_path / "a.db")
    os.truncate(path, path.stat().st_size // 3)
    with pytest.raises(StoreError), open_store(str(path)) as store:
        store.verify()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://", "sqlite:///", "postgresql://[", "/no/such/folder/x.db", "."])
def test_a_url_that_leads_nowhere_is_a_store_error(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if url == "sqlite://":
        open_store(url).close()
        return
    with pytest.raises(StoreError):
        open_store(url)


def test_memory_leaves_nothing_behind():
    store = open_store("memory:")
    store.add_events([Event("u", "i", NOW)])
    folder = store.db.path.parent
    assert folder.is_dir() and store.history("u")
    store.close()
    assert not folder.exists()


def test_a_newer_schema_is_refused(store, url):
    with store.db.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"9999.*newer tastemaker"):
        open_store(url)
    with pytest.raises(StoreError, match="9999"):
        open_store(url, migrate=False)


def test_a_lock_held_by_another_is_a_store_error_and_reads_go_on(store, url, monkeypatch):
    store.add_events([Event("u", "i", NOW)])
    with open_store(url) as other, other.db.writing(), ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr("tastemaker.store.sqlite.BUSY_SECONDS", 0.2)
        monkeypatch.setattr("tastemaker.store.postgres.LOCK_SECONDS", 0.2)
        with open_store(url) as late:
            written = threads.submit(late.add_events, [Event("u", "j", NOW)])
            with pytest.raises(StoreError, match="locked"):
                written.result(30)
            assert len(late.history("u")) == 1
    store.add_events([Event("u", "j", NOW)])


def test_a_database_that_goes_away_is_a_store_error_at_once_and_comes_back(own_cluster):
    with open_store(own_cluster.url()) as store:
        store.add_events([Event("u", "i", NOW, event_id="e")])
        own_cluster.stop()
        for ask in (
            lambda: store.history("u"),
            lambda: store.add_events([Event("u", "j", NOW)]),
            lambda: store.put_items([Item("x")]),
            lambda: store.counts(0),
            store.promoted,
        ):
            began = time.monotonic()
            with pytest.raises(StoreError, match="cannot be reached"):
                ask()
            assert time.monotonic() - began < 15
        with pytest.raises(StoreError, match="cannot be reached"):
            open_store(own_cluster.url())
        own_cluster.start()
        assert [one.item_id for one in store.history("u")] == ["i"]
        assert store.add_events([Event("u", "i", NOW, event_id="e"), Event("u", "k", NOW)]).duplicates == 1


def test_a_server_restarted_while_the_store_rested_costs_no_request(own_cluster, monkeypatch):
    monkeypatch.setattr("tastemaker.store.postgres.RESTED_SECONDS", 0)
    with open_store(own_cluster.url()) as store:
        store.add_events([Event("u", "i", NOW)])
        own_cluster.stop("fast")
        own_cluster.start()
        assert len(store.history("u")) == 1
        store.add_events([Event("u", "i", NOW)])

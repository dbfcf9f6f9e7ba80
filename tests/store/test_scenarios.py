"""Scenarios: drafts, versions, which is in force."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tastemaker.errors import RequestError, StoreError, UnknownIdError
from tastemaker.store import copies, open_store

FIRST = Path(__file__).with_name("first_version.sql")


def in_force(store) -> dict[str, int]:
    return {name: one.version for name, one in store.scenarios_in_force()[0].items()}


def test_a_draft_is_in_force_once_it_is_published_and_its_version_never_changes(store):
    made = store.put_scenario("home", {"filter": "a = 1"}, "anna")
    assert (made.draft, made.in_force, made.versions, made.changed_by) == ({"filter": "a = 1"}, None, 0, "anna")
    assert store.scenario("home") == made and in_force(store) == {}
    first = store.publish_scenario("home", "bob")
    assert (first.version, first.rules, first.published_by, first.replaced) == (1, {"filter": "a = 1"}, "bob", None)
    assert store.scenario("home").draft is None and in_force(store) == {"home": 1}
    store.put_scenario("home", {"limit": 3}, "anna")
    assert store.scenarios_in_force()[0]["home"].rules == {"filter": "a = 1"}, "a draft is nobody's rule"
    assert store.publish_scenario("home", "anna").replaced == 1
    assert store.scenario_version("home", 1).rules == {"filter": "a = 1"} and store.scenario_version("home", 3) is None
    assert [one.version for one in store.scenario_versions("home").rows] == [2, 1]


def test_a_rollback_puts_back_what_was_before_and_goes_on_to_the_beginning(store):
    for limit in (1, 2):
        store.put_scenario("home", {"limit": limit}, "anna")
        store.publish_scenario("home", "anna")
    assert store.rollback_scenario("home", "carl").in_force == 1 and in_force(store) == {"home": 1}
    gone = store.scenario_version("home", 2)
    assert gone.withdrawn_by == "carl" and gone.withdrawn >= gone.published
    store.put_scenario("home", {"limit": 3}, "anna")
    third = store.publish_scenario("home", "anna")
    assert (third.version, third.replaced) == (3, 1), "what was rolled back is not what it replaced"
    assert [store.rollback_scenario("home", "anna").in_force for _ in range(2)] == [1, None]
    with pytest.raises(RequestError, match="no version") as refused:
        store.rollback_scenario("home", "anna")
    assert (refused.value.status, refused.value.code) == (409, "no_earlier_version")
    assert in_force(store) == {} and store.scenario("home").versions == 3


def test_what_is_deleted_is_out_of_force_and_numbers_go_on(store):
    store.put_scenario("home", {}, "anna")
    store.publish_scenario("home", "anna")
    assert store.delete_scenario("home", "anna") and not store.delete_scenario("home", "anna")
    assert store.scenario("home") is None and store.scenarios().rows == [] and in_force(store) == {}
    assert store.scenario_version("home", 1).withdrawn_by == "anna", "answers that began with it can go on"
    store.put_scenario("home", {}, "anna", revision=0)
    assert store.publish_scenario("home", "anna").version == 2


def test_nobody_overwrites_or_publishes_a_draft_they_have_not_seen(store):
    mine = store.put_scenario("home", {"limit": 1}, "anna", revision=0)
    theirs = store.put_scenario("home", {"limit": 2}, "bob", revision=mine.revision)
    for change in (
        lambda: store.put_scenario("home", {"limit": 3}, "anna", revision=mine.revision),
        lambda: store.put_scenario("home", {"limit": 3}, "anna", revision=0),
        lambda: store.publish_scenario("home", "anna", revision=mine.revision),
    ):
        with pytest.raises(RequestError) as refused:
            change()
        assert (refused.value.status, refused.value.code) == (409, "draft_changed")
    assert store.publish_scenario("home", "bob", revision=theirs.revision).rules == {"limit": 2}
    with pytest.raises(RequestError, match="without a draft"):
        store.publish_scenario("home", "bob")


def test_what_is_not_there_is_an_error(store):
    for change in (store.publish_scenario, store.rollback_scenario):
        with pytest.raises(UnknownIdError, match="no scenario"):
            change("nowhere", "anna")
    assert store.scenario("nowhere") is None and store.scenario_versions("nowhere").rows == []


def test_lists_are_paged(store):
    for name in ("d", "a", "c", "b", "e"):
        store.put_scenario(name, {}, "anna")
    page, names = store.scenarios(limit=2), []
    while True:
        names += [one.name for one in page.rows]
        if page.next is None:
            break
        page = store.scenarios(page.next, limit=2)
    assert names == ["a", "b", "c", "d", "e"]
    for _ in range(3):
        store.put_scenario("a", {}, "anna")
        store.publish_scenario("a", "anna")
    page = store.scenario_versions("a", limit=2)
    assert [one.version for one in page.rows] == [3, 2]
    assert [one.version for one in store.scenario_versions("a", page.next, limit=2).rows] == [1]


def test_who_follows_is_told_only_of_changes_those_of_other_processes_included(store, url):
    found, revision = store.scenarios_in_force()
    assert (found, revision) == ({}, 0) and store.scenarios_in_force(0) is None
    with open_store(url) as other:
        other.put_scenario("home", {"limit": 4}, "bob")
        other.publish_scenario("home", "bob")
    found, later = store.scenarios_in_force(revision)
    assert found["home"].rules == {"limit": 4} and later > revision and store.scenarios_in_force(later) is None
    store.delete_scenario("home", "anna")
    assert store.scenarios_in_force(later)[0] == {}


def test_drafts_published_at_once_become_one_version_each(store, url):
    store.put_scenario("home", {}, "anna")

    def publish(number: int) -> bool:
        with open_store(url) as own:
            try:
                own.publish_scenario("home", f"who {number}")
            except RequestError:
                return False
            return True

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(publish, range(5))).count(True) == 1
    assert store.scenario("home").versions == 1


def test_there_is_an_end_to_their_number(store, monkeypatch):
    monkeypatch.setattr("tastemaker.store.scenarios.MOST", 2)
    store.put_scenario("a", {}, "anna")
    store.put_scenario("b", {}, "anna")
    store.put_scenario("b", {"limit": 2}, "anna")
    with pytest.raises(RequestError, match="at most 2"):
        store.put_scenario("c", {}, "anna")
    store.delete_scenario("a", "anna")
    assert store.put_scenario("c", {}, "anna").name == "c"


def test_a_backup_holds_them_and_verify_finds_a_version_that_is_missing(store, url, tmp_path):
    store.put_scenario("home", {"limit": 2}, "anna")
    store.publish_scenario("home", "anna")
    assert store.verify()
    store.backup(str(tmp_path / "copy"))
    with store.db.writing() as connection:
        connection.execute(sa.text("DELETE FROM scenario_versions"))
    with pytest.raises(StoreError, match="version in force that is not there"):
        store.verify()
    store.close()
    copies.restore(tmp_path / "copy", url, replace=True)
    with open_store(url) as back:
        assert in_force(back) == {"home": 1} and back.statistics()["scenario_versions"] == 1


def test_a_store_from_before_there_were_any_gets_them(tmp_path):
    path = tmp_path / "first.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))
    connection.close()
    with open_store(str(path)) as store:
        store.put_scenario("home", {"limit": 2}, "anna")
        store.publish_scenario("home", "anna")
        assert in_force(store) == {"home": 1} and store.verify()


def test_a_copy_from_before_there_were_any_is_restored(tmp_path):
    copy = tmp_path / "copy"
    with sqlite3.connect(copy) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))
    connection.close()
    facts = {"kind": "sqlite", "sha256": hashlib.sha256(copy.read_bytes()).hexdigest()}
    (tmp_path / "copy.json").write_text(json.dumps(facts), encoding="utf-8")
    copies.restore(copy, str(tmp_path / "new.db"))
    with open_store(str(tmp_path / "new.db")) as store:
        assert store.history("anna") and store.scenarios().rows == []

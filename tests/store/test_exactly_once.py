"""However often, in whatever order and by however many at once a batch is sent: the state is the same."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tastemaker.errors import DataError, StoreError
from tastemaker.store import open_store
from tastemaker.store.base import Event, Rejected, Taken
from tastemaker.store.group import Group

NOW = 1_700_000_000_000_000
HOUR = 3_600_000_000


def batches(number: int = 12, size: int = 25) -> list[list[Event]]:
    draw = random.Random(3)
    return [
        [
            Event(
                f"u{draw.randrange(9)}",
                f"i{draw.randrange(12)}",
                NOW + draw.randrange(400) * HOUR,
                draw.choice(["view", "buy"]),
                event_id=f"{b}-{n}",
            )
            for n in range(size)
        ]
        for b in range(number)
    ]


def state(store) -> dict[str, object]:
    """All that answers are made of."""
    users = [f"u{n}" for n in range(9)]
    events = [row for batch in store.scan_events() for row in batch.to_pylist()]
    return {
        "events": sorted((row["user_id"], row["item_id"], row["time"], row["kind"], row["value"]) for row in events),
        "histories": [sorted(map(repr, rows)) for rows in store.histories(users)],
        "seen": store.seen(users),
        "bought": store.seen(users, ["buy"], NOW + 200 * HOUR),
        "counts": [store.counts(NOW + n * 50 * HOUR) for n in range(8)],
        "items": sorted(item.item_id for item in store.changes(0)[0]),
        "users": [user.user_id for user in store.users().rows],
    }


def test_batches_sent_thrice_reordered_and_at_once_give_one_state(store, backend, tmp_path):
    sent = batches()
    with open_store(f"{tmp_path / 'once.db'}") as once:
        for batch in sent:
            assert once.add_events(batch) == Taken(len(batch), 0)
        expected = state(once)
    again = [random.Random(n).sample(batch, len(batch)) for n in range(3) for batch in sent]
    random.Random(0).shuffle(again)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(store.add_events, again))
    assert sum(one.accepted for one in taken) == 12 * 25 and sum(one.duplicates for one in taken) == 2 * 12 * 25
    assert state(store) == expected
    assert store.verify()


def test_two_stores_on_one_database_see_each_others_writes(store, url):
    with open_store(url) as other, ThreadPoolExecutor(8) as threads:
        sent = batches()
        taken = list(
            threads.map(lambda pair: pair[0].add_events(pair[1]), [(one, batch) for batch in sent for one in (store, other)])
        )
        assert sum(one.accepted for one in taken) == 12 * 25
        assert state(store) == state(other)
        other.put_items([])
        other.add_events([Event("new", "newer", NOW)])
        assert store.history("new") == other.history("new") != []
        other.erase_user("new")
        store.add_events([Event("new", "newest", NOW)])
        assert [one.item_id for one in other.history("new")] == ["newest"]


def test_a_duplicate_within_a_batch_counts_once_and_events_without_id_all_stay(store):
    assert store.add_events([Event("u", "a", NOW, event_id="x"), Event("v", "b", NOW, event_id="x")]) == Taken(1, 1)
    assert store.user("v") is None
    assert store.add_events([Event("u", "c", NOW)] * 3) == Taken(3, 0)
    assert len(store.history("u")) == 4


def test_long_and_short_event_ids_do_not_meet(store):
    names = ["x" * n for n in (1, 39, 40, 41, 255, 256)]
    assert store.add_events([Event("u", "a", NOW, event_id=name) for name in names]) == Taken(6, 0)
    assert store.add_events([Event("u", "a", NOW, event_id=name) for name in names]) == Taken(0, 6)
    assert [one.event_id for one in store.events().rows] == names[::-1]


def test_a_poisoned_call_among_many_fails_alone(store):
    started = threading.Barrier(9)

    def send(n: int) -> Taken | str:
        started.wait()
        try:
            return store.add_events(
                [Event(f"u{n}", "i", NOW), Event("\udc00" if n == 4 else "ok", "i", NOW)], [Rejected(0, "c", "d")]
            )
        except DataError:
            return "refused"

    with ThreadPoolExecutor(9) as threads:
        taken = list(threads.map(send, range(9)))
    assert [one for one in taken if one == "refused"] == ["refused"] and taken[4] == "refused"
    assert store.counts(0) == {"i": 8 + 3} and len(store.dead_letters().rows) == 8
    assert store.user("u4") is None


def test_calls_that_wait_share_a_commit_and_each_gets_its_own_outcome():
    groups: list[list[int]] = []
    first, release = threading.Event(), threading.Event()

    def commit(calls):
        groups.append(list(calls))
        first.set()
        release.wait(10)
        if 13 in calls:
            raise ValueError("thirteen")
        if 99 in calls:
            raise StoreError("gone")
        return [call * 2 for call in calls]

    group: Group[int, int] = Group(commit, most=8)
    with ThreadPoolExecutor(12) as threads:
        leader = threads.submit(group.add, 1)
        first.wait(10)
        others = [threads.submit(group.add, n) for n in (2, 3, 13, 4)]
        while len(group._waiting) < 4:
            pass
        release.set()
        assert leader.result() == 2
        assert [one.result() for one in others if one is not others[2]] == [4, 6, 8]
        with pytest.raises(ValueError, match="thirteen"):
            others[2].result()
    assert groups[0] == [1] and sorted(groups[1]) == [2, 3, 4, 13], "one group for all that waited, then each alone"
    with pytest.raises(StoreError):
        group.add(99)

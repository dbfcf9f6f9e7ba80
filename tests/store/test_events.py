"""What users did, kept and read back."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tastemaker.errors import DataError, RequestError
from tastemaker.store.base import Done, Event, Rejected, Shown, Taken, meant

NOW = 1_700_000_000_000_000
HOUR, DAY = 3_600_000_000, 86_400_000_000
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(lambda text: len(text.encode()) <= 256)


def test_a_history_is_oldest_first_and_equal_times_keep_the_order_of_arrival(store):
    store.add_events([Event("u", "c", NOW + 2), Event("u", "a", NOW), Event("u", "z", NOW), Event("u", "b", NOW, "cart", 2.5)])
    store.add_events([Event("u", "a", NOW)])
    assert [one.item_id for one in store.history("u")] == ["a", "z", "b", "a", "c"]
    assert store.history("u", 2) == [Done("a", NOW, "view", 1.0), Done("c", NOW + 2, "view", 1.0)]
    assert store.history("u")[2] == Done("b", NOW, "cart", 2.5)


def test_many_histories_come_in_the_order_asked(store):
    store.add_events([Event("u", "a", NOW), Event("v", "b", NOW), Event("v", "c", NOW + 1)])
    assert store.histories(["v", "nobody", "u", "v"], 1) == [store.history(name, 1) for name in ("v", "nobody", "u", "v")]
    assert store.histories([]) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user=ids, item=ids, event=ids, kind=ids, stamp=st.sampled_from([-31_536_000_000_000, -1, 0, NOW, 4_070_908_800_000_000]))
def test_any_id_and_time_comes_back_as_it_went_in(store, user, item, event, kind, stamp):
    store.add_events(
        [Event(user, item, stamp, kind, event_id=event, session_id=event, recommendation_id=event, extra={item: [event]})]
    )
    sent = Event(user, item, stamp, kind, event_id=event, session_id=event, recommendation_id=event, extra={item: [event]})
    assert sent in store.events(user_id=user).rows or store.add_events([sent]) == Taken(0, 1)
    assert item in store.seen([user])[0] or store.add_events([sent]) == Taken(0, 1)


@pytest.mark.parametrize("length", [256, 257])
def test_ids_have_at_most_256_bytes(store, length):
    name = "é" * (length // 2) + "x" * (length % 2)
    if length > 256:
        with pytest.raises(DataError, match="1 to 256 bytes"):
            store.add_events([Event(name, "i", NOW)])
    else:
        store.add_events([Event(name, name, NOW, event_id=name)])
        assert store.seen([name]) == [{name}]


@pytest.mark.parametrize(
    "bad",
    [
        Event("", "i", NOW),
        Event("u\ud800", "i", NOW),
        Event("u", "i", 10**18),
        Event("u", "i", NOW, value=math.nan),
        Event("u", "i", NOW, value=math.inf),
        Event("u", "i", NOW, position=0),
        Event("u", "i", NOW, extra={"x": object()}),
    ],
    ids=["empty", "surrogate", "year 33658", "nan", "inf", "position", "no json"],
)
def test_a_call_with_an_event_that_cannot_be_kept_changes_nothing(store, bad):
    with pytest.raises(DataError):
        store.add_events([Event("u", "good", NOW), bad])
    assert store.last_sequence() == 0 and store.user("u") is None and store.changes(0) == ([], 0)


def test_seen_is_by_kind_and_by_time(store):
    store.add_events([Event("u", "a", NOW), Event("u", "a", NOW + 9, "buy"), Event("u", "b", NOW + 5), Event("v", "c", NOW)])
    assert store.seen(["u", "v", "w"]) == [{"a", "b"}, {"c"}, set()]
    assert store.seen(["u"], kinds=["buy"]) == [{"a"}] and store.seen(["u"], kinds=["never"]) == [set()]
    assert store.seen(["u"], since=NOW + 5) == [{"a", "b"}] and store.seen(["u"], kinds=["view"], since=NOW + 1) == [{"b"}]


def test_seen_is_exact_for_a_long_history(store):
    store.add_events([Event("u", f"i{n}", NOW + n) for n in range(3000)])
    assert store.seen(["u"]) == [{f"i{n}" for n in range(3000)}]
    assert len(store.history("u", 50)) == 50


def test_what_a_user_did_not_want_or_know_is_kept_but_is_nothing_done(store):
    said = [Event("u", "bad", NOW + 1, "dislike"), Event("u", "who", NOW + 2, "unknown"), Event("u", "good", NOW, "like")]
    store.add_events(said)
    assert [done.item_id for done in store.history("u")] == ["good"]
    assert [done.item_id for done in store.history("u", 1)] == ["good"]  # the newest that count
    assert store.seen(["u"]) == [{"good", "bad"}]
    assert store.seen(["u"], kinds=["unknown"]) == [{"who"}]
    assert store.counts(0) == {"good": 1}
    assert store.counts(0, kinds=["dislike"]) == {"bad": 1}
    assert [event.kind for event in store.events(user_id="u").rows] == ["unknown", "dislike", "like"]
    (batch,) = store.scan_events()
    assert batch.num_rows == 3
    assert meant(batch).column("kind").to_pylist() == ["like"]
    assert sorted(meant(batch, {"dislike"}).column("kind").to_pylist()) == ["dislike", "like"]


def test_events_page_newest_first_by_user_item_and_kind(store):
    store.add_events(
        [Event(f"u{n % 2}", f"i{n % 3}", NOW + n, "buy" if n % 5 == 0 else "view", event_id=f"e{n}") for n in range(30)]
    )

    def pages(**asked):
        found, cursor = [], None
        while True:
            page = store.events(**asked, cursor=cursor, limit=4)
            found += [one.event_id for one in page.rows]
            cursor = page.next
            if cursor is None:
                return found

    newest = [f"e{n}" for n in reversed(range(30))]
    assert pages() == newest
    assert pages(user_id="u1") == [name for name in newest if int(name[1:]) % 2 == 1]
    assert pages(item_id="i2") == [name for name in newest if int(name[1:]) % 3 == 2]
    assert pages(user_id="u0", item_id="i0", kind="buy") == ["e0"]
    assert pages(kind="never") == pages(user_id="nobody") == []


def test_volumes_are_events_by_hour_and_kind_after_a_sequence(store):
    hour = 3_600_000_000
    first = NOW - NOW % hour
    store.add_events([Event("u", f"i{n}", first + (n % 3) * hour + n, "buy" if n % 4 == 0 else "view") for n in range(24)])
    expected = {}
    for n in range(24):
        key = (first + (n % 3) * hour, "buy" if n % 4 == 0 else "view")
        expected[key] = expected.get(key, 0) + 1
    assert store.volumes(0) == [(*key, count) for key, count in sorted(expected.items())]
    last = store.last_sequence()
    store.add_events([Event("u", "i0", first, "buy")])
    assert store.volumes(last) == [(first, "buy", 1)] and store.volumes(store.last_sequence()) == []


def test_refused_events_are_counted_and_paged_by_reason(store):
    codes = ["too_old", "no_user", "too_old", "bad_id", "too_old", "no_user"]
    store.add_events([], rejected=[Rejected(n, code, f"{n}", {"n": n}) for n, code in enumerate(codes)])
    assert store.refusals() == {"too_old": 3, "no_user": 2, "bad_id": 1} and list(store.refusals()) == [
        "too_old",
        "no_user",
        "bad_id",
    ]
    assert store.refusals(newest=2) == {"no_user": 1, "too_old": 1}
    found, cursor = [], None
    while True:
        page = store.dead_letters(cursor, 2, "too_old")
        found += [row["raw"]["n"] for row in page.rows]
        if (cursor := page.next) is None:
            break
    assert found == [4, 2, 0] and store.dead_letters(code="never").rows == []


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "W10", "WyJhIl0", "WzEsMl0", "W3RydWVd", "WzFlNDAwXQ", "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMF0"]
)
def test_a_forged_cursor_is_an_error_of_the_caller(store, cursor):
    for ask in (store.events, store.items, store.users, store.dead_letters, store.audit_log):
        with pytest.raises(RequestError) as caught:
            ask(cursor=cursor)
        assert caught.value.status == 400


def test_a_scan_gives_all_events_in_the_order_of_arrival(store):
    store.add_events([Event(f"u{n % 7}", f"i{n % 11}", NOW - n, "buy" if n % 2 else "view", float(n)) for n in range(100)])
    batches = list(store.scan_events(batch_size=33))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [batch.num_rows for batch in batches] == [33, 33, 33, 1]
    assert [row["value"] for row in rows] == [float(n) for n in range(100)]
    assert rows[3] == {"sequence": 4, "user_id": "u3", "item_id": "i3", "time": NOW - 3, "kind": "buy", "value": 3.0}
    assert [row for batch in store.scan_events(after=97) for row in batch.to_pylist()] == rows[97:]
    assert store.last_sequence() == 100


def test_sequences_are_never_given_twice(store):
    store.add_events([Event("u", "a", NOW), Event("v", "a", NOW)])
    store.erase_user("v")
    store.add_events([Event("w", "a", NOW)])
    assert [row["sequence"] for batch in store.scan_events() for row in batch.to_pylist()] == [1, 3]


def test_refused_events_are_kept_with_whatever_was_sent(store):
    raws = [{"user_id": "u", "value": math.nan}, "\ud800\0", None, {"k": b"\xff"}, [1, {2: 3}]]
    store.add_events([Event("u", "a", NOW)], [Rejected(n, f"code{n}", f"why\0{n}\ud800", raw) for n, raw in enumerate(raws)])
    page = store.dead_letters(limit=3)
    assert [row["code"] for row in page.rows] == ["code4", "code3", "code2"]
    older = store.dead_letters(page.next).rows
    assert [row["code"] for row in older] == ["code1", "code0"] and older[0]["raw"] == "\ud800\0"
    assert older[1]["raw"]["user_id"] == "u"


def test_answers_are_kept_once(store):
    first = Shown("r1", "u", NOW, ("a", "b\0"), "sasrec/17", {"limit": 2})
    store.add_answers([first, Shown("r2", None, NOW, (), "popular")])
    store.add_answers([Shown("r1", "other", NOW, ("z",), "x")])
    assert store.answer("r1") == first and store.answer("r2") == Shown("r2", None, NOW, (), "popular")
    assert store.answer("r3") is None and store.answer("\ud800") is None


def test_one_event_of_a_kind_is_kept_where_there_is_none_or_takes_the_place_of_all(store):
    old = [Event("u", "a", NOW - DAY), Event("u", "a", NOW - HOUR), Event("u", "a", NOW, "cart"), Event("v", "a", NOW)]
    store.add_events(old)
    assert store.settle_events(
        [Event("u", "a", NOW), Event("u", "b", NOW), Event("u", "b", NOW + 1)], overwrite=False
    ) == Taken(1, 2)
    assert store.history("u") == [
        Done("a", NOW - DAY, "view", 1.0),
        Done("a", NOW - HOUR, "view", 1.0),
        Done("a", NOW, "cart", 1.0),
        Done("b", NOW, "view", 1.0),
    ]
    assert store.counts(NOW - 2 * DAY) == {"a": 4, "b": 1}
    rejected = [Rejected(0, "bad_id", "an empty id")]
    assert store.settle_events([Event("u", "a", NOW - 5), Event("u", "a", NOW, value=2.0)], rejected, overwrite=True) == Taken(
        1, 1
    )
    assert store.history("u") == [Done("a", NOW, "cart", 1.0), Done("b", NOW, "view", 1.0), Done("a", NOW, "view", 2.0)]
    assert store.counts(NOW - 2 * DAY) == {"a": 3, "b": 1}
    assert [letter["code"] for letter in store.dead_letters().rows] == ["bad_id"]
    assert store.seen(["u"], since=NOW) == [{"a", "b"}]
    assert store.settle_events([], overwrite=True) == Taken(0, 0)
    assert store.verify()


def test_answers_are_scanned_in_the_order_they_were_kept(store):
    shown = [Shown(f"r{n}", None if n == 2 else f"u{n}", NOW + n, ("a", "b"), "s", {"body": {"limit": n}}) for n in range(5)]
    store.add_answers(shown[:3])
    store.add_answers(shown[3:])
    batches = list(store.scan_answers(batch_size=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [one for batch in batches for _, one in batch] == shown
    third = batches[1][0][0]
    assert [one.recommendation_id for batch in store.scan_answers(after=third) for _, one in batch] == ["r3", "r4"]


def test_events_that_point_at_answers_are_scanned_apart(store):
    store.add_events([Event("u", "a", NOW), Event("u", "b", NOW + 1, "click", recommendation_id="r", position=2)])
    store.add_events([Event("v", "a", NOW + 2, "buy", 3.0, recommendation_id="r")])
    (batch,) = store.scan_feedback()
    assert batch.select(["user_id", "item_id", "kind", "value", "recommendation_id", "position"]).to_pylist() == [
        {"user_id": "u", "item_id": "b", "kind": "click", "value": 1.0, "recommendation_id": "r", "position": 2},
        {"user_id": "v", "item_id": "a", "kind": "buy", "value": 3.0, "recommendation_id": "r", "position": None},
    ]
    assert list(store.scan_feedback(after=batch["sequence"][-1].as_py())) == []

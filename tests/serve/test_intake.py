from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.worlds import NOW, opened

from tastemaker.serve.intake import AHEAD, EARLIEST, check
from tastemaker.store.base import Event
from tastemaker.wire.bodies import EventBody

GOOD = {"user_id": "u", "item_id": "i"}
REFUSED = {
    "no object": ("view", "malformed"),
    "nothing": (None, "malformed"),
    "no item": ({"user_id": "u"}, "missing_field"),
    "nobody": ({"item_id": "i"}, "no_user"),
    "two users": ({**GOOD, "anonymous_id": "a"}, "no_user"),
    "a misspelt field": ({**GOOD, "itemid": "x"}, "unknown_field"),
    "an empty id": ({**GOOD, "item_id": ""}, "bad_id"),
    "a long id": ({**GOOD, "item_id": "x" * 257}, "id_too_long"),
    "a long id in bytes": ({**GOOD, "item_id": "é" * 129}, "id_too_long"),
    "an anonymous id that is too long with its prefix": ({"item_id": "i", "anonymous_id": "x" * 252}, "id_too_long"),
    "half a letter": ({**GOOD, "user_id": "\ud800"}, "bad_id"),
    "a zero byte": ({**GOOD, "user_id": "a\0b"}, "bad_id"),
    "a number for an id": ({**GOOD, "item_id": 7}, "malformed"),
    "no number": ({**GOOD, "value": float("nan")}, "not_finite"),
    "too much": ({**GOOD, "value": float("inf")}, "not_finite"),
    "a long type": ({**GOOD, "type": "x" * 65}, "bad_type"),
    "a strange type": ({**GOOD, "type": "<b>"}, "bad_type"),
    "1969": ({**GOOD, "timestamp": "1969-12-31T23:59:59Z"}, "too_old"),
    "2099": ({**GOOD, "timestamp": "2099-01-01T00:00:00Z"}, "too_new"),
    "the epoch": ({**GOOD, "timestamp": 0}, "too_old"),
    "milliseconds": ({**GOOD, "timestamp": NOW / 1000}, "bad_time"),
    "no offset": ({**GOOD, "timestamp": "2025-06-01T12:00:00"}, "bad_time"),
    "no time": ({**GOOD, "timestamp": "yesterday"}, "bad_time"),
    "a time that is no number": ({**GOOD, "timestamp": float("nan")}, "bad_time"),
    "rank nought": ({**GOOD, "position": 0}, "bad_position"),
    "text that is none": ({**GOOD, "context": {"page": "\udfff"}}, "bad_text"),
    "a zero byte in a property": ({**GOOD, "properties": {"page": "\0"}}, "bad_text"),
    "a large context": ({**GOOD, "context": {"page": "x" * 20_000}}, "too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused_with_its_code(name):
    sent, code = REFUSED[name]
    events, rejected = check([GOOD, sent, GOOD], NOW)
    assert len(events) == 2
    assert [(one.index, one.code) for one in rejected] == [(1, code)]
    assert rejected[0].detail


@pytest.mark.parametrize(
    "wrong",
    [{"value": float("inf")}, {"type": "<b>"}, {"item_id": "\ud800"}, {"position": 0}, {"timestamp": 0}, {"value": "x"}],
)
def test_a_body_made_in_python_is_checked_as_strictly_as_one_that_was_sent(wrong):
    assert check([EventBody(**{**GOOD, **wrong})], NOW)[1]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=9), inner, max_size=3),
    max_leaves=4,
)
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(EventBody.__struct_fields__, anything) | {"user_id": st.text(min_size=1), "item_id": st.text()},
)


@settings(max_examples=60)
@given(st.lists(fields | anything, max_size=5))
def test_whatever_is_sent_becomes_an_event_or_a_refusal_and_nothing_is_raised(sent):
    events, rejected = check(sent, NOW)
    assert len(events) + len(rejected) == len(sent)
    assert sorted({one.index for one in rejected}) == [one.index for one in rejected]
    for event in events:
        assert 1 <= len(event.item_id.encode()) <= 256
        assert EARLIEST <= event.time <= NOW + AHEAD


@given(st.integers(EARLIEST // 1_000_000, NOW // 1_000_000))
def test_a_time_means_the_same_as_text_and_as_seconds(seconds):
    import datetime as dt

    text = dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
    (one, other), _ = check([{**GOOD, "timestamp": seconds}, {**GOOD, "timestamp": text}], NOW)
    assert one.time == other.time == seconds * 1_000_000


def test_an_event_is_kept_as_it_was_sent():
    sent = {
        **GOOD, "type": "purchase", "value": 2.5, "event_id": "e", "session_id": "s", "recommendation_id": "r", "position": 3,
        "timestamp": 1_700_000_000, "impressions": ["a"], "context": {"device": "phone"}, "properties": {"size": 4},
    }  # fmt: skip
    extra = {"context": {"device": "phone"}, "properties": {"size": 4}, "impressions": ["a"]}
    assert check([sent], NOW) == (
        [Event("u", "i", 1_700_000_000_000_000, "purchase", 2.5, "e", "s", "r", 3, extra)], [],
    )  # fmt: skip


def test_an_event_without_a_time_is_of_now_and_an_anonymous_visitor_is_a_user_of_their_own():
    (event,), _ = check([{"anonymous_id": "cookie", "item_id": "i"}], NOW)
    assert (event.user_id, event.time) == ("anon:cookie", NOW)


def test_the_reply_counts_what_was_kept_known_already_and_refused_and_the_refused_can_be_read(tmp_path):
    with opened(tmp_path) as (service, store, _clock):
        batch = [{**GOOD, "event_id": "1"}, {**GOOD, "event_id": "1"}, GOOD, GOOD, *(sent for sent, _ in REFUSED.values())]
        taken = service.feedback(batch)
        assert (taken.accepted, taken.duplicates, len(taken.rejected), taken.durable) == (3, 1, len(REFUSED), True)
        again = service.feedback(batch[:1])
        assert (again.accepted, again.duplicates) == (0, 1)
        letters = store.dead_letters(limit=1000).rows
        assert sorted(letter["code"] for letter in letters) == sorted(code for _, code in REFUSED.values())
        assert len(service.events(user_id="u").events) == 3

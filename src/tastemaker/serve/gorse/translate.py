"""Between Gorse's words and the service's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from tastemaker.errors import RequestError
from tastemaker.serve.call import Call
from tastemaker.wire import gorse as g
from tastemaker.wire.bodies import Answer, EventBody, EventReply, EventsTaken, ItemReply, RowsTaken, UserReply

MOST = 1000
"""Rows of a request, and of an answer."""
_OWN = ("labels", "comment", "timestamp")
"""Properties that hold what Gorse keeps beside labels."""
_UNSET_TIME = "0001-01-01T00:00:00Z"
_IN_CATEGORY = "categories HAS $category"


def options_of(call: Call) -> dict[str, Any]:
    """Limit, filter and what to include; the category may be in the path or in the query."""
    query = call.query
    category = call.ids.get("category") or query.category
    options: dict[str, Any] = {"limit": min(MOST, query.n + query.offset), "include": ["score"]}
    if category:
        options |= {"filter": _IN_CATEGORY, "parameters": {"category": category}}
    return options


def scores_of(answer: Answer, offset: int) -> list[g.GorseScore]:
    """Ids and scores of an answer, from a place on."""
    return [g.GorseScore(id=one.item_id, score=one.score or 0.0) for one in answer.items[offset:]]


def bounded(rows: Sequence[Any]) -> None:
    """Refuses more rows than a request may hold."""
    if len(rows) > MOST:
        raise RequestError(f"{len(rows)} rows", code="too_many", expected=f"at most {MOST}", hint="send fewer at a time")


def affected(taken: EventsTaken | RowsTaken) -> g.RowAffected:
    """Gorse has no word for rows that were refused, so they are an error; the others are kept, and sending all again is safe."""
    if taken.rejected:
        first = taken.rejected[0]
        raise RequestError(
            f"{len(taken.rejected)} of {len(taken.rejected) + taken.accepted} rows refused, the first at {first.index}: {first.detail}",
            code=first.code,
            hint="the others were taken; sending them again changes nothing",
        )
    return g.RowAffected(row_affected=taken.accepted)


def properties_of(labels: Any, comment: str | None, timestamp: str | None) -> dict[str, Any]:
    """Labels, comment and time as properties."""
    properties = dict(labels) if isinstance(labels, dict) else {} if labels is None else {"labels": labels}
    if comment:
        properties["comment"] = comment
    if time := time_of(timestamp):
        properties["timestamp"] = time
    return properties


def changes_of(labels: Any, comment: str | None, timestamp: str | None) -> dict[str, Any]:
    """As `properties_of`, for a patch: an empty comment is removed."""
    return properties_of(labels, comment, timestamp) | ({"comment": None} if comment == "" else {})


def _labels(properties: dict[str, Any]) -> Any:
    rest = {name: value for name, value in properties.items() if name not in _OWN}
    return rest or properties.get("labels", {})


def item_reply(held: ItemReply) -> g.GorseItemReply:
    """An item in Gorse's words."""
    return g.GorseItemReply(
        item_id=held.item_id,
        is_hidden=held.hidden,
        labels=_labels(held.properties),
        categories=held.categories,
        timestamp=str(held.properties.get("timestamp", _UNSET_TIME)),
        comment=str(held.properties.get("comment", "")),
    )


def user_reply(held: UserReply) -> g.GorseUserReply:
    """A user in Gorse's words."""
    return g.GorseUserReply(
        user_id=held.user_id, labels=_labels(held.properties), comment=str(held.properties.get("comment", ""))
    )


def event_of(sent: g.GorseFeedback) -> EventBody:
    """The event that a piece of feedback is."""
    return EventBody(
        item_id=sent.item_id,
        user_id=sent.user_id,
        type=sent.feedback_type,
        value=sent.value or 1.0,
        timestamp=time_of(sent.timestamp),
        properties={"comment": sent.comment} if sent.comment else {},
    )


def feedback_reply(event: EventReply) -> g.GorseFeedbackReply:
    """An event in Gorse's words."""
    return g.GorseFeedbackReply(
        feedback_type=event.type,
        user_id=event.user_id,
        item_id=event.item_id,
        value=event.value,
        timestamp=event.timestamp,
        comment=str(event.properties.get("comment", "")),
    )


def time_of(text: str | None) -> str | None:
    """RFC 3339 in UTC of any ISO 8601; None where there is none, or Go's zero time.

    Raises:
        RequestError: it is no time.
    """
    if not text or text.startswith("0001-01-01"):
        return None
    try:
        moment = dt.datetime.fromisoformat(text.strip().removesuffix(" UTC").replace(" +0000", "+00:00"))
    except ValueError:
        raise RequestError(
            f"Timestamp {text[:40]!a}", code="bad_time", expected="ISO 8601 like 2025-06-01 or 2025-06-01T12:00:00Z"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    try:
        return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise RequestError(f"Timestamp {text[:40]!a}", code="bad_time", expected="a time in UTC") from None

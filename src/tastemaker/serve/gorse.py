"""The basic verbs of Gorse's API over the same service, so that a Gorse user can switch by changing the address.

| Gorse | here |
|---|---|
| `Labels` (an object) | properties, so that filters see them; any other JSON is the property `labels` |
| `Comment`, `Timestamp` of items | properties `comment` and `timestamp` |
| `Categories`, `IsHidden` | the same |
| feedback | an event; its `event_id` derives from type, user, item, time and value, so that sending it again has one effect |
| `X-API-Key` | a key with the scopes `recommend`, `events:write`, `catalog:write` |
| scores | of the model in use, so their scale is another than Gorse's |

What differs: feedback of an earlier time is kept beside the later one, never overwritten or deleted alone; what a user has met is always
left out; `write-back-type` is refused, since GET never writes: send the feedback when the item was really shown.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from tastemaker.errors import RequestError
from tastemaker.serve.auth import PUBLIC
from tastemaker.serve.call import Call
from tastemaker.serve.route import Route
from tastemaker.wire import gorse as g
from tastemaker.wire.bodies import (
    Answer,
    EventBody,
    EventReply,
    ItemBody,
    ItemPatch,
    ItemReply,
    Recommend,
    RecommendSession,
    SessionEvent,
    UserBody,
    UserPatch,
    UserReply,
)

_MOST = 1000
_OWN = ("labels", "comment", "timestamp")
"""Properties that hold what Gorse keeps beside labels."""
_UNSET_TIME = "0001-01-01T00:00:00Z"
_IN_CATEGORY = "categories HAS $category"


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_item(call: Call) -> g.RowAffected:
    """Inserts or replaces an item."""
    return await _put_items(call, [call.body])


async def put_items(call: Call) -> g.RowAffected:
    """Inserts or replaces items."""
    return await _put_items(call, call.body)


async def _put_items(call: Call, items: Sequence[g.GorseItem]) -> g.RowAffected:
    _bounded(items)
    rows = [
        ItemBody(
            item_id=one.item_id,
            properties=_properties(one.labels, one.comment, one.timestamp),
            categories=one.categories or [],
            hidden=one.is_hidden,
        )
        for one in items
    ]
    return _affected(await call.parts.writes.run(call.parts.service.put_items, rows))


async def patch_item(call: Call) -> g.RowAffected:
    """Changes what is not null."""
    sent = call.body
    patch = ItemPatch(properties=_changes(sent.labels, sent.comment, sent.timestamp))
    if sent.is_hidden is not None:
        patch.hidden = sent.is_hidden
    if sent.categories is not None:
        patch.categories = sent.categories
    await call.parts.writes.run(call.parts.service.patch_item, call.ids["item_id"], patch)
    return g.RowAffected(row_affected=1)


async def item(call: Call) -> g.GorseItemReply:
    """An item as held."""
    return _item(await call.parts.reads.run(call.parts.service.item, call.ids["item_id"]))


async def items(call: Call) -> g.GorseItems:
    """A page of the catalogue."""
    page = await call.parts.reads.run(call.parts.service.items, call.query.cursor or None, call.query.n)
    return g.GorseItems(cursor=page.next_cursor or "", items=[_item(one) for one in page.items])


async def delete_item(call: Call) -> g.RowAffected:
    """Removes an item; its feedback stays."""
    await call.parts.writes.run(call.parts.service.delete_item, call.ids["item_id"])
    return g.RowAffected(row_affected=1)


async def add_category(call: Call) -> g.RowAffected:
    """Puts an item into a category."""
    return await _categorise(call, keep=True)


async def remove_category(call: Call) -> g.RowAffected:
    """Takes an item out of a category."""
    return await _categorise(call, keep=False)


async def _categorise(call: Call, *, keep: bool) -> g.RowAffected:
    service, item_id, category = call.parts.service, call.ids["item_id"], call.ids["category"]

    def work() -> g.RowAffected:
        held = [one for one in service.item(item_id).categories if one != category]
        service.patch_item(item_id, ItemPatch(categories=[*held, category] if keep else held))
        return g.RowAffected(row_affected=1)

    return await call.parts.writes.run(work)


# ── users ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_user(call: Call) -> g.RowAffected:
    """Inserts or replaces a user."""
    return await _put_users(call, [call.body])


async def put_users(call: Call) -> g.RowAffected:
    """Inserts or replaces users."""
    return await _put_users(call, call.body)


async def _put_users(call: Call, users: Sequence[g.GorseUser]) -> g.RowAffected:
    _bounded(users)
    rows = [UserBody(user_id=one.user_id, properties=_properties(one.labels, one.comment, None)) for one in users]
    return _affected(await call.parts.writes.run(call.parts.service.put_users, rows))


async def patch_user(call: Call) -> g.RowAffected:
    """Changes what is not null."""
    patch = UserPatch(properties=_changes(call.body.labels, call.body.comment, None))
    await call.parts.writes.run(call.parts.service.patch_user, call.ids["user_id"], patch)
    return g.RowAffected(row_affected=1)


async def user(call: Call) -> g.GorseUserReply:
    """A user as held."""
    return _user(await call.parts.reads.run(call.parts.service.user, call.ids["user_id"]))


async def users(call: Call) -> g.GorseUsers:
    """A page of users."""
    page = await call.parts.reads.run(call.parts.service.users, call.query.cursor or None, call.query.n)
    return g.GorseUsers(cursor=page.next_cursor or "", users=[_user(one) for one in page.users])


async def delete_user(call: Call) -> g.RowAffected:
    """Removes every trace of a user."""
    await call.parts.writes.run(call.parts.service.erase, call.ids["user_id"])
    return g.RowAffected(row_affected=1)


# ── feedback ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_feedback(call: Call) -> g.RowAffected:
    """Keeps feedback; answered when it is durable."""
    _bounded(call.body)
    if not call.body:
        return g.RowAffected(row_affected=0)
    events = [_event(one) for one in call.body]
    return _affected(await call.parts.writes.run(call.parts.service.feedback, events))


async def feedback_of_user(call: Call) -> list[g.GorseFeedbackReply]:
    """The newest feedback of a user, of one type or of all."""
    return await _feedback(call, user_id=call.ids["user_id"])


async def feedback_of_item(call: Call) -> list[g.GorseFeedbackReply]:
    """The newest feedback on an item, of one type or of all."""
    return await _feedback(call, item_id=call.ids["item_id"])


async def _feedback(call: Call, **whose: str) -> list[g.GorseFeedbackReply]:
    kind = call.ids.get("feedback_type") or None
    page = await call.parts.reads.run(lambda: call.parts.service.events(type=kind, limit=_MOST, **whose))
    return [_told(event) for event in page.events]


# ── recommendations ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def recommend(call: Call) -> list[str | g.GorseScore]:
    """Items for a user: ids, or with `X-API-Version: 2` ids and scores. Nothing is kept of the answer."""
    query = call.query
    if query.write_back_type is not None or query.write_back_delay is not None:
        raise RequestError(
            "write-back-type, which would write on GET",
            code="write_back",
            expected="a read",
            hint="send the feedback when the item was shown",
        )
    request = Recommend(user_id=call.ids["user_id"], **_options(call))
    answer = await call.parts.batcher.submit(request, record=False)
    rows = _scores(answer, query.offset)
    return list(rows) if call.headers.get(b"x-api-version") == b"2" else [one.id for one in rows]


async def recommend_session(call: Call) -> list[g.GorseScore]:
    """Items for a session that is sent along; nothing of it is stored."""
    _bounded(call.body)
    rows = sorted(call.body, key=lambda one: _time(one.timestamp) or "")
    events = [SessionEvent(item_id=one.item_id, type=one.feedback_type or "view", timestamp=_time(one.timestamp)) for one in rows]
    answer = await call.parts.batcher.submit(RecommendSession(events=events, **_options(call)), record=False)
    return _scores(answer, call.query.offset)


async def neighbours(call: Call) -> list[g.GorseScore]:
    """Items like an item."""
    asked = _options(call)
    limit = asked.pop("limit")
    service, item_id = call.parts.service, call.ids["item_id"]
    return _scores(await call.parts.reads.run(lambda: service.similar(item_id, limit, **asked)), call.query.offset)


async def user_neighbours(call: Call) -> list[g.GorseScore]:
    """Users like a user."""
    query = call.query
    limit = min(_MOST, query.n + query.offset)
    found = await call.parts.reads.run(call.parts.service.similar_users, call.ids["user_id"], limit)
    return [g.GorseScore(id=one.user_id, score=one.score) for one in found.users[query.offset :]]


async def popular(call: Call) -> list[g.GorseScore]:
    """What most users met."""
    return await _listed(call, "popular")


async def latest(call: Call) -> list[g.GorseScore]:
    """What came last into the catalogue."""
    return await _listed(call, "latest")


async def _listed(call: Call, which: Literal["popular", "latest"]) -> list[g.GorseScore]:
    parts, query, asked = call.parts, call.query, _options(call)

    def work() -> list[g.GorseScore]:
        met = parts.store.seen([query.user_id])[0] if query.user_id is not None else set()
        if met:
            asked["limit"] = min(_MOST, asked["limit"] + len(met))
        rows = [one for one in _scores(parts.service.popular(which, **asked), 0) if one.id not in met]
        return rows[query.offset : query.offset + query.n]

    return await parts.reads.run(work)


async def health(call: Call) -> g.GorseHealth:
    """Whether the model is there; the process runs if this is answered."""
    return g.GorseHealth(ready=call.parts.service.ready)


# ── between the two ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _options(call: Call) -> dict[str, Any]:
    """Limit, filter and what to include; the category may be in the path or in the query."""
    query = call.query
    category = call.ids.get("category") or query.category
    options: dict[str, Any] = {"limit": min(_MOST, query.n + query.offset), "include": ["score"]}
    if category:
        options |= {"filter": _IN_CATEGORY, "parameters": {"category": category}}
    return options


def _scores(answer: Answer, offset: int) -> list[g.GorseScore]:
    return [g.GorseScore(id=one.item_id, score=one.score or 0.0) for one in answer.items[offset:]]


def _bounded(rows: Sequence[Any]) -> None:
    if len(rows) > _MOST:
        raise RequestError(f"{len(rows)} rows", code="too_many", expected=f"at most {_MOST}", hint="send fewer at a time")


def _affected(taken: Any) -> g.RowAffected:
    """Gorse has no word for rows that were refused, so they are an error; the others are kept, and sending all again is safe."""
    if taken.rejected:
        first = taken.rejected[0]
        raise RequestError(
            f"{len(taken.rejected)} of {len(taken.rejected) + taken.accepted} rows refused, the first at {first.index}: {first.detail}",
            code=first.code,
            hint="the others were taken; sending them again changes nothing",
        )
    return g.RowAffected(row_affected=taken.accepted)


def _properties(labels: Any, comment: str | None, timestamp: str | None) -> dict[str, Any]:
    properties = dict(labels) if isinstance(labels, dict) else {} if labels is None else {"labels": labels}
    if comment:
        properties["comment"] = comment
    if time := _time(timestamp):
        properties["timestamp"] = time
    return properties


def _changes(labels: Any, comment: str | None, timestamp: str | None) -> dict[str, Any]:
    return _properties(labels, comment, timestamp) | ({"comment": None} if comment == "" else {})


def _labels(properties: dict[str, Any]) -> Any:
    rest = {name: value for name, value in properties.items() if name not in _OWN}
    return rest or properties.get("labels", {})


def _item(held: ItemReply) -> g.GorseItemReply:
    return g.GorseItemReply(
        item_id=held.item_id,
        is_hidden=held.hidden,
        labels=_labels(held.properties),
        categories=held.categories,
        timestamp=str(held.properties.get("timestamp", _UNSET_TIME)),
        comment=str(held.properties.get("comment", "")),
    )


def _user(held: UserReply) -> g.GorseUserReply:
    return g.GorseUserReply(
        user_id=held.user_id, labels=_labels(held.properties), comment=str(held.properties.get("comment", ""))
    )


def _event(sent: g.GorseFeedback) -> EventBody:
    time = _time(sent.timestamp)
    name = None
    if time is not None:  # without a time of its own, each is another event
        parts = (sent.feedback_type, sent.user_id, sent.item_id, time, repr(sent.value))
        name = "gorse:" + hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:40]
    return EventBody(
        item_id=sent.item_id,
        user_id=sent.user_id,
        type=sent.feedback_type,
        value=sent.value or 1.0,
        timestamp=time,
        event_id=name,
        properties={"comment": sent.comment} if sent.comment else {},
    )


def _told(event: EventReply) -> g.GorseFeedbackReply:
    return g.GorseFeedbackReply(
        feedback_type=event.type,
        user_id=event.user_id,
        item_id=event.item_id,
        value=event.value,
        timestamp=event.timestamp,
        comment=str(event.properties.get("comment", "")),
    )


def _time(text: str | None) -> str | None:
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


# ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_RECOMMEND, _EVENTS, _CATALOGUE = "recommend", "events:write", "catalog:write"
_LIST = list[g.GorseScore]
_FEEDBACK = list[g.GorseFeedbackReply]

ROUTES = (
    Route("POST", "/api/item", _CATALOGUE, put_item, "Puts an item.", g.RowAffected, body=g.GorseItem),
    Route("POST", "/api/items", _CATALOGUE, put_items, "Puts items.", g.RowAffected, body=list[g.GorseItem]),
    Route("PUT", "/api/item", _CATALOGUE, put_item, "Puts an item.", g.RowAffected, body=g.GorseItem),
    Route("PUT", "/api/items", _CATALOGUE, put_items, "Puts items.", g.RowAffected, body=list[g.GorseItem]),
    Route("GET", "/api/items", _CATALOGUE, items, "Items.", g.GorseItems, query=g.GorsePageQuery, problems=(400,)),
    Route("GET", "/api/item/{item_id}", _CATALOGUE, item, "An item.", g.GorseItemReply, problems=(404,)),
    Route(
        "PATCH",
        "/api/item/{item_id}",
        _CATALOGUE,
        patch_item,
        "Changes an item.",
        g.RowAffected,
        body=g.GorseItemPatch,
        problems=(404,),
    ),
    Route("DELETE", "/api/item/{item_id}", _CATALOGUE, delete_item, "Removes an item.", g.RowAffected, problems=(404,)),
    Route(
        "PUT",
        "/api/item/{item_id}/category/{category}",
        _CATALOGUE,
        add_category,
        "Puts an item into a category.",
        g.RowAffected,
        problems=(404,),
    ),
    Route(
        "DELETE",
        "/api/item/{item_id}/category/{category}",
        _CATALOGUE,
        remove_category,
        "Takes an item out of a category.",
        g.RowAffected,
        problems=(404,),
    ),
    Route("POST", "/api/user", _CATALOGUE, put_user, "Puts a user.", g.RowAffected, body=g.GorseUser),
    Route("POST", "/api/users", _CATALOGUE, put_users, "Puts users.", g.RowAffected, body=list[g.GorseUser]),
    Route("PUT", "/api/user", _CATALOGUE, put_user, "Puts a user.", g.RowAffected, body=g.GorseUser),
    Route("PUT", "/api/users", _CATALOGUE, put_users, "Puts users.", g.RowAffected, body=list[g.GorseUser]),
    Route("GET", "/api/users", _CATALOGUE, users, "Users.", g.GorseUsers, query=g.GorsePageQuery, problems=(400,)),
    Route("GET", "/api/user/{user_id}", _CATALOGUE, user, "A user.", g.GorseUserReply, problems=(404,)),
    Route(
        "PATCH",
        "/api/user/{user_id}",
        _CATALOGUE,
        patch_user,
        "Changes a user.",
        g.RowAffected,
        body=g.GorseUserPatch,
        problems=(404,),
    ),
    Route("DELETE", "/api/user/{user_id}", _CATALOGUE, delete_user, "Erases a user.", g.RowAffected, problems=(404,)),
    Route("POST", "/api/feedback", _EVENTS, put_feedback, "Keeps feedback.", g.RowAffected, body=list[g.GorseFeedback]),
    Route("PUT", "/api/feedback", _EVENTS, put_feedback, "Keeps feedback.", g.RowAffected, body=list[g.GorseFeedback]),
    *(
        Route("GET", f"/api/{what}/{{{what}_id}}/feedback{end}", _CATALOGUE, handler, f"Feedback by {what}.", _FEEDBACK)
        for what, handler in (("user", feedback_of_user), ("item", feedback_of_item))
        for end in ("", "/{feedback_type}")
    ),
    *(
        Route(method, f"{path}{end}", _RECOMMEND, handler, summary, reply, body=body, query=query, problems=(404, 422))
        for method, path, handler, summary, reply, body, query in (
            ("GET", "/api/recommend/{user_id}", recommend, "Items for a user.", list[str | g.GorseScore], None, g.GorseRecommendQuery),
            ("POST", "/api/session/recommend", recommend_session, "Items for a session.", _LIST, list[g.GorseSession], g.GorseNeighboursQuery),
            ("GET", "/api/item/{item_id}/neighbors", neighbours, "Items like an item.", _LIST, None, g.GorseNeighboursQuery),
            ("GET", "/api/popular", popular, "What most users met.", _LIST, None, g.GorseListQuery),
            ("GET", "/api/latest", latest, "What is newest.", _LIST, None, g.GorseListQuery),
        )
        for end in ("", "/", "/{category}")  # clients of Gorse send an empty category as a slash
    ),
    *(
        Route("GET", f"/api/user/{{user_id}}/neighbors{end}", _RECOMMEND, user_neighbours, "Users like a user.", _LIST, query=g.GorseNeighboursQuery)
        for end in ("", "/")
    ),
    *(
        Route("GET", f"/api/health/{what}", PUBLIC, health, "Whether the service runs.", g.GorseHealth) for what in ("live", "ready")
    ),
)
"""Rows of the table of routes."""

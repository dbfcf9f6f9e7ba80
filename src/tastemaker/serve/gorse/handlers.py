"""What each of Gorse's routes does: the request is translated, the service asked, its answer translated back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from tastemaker.errors import RequestError
from tastemaker.serve.call import Call
from tastemaker.serve.gorse.translate import (
    MOST,
    affected,
    bounded,
    changes_of,
    event_of,
    feedback_reply,
    item_reply,
    options_of,
    properties_of,
    scores_of,
    time_of,
    user_reply,
)
from tastemaker.wire import gorse as g
from tastemaker.wire.bodies import ItemBody, ItemPatch, Recommend, RecommendSession, SessionEvent, UserBody, UserPatch

# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_item(call: Call) -> g.RowAffected:
    """Inserts or replaces an item."""
    return await _put_items(call, [call.body])


async def put_items(call: Call) -> g.RowAffected:
    """Inserts or replaces items."""
    return await _put_items(call, call.body)


async def _put_items(call: Call, items: Sequence[g.GorseItem]) -> g.RowAffected:
    bounded(items)
    rows = [
        ItemBody(
            item_id=one.item_id,
            properties=properties_of(one.labels, one.comment, one.timestamp),
            categories=one.categories or [],
            hidden=one.is_hidden,
        )
        for one in items
    ]
    return affected(await call.parts.writes.run(call.parts.service.put_items, rows))


async def patch_item(call: Call) -> g.RowAffected:
    """Changes what is not null."""
    sent = call.body
    patch = ItemPatch(properties=changes_of(sent.labels, sent.comment, sent.timestamp))
    if sent.is_hidden is not None:
        patch.hidden = sent.is_hidden
    if sent.categories is not None:
        patch.categories = sent.categories
    await call.parts.writes.run(call.parts.service.patch_item, call.ids["item_id"], patch)
    return g.RowAffected(row_affected=1)


async def item(call: Call) -> g.GorseItemReply:
    """An item as held."""
    return item_reply(await call.parts.reads.run(call.parts.service.item, call.ids["item_id"]))


async def items(call: Call) -> g.GorseItems:
    """A page of the catalogue."""
    page = await call.parts.reads.run(call.parts.service.items, call.query.cursor or None, call.query.n)
    return g.GorseItems(cursor=page.next_cursor or "", items=[item_reply(one) for one in page.items])


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
    bounded(users)
    rows = [UserBody(user_id=one.user_id, properties=properties_of(one.labels, one.comment, None)) for one in users]
    return affected(await call.parts.writes.run(call.parts.service.put_users, rows))


async def patch_user(call: Call) -> g.RowAffected:
    """Changes what is not null."""
    patch = UserPatch(properties=changes_of(call.body.labels, call.body.comment, None))
    await call.parts.writes.run(call.parts.service.patch_user, call.ids["user_id"], patch)
    return g.RowAffected(row_affected=1)


async def user(call: Call) -> g.GorseUserReply:
    """A user as held."""
    return user_reply(await call.parts.reads.run(call.parts.service.user, call.ids["user_id"]))


async def users(call: Call) -> g.GorseUsers:
    """A page of users."""
    page = await call.parts.reads.run(call.parts.service.users, call.query.cursor or None, call.query.n)
    return g.GorseUsers(cursor=page.next_cursor or "", users=[user_reply(one) for one in page.users])


async def delete_user(call: Call) -> g.RowAffected:
    """Removes every trace of a user."""
    await call.parts.writes.run_long(call.parts.service.erase, call.ids["user_id"])
    return g.RowAffected(row_affected=1)


# ── feedback ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def add_feedback(call: Call) -> g.RowAffected:
    """Keeps feedback where there is none of that type, user and item; answered when it is durable."""
    return await _keep_feedback(call, overwrite=False)


async def put_feedback(call: Call) -> g.RowAffected:
    """Keeps feedback in place of what there is of that type, user and item; answered when it is durable."""
    return await _keep_feedback(call, overwrite=True)


async def _keep_feedback(call: Call, *, overwrite: bool) -> g.RowAffected:
    bounded(call.body)
    if not call.body:
        return g.RowAffected(row_affected=0)
    events = [event_of(one) for one in call.body]
    return affected(await call.parts.writes.run(partial(call.parts.service.feedback, events, overwrite=overwrite)))


async def feedback_of_user(call: Call) -> list[g.GorseFeedbackReply]:
    """The newest feedback of a user, of one type or of all."""
    return await _feedback(call, user_id=call.ids["user_id"])


async def feedback_of_item(call: Call) -> list[g.GorseFeedbackReply]:
    """The newest feedback on an item, of one type or of all."""
    return await _feedback(call, item_id=call.ids["item_id"])


async def _feedback(call: Call, **whose: str) -> list[g.GorseFeedbackReply]:
    kind = call.ids.get("feedback_type") or None
    page = await call.parts.reads.run(lambda: call.parts.service.events(type=kind, limit=MOST, **whose))
    return [feedback_reply(event) for event in page.events]


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
    request = Recommend(user_id=call.ids["user_id"], **options_of(call))
    answer = await call.parts.batcher.submit(request, record=False)
    rows = scores_of(answer, query.offset)
    return list(rows) if call.headers.get(b"x-api-version") == b"2" else [one.id for one in rows]


async def recommend_session(call: Call) -> list[g.GorseScore]:
    """Items for a session that is sent along; nothing of it is stored."""
    bounded(call.body)
    rows = sorted(call.body, key=lambda one: time_of(one.timestamp) or "")
    events = [
        SessionEvent(item_id=one.item_id, type=one.feedback_type or "view", timestamp=time_of(one.timestamp)) for one in rows
    ]
    answer = await call.parts.batcher.submit(RecommendSession(events=events, **options_of(call)), record=False)
    return scores_of(answer, call.query.offset)


async def neighbours(call: Call) -> list[g.GorseScore]:
    """Items like an item."""
    asked = options_of(call)
    limit = asked.pop("limit")
    service, item_id = call.parts.service, call.ids["item_id"]
    return scores_of(await call.parts.lists.run(lambda: service.similar(item_id, limit, **asked)), call.query.offset)


async def user_neighbours(call: Call) -> list[g.GorseScore]:
    """Users like a user."""
    query = call.query
    limit = min(MOST, query.n + query.offset)
    found = await call.parts.lists.run(call.parts.service.similar_users, call.ids["user_id"], limit)
    return [g.GorseScore(id=one.user_id, score=one.score) for one in found.users[query.offset :]]


async def popular(call: Call) -> list[g.GorseScore]:
    """What most users met."""
    return await _listed(call, "popular")


async def latest(call: Call) -> list[g.GorseScore]:
    """What came last into the catalogue."""
    return await _listed(call, "latest")


async def _listed(call: Call, which: Literal["popular", "latest"]) -> list[g.GorseScore]:
    parts, query, asked = call.parts, call.query, options_of(call)

    def work() -> list[g.GorseScore]:
        met = parts.store.seen([query.user_id])[0] if query.user_id is not None else set()
        if met:
            asked["limit"] = min(MOST, asked["limit"] + len(met))
        rows = [one for one in scores_of(parts.service.popular(which, **asked), 0) if one.id not in met]
        return rows[query.offset : query.offset + query.n]

    return await parts.reads.run(work)


async def health(call: Call) -> g.GorseHealth:
    """Whether the model is there; the process runs if this is answered."""
    return g.GorseHealth(ready=call.parts.service.ready)

"""Events: taken when they are durable, and read back."""

from __future__ import annotations

from tastemaker.errors import RequestError
from tastemaker.serve.call import Call
from tastemaker.wire.bodies import EventsReply, EventsTaken
from tastemaker.wire.control import Rows


async def send(call: Call) -> EventsTaken:
    """Takes a batch; the answer is sent after the write is durable."""
    return await call.parts.writes.run(call.parts.service.feedback, call.body.events)


async def events(call: Call) -> EventsReply:
    """Events of a user or an item, newest first."""
    query = call.query
    if (query.user_id is None) == (query.item_id is None):
        raise RequestError("both or neither of user_id and item_id", expected="one of them", code="invalid")
    return await call.parts.reads.run(
        lambda: call.parts.service.events(
            user_id=query.user_id, item_id=query.item_id, type=query.type, cursor=query.cursor, limit=query.limit
        )
    )


async def dead_letters(call: Call) -> Rows:
    """Events that were refused, newest first."""
    page = await call.parts.reads.run(call.parts.store.dead_letters, call.query.cursor, call.query.limit, call.query.code)
    return Rows(rows=[dict(row) for row in page.rows], next_cursor=page.next)

"""Items and users: put, changed, read, removed; in batches and as streams of JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tastemaker.errors import RequestError
from tastemaker.serve import body as bodies
from tastemaker.serve.browse import chart as charts
from tastemaker.serve.call import Call, Raw
from tastemaker.serve.problems import problem
from tastemaker.wire.bodies import (
    ItemBody,
    ItemReply,
    ItemsReply,
    JobReply,
    Merged,
    RowRejected,
    RowsTaken,
    UserBody,
    UserReply,
    UsersReply,
)
from tastemaker.wire.browse import CatalogueReply, FoundItems, ItemProfile, ItemsQuery, MapFound, MapItems, MapReply

_GROUP = 500
_TOLD = 1000


async def put_item(call: Call) -> ItemReply:
    """Inserts or replaces an item; the next request knows."""
    return await call.parts.writes.run(call.parts.service.put_item, _same_id(call, "item_id"), call.body)


async def patch_item(call: Call) -> ItemReply:
    """Changes what is sent and leaves the rest."""
    return await call.parts.writes.run(call.parts.service.patch_item, call.ids["item_id"], call.body)


async def item(call: Call) -> ItemReply:
    """An item as held."""
    return await call.parts.reads.run(call.parts.service.item, call.ids["item_id"])


async def delete_item(call: Call) -> None:
    """Removes an item; the next request knows."""
    await call.parts.writes.run(call.parts.service.delete_item, call.ids["item_id"])


async def items(call: Call) -> ItemsReply | FoundItems:
    """The catalogue by id, or what of it a query and a list hold, best first."""
    asked: ItemsQuery = call.query
    if asked.query is None and asked.listed is None and asked.category is None and asked.sort is None and not asked.include:
        return await call.parts.reads.run(call.parts.service.items, asked.cursor, asked.limit, asked.filter)
    return await call.parts.reads.run(call.parts.service.finder.items, asked)


async def glance(call: Call) -> CatalogueReply:
    """The catalogue at a glance."""
    return await call.parts.reads.run(call.parts.service.finder.catalogue, call.query.cold_below)


async def profile(call: Call) -> ItemProfile:
    """What is known of an item."""
    return await call.parts.reads.run(call.parts.service.profile, call.ids["item_id"])


async def map(call: Call) -> MapReply:
    """How far the map of the items is."""
    return await call.parts.reads.run(call.parts.service.finder.map)


async def map_points(call: Call) -> Raw:
    """The map's points as bytes, for who does not have them yet."""
    chart = await call.parts.reads.run(call.parts.service.finder.chart)
    tag = f'"{chart.tag}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if tag.encode() in call.headers.get(b"if-none-match", b""):
        return Raw(b"", charts.MEDIA, 304, headers)
    return Raw(chart.content, charts.MEDIA, headers=headers)


async def map_items(call: Call) -> MapItems:
    """Items of points."""
    return await call.parts.reads.run(call.parts.service.finder.map_items, call.query)


async def map_search(call: Call) -> MapFound:
    """Points of items."""
    return await call.parts.reads.run(call.parts.service.finder.map_search, call.query)


async def put_items(call: Call) -> RowsTaken:
    """Many items; each is taken or rejected on its own."""
    return await _put_rows(call, call.parts.service.put_items, "items", ItemBody)


async def put_user(call: Call) -> UserReply:
    """Inserts or replaces a user."""
    return await call.parts.writes.run(call.parts.service.put_user, _same_id(call, "user_id"), call.body)


async def patch_user(call: Call) -> UserReply:
    """Changes what is sent and leaves the rest."""
    return await call.parts.writes.run(call.parts.service.patch_user, call.ids["user_id"], call.body)


async def user(call: Call) -> UserReply:
    """A user as held."""
    return await call.parts.reads.run(call.parts.service.user, call.ids["user_id"])


async def users(call: Call) -> UsersReply:
    """Users by id."""
    query = call.query
    return await call.parts.reads.run(call.parts.service.users, query.cursor, query.limit, query.prefix)


async def put_users(call: Call) -> RowsTaken:
    """Many users; each is taken or rejected on its own."""
    return await _put_rows(call, call.parts.service.put_users, "users", UserBody)


async def merge(call: Call) -> Merged:
    """An anonymous visitor becomes a known user."""

    def work() -> Merged:
        merged = call.parts.service.merge(call.body.source, call.ids["user_id"])
        call.parts.store.audit(call.principal.actor, "users.merge", {"events": merged.events})
        return merged

    return await call.parts.writes.run_long(work)


async def erase(call: Call) -> JobReply:
    """Removes every trace of a user."""

    def work() -> JobReply:
        job = call.parts.service.erase(call.ids["user_id"])
        call.parts.store.audit(call.principal.actor, "users.erase", {"job_id": job.job_id})  # whom it was is not to be kept
        return job

    return await call.parts.writes.run_long(work)


async def export(call: Call) -> dict[str, Any]:
    """Everything held on a user."""
    return dict(await call.parts.reads.run_long(call.parts.service.export, call.ids["user_id"]))


Put = Callable[[Sequence[Any]], RowsTaken]


def _same_id(call: Call, name: str) -> str:
    own = call.ids[name]
    if getattr(call.body, name) not in (None, own):
        raise RequestError(f"another {name} in the body than in the path", expected="the same, or none", code="invalid")
    return own


async def _put_rows(call: Call, put: Put, rows: str, kind: Any) -> RowsTaken:
    if call.stream is None:
        return await call.parts.writes.run(put, getattr(call.body, rows))
    decode, group, places = bodies.decoder(kind), [], []
    whole, place = RowsTaken(accepted=0, rejected=[]), 0
    async for line in call.stream():
        try:
            group.append(decode(line))
            places.append(place)
        except Exception as error:
            told = problem(error)[0]
            if told.status >= 500:
                raise
            _reject(whole, RowRejected(index=place, code=told.code, detail=told.detail))
        place += 1
        if len(group) == _GROUP:
            await _take(call, put, group, places, whole)
            group, places = [], []
    if group:
        await _take(call, put, group, places, whole)
    return whole


async def _take(call: Call, put: Put, group: list[Any], places: list[int], whole: RowsTaken) -> None:
    taken = await call.parts.writes.run(put, group)
    whole.accepted += taken.accepted
    for one in taken.rejected:
        _reject(whole, RowRejected(index=places[one.index], code=one.code, detail=one.detail))


def _reject(whole: RowsTaken, row: RowRejected) -> None:
    """What is told of a stream is bounded, so a stream of nothing but mistakes is cut off."""
    whole.rejected.append(row)
    if len(whole.rejected) >= _TOLD:
        raise RequestError(
            f"{_TOLD} rows that cannot be taken, the last at {row.index}: {row.detail}",
            code="too_many_rejected",
            hint=f"{whole.accepted} rows before it were taken",
        )

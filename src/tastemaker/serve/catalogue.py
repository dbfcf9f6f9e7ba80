"""Items and users: bodies to what the store keeps, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from tastemaker.errors import RequestError
from tastemaker.serve.ids import checked
from tastemaker.serve.intake import keepable
from tastemaker.serve.times import to_micros, to_text
from tastemaker.store.base import Event, Item, Job, User
from tastemaker.wire.bodies import (
    EventReply,
    ItemBody,
    ItemPatch,
    ItemReply,
    JobReply,
    RowRejected,
    UserBody,
    UserPatch,
    UserReply,
)

MAX_PROPERTIES_BYTES = 65_536
"""Properties of one item or user, as JSON."""

B = TypeVar("B", ItemBody, UserBody)


def item_of(body: ItemBody, item_id: str | None = None) -> Item:
    """The item that a body describes; `item_id` where the body is silent.

    Raises:
        RequestError: an id, a time or a property is no good.
    """
    return Item(
        checked(body.item_id if item_id is None else item_id, "item_id"),
        keepable(body.properties, MAX_PROPERTIES_BYTES, "properties"),
        tuple(checked(category, "category") for category in body.categories),
        None if body.available_from is None else to_micros(body.available_from, "available_from"),
        None if body.expires_at is None else to_micros(body.expires_at, "expires_at"),
        body.hidden,
        _embedding(body.embedding),
    )


def patched_item(item: Item, patch: ItemPatch) -> Item:
    """The item with what the patch says changed.

    Raises:
        RequestError: as `item_of`.
    """
    changes: dict[str, Any] = {}
    if patch.properties is not msgspec.UNSET:
        changes["properties"] = _merged(item.properties, patch.properties)
    if patch.categories is not msgspec.UNSET:
        changes["categories"] = tuple(checked(category, "category") for category in patch.categories)
    for name in ("available_from", "expires_at"):
        value = getattr(patch, name)
        if value is not msgspec.UNSET:
            changes[name] = None if value is None else to_micros(value, name)
    if patch.hidden is not msgspec.UNSET:
        changes["hidden"] = patch.hidden
    if patch.embedding is not msgspec.UNSET:
        changes["embedding"] = _embedding(patch.embedding)
    return replace(item, **changes)


def user_of(body: UserBody, user_id: str | None = None) -> User:
    """The user that a body describes.

    Raises:
        RequestError: the id or a property is no good.
    """
    return User(
        checked(body.user_id if user_id is None else user_id, "user_id"),
        keepable(body.properties, MAX_PROPERTIES_BYTES, "properties"),
    )


def patched_user(user: User, patch: UserPatch) -> User:
    """The user with properties changed."""
    return replace(user, properties=_merged(user.properties, patch.properties))


def bodies(sent: Sequence[Any], kind: type[B]) -> tuple[list[tuple[int, B]], list[RowRejected]]:
    """Rows of a batch as bodies with their places, and those that are none."""
    good, rejected = [], []
    for index, one in enumerate(sent):
        try:
            good.append((index, one if isinstance(one, kind) else msgspec.convert(one, kind)))
        except msgspec.ValidationError as error:
            rejected.append(RowRejected(index=index, code="malformed", detail=str(error)[:200]))
        except (OverflowError, RecursionError, UnicodeError, ValueError, TypeError) as error:
            rejected.append(RowRejected(index=index, code="malformed", detail=type(error).__name__))
    return good, rejected


def item_reply(item: Item) -> ItemReply:
    """An item as it goes out."""
    return ItemReply(
        item_id=item.item_id,
        properties=dict(item.properties),
        categories=list(item.categories),
        available_from=None if item.available_from is None else to_text(item.available_from),
        expires_at=None if item.expires_at is None else to_text(item.expires_at),
        hidden=item.hidden,
        embedding=None if item.embedding is None else list(item.embedding),
    )


def user_reply(user: User) -> UserReply:
    """A user as it goes out."""
    return UserReply(user_id=user.user_id, properties=dict(user.properties))


def event_reply(event: Event) -> EventReply:
    """An event as it goes out."""
    return EventReply(
        user_id=event.user_id,
        item_id=event.item_id,
        type=event.kind,
        value=event.value,
        timestamp=to_text(event.time),
        event_id=event.event_id,
        session_id=event.session_id,
        recommendation_id=event.recommendation_id,
        position=event.position,
        impressions=list(event.extra.get("impressions", [])),
        context=dict(event.extra.get("context", {})),
        properties=dict(event.extra.get("properties", {})),
    )


def job_reply(job: Job) -> JobReply:
    """A job as it goes out."""
    return JobReply(
        job_id=job.job_id,
        kind=job.kind,
        state=job.state,
        progress=job.progress,
        created=to_text(job.created),
        updated=to_text(job.updated),
        detail=dict(job.detail),
    )


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {name: value for name, value in {**old, **changes}.items() if value is not None}
    return keepable(merged, MAX_PROPERTIES_BYTES, "properties")


def _embedding(values: Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    if not values or not all(math.isfinite(value) for value in values):
        raise RequestError("an embedding that is empty or not finite", code="bad_embedding", expected="finite numbers")
    return tuple(float(value) for value in values)

"""Keeper: the half of the service that writes: events, items, users."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

from tastemaker.errors import RequestError
from tastemaker.serve import catalogue, intake
from tastemaker.serve.ids import checked, new_id
from tastemaker.serve.live import Live
from tastemaker.serve.recorder import Recorder
from tastemaker.store.base import Item, Job, Store
from tastemaker.wire.bodies import (
    EventsReply,
    EventsTaken,
    ItemBody,
    ItemPatch,
    ItemReply,
    ItemsReply,
    JobReply,
    Merged,
    RejectedEvent,
    RowRejected,
    RowsTaken,
    UserBody,
    UserPatch,
    UserReply,
    UsersReply,
)


class Keeper(abc.ABC):
    """Checks what is sent, keeps it in the store, and has the live catalogue and the memory of answers follow."""

    store: Store
    recorder: Recorder
    """keeps what was shown"""
    _live: Live
    _clock: Callable[[], int]

    @abc.abstractmethod
    def _forget(self, user_id: str) -> None:
        """Drops what memory holds of a user."""

    # events
    def feedback(self, events: Sequence[Any], *, overwrite: bool | None = None) -> EventsTaken:
        """Keeps events: `EventBody`s, or objects as JSON gave them. When this returns they are durable and in the next answer.

        What is refused is in the reply and in the dead letters; it does not fail the others. `overwrite` is given for senders who know
        one event of each user, item and type: see `Store.settle_events`.

        Raises:
            StoreError: nothing was kept.
        """
        taken, rejected = intake.check(events, self._clock())
        if overwrite is None:
            kept = self.store.add_events(taken, rejected)
        else:
            kept = self.store.settle_events(taken, rejected, overwrite=overwrite)
        if any(event.item_id not in self._live.view.codes for event in taken):
            self._live.wake()
        return EventsTaken(
            accepted=kept.accepted,
            duplicates=kept.duplicates,
            rejected=[RejectedEvent(index=one.index, code=one.code, detail=one.detail) for one in rejected],
        )

    def events(
        self,
        *,
        user_id: str | None = None,
        item_id: str | None = None,
        type: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> EventsReply:
        """Events as held, newest first."""
        page = self.store.events(user_id=user_id, item_id=item_id, kind=type, cursor=cursor, limit=limit)
        return EventsReply(events=[catalogue.event_reply(event) for event in page.rows], next_cursor=page.next)

    # items
    def put_item(self, item_id: str, body: ItemBody) -> ItemReply:
        """Inserts or replaces an item; the next answer may hold it."""
        item = catalogue.item_of(body, item_id)
        self.store.put_items([item])
        self._live.refresh()
        return catalogue.item_reply(item)

    def put_items(self, sent: Sequence[Any]) -> RowsTaken:
        """Inserts or replaces items: `ItemBody`s or objects, each with its `item_id`."""
        rows, rejected = catalogue.bodies(sent, ItemBody)
        items = []
        for index, body in rows:
            try:
                items.append(catalogue.item_of(body))
            except RequestError as error:
                rejected.append(RowRejected(index=index, code=error.code, detail=str(error)))
        if items:
            self.store.put_items(items)
            self._live.refresh()
        return RowsTaken(accepted=len(items), rejected=sorted(rejected, key=lambda one: one.index))

    def patch_item(self, item_id: str, patch: ItemPatch) -> ItemReply:
        """Changes an item. Raises RequestError (404) where there is none."""
        item = catalogue.patched_item(self._item(item_id), patch)
        self.store.put_items([item])
        self._live.refresh()
        return catalogue.item_reply(item)

    def delete_item(self, item_id: str) -> None:
        """Removes an item from the catalogue; no later answer holds it. Raises RequestError (404) where there is none."""
        if not self.store.delete_item(checked(item_id, "item_id")):
            self.store.put_items([self._item(item_id)])  # only the model knew it: there must be something to bury
            self.store.delete_item(item_id)
        self._live.refresh()

    def item(self, item_id: str) -> ItemReply:
        """An item. Raises RequestError (404) where there is none."""
        return catalogue.item_reply(self._item(item_id))

    def items(self, cursor: str | None = None, limit: int = 100, filter: str | None = None) -> ItemsReply:
        """The catalogue by item id, or what of it a filter holds for. Raises FilterError where it does not parse or fit."""
        page = self.store.items(cursor, limit) if filter is None else self._live.view.stock.page(filter, cursor, limit)
        return ItemsReply(items=[catalogue.item_reply(item) for item in page.rows], next_cursor=page.next)

    # users
    def put_user(self, user_id: str, body: UserBody) -> UserReply:
        """Inserts or replaces a user."""
        user = catalogue.user_of(body, user_id)
        self.store.put_users([user])
        return catalogue.user_reply(user)

    def put_users(self, sent: Sequence[Any]) -> RowsTaken:
        """Inserts or replaces users: `UserBody`s or objects, each with its `user_id`."""
        rows, rejected = catalogue.bodies(sent, UserBody)
        users = []
        for index, body in rows:
            try:
                users.append(catalogue.user_of(body))
            except RequestError as error:
                rejected.append(RowRejected(index=index, code=error.code, detail=str(error)))
        if users:
            self.store.put_users(users)
        return RowsTaken(accepted=len(users), rejected=sorted(rejected, key=lambda one: one.index))

    def patch_user(self, user_id: str, patch: UserPatch) -> UserReply:
        """Changes a user. Raises RequestError (404) where there is none."""
        found = self.store.user(checked(user_id, "user_id"))
        if found is None:
            raise _unknown("user", user_id)
        user = catalogue.patched_user(found, patch)
        self.store.put_users([user])
        return catalogue.user_reply(user)

    def user(self, user_id: str) -> UserReply:
        """A user. Raises RequestError (404) where nothing is known of them."""
        found = self.store.user(checked(user_id, "user_id"))
        if found is None:
            raise _unknown("user", user_id)
        return catalogue.user_reply(found)

    def users(self, cursor: str | None = None, limit: int = 100, prefix: str | None = None) -> UsersReply:
        """Users by id, or those whose ids begin with `prefix`."""
        page = self.store.users(cursor, limit, prefix)
        return UsersReply(users=[catalogue.user_reply(user) for user in page.rows], next_cursor=page.next)

    def merge(self, source: str, target: str) -> Merged:
        """Gives all events of `source` (such as `anon:…`) to `target` and forgets `source`."""
        source, target = checked(source, "from"), checked(target, "user_id")
        if source == target:
            raise RequestError("a user merged into itself", code="same_user", expected="two users")
        moved = self.store.merge_users(source, target)
        for user in (source, target):
            self._forget(user)
        return Merged(events=moved)

    def erase(self, user_id: str) -> JobReply:
        """Removes every trace of a user: from the store, from what waits to be written, and from this process's memory.

        The job that is kept as a receipt says how many rows went, and does not name the user.
        """
        user_id, now = checked(user_id, "user_id"), self._clock()
        self._forget(user_id)
        receipt = self.store.erase_user(user_id)
        self._forget(user_id)  # what was answered while the store was at it
        job = Job(new_id(now), "erase", "done", now, self._clock(), 1.0, {"removed": dict(receipt)})
        self.store.put_job(job)
        return catalogue.job_reply(job)

    def export(self, user_id: str) -> dict[str, Any]:
        """Everything held on a user."""
        self.recorder.flush()
        return dict(self.store.export_user(checked(user_id, "user_id")))

    def _item(self, item_id: str) -> Item:
        """An item of the store, or else of the artifact in use."""
        found, view = self.store.item(checked(item_id, "item_id")), self._live.view
        if found is None and (code := view.code(item_id)) is not None and not view.item(code).deleted:
            found = view.item(code)
        if found is None:
            raise _unknown("item", item_id)
        return found


def _unknown(what: str, found: str) -> RequestError:
    return RequestError(f"no {what} {found[:80]!r}", code=f"unknown_{what}", status=404, expected=f"the id of a known {what}")

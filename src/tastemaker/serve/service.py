"""Service: everything the product answers, without HTTP; bodies in, replies out.

| verbs | file |
|---|---|
| recommend, next_page, batch | `desk.py`: the path of a batch; `pages.py` |
| popular, trending, latest | `shelves.py` |
| similar, similar_users, audience, complementary, rank | `likeness.py` |
| explain | `explain.py` |
| feedback | `intake.py` |
| items and users | `catalogue.py`, `live.py` |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from tastemaker.errors import RequestError
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve import catalogue, intake
from tastemaker.serve.asks import Ask
from tastemaker.serve.desk import Desk
from tastemaker.serve.envelope import Envelopes
from tastemaker.serve.explain import explain
from tastemaker.serve.guard import Guard
from tastemaker.serve.ids import checked, new_id
from tastemaker.serve.likeness import Likeness
from tastemaker.serve.live import Live
from tastemaker.serve.masks import Masks
from tastemaker.serve.pages import Pages
from tastemaker.serve.recorder import Recorder
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.shelves import Shelves
from tastemaker.serve.view import View
from tastemaker.serve.wire import (
    Answer,
    Answers,
    Complementary,
    EventsReply,
    EventsTaken,
    Explain,
    ItemBody,
    ItemPatch,
    ItemReply,
    ItemsReply,
    JobReply,
    Merged,
    Rank,
    Recommend,
    RecommendBatch,
    RecommendSession,
    RejectedEvent,
    RowRejected,
    RowsTaken,
    SessionEvent,
    SimilarUsers,
    Trace,
    UserBody,
    UserPatch,
    UserReply,
    UsersReply,
)
from tastemaker.store.base import Item, Job, ModelVersion, Store


def wall_clock() -> int:
    """µs since 1970."""
    return time.time_ns() // 1000


class Service:
    """Answers requests from a store and, as soon as one is swapped in, a model.

    All methods may be called from several threads at once; none may be called from an event loop, since they wait for the store.
    Methods that take one request raise `RequestError` where it cannot be answered as asked.
    """

    def __init__(
        self, store: Store, *, settings: ServeSettings | None = None, clock: Callable[[], int] = wall_clock, follow: bool = True
    ) -> None:
        """Reads the catalogue of `store` (which stays the caller's to close).

        Args:
            store: an open store.
            settings: `[serve]`; None takes the defaults.
            clock: µs since 1970.
            follow: whether to look for changes of the catalogue by other processes in the background.
        """
        settings = ServeSettings() if settings is None else settings
        self.settings, self.store, self._clock = settings, store, clock
        self._live = Live(store)
        self._guard = Guard(pause_seconds=settings.store_pause_seconds)
        self._masks = Masks(settings.masks)
        self._shelves = Shelves(store, settings, clock)
        self._pages = Pages(store, settings.pages)
        self.recorder = Recorder(store, queue=settings.recorder_queue, group=settings.recorder_group)
        self._envelopes = Envelopes(self._pages, self.recorder)
        self._desk = Desk(store, self._live, self._guard, self._masks, self._shelves, self._envelopes, settings, clock)
        self._likeness = Likeness(self._live, self._masks, self._shelves, store, self._guard, settings, clock)
        self._warm = False
        if follow:
            self._live.each_round(self._shelves.refresh)
            self._live.start(settings.refresh_seconds)

    def close(self) -> None:
        """Keeps what waits to be kept and stops the threads; the store stays open."""
        self._live.close()
        self.recorder.close()
        self._shelves.close()
        self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # the model
    @property
    def view(self) -> View:
        """What the next request will see: catalogue, model and version, which belong together."""
        return self._live.view

    @property
    def version(self) -> ModelVersion | None:
        """The version in use."""
        return self._live.view.version

    @property
    def ready(self) -> bool:
        """Whether `warm` has run; before that the first requests would wait for what it prepares."""
        return self._warm

    def swap(self, recommender: Recommender | None, version: ModelVersion | None = None) -> None:
        """Puts a model in use by one assignment: requests under way end with the one they began with, later ones get this one.

        None takes the model out: then everybody gets the popular list.
        """
        self._live.swap(recommender, version)

    def warm(self) -> None:
        """Answers a few requests so that the first real ones find everything prepared."""
        view = self._live.view
        session = RecommendSession(events=[SessionEvent(item_id=item) for item in view.ids[2:12]])
        for size in (1, self.settings.max_batch):
            self._desk.answer([Ask(session, record=False)] * size)
        self._desk.answer([Ask(Recommend(), record=False)])
        self._warm = True

    # lists
    def recommend(self, requests: Sequence[Recommend], *, record: bool = True) -> list[Answer | RequestError]:
        """A list for each request (`Recommend` or `RecommendSession`), all from one forward pass of one version.

        An error of one request is returned in its place and does not fail the others. With `record` the answers are kept in the
        store, soon, by a thread of its own; without it nothing is written.
        """
        return self._desk.answer([Ask(request, record=record) for request in requests])

    def answer(self, asks: Sequence[Ask]) -> list[Answer | RequestError]:
        """As `recommend`, for asks that say each whether to record and when they arrived."""
        return self._desk.answer(asks)

    def next_page(self, cursor: str, limit: int | None = None, *, record: bool = True) -> Answer:
        """What comes after an answer: nothing of the pages before, and nothing the user has met since.

        Args:
            cursor: `next_cursor` of the answer, or its recommendation id.
            limit: length of the page; None: as before.
            record: as in `recommend`.

        Raises:
            RequestError: the cursor is forged (400), or the answer is not held any more (404).
        """
        return self._one(self._desk.answer([self._pages.continued(cursor, limit, record=record)]))

    def owner(self, cursor: str) -> str | None:
        """The user that an answer was for; None where it was for nobody in particular. Raises as `next_page`."""
        return self._pages.continued(cursor, None).request.user_id

    def batch(self, body: RecommendBatch, *, record: bool = True) -> Answers:
        """Several shelves of a page; where `distinct`, an earlier shelf keeps an item from all later ones.

        Raises:
            RequestError: one of the requests cannot be answered as asked.
        """
        asks: list[Ask] = []
        for request in body.requests:
            asks.append(Ask(request, shelves=tuple(asks) if body.distinct else (), record=record))
        answers = self._desk.answer(asks)
        return Answers(answers=[self._one([answer]) for answer in answers])

    def popular(
        self,
        which: Literal["popular", "trending", "latest"] = "popular",
        *,
        window_seconds: float | None = None,
        category: str | None = None,
        limit: int = 10,
        filter: str | None = None,
        parameters: dict[str, Any] | None = None,
        include: Sequence[str] = (),
    ) -> Answer:
        """The same list for everybody; `window_seconds` is ignored by "latest"."""
        return self._likeness.shelf(which, window_seconds, category, limit, filter, parameters or {}, include)

    def similar(
        self,
        item_id: str,
        limit: int = 10,
        *,
        filter: str | None = None,
        parameters: dict[str, Any] | None = None,
        include: Sequence[str] = (),
    ) -> Answer:
        """Items like an item. Raises RequestError (404) where nothing is known of it."""
        return self._likeness.similar(item_id, limit, filter, parameters or {}, include)

    def similar_users(self, user_id: str, limit: int = 10) -> SimilarUsers:
        """Users of like taste among those who met the same items of late."""
        return self._likeness.similar_users(checked(user_id, "user_id"), limit)

    def audience(self, item_id: str, limit: int = 10) -> SimilarUsers:
        """Users who have not met the item and would like it most, among those who met items like it of late."""
        return self._likeness.audience(item_id, limit)

    def complementary(self, body: Complementary) -> Answer:
        """What goes with a basket: met by the same users (source "co_occurrence"), then what is like it."""
        return self._likeness.complementary(body)

    def rank(self, body: Rank) -> Answer:
        """The given items in the order of the user's taste; ids nobody knows come last, flagged."""
        return self._likeness.rank(body)

    def explain(self, body: Explain) -> Trace:
        """Why an item is, or is not, on a user's list: its way through every stage."""
        return explain(body, self._desk, self._live.view, self._clock())

    # events
    def feedback(self, events: Sequence[Any]) -> EventsTaken:
        """Keeps events: `EventBody`s, or objects as JSON gave them. When this returns they are durable and in the next answer.

        What is refused is in the reply and in the dead letters; it does not fail the others.

        Raises:
            StoreError: nothing was kept.
        """
        taken, rejected = intake.check(events, self._clock())
        kept = self.store.add_events(taken, rejected)
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

    def items(self, cursor: str | None = None, limit: int = 100) -> ItemsReply:
        """The catalogue by item id."""
        page = self.store.items(cursor, limit)
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

    def users(self, cursor: str | None = None, limit: int = 100) -> UsersReply:
        """Users by id."""
        page = self.store.users(cursor, limit)
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

    def refresh(self) -> bool:
        """Does now what the following thread does every `refresh_seconds`; whether the catalogue had changed."""
        changed = self._live.refresh()
        self._live.acquaint()
        self._shelves.refresh()
        return changed

    def _forget(self, user_id: str) -> None:
        self.recorder.forget(user_id)
        self._pages.forget(user_id)
        self._desk.last.forget(user_id)
        self._live.view.user_codes.pop(user_id, None)

    def _item(self, item_id: str) -> Item:
        """An item of the store, or else of the artifact in use."""
        found, view = self.store.item(checked(item_id, "item_id")), self._live.view
        if found is None and (code := view.code(item_id)) is not None and not view.item(code).deleted:
            found = view.item(code)
        if found is None:
            raise _unknown("item", item_id)
        return found

    @staticmethod
    def _one(answers: Sequence[Answer | RequestError]) -> Answer:
        if isinstance(answers[0], RequestError):
            raise answers[0]
        return answers[0]


def _unknown(what: str, found: str) -> RequestError:
    return RequestError(f"no {what} {found[:80]!r}", code=f"unknown_{what}", status=404, expected=f"the id of a known {what}")

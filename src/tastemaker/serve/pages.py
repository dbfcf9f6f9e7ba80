"""Next pages: signed cursors, and what the pages before have shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from tastemaker.errors import RequestError
from tastemaker.recommend.held import Held
from tastemaker.serve.asks import Ask
from tastemaker.store.base import Shown, Store
from tastemaker.wire.bodies import Recommend, RecommendSession

_MAC_BYTES = 16
_MOST_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that can be continued."""

    request: Recommend
    item_ids: tuple[str, ...]
    """shown on this page and those before"""
    previous: tuple[str, ...]
    """recommendation ids of the pages up to this one"""
    version: int = 0
    """of the scenario, 0 where none was in force"""


class Pages:
    """Remembers what was shown: in memory for answers of late, in the store for those that were recorded."""

    def __init__(self, store: Store, capacity: int) -> None:
        self._store = store
        self._held: Held[Page] = Held(capacity)
        self._secret = _secret(store)

    def put(self, recommendation_id: str, ask: Ask, shown: list[str], version: int) -> None:
        """Remembers an answer just given, under a version of its scenario."""
        page = Page(ask.request, (*ask.before, *shown), (*ask.previous, recommendation_id), version)
        self._held.put(recommendation_id, page, ask.request.user_id)

    def forget(self, user_id: str) -> None:
        """Drops what was shown to a user."""
        self._held.forget(user_id)

    def cursor(self, recommendation_id: str) -> str:
        """The signed word for "what comes after this answer"."""
        text = recommendation_id.encode()
        return base64.urlsafe_b64encode(self._mac(text) + text).decode().rstrip("=")

    def continued(self, cursor_or_id: str, limit: int | None, *, record: bool = False) -> Ask:
        """What to ask for the next page of an answer.

        Args:
            cursor_or_id: the cursor, or the recommendation id itself.
            limit: length of the page; None: as before.
            record: whether that page is to be kept in the store.

        Raises:
            RequestError: the cursor is forged (status 400), or nothing is known of the answer any more (status 404).
            StoreError: it is not in memory, and the store does not answer.
        """
        recommendation_id = cursor_or_id if len(cursor_or_id) == 26 else self._verified(cursor_or_id)
        page = self._held.get(recommendation_id) or self._stored(recommendation_id)
        request = page.request if limit is None else msgspec.structs.replace(page.request, limit=limit)
        return Ask(request, page.item_ids, page.previous, record=record, version=page.version)

    def _verified(self, cursor: str) -> str:
        forged = RequestError(
            "a cursor this service did not give", code="bad_cursor", status=400, hint="use next_cursor as it came"
        )
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)[_MAC_BYTES:].decode(
                "ascii"
            )
        except (binascii.Error, ValueError, UnicodeError):
            raise forged from None
        # the whole text, not the bytes it decodes to: several texts decode to the same bytes
        if not hmac.compare_digest(cursor.encode(), self.cursor(text).encode()):
            raise forged
        return text

    def _stored(self, recommendation_id: str) -> Page:
        last = self._store.answer(recommendation_id)
        if last is None:
            raise RequestError(
                "nothing is held of this answer", code="unknown_recommendation", status=404, hint="ask for a first page again"
            )
        earlier = [self._store.answer(one) for one in last.request.get("previous", [])[:_MOST_PAGES]]
        pages = [last, *(shown for shown in earlier if shown is not None)]
        ids = tuple(item_id for shown in pages for item_id in shown.item_ids)
        version = last.request.get("scenario_version", 0)
        return Page(asked(last), ids, (*last.request.get("previous", []), recommendation_id), version)

    def _mac(self, text: bytes) -> bytes:
        return hmac.digest(self._secret, text, "sha256")[:_MAC_BYTES]


def kept(ask: Ask, version: int) -> dict[str, Any]:
    """A request as kept with its answer; the rules of its scenario are named by their version, which never changes."""
    kind = "session" if isinstance(ask.request, RecommendSession) else "user"
    by = {"scenario_version": version} if version else {}
    return {"kind": kind, "body": msgspec.to_builtins(ask.request), "previous": list(ask.previous), **by}


def asked(shown: Shown) -> Recommend:
    """The request of an answer that was kept."""
    kind = RecommendSession if shown.request.get("kind") == "session" else Recommend
    try:
        return msgspec.convert(shown.request.get("body", {}), kind)
    except msgspec.ValidationError as error:
        raise RequestError(
            f"an answer kept by another version ({error})",
            code="unknown_recommendation",
            status=404,
            hint="ask for a first page again",
        ) from None


def _secret(store: Store) -> bytes:
    """The store's signing secret, made by whoever comes first."""
    name = "cursor_secret"
    text = store.setting(name)
    if text is None:
        store.setting(name, secrets.token_hex(32))
        text = store.setting(name)
    return hashlib.sha256((text or "").encode()).digest()

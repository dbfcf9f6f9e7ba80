"""Who may do what: keys with scopes, and tokens that tie a browser to one user.

```
Authorization: Bearer SECRET  (or X-API-Key: SECRET)
        │ sha256
        ▼
Keyring ── in force? ──▶ Principal(scopes) ── route's scope? ── a browser key: route open to browsers? origin listed? own user? ──▶ handler
```

A store without keys makes an open service: everybody who reaches it may do everything, which `tastemaker serve` allows on loopback only.
As soon as there is one key, each route needs one. A revoked key works for `REFRESH_SECONDS` more at most.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tastemaker.errors import ConfigError, StoreError
from tastemaker.log import logger
from tastemaker.serve import browser
from tastemaker.serve.problems import Refused
from tastemaker.serve.times import to_text
from tastemaker.store.base import Key, Store

if TYPE_CHECKING:
    from tastemaker.serve.route import Route

SCOPES = {
    "recommend": "ask for recommendations of every kind",
    "events:write": "send events",
    "catalog:write": "read and write items, users and scenarios; export, merge and erase users; read events",
    "models": "train, promote and roll back models; see jobs",
    "experiments": "reserved",
    "metrics": "read /metrics",
    "dashboard": "look at everything the dashboard shows; change nothing",
    "admin": "everything, keys and the audit log included",
}
BROWSER_SCOPES = frozenset({"recommend", "events:write"})
PUBLIC = "public"
"""The scope of a route that needs no key."""
ANY = "any"
"""The scope of a route that any key may use, but a browser's."""
REFRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    key_id: str | None
    """None: the service is open"""
    scopes: frozenset[str]
    browser: bool = False

    def may(self, scope: str) -> bool:
        """Whether a route of this scope may be used."""
        return scope == ANY or scope in self.scopes or "admin" in self.scopes

    def may_use(self, route: Route) -> bool:
        """Whether a route may be used: by its scope, or by looking at the dashboard where the route is open to that."""
        if self.browser and not route.browser:
            return False
        return self.may(route.scope) or (route.dashboard and "dashboard" in self.scopes)

    @property
    def actor(self) -> str:
        """The name in the audit log."""
        return self.key_id or "open"


OPEN = Principal(None, frozenset({"admin"}))


def digest(secret: str) -> bytes:
    """What is kept of a secret. Secrets are random and long, so one round of sha256 suffices."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def new_key(scopes: Sequence[str], name: str = "", *, browser: bool = False) -> tuple[Key, str]:
    """A key to add to a store, and its secret, which is nowhere else.

    Raises:
        ConfigError: a scope is unknown, there is none, or a browser key asks for more than `BROWSER_SCOPES`.
    """
    wanted = frozenset(scopes) or (BROWSER_SCOPES if browser else frozenset())
    if not wanted or wanted - SCOPES.keys():
        found = ", ".join(sorted(wanted - SCOPES.keys())) or "no scope"
        raise ConfigError(found, expected=f"scopes among {', '.join(SCOPES)}")
    if browser and wanted - BROWSER_SCOPES:
        raise ConfigError(
            f"a browser key with {', '.join(sorted(wanted - BROWSER_SCOPES))}",
            expected=f"at most {', '.join(sorted(BROWSER_SCOPES))}",
            hint="whoever reads the page's source has the key",
        )
    secret = f"tm_{secrets.token_urlsafe(32)}"
    return Key(f"key_{secrets.token_hex(6)}", digest(secret), wanted, name, time.time_ns() // 1000, signs_users=browser), secret


def key_row(key: Key) -> dict[str, Any]:
    """A key as it is shown: without its digest."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "browser": key.signs_users,
        "created": to_text(key.created),
        "revoked": None if key.revoked is None else to_text(key.revoked),
    }


class Keyring:
    """The store's keys, at most `REFRESH_SECONDS` old."""

    def __init__(self, store: Store) -> None:
        """Raises StoreError when the keys cannot be read: better no service than an open one."""
        self._store = store
        self._keys: dict[bytes, tuple[Key, Principal]] = {}
        self.closed = False
        """Whether there is a key, so that each route needs one; never becomes False again."""
        self.master: bytes | None = None
        """what the signing secrets of browser keys derive from; None while there is no such key"""
        self.refresh()

    def refresh(self) -> None:
        """Reads the keys (blocks)."""
        keys = self._store.keys()
        if any(key.signs_users for key in keys):
            self.master = browser.master(self._store)
        self.closed = self.closed or bool(keys)
        self._keys = {
            key.digest: (key, Principal(key.key_id, key.scopes, browser=key.signs_users)) for key in keys if key.revoked is None
        }

    async def keep_fresh(self) -> None:
        """Refreshes until cancelled. While the store is away the last keys stay: nobody can revoke one then either."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await asyncio.to_thread(self.refresh)
            except StoreError:
                logger.warning("keys could not be read again; the last ones stay in force")

    def principal(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Who sent a request with these headers.

        Raises:
            Refused: 401 when a key is needed and missing, or unknown or revoked.
        """
        secret = _secret(headers)
        if secret is None:
            if self.closed:
                raise _unauthorized("no key", "send the header Authorization: Bearer KEY")
            return OPEN
        found = self._keys.get(given := hashlib.sha256(secret).digest())
        if found is not None and hmac.compare_digest(found[0].digest, given):
            return found[1]
        if not self.closed:
            return OPEN
        raise _unauthorized("an unknown or revoked key", "make one with `tastemaker keys create`")


def _secret(headers: Mapping[bytes, bytes]) -> bytes | None:
    given = headers.get(b"authorization")
    if given is not None:
        scheme, _, secret = given.partition(b" ")
        return secret.strip() if scheme.lower() == b"bearer" else b""
    return headers.get(b"x-api-key")


def _unauthorized(found: str, hint: str) -> Refused:
    return Refused(
        found,
        expected="a key",
        hint=hint,
        code="unauthorized",
        status=401,
        headers={"www-authenticate": 'Bearer realm="tastemaker"'},
    )

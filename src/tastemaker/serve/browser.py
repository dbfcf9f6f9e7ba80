"""What a key that anybody can read in a page's source is held to: listed origins, and one user.

A browser key alone may ask for what is bound to no user, send events of an `anonymous_id`, and ask for lists of `anon:` + that id: the page
makes it up at random and keeps it, so nobody else knows it. For a user of your shop, your own server signs a token when the user logs in and the page sends it as
`X-User-Token`:

    token = base64url(user_id) . expiry . base64url(HMAC-SHA256(signing_secret, "base64url(user_id).expiry"))

with base64url without padding and expiry in epoch seconds. The signing secret of a key is printed when the key is made; it must not reach
the page. It is derived from the store's master secret, so it need not be kept here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from tastemaker.serve.intake import ANONYMOUS
from tastemaker.serve.problems import Refused
from tastemaker.store.base import Store

_SETTING = "user_token_master"


def master(store: Store) -> bytes:
    """The store's master secret; made when there is none."""
    found = store.setting(_SETTING)
    if found is None:
        store.setting(_SETTING, secrets.token_hex(32))
        found = store.setting(_SETTING) or ""  # another process may have been first; what is kept counts
    return bytes.fromhex(found)


def signing_secret(master_secret: bytes, key_id: str) -> str:
    """What a shop's server signs user tokens with, for one browser key."""
    return hmac.digest(master_secret, b"user-token:" + key_id.encode(), "sha256").hex()


def sign(secret: str, user_id: str, expiry: int) -> str:
    """A token that lets a browser speak for `user_id` until `expiry` (epoch seconds)."""
    claim = f"{_base64(user_id.encode())}.{expiry}"
    return f"{claim}.{_base64(hmac.digest(secret.encode(), claim.encode(), 'sha256'))}"


def verify(secret: str, token: str, now: float) -> str:
    """The user a token stands for.

    Raises:
        Refused: 401 when the token is no token, forged or past its expiry.
    """
    claim, _, signature = token.rpartition(".")
    user, _, expiry = claim.partition(".")
    right = _base64(hmac.digest(secret.encode(), claim.encode("utf-8", "replace"), "sha256"))
    if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
        raise Refused(
            "a user token with another signature", code="user_token", status=401, hint="sign it with the key's signing secret"
        )
    if not expiry.isdecimal() or int(expiry) <= now:
        raise Refused(
            "a user token past its expiry", code="user_token_expired", status=401, hint="let your server sign a new one"
        )
    try:
        return base64.urlsafe_b64decode(user + "=" * (-len(user) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("a user token without a user id", code="user_token", status=401) from None


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def users_of(path: Mapping[str, str], query: Any, body: Any) -> Iterable[Any]:
    """Every user id that a request names."""
    if "user_id" in path:
        yield path["user_id"]
    yield from _named(query)
    yield from _named(body)
    for rows in ("events", "requests"):
        for row in getattr(body, rows, ()):
            yield from _named(row)


def _named(part: Any) -> Iterable[Any]:
    yield part.get("user_id") if isinstance(part, dict) else getattr(part, "user_id", None)


def hold_to(own: str | None, named: Iterable[Any]) -> None:
    """Refuses a browser that names another user than its token's, or than a visitor's made-up id.

    Raises:
        Refused: 403.
    """
    for user in named:
        if user is not None and user != own and not (isinstance(user, str) and user.startswith(ANONYMOUS)):
            raise Refused(
                "a user id that the page may not speak for",
                expected=f"the user of the X-User-Token, or an id that begins with {ANONYMOUS!r}",
                code="other_user",
                status=403,
            )

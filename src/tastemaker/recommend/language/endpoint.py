"""A chat model behind an OpenAI-compatible address: `POST BASE/chat/completions`.

The key comes from an environment variable, goes into one header, and into nothing else: no log, no error, no `repr`. Redirects are not
followed, since they would carry it elsewhere.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from tastemaker.errors import ConfigError
from tastemaker.log import logger
from tastemaker.recommend.language.prompts import Prompt
from tastemaker.recommend.language.settings import LanguageSettings
from tastemaker.recommend.language.speaker import NoAnswerError, Said

_MOST_BYTES = 1 << 20
_LONGEST_PAUSE = 3600.0
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Endpoint:
    """Asks over HTTP; a connection is kept for each call at a time."""

    def __init__(self, settings: LanguageSettings, environment: Mapping[str, str] = os.environ) -> None:
        """Sends nothing yet.

        Raises:
            ConfigError: the address or the key cannot be used.
        """
        address, key = _checked(settings.url), environment.get(settings.key_variable, "").strip()
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigError(f"{settings.key_variable} with characters that no key has", expected="a key, or no value")
        if key and address.scheme == "http" and address.hostname not in _LOCAL:
            logger.warning("language.url is http: whoever listens on the way to %s can read the key", address.hostname)
        headers = {"accept-encoding": "identity", "accept": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self.name = f"{settings.url} {settings.model} {settings.max_tokens} {json.dumps(settings.extra, sort_keys=True)}"
        self._body = {"model": settings.model, "temperature": 0, settings.token_field: settings.max_tokens, "stream": False}
        self._body |= settings.extra
        self._client = httpx.Client(
            headers=headers,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=settings.in_flight, max_keepalive_connections=settings.in_flight),
        )
        self._url = settings.url.rstrip("/") + "/chat/completions"

    def __repr__(self) -> str:
        return f"Endpoint({self._url!r})"

    def say(self, prompt: Prompt, seconds: float) -> Said:
        """See `Speaker.say`."""
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        until = time.monotonic() + seconds
        try:
            with self._client.stream("POST", self._url, json={**self._body, "messages": messages}, timeout=seconds) as response:
                _check(response)
                raw = bytearray()
                for chunk in response.iter_raw():
                    raw += chunk
                    if len(raw) > _MOST_BYTES:
                        raise NoAnswerError("too_long")
                    if time.monotonic() > until:  # a byte now and then is no answer
                        raise NoAnswerError("slow")
        except httpx.TimeoutException:
            raise NoAnswerError("slow") from None
        except (httpx.HTTPError, httpx.StreamError):
            raise NoAnswerError("failed", pause_seconds=0.0) from None
        return _said(bytes(raw))

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()


def _checked(url: str) -> SplitResult:
    expected = "the base of an API's addresses, such as https://llm.example/v1"
    try:
        address = urlsplit(url)
        httpx.URL(url)
        usable = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except (ValueError, httpx.InvalidURL):
        raise ConfigError(f"language.url = {url!r}", expected=expected) from None
    if not usable or address.query or address.fragment:
        raise ConfigError(f"language.url = {url!r}", expected=expected)
    if address.username or address.password:
        raise ConfigError(
            "language.url with a name or password in it",
            expected="an address alone",
            hint="put the key into the environment variable that language.key_variable names",
        )
    return address


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status == 429 or status == 503:
        raise NoAnswerError("busy", pause_seconds=_pause(response.headers.get("retry-after", "")))
    if status >= 500:
        raise NoAnswerError("failed", pause_seconds=0.0)
    if status != 200:
        raise NoAnswerError("refused", pause_seconds=0.0)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NoAnswerError("unreadable")


def _pause(retry_after: str) -> float:
    """Seconds of a Retry-After header; dates and nonsense are 0: as long as we leave alone what failed."""
    try:
        return min(max(float(retry_after), 0.0), _LONGEST_PAUSE) if retry_after.strip() else 0.0
    except ValueError:
        return 0.0


def _said(raw: bytes) -> Said:
    try:
        told = json.loads(raw)
        content = told["choices"][0]["message"]["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part.get("type") == "text")
        if not isinstance(content, str):
            raise NoAnswerError("unreadable")
        usage = told.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return Said(content, _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise NoAnswerError("unreadable") from None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else 0

"""A route, and the table that finds one: what is in it is served, documented and guarded; nothing else is.

A path is literal segments and ids: `/v1/users/{user_id}:merge`. Ids are matched before they are decoded, so they may hold any character,
a slash included, as long as it is percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from tastemaker.errors import ConfigError
from tastemaker.serve.auth import ANY, BROWSER_SCOPES, PUBLIC, SCOPES
from tastemaker.serve.problems import Refused
from tastemaker.store.base import MAX_ID_BYTES

if TYPE_CHECKING:
    from tastemaker.serve.call import Call

_SEGMENT = re.compile(r"^\{(\w+)\}(:\w+)?$")


@dataclass(frozen=True, slots=True)
class Route:
    """One verb on one path."""

    method: str
    path: str
    scope: str
    """what a key must hold; `PUBLIC` needs none"""
    handler: Callable[[Call], Awaitable[Any]]
    """gets the checked request, returns a `reply` or a `call.Raw`"""
    summary: str
    """one line for the documentation"""
    reply: Any = None
    """struct of the answer; None where the handler says"""
    body: Any = None
    """struct of the request"""
    lenient: Any = None
    """struct to try where the body is not a `body`: the handler says what is wrong with its rows"""
    query: Any = None
    """struct of the query's parameters"""
    status: int = 200
    browser: bool = False
    """whether a browser key may use it: it must not tell of other users"""
    dashboard: bool = False
    """whether a key that may only look may use it too: it must change nothing for such a key"""
    rows: bool = False
    """whether the body may also be a stream of JSON lines"""
    media: str = "application/json"
    """what the answer is"""
    room: str = ""
    """where it waits for its turn: one of the rooms of the `Door`; "" for none of its own"""
    problems: tuple[int, ...] = field(default=())
    """statuses it refuses with, besides those all routes share"""

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the ids in the path."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self.method != "GET"


class Table:
    """All routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises ConfigError where a route has no known scope, is there twice, or would open too much to browsers."""
        self.routes = tuple(routes)
        self._literal: dict[bytes, dict[str, Route]] = {}
        self._shaped: dict[int, list[tuple[tuple[_Part, ...], dict[str, Route]]]] = {}
        shapes: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            _check(route)
            methods = shapes.setdefault(route.path, {})
            if route.method in methods:
                raise ConfigError(f"{route.method} {route.path} twice", expected="a route once")
            methods[route.method] = route
        for path, methods in shapes.items():
            if "{" not in path:
                self._literal[path.encode()] = methods
                continue
            parts = tuple(_part(segment) for segment in path[1:].split("/"))
            self._shaped.setdefault(len(parts), []).append((parts, methods))
        for rows in self._shaped.values():
            rows.sort(key=lambda row: [-len(part.suffix) for part in row[0]])  # "{id}:merge" before "{id}"

    def find(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """The route and the ids for a path as it was sent; HEAD finds GET.

        Raises:
            Refused: 404 no such path, 405 another method, 422 an id that is none.
        """
        method = "GET" if method == "HEAD" else method
        allowed: dict[str, Route] = {}
        for ids, methods in self._matches(raw_path):
            if method in methods:
                return methods[method], {name: _id(raw) for name, raw in ids.items()}
            allowed.update(methods)
        if not allowed:
            raise Refused("no such path", code="not_found", status=404, hint="/openapi.json lists all")
        names = ", ".join(_verbs(allowed))
        raise Refused(f"{method} on this path", expected=names, code="method_not_allowed", status=405, headers={"allow": names})

    def allowed(self, raw_path: bytes) -> dict[str, Route]:
        """The routes of a path, by method. Raises Refused (404) when there is none."""
        found: dict[str, Route] = {}
        for _, methods in self._matches(raw_path):
            found.update({method: route for method, route in methods.items() if method not in found})
        if not found:
            raise Refused("no such path", code="not_found", status=404)
        return found

    def _matches(self, raw_path: bytes) -> Iterable[tuple[Mapping[str, bytes], dict[str, Route]]]:
        literal = self._literal.get(raw_path)
        if literal is not None:
            yield {}, literal
            return
        segments = raw_path[1:].split(b"/")
        for parts, methods in self._shaped.get(len(segments), ()):
            ids = {}
            for part, segment in zip(parts, segments, strict=True):
                if not part.name:
                    if segment != part.suffix:
                        break
                elif segment.endswith(part.suffix) and len(segment) > len(part.suffix):
                    ids[part.name] = segment[: len(segment) - len(part.suffix)]
                else:
                    break
            else:
                yield ids, methods


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    """of an id; empty for a literal"""
    suffix: bytes
    """what follows the id, or the literal"""


def _part(segment: str) -> _Part:
    found = _SEGMENT.match(segment)
    return _Part(found[1], (found[2] or "").encode()) if found else _Part("", segment.encode())


def _verbs(methods: Iterable[str]) -> list[str]:
    return sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})


def _check(route: Route) -> None:
    if route.scope not in (PUBLIC, ANY) and route.scope not in SCOPES:
        raise ConfigError(
            f"{route.method} {route.path} with the scope {route.scope!r}",
            expected=f"{PUBLIC}, {ANY} or one of {', '.join(SCOPES)}",
            hint="a route that does not say who may use it is not served",
        )
    if route.browser and route.scope not in BROWSER_SCOPES:
        raise ConfigError(
            f"{route.path} with the scope {route.scope!r} is open to browsers", expected=f"{sorted(BROWSER_SCOPES)}"
        )


def _id(raw: bytes) -> str:
    decoded = unquote_to_bytes(raw) if b"%" in raw else raw
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        raise Refused("an id in the path that is not UTF-8", code="id", status=422) from None
    if len(decoded) > MAX_ID_BYTES or "\0" in text:
        raise Refused(
            "an id in the path that is too long or holds U+0000", expected=f"1…{MAX_ID_BYTES} bytes", code="id", status=422
        )
    return text

"""The OpenAPI 3.1 document, made from the table of routes and the structs they take and give."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from tastemaker import __version__
from tastemaker.serve.auth import PUBLIC, SCOPES
from tastemaker.serve.route import Route
from tastemaker.wire.bodies import Id, Problem

_REF = "#/components/schemas/{name}"
_REQUEST_ID = {"X-Request-Id": {"description": "As sent, or made up.", "schema": {"type": "string"}}}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document; it holds exactly the routes that are served."""
    kinds = [kind for route in routes for kind in (route.body, route.reply, route.query) if kind is not None]
    schemas, components = msgspec.json.schema_components([Problem, *dict.fromkeys(kinds)], ref_template=_REF)
    by_kind = dict(zip([Problem, *dict.fromkeys(kinds)], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind, components)
    queries = {route.query.__name__ for route in routes if route.query} - {
        route.body.__name__ for route in routes if route.body
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tastemaker",
            "version": __version__,
            "description": "Live recommendations with feedback. Errors are RFC 9457 problems; GET never writes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": _scopes()},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"bearer": []}, {"header": []}],
    }


def _scopes() -> str:
    return "Scopes of a key: " + "; ".join(f"`{name}`: {text}" for name, text in SCOPES.items())


def _operation(route: Route, by_kind: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "tags": [
            route.path.split("/")[2].split(":")[0]
            if route.path.startswith("/v1/")
            else "gorse"
            if route.path.startswith("/api/")
            else "operations"
        ],
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _schema(Id)} for name in route.ids],
        "responses": _responses(route, by_kind),
        "x-scope": route.scope,
    }
    if route.scope == PUBLIC:
        made["security"] = []
    if route.query is not None:
        made["parameters"] += _parameters(components[route.query.__name__])
    if route.body is not None:
        media = {"application/json": {"schema": by_kind[route.body]}}
        if route.rows:
            media["application/x-ndjson"] = {"schema": {"type": "string", "description": "A row a line."}}
        made["requestBody"] = {"required": _needs_body(route.body, components), "content": media}
    return made


def _needs_body(kind: Any, components: dict[str, Any]) -> bool:
    """Whether an empty body would be refused: it stands for an object without fields."""
    return typing.get_origin(kind) is list or "required" in components[kind.__name__]


def _schema(kind: Any) -> dict[str, Any]:
    return msgspec.json.schema_components([kind], ref_template=_REF)[0][0]


def _parameters(query: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, schema in query["properties"].items():
        parameter = {"name": name, "in": "query", "required": False, "schema": _not_null(schema)}
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    return found


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not set is left out: an address has no null."""
    schema = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    return {**kinds[0], **schema} if len(kinds) == 1 else schema | ({"anyOf": kinds} if kinds else {})


def _responses(route: Route, by_kind: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(route.status).phrase, "headers": _REQUEST_ID}
    if route.status != HTTPStatus.NO_CONTENT:
        good["content"] = {route.media: {"schema": by_kind[route.reply]} if route.reply is not None else {}}
    found = {str(route.status): good}
    for status in sorted({*_shared(route), *route.problems}):
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": _REQUEST_ID,
            "content": {"application/problem+json": {"schema": by_kind[Problem]}},
        }
    return found


def _shared(route: Route) -> set[int]:
    statuses = {503}
    if route.scope != PUBLIC:
        statuses |= {401, 403, 429}
    if route.body is not None:
        statuses |= {400, 408, 413, 415, 422}
    if route.ids:
        statuses |= {422}
    if route.query is not None:
        statuses |= {414, 422}
    return statuses


def _name(route: Route) -> str:
    """Such as `get_items_similar`: the method and the words of the path, `one` for each id at its end."""
    words = re.findall(r"\w+", re.sub(r"\{\w+\}|^/(v1/)?", "", route.path))
    ids = re.search(r"(/\{\w+\})*$", route.path)
    ends = ["one"] * (ids[0].count("/") if ids else 0) + ["any"] * route.path.endswith("/")
    return "_".join([route.method.lower(), *words, *ends])

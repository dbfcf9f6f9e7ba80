"""Reads the query of an address into a struct."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tastemaker.serve.problems import Refused

MAX_BYTES = 16_384
_FIELDS = 64


def reader(kind: Any) -> Callable[[bytes], Any]:
    """A function that reads a query into `kind`; lists are joined by commas, texts become numbers and truth values."""
    lists = {field.encode_name for field in msgspec.structs.fields(kind) if _is_list(field.type)}
    names = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
    defaults = msgspec.convert({}, kind)

    def read(query: bytes) -> Any:
        if not query:
            return defaults
        found: dict[str, Any] = {}
        for name, value in _pairs(query):
            if name in found:
                raise Refused(
                    "a parameter given twice", expected="each once; lists joined by commas", code="invalid", status=422
                )
            found[name] = [part for part in value.split(",") if part] if name in lists else value
        made = msgspec.convert(found, kind, strict=False)
        for name in found:
            value = getattr(made, names[name])
            if isinstance(value, float) and not math.isfinite(value):
                raise Refused(f"{name} is not finite", code="invalid", status=422)
        return made

    return read


def none(query: bytes) -> None:
    """For routes without parameters: an unknown one is an error, so that a misspelt option is not silently without effect."""
    if query:
        raise Refused("a query on a path that takes none", code="invalid", status=422)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except UnicodeError:
        raise Refused("a query that is not percent-encoded UTF-8", code="invalid", status=422) from None
    except ValueError:
        raise Refused(f"more than {_FIELDS} parameters", code="invalid", status=422) from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise Refused("the character U+0000 in a parameter", code="nul", status=422)
    return pairs


def _is_list(kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    return typing.get_origin(kind) is list

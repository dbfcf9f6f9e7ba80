"""One request, asked of several versions."""

from __future__ import annotations

from tastemaker.errors import RequestError
from tastemaker.serve.beside import Bench, Key
from tastemaker.serve.call import Call
from tastemaker.serve.compare import key_of, wanted
from tastemaker.wire.compare import ComparedReply


async def compare(call: Call) -> ComparedReply:
    """Versions that are not held yet, or are behind the store, are seen to in the control thread; lists are made where all are."""
    parts, body = call.parts, call.body
    service = parts.service
    keys = wanted(body, service.view, service.beside.capacity)
    besides = [key for key in keys if key is not None and key != key_of(service.view)]
    others: dict[Key, Bench | Exception] = {}
    if parts.registry is None:
        fixed = RequestError(
            "a service of one fixed model", code="no_registry", status=409, expected="`tastemaker serve` without ARTIFACT"
        )
        others = dict.fromkeys(besides, fixed)
    elif besides:
        ready = service.beside.ready(besides)
        others = dict(ready) if ready is not None else await parts.control.run(service.beside.take, besides, parts.registry)
    room = parts.words if service.waits_for_words(body.request) else parts.lists
    return await room.run(service.compare, body, keys, others)

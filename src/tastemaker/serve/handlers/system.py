"""Health, metrics and documentation."""

from __future__ import annotations

from functools import cache
from importlib import resources

from tastemaker.serve import monitor
from tastemaker.serve.call import Call, Raw, Stream
from tastemaker.wire.control import Alive, Me, Readiness, SlowRequests


async def alive(call: Call) -> Alive:
    """Says that the process runs; asks nobody."""
    return Alive()


async def ready(call: Call) -> Readiness | Raw:
    """Says whether the model is verified and warmed up; does not flap with the store."""
    if call.parts.service.ready:
        return Readiness(status="ready")
    return Raw(b'{"status":"starting"}', "application/json", 503, {"retry-after": "1"})


async def me(call: Call) -> Me:
    """Who asks, and what that key may do."""
    principal = call.principal
    return Me(key_id=principal.key_id, scopes=sorted(principal.scopes), open=principal.key_id is None)


async def live(call: Call) -> Stream:
    """News of topics, as server-sent events."""
    return Stream(call.parts.broadcast.listen(call.query.topics))


async def metrics(call: Call) -> Raw:
    """Everything counted, for Prometheus."""
    call.parts.monitor.gather()
    return Raw(await call.parts.lists.run(call.parts.monitor.text), monitor.MEDIA_TYPE)


async def document(call: Call) -> Raw:
    """The OpenAPI document."""
    return Raw(call.parts.document, "application/json")


async def page(call: Call) -> Raw:
    """The documentation as a page; it holds no data and fetches the document with the reader's key."""
    content, policy = _page()
    return Raw(content, "text/html; charset=utf-8", headers={"content-security-policy": policy})


async def script(call: Call) -> Raw:
    """The client for web pages; any page may take it."""
    return Raw(_script(), "text/javascript; charset=utf-8", headers={"cache-control": "public, max-age=3600"})


async def slow(call: Call) -> SlowRequests:
    """The last slow requests."""
    rows = [monitor.slow_request(now, seen) for now, seen in list(call.parts.monitor.slow)]
    return SlowRequests(threshold_ms=call.parts.monitor.slow_ms, requests=rows)


@cache
def _script() -> bytes:
    return resources.files("tastemaker.serve").joinpath("static", "tastemaker.js").read_bytes()


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy that lets nothing else run: only its own script and style, by their hashes."""
    import base64
    import hashlib
    import re

    content = resources.files("tastemaker.serve").joinpath("static", "docs.html").read_bytes()

    def hashed(tag: bytes) -> str:
        inner = re.search(rb"<" + tag + rb">(.*?)</" + tag + rb">", content, re.S)
        assert inner is not None
        return f"'sha256-{base64.b64encode(hashlib.sha256(inner[1]).digest()).decode()}'"

    policy = (
        f"default-src 'none'; connect-src 'self'; script-src {hashed(b'script')}; style-src {hashed(b'style')}; base-uri 'none'"
    )
    return content, f"{policy}; form-action 'none'; frame-ancestors 'none'"

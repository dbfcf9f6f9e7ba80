"""Routes of health, metrics and documentation."""

from __future__ import annotations

from tastemaker.serve.auth import ANY, PUBLIC
from tastemaker.serve.handlers import system
from tastemaker.serve.route import Route
from tastemaker.wire import control as c

_METRICS = "metrics"

SYSTEM = (
    Route("GET", "/livez", PUBLIC, system.alive, "Whether the process runs.", c.Alive),
    Route("GET", "/readyz", PUBLIC, system.ready, "Whether requests should be sent here.", c.Readiness),
    Route("GET", "/metrics", _METRICS, system.metrics, "Metrics for Prometheus.", media="text/plain", dashboard=True),
    Route("GET", "/v1/me", ANY, system.me, "Who asks, and what the key may do.", c.Me),
    Route(
        "GET",
        "/v1/live",
        _METRICS,
        system.live,
        "What changes, as server-sent events: one for each topic now, and one each time that it differs.",
        media="text/event-stream",
        query=c.LiveQuery,
        dashboard=True,
    ),
    Route("GET", "/openapi.json", ANY, system.document, "This document.", dict),
    Route("GET", "/v1/tastemaker.js", PUBLIC, system.script, "The client for web pages.", media="text/javascript"),
    Route("GET", "/docs", PUBLIC, system.page, "This document as a page.", media="text/html"),
)

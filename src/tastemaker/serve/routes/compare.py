"""The route that asks several versions the same."""

from __future__ import annotations

from tastemaker.serve.handlers import compare
from tastemaker.serve.route import Route
from tastemaker.wire import compare as w

COMPARE = (
    Route(
        "POST",
        "/v1/compare",
        "models",
        compare.compare,
        "What several versions would answer; nothing is kept.",
        w.ComparedReply,
        body=w.CompareBody,
        dashboard=True,
    ),
)

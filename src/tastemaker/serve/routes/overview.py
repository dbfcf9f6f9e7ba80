"""Routes of the overview."""

from __future__ import annotations

from tastemaker.serve.handlers import overview
from tastemaker.serve.route import Route
from tastemaker.wire import overview as o

OVERVIEW = (
    Route(
        "GET",
        "/v1/overview",
        "metrics",
        overview.look,
        "How the service does, and what recommendations earn.",
        o.Overview,
        query=o.OverviewQuery,
        dashboard=True,
    ),
)

"""Routes of runs."""

from __future__ import annotations

from tastemaker.serve.handlers import runs
from tastemaker.serve.route import Route
from tastemaker.wire import runs as r

RUNS = (
    Route(
        "GET",
        "/v1/runs",
        "models",
        runs.page,
        "Runs, newest first.",
        r.RunsReply,
        query=r.RunsQuery,
        problems=(400,),
        dashboard=True,
    ),
    Route(
        "GET",
        "/v1/runs/{run_id}",
        "models",
        runs.report,
        "What a run found.",
        r.RunReport,
        problems=(404, 409),
        dashboard=True,
    ),
    Route(
        "POST",
        "/v1/runs:compare",
        "models",
        runs.compare,
        "Runs side by side, if they can be.",
        r.RunsCompared,
        body=r.RunsBody,
        problems=(404, 409, 422),
        dashboard=True,
    ),
)

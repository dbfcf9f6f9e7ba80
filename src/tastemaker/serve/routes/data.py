"""Routes of a store's data as a whole."""

from __future__ import annotations

from tastemaker.serve.handlers import data
from tastemaker.serve.route import Route
from tastemaker.wire import bodies as w
from tastemaker.wire import data as d

_MODELS = "models"

DATA = (
    Route(
        "POST",
        "/v1/data:describe",
        _MODELS,
        data.describe,
        "Starts a report on the data.",
        w.JobReply,
        status=202,
        problems=(409,),
    ),
    Route("GET", "/v1/data/quality", _MODELS, data.quality, "The newest report on the data.", d.Quality, dashboard=True),
    Route(
        "GET", "/v1/data/intake", _MODELS, data.intake, "What came in of late, and what was refused.", d.Intake, dashboard=True
    ),
    Route(
        "GET",
        "/v1/data/drift",
        _MODELS,
        data.drift,
        "What comes in, against what the model learned from.",
        d.Drift,
        dashboard=True,
    ),
)

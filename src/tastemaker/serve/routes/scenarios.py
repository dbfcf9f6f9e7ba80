"""Routes of scenarios, and of the pipeline that their rules go into."""

from __future__ import annotations

from tastemaker.serve.handlers import scenarios
from tastemaker.serve.route import Route
from tastemaker.wire import scenarios as s

_CATALOG = "catalog:write"

SCENARIOS = (
    Route(
        "GET",
        "/v1/scenarios",
        _CATALOG,
        scenarios.scenarios,
        "Named sets of rules for lists.",
        s.ScenariosReply,
        query=s.ScenariosQuery,
        dashboard=True,
        problems=(400,),
    ),
    Route(
        "POST",
        "/v1/scenarios:check",
        _CATALOG,
        scenarios.check,
        "Rules against the catalogue of now; nothing is kept.",
        s.Checked,
        body=s.Rules,
        dashboard=True,
    ),
    Route(
        "GET",
        "/v1/scenarios/{name}",
        _CATALOG,
        scenarios.scenario,
        "A scenario: its draft, and what is in force.",
        s.ScenarioReply,
        dashboard=True,
        problems=(404,),
    ),
    Route(
        "PUT",
        "/v1/scenarios/{name}",
        _CATALOG,
        scenarios.save,
        "Saves a draft; what is in force stays.",
        s.ScenarioReply,
        body=s.ScenarioBody,
        problems=(409,),
    ),
    Route(
        "DELETE",
        "/v1/scenarios/{name}",
        _CATALOG,
        scenarios.delete,
        "Takes a scenario out of force; lists that began with it go on.",
        status=204,
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/scenarios/{name}/versions",
        _CATALOG,
        scenarios.versions,
        "What was ever published, newest first.",
        s.HistoryReply,
        query=s.ScenariosQuery,
        dashboard=True,
        problems=(400, 404),
    ),
    Route(
        "POST",
        "/v1/scenarios/{name}:preview",
        _CATALOG,
        scenarios.preview,
        "What a draft would change for some users; nothing is kept.",
        s.PreviewReply,
        body=s.PreviewBody,
        dashboard=True,
        problems=(404, 409),
    ),
    Route(
        "POST",
        "/v1/scenarios/{name}:publish",
        _CATALOG,
        scenarios.publish,
        "Puts the draft in force.",
        s.ScenarioReply,
        body=s.PublishBody,
        problems=(404, 409),
    ),
    Route(
        "POST",
        "/v1/scenarios/{name}:rollback",
        _CATALOG,
        scenarios.rollback,
        "Back to the version in force before, or to none.",
        s.ScenarioReply,
        problems=(404, 409),
    ),
    Route(
        "GET",
        "/v1/pipeline",
        _CATALOG,
        scenarios.pipeline,
        "The stages of a list, as they run for the model in use.",
        s.PipelineReply,
        query=s.PipelineQuery,
        dashboard=True,
    ),
)

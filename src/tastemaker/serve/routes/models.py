"""Routes of models, schedules and jobs."""

from __future__ import annotations

from tastemaker.serve.handlers import control
from tastemaker.serve.route import Route
from tastemaker.wire import bodies as w
from tastemaker.wire import control as c

_MODELS = "models"

MODELS = (
    Route("GET", "/v1/models", _MODELS, control.models, "All versions, and the one in use.", c.ModelsReply, dashboard=True),
    Route(
        "POST",
        "/v1/models:rollback",
        _MODELS,
        control.rollback,
        "Back to the version before.",
        c.ModelReply,
        problems=(404, 409, 422),
    ),
    Route("GET", "/v1/models/{name}/versions", _MODELS, control.versions, "Versions of a name.", c.ModelsReply, dashboard=True),
    Route(
        "POST",
        "/v1/models/{name}:train",
        _MODELS,
        control.train,
        "Starts a training.",
        w.JobReply,
        body=c.TrainBody,
        status=202,
        problems=(409,),
    ),
    Route(
        "POST",
        "/v1/models/{name}/versions/{version}:promote",
        _MODELS,
        control.promote,
        "Puts a version into use, if it passes the gate.",
        c.ModelReply,
        body=c.PromoteBody,
        problems=(404, 409),
    ),
    Route("GET", "/v1/schedules", _MODELS, control.schedules, "What is trained by itself.", c.SchedulesReply, dashboard=True),
    Route(
        "PUT",
        "/v1/schedules/{name}",
        _MODELS,
        control.set_schedule,
        "Trains by itself, by time or by events.",
        c.ScheduleBody,
        body=c.ScheduleBody,
    ),
    Route("DELETE", "/v1/schedules/{name}", _MODELS, control.end_schedule, "Ends a schedule.", status=204),
    Route("GET", "/v1/jobs", _MODELS, control.list_jobs, "The newest jobs.", c.JobsReply, query=c.JobsQuery, dashboard=True),
    Route("GET", "/v1/jobs/{job_id}", _MODELS, control.job, "A job.", w.JobReply, problems=(404,), dashboard=True),
    Route("POST", "/v1/jobs/{job_id}:cancel", _MODELS, control.cancel_job, "Ends a job.", w.JobReply, problems=(404, 409)),
)

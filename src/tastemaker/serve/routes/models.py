"""Routes of models, schedules and jobs."""

from __future__ import annotations

from tastemaker.serve.handlers import control
from tastemaker.serve.route import Route
from tastemaker.wire import bodies as w
from tastemaker.wire import control as c
from tastemaker.wire import lineage as v

_MODELS = "models"

MODELS = (
    Route("GET", "/v1/models", _MODELS, control.models, "All versions, and the one in use.", c.ModelsReply, dashboard=True),
    Route("GET", "/v1/model-names", _MODELS, control.model_names, "Models that can be trained.", c.ModelNames, dashboard=True),
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
        "GET",
        "/v1/models/{name}/versions/{version}",
        _MODELS,
        control.version,
        "Where a version comes from, and how its training went.",
        v.VersionDetail,
        problems=(404, 409, 422),
        dashboard=True,
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
    Route(
        "GET",
        "/v1/jobs",
        _MODELS,
        control.list_jobs,
        "Jobs, newest first.",
        c.JobsReply,
        query=c.JobsQuery,
        problems=(400,),
        dashboard=True,
    ),
    Route("GET", "/v1/jobs/{job_id}", _MODELS, control.job, "A job.", w.JobReply, problems=(404,), dashboard=True),
    Route(
        "GET",
        "/v1/jobs/{job_id}/records",
        _MODELS,
        control.job_records,
        "The course of a training, so far.",
        v.JobRecords,
        problems=(404,),
        dashboard=True,
    ),
    Route("POST", "/v1/jobs/{job_id}:cancel", _MODELS, control.cancel_job, "Ends a job.", w.JobReply, problems=(404, 409)),
)

"""What is told as it changes, by topic of `GET /v1/live`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tastemaker.serve.broadcast import Topic
from tastemaker.serve.catalogue import job_reply
from tastemaker.serve.overview import in_use, pulse
from tastemaker.wire.control import JobsReply

if TYPE_CHECKING:
    from tastemaker.serve.call import Parts

_JOBS = 20
"""The newest of them are told of."""


def of(parts: Parts) -> dict[str, Topic]:
    """All topics of a service."""
    return {
        "model": Topic(lambda: in_use(parts)),
        "pulse": Topic(lambda: pulse(parts)),
        "jobs": Topic(lambda: JobsReply(jobs=[job_reply(job) for job in parts.store.jobs(limit=_JOBS)])),
    }

"""Jobs: training in the background while the service answers.

```
ask ──▶ queued ──▶ running ──▶ done        a new version, promoted if the gate let it
           ▲          │   ├──▶ failed      the error is in the detail
           └─ killed ─┘   └──▶ cancelled
```

Jobs live in the store. A `Runner` (`runner.py`) has them done one after the other, each by a process of its own (`training.py`); when the
training or the service is killed, the job is queued again and goes on from its checkpoint.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tastemaker.errors import RequestError
from tastemaker.serve.registry import Registry, checked
from tastemaker.settings import Settings
from tastemaker.store.base import Job, Store

KIND, DESCRIBE = "train", "describe"
KINDS = (KIND, DESCRIBE)
"""Jobs that a runner does."""
ACTIVE = ("queued", "running")
_SCHEDULES = "schedules"


class Schedule(Settings):
    """When a line of versions is trained without being asked; both conditions may be given, either is enough."""

    every_hours: float | None = Field(None, gt=0, description="hours since the last training was asked for")
    after_events: int | None = Field(None, ge=1, description="events since the last training was asked for")
    promote: bool = Field(True, description="put the new version into use if it passes the gate")


def ask(
    registry: Registry, name: str, config: Mapping[str, Any] | None = None, *, promote: bool = True, warm_start: bool = True
) -> Job:
    """Queues the training of a new version.

    Args:
        registry: brings the store.
        name: of the line of versions.
        config: sections as in a config file, without sources; None: as the line was trained before, or the defaults of the model of that name.
        promote: put it into use if it passes the gate.
        warm_start: begin with the weights of the newest version of the same model.

    Raises:
        RequestError: not a name, nothing to go by, or a training of that name is under way (409).
        ConfigError: the config does not hold.
    """
    from tastemaker.serve.training import asked_before, config_of  # whoever only serves starts without what trains

    store = registry.store
    checked(name)
    if store.url == "memory:":
        raise RequestError("a store in memory", code="no_jobs", expected="a store that another process can open")
    if going := _active(store, name):
        raise RequestError(
            f"the training of {name!r} is under way ({going.job_id})",
            code="already_training",
            status=409,
            hint="cancel it first",
        )
    tree = dict(config) if config is not None else asked_before(registry, name)
    config_of(tree)
    moment = now()
    detail = {"name": name, "config": tree, "promote": promote, "warm_start": warm_start, "created": moment}
    detail |= {"sequence": store.last_sequence(), "phase": "queued", "kills": 0}
    job = Job(f"train-{moment:x}-{secrets.token_hex(4)}", KIND, "queued", moment, moment, 0.0, detail)
    store.put_job(job)
    return job


def cancel(store: Store, job_id: str) -> Job:
    """Ends a job, queued or running, within a second or two.

    Raises:
        RequestError: no such job (404), or it is over (409).
    """
    job = store.job(job_id)
    if job is None:
        raise RequestError(f"no job {job_id[:80]!r}", code="unknown_job", status=404)
    if job.state not in ACTIVE:
        raise RequestError(f"the job is {job.state}", code="job_over", status=409)
    store.setting(f"cancel {job_id}", "yes")  # beside the job: only its runner writes to that, so neither overwrites the other
    return job


def schedules(store: Store) -> dict[str, Schedule]:
    """What is trained by itself, by name."""
    rows = json.loads(store.setting(_SCHEDULES) or "{}")
    return {name: Schedule.parse(values) for name, values in rows.items()}


def schedule(store: Store, name: str, when: Schedule | None) -> None:
    """Sets, or with None ends, the schedule of a line of versions."""
    rows = schedules(store)
    rows.pop(checked(name), None)
    if when is not None:
        rows[name] = when
    store.setting(_SCHEDULES, json.dumps({name: one.model_dump(exclude_none=True) for name, one in rows.items()}))


def _active(store: Store, name: str) -> Job | None:
    jobs = store.jobs(KIND, 1000)
    return next((job for job in jobs if job.state in ACTIVE and job.detail.get("name") == name), None)


def is_cancelled(store: Store, job_id: str) -> bool:
    """Whether somebody asked for the end of a job."""
    return store.setting(f"cancel {job_id}") == "yes"


def now() -> int:
    """µs since 1970 UTC."""
    return time.time_ns() // 1000

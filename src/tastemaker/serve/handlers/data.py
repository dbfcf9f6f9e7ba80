"""A store's data: its quality, its intake, its drift."""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial

from tastemaker.errors import RequestError
from tastemaker.serve import describing
from tastemaker.serve.call import Call, Parts
from tastemaker.serve.catalogue import job_reply
from tastemaker.serve.refusals import REFUSALS
from tastemaker.serve.times import to_text
from tastemaker.store.base import Job
from tastemaker.wire.bodies import JobReply
from tastemaker.wire.data import Drift, Intake, Quality, Refused

_NEWEST = 200_000
_HOURS, _HOUR = 7 * 24, 3_600_000_000


async def describe(call: Call) -> JobReply:
    """Queues a report on the data."""
    parts = call.parts
    if parts.registry is None:
        raise RequestError(
            "a service of one fixed model", code="no_registry", status=409, expected="`tastemaker serve` without ARTIFACT"
        )

    def ask() -> Job:
        job = describing.ask(parts.store)
        parts.store.audit(call.principal.actor, "data.describe", {"job_id": job.job_id})
        return job

    return job_reply(await parts.writes.run(ask))


async def quality(call: Call) -> Quality:
    """The newest report."""
    return await call.parts.reads.run(describing.quality, call.parts.store)


async def intake(call: Call) -> Intake:
    """What came in of late."""
    return await call.parts.reads.run(call.parts.intake.get, partial(_intake, call.parts))


async def drift(call: Call) -> Drift:
    """What comes in, against what the model in use learned from."""
    return await call.parts.reads.run_long(call.parts.drifts.of, call.parts.service.view)


def _intake(parts: Parts) -> Intake:
    store = parts.store
    last = store.last_sequence()
    rows = store.volumes(max(0, last - _NEWEST))
    newest = max((hour for hour, _, _ in rows), default=-_HOUR)
    oldest = max(min((hour for hour, _, _ in rows), default=0), newest - (_HOURS - 1) * _HOUR)
    hours = list(range(oldest, newest + 1, _HOUR))
    places = {hour: place for place, hour in enumerate(hours)}
    kinds: dict[str, list[int]] = defaultdict(lambda: [0] * len(hours))
    for hour, kind, count in rows:
        if hour in places:
            kinds[kind][places[hour]] += count
    totals = parts.monitor.events_so_far()
    return Intake(
        counted_at=to_text(time.time_ns() // 1000),
        counted=min(last, _NEWEST),
        hours=[to_text(hour) for hour in hours],
        kinds=dict(kinds),
        accepted=totals["accepted"],
        duplicates=totals["duplicate"],
        rejected=totals["rejected"],
        refused=[
            Refused(code=code, count=count, why=REFUSALS.get(code, ("", ""))[0], hint=REFUSALS.get(code, ("", ""))[1])
            for code, count in store.refusals().items()
        ],
    )

"""Keys, models, jobs and the audit log: whatever changes how the service runs is written down with who did it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from tastemaker import resolve
from tastemaker.errors import RequestError
from tastemaker.serve import auth, browser, jobs, lineage, machine
from tastemaker.serve.call import Call
from tastemaker.serve.catalogue import job_reply
from tastemaker.serve.jobs import Schedule
from tastemaker.serve.registry import Registry
from tastemaker.serve.times import to_text
from tastemaker.store.base import Job, ModelVersion
from tastemaker.wire.bodies import JobReply
from tastemaker.wire.control import (
    JobsReply,
    KeyMade,
    KeyReply,
    KeysReply,
    ModelNames,
    ModelReply,
    ModelsReply,
    Rows,
    ScheduleBody,
    SchedulesReply,
)
from tastemaker.wire.lineage import JobRecords, System, VersionDetail


async def keys(call: Call) -> KeysReply:
    """All keys, without secrets."""
    found = await call.parts.reads.run(call.parts.store.keys)
    return KeysReply(keys=[KeyReply(**auth.key_row(key)) for key in found])


async def make_key(call: Call) -> KeyMade:
    """A new key; its secret is in this answer and nowhere else."""
    sent = call.body
    key, secret = auth.new_key(sent.scopes, sent.name, browser=sent.browser)

    def make() -> str | None:
        call.parts.store.add_key(key)
        _audit(call, "keys.create", {"key_id": key.key_id, "scopes": sorted(key.scopes)})
        call.parts.keyring.refresh()
        return browser.signing_secret(browser.master(call.parts.store), key.key_id) if sent.browser else None

    signing = await call.parts.writes.run(make)
    return KeyMade(**auth.key_row(key), secret=secret, signing_secret=signing)


async def revoke_key(call: Call) -> None:
    """Ends a key, here at once, in other processes within seconds."""

    def revoke() -> None:
        if not call.parts.store.revoke_key(call.ids["key_id"], time.time_ns() // 1000):
            raise RequestError("no such key in force", code="unknown_key", status=404)
        _audit(call, "keys.revoke", {"key_id": call.ids["key_id"]})
        call.parts.keyring.refresh()

    await call.parts.writes.run(revoke)


async def models(call: Call) -> ModelsReply:
    """All versions, and the one in use."""
    return await call.parts.reads.run(_models, call, None)


async def model_names(call: Call) -> ModelNames:
    """Models that can be trained."""
    return ModelNames(names=sorted(resolve.model_names()))


async def versions(call: Call) -> ModelsReply:
    """The versions of one name."""
    return await call.parts.reads.run(_models, call, call.ids["name"])


async def train(call: Call) -> JobReply:
    """Queues a training; it runs in a process of its own."""
    sent = call.body

    def ask() -> Job:
        job = jobs.ask(_registry(call), call.ids["name"], sent.config, promote=sent.promote, warm_start=sent.warm_start)
        _audit(call, "models.train", {"name": call.ids["name"], "job_id": job.job_id})
        return job

    return job_reply(await call.parts.writes.run_long(ask))


async def promote(call: Call) -> ModelReply:
    """Puts a version into use if the gate lets it."""
    name, version = call.ids["name"], _number(call.ids["version"])

    def work() -> ModelVersion:
        found = _registry(call).promote(name, version, force=call.body.force)
        _audit(call, "models.promote", {"name": name, "version": version, "force": call.body.force})
        return found

    return _model(await call.parts.control.run(work))


async def rollback(call: Call) -> ModelReply:
    """Puts the version back that was in use before."""

    def work() -> ModelVersion:
        found = _registry(call).rollback()
        _audit(call, "models.rollback", {"name": found.name, "version": found.version})
        return found

    return _model(await call.parts.control.run(work))


async def schedules(call: Call) -> SchedulesReply:
    """What is trained by itself."""
    found = await call.parts.reads.run(jobs.schedules, call.parts.store)
    return SchedulesReply(schedules={name: ScheduleBody(**when.model_dump()) for name, when in found.items()})


async def set_schedule(call: Call) -> ScheduleBody:
    """Sets when a line of versions is trained by itself."""
    sent = call.body
    when = Schedule(every_hours=sent.every_hours, after_events=sent.after_events, promote=sent.promote)
    await call.parts.writes.run(_schedule, call, when)
    return sent


async def end_schedule(call: Call) -> None:
    """Ends a schedule."""
    await call.parts.writes.run(_schedule, call, None)


async def list_jobs(call: Call) -> JobsReply:
    """The newest jobs."""
    query = call.query
    page = await call.parts.reads.run(call.parts.store.job_page, query.kind, query.state, query.cursor, query.limit)
    return JobsReply(jobs=[job_reply(one) for one in page.rows], next_cursor=page.next)


async def job(call: Call) -> JobReply:
    """A job and how far it is."""
    found = await call.parts.reads.run(call.parts.store.job, call.ids["job_id"])
    if found is None:
        raise RequestError("no such job", code="unknown_job", status=404)
    return job_reply(found)


async def job_records(call: Call) -> JobRecords:
    """The course of a training."""
    found = await call.parts.reads.run(lineage.records, call.parts.store, call.ids["job_id"])
    if found is None:
        raise RequestError("no such job", code="unknown_job", status=404)
    return found


async def version(call: Call) -> VersionDetail:
    """Where a version comes from and how its training went."""
    return await call.parts.reads.run(lineage.detail, _registry(call), call.ids["name"], _number(call.ids["version"]))


async def system(call: Call) -> System:
    """What runs the service."""
    return await call.parts.reads.run_long(call.parts.machine.get, partial(machine.system, call.parts))


async def cancel_job(call: Call) -> JobReply:
    """Ends a job."""

    def work() -> Job:
        found = jobs.cancel(call.parts.store, call.ids["job_id"])
        _audit(call, "jobs.cancel", {"job_id": found.job_id})
        return found

    return job_reply(await call.parts.writes.run_long(work))


async def audit_log(call: Call) -> Rows:
    """Who did what, newest first."""
    query = call.query
    page = await call.parts.reads.run(call.parts.store.audit_log, query.cursor, query.limit, query.action, query.actor)
    return Rows(rows=[dict(row) for row in page.rows], next_cursor=page.next)


async def statistics(call: Call) -> dict[str, int | float]:
    """Rows and bytes of the store."""
    return dict(await call.parts.reads.run_long(call.parts.store.statistics))


def _registry(call: Call) -> Registry:
    if call.parts.registry is None:
        raise RequestError(
            "a service of one fixed model", code="no_registry", status=409, expected="`tastemaker serve` without ARTIFACT"
        )
    return call.parts.registry


def _audit(call: Call, action: str, detail: Mapping[str, Any]) -> None:
    call.parts.store.audit(call.principal.actor, action, detail)


def _schedule(call: Call, when: Schedule | None) -> None:
    jobs.schedule(call.parts.store, call.ids["name"], when)
    told = {} if when is None else when.model_dump(exclude_none=True)
    _audit(call, "models.schedule", {"name": call.ids["name"], **told})


def _models(call: Call, name: str | None) -> ModelsReply:
    store = call.parts.store
    promoted = store.promoted()
    return ModelsReply(
        models=[_model(one) for one in store.models(name)], promoted=None if promoted is None else _model(promoted)
    )


def _model(version: ModelVersion) -> ModelReply:
    return ModelReply(
        name=version.name,
        version=version.version,
        state=version.state,
        created=to_text(version.created),
        facts=dict(version.facts),
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:10]) <= 2**31 - 1 or len(text) > 10:
        raise RequestError("a version that is no number", expected="1, 2…", code="invalid")
    return int(text)

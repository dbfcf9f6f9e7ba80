"""Keys, models, jobs, audit and settings: small tables, read whole."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa

from tastemaker.errors import StoreError, UnknownIdError
from tastemaker.store.base import Job, JobState, Key, ModelVersion, Page
from tastemaker.store.codec import from_cursor, from_json, mapping, to_cursor, to_json
from tastemaker.store.names import top
from tastemaker.store.part import Part
from tastemaker.store.schema import audit, jobs, keys, models, settings

STATES = ("candidate", "refused", "promoted", "retired")


class Control(Part):
    """The part of the store that a service runs itself by."""

    # keys
    def add_key(self, key: Key) -> None:
        row = {field: getattr(key, field) for field in key.__slots__} | {"scopes": to_json(sorted(key.scopes))}
        with self.db.writing() as connection:
            if connection.execute(sa.select(keys.c.key_id).where(keys.c.key_id == key.key_id)).one_or_none():
                raise StoreError(f"a key {key.key_id!r} that is there already", hint="key ids are random; make another")
            connection.execute(keys.insert(), row)

    def keys(self) -> list[Key]:
        with self.db.reading() as connection:
            rows = connection.execute(sa.select(keys).order_by(keys.c.created, keys.c.key_id)).all()
        return [
            Key(
                row.key_id,
                bytes(row.digest),
                frozenset(from_json(row.scopes)),
                row.name,
                row.created,
                row.revoked,
                row.signs_users,
            )
            for row in rows
        ]

    def revoke_key(self, key_id: str, time: int) -> bool:
        with self.db.writing() as connection:
            found = keys.c.key_id == key_id, keys.c.revoked.is_(None)
            return bool(connection.execute(keys.update().where(*found).values(revoked=time)).rowcount)

    # models
    def add_model(self, name: str, path: str, facts: Mapping[str, Any]) -> ModelVersion:
        with self.db.writing() as connection:
            last = connection.execute(sa.select(sa.func.max(models.c.version)).where(models.c.name == name)).scalar() or 0
            made = ModelVersion(name, last + 1, path, _now(), facts=facts)
            row = {field: getattr(made, field) for field in made.__slots__} | {"facts": to_json(facts, "facts")}
            connection.execute(models.insert(), row)
        return made

    def models(self, name: str | None = None) -> list[ModelVersion]:
        query = sa.select(models).order_by(models.c.created.desc(), models.c.version.desc(), models.c.name)
        if name is not None:
            query = query.where(models.c.name == name)
        with self.db.reading() as connection:
            return [_model(row) for row in connection.execute(query)]

    def set_model(
        self, name: str, version: int, *, state: str | None = None, facts: Mapping[str, Any] | None = None
    ) -> ModelVersion:
        if state is not None and state not in STATES:
            raise StoreError(f"state {state!r}", expected=f"one of {', '.join(STATES)}")
        this = sa.and_(models.c.name == name, models.c.version == version)
        changed = {
            key: value
            for key, value in (("state", state), ("facts", None if facts is None else to_json(facts, "facts")))
            if value
        }
        with self.db.writing() as connection:
            if connection.execute(sa.select(models.c.version).where(this)).one_or_none() is None:
                raise UnknownIdError(f"no version {version} of a model {name!r} in the store", hint="see the list of models")
            if state == "promoted":
                connection.execute(models.update().where(models.c.state == "promoted", sa.not_(this)).values(state="retired"))
            if changed:
                connection.execute(models.update().where(this).values(changed))
            return _model(connection.execute(sa.select(models).where(this)).one())

    def promoted(self) -> ModelVersion | None:
        with self.db.reading() as connection:
            row = connection.execute(sa.select(models).where(models.c.state == "promoted")).one_or_none()
        return None if row is None else _model(row)

    # jobs
    def put_job(self, job: Job) -> None:
        row = {field: getattr(job, field) for field in job.__slots__} | {"detail": to_json(job.detail, "detail")}
        with self.db.writing() as connection:
            connection.execute(self.db.upsert(jobs), row)

    def job(self, job_id: str) -> Job | None:
        with self.db.reading() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).one_or_none()
        return None if row is None else _job(row)

    def jobs(self, kind: str | None = None, limit: int = 100) -> list[Job]:
        query = sa.select(jobs).order_by(jobs.c.created.desc(), jobs.c.job_id.desc()).limit(limit)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        with self.db.reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def job_page(
        self, kind: str | None = None, state: JobState | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[Job]:
        query = sa.select(jobs).order_by(jobs.c.created.desc(), jobs.c.job_id.desc()).limit(limit + 1)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if cursor is not None:
            created, job_id = from_cursor(cursor, int, str)
            query = query.where((jobs.c.created < created) | ((jobs.c.created == created) & (jobs.c.job_id < job_id)))
        with self.db.reading() as connection:
            rows = [_job(row) for row in connection.execute(query)]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(rows[:limit], None if last is None else to_cursor(last.created, last.job_id))

    def claim_job(self, kind: str) -> Job | None:
        query = (
            sa.select(jobs)
            .where(jobs.c.kind == kind, jobs.c.state == "queued")
            .order_by(jobs.c.created, jobs.c.job_id)
            .limit(1)
        )
        with self.db.reading() as connection:
            if connection.execute(query).one_or_none() is None:
                return None
        with self.db.writing() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            this = jobs.c.job_id == row.job_id
            connection.execute(jobs.update().where(this).values(state="running", updated=_now()))
            return _job(connection.execute(sa.select(jobs).where(this)).one())

    # audit and settings
    def audit(self, actor: str, action: str, detail: Mapping[str, Any]) -> None:
        with self.db.writing() as connection:
            sequence = top(connection.connection.cursor(), "audit", "sequence") + 1
            row = {"sequence": sequence, "time": _now(), "actor": actor, "action": action, "detail": to_json(detail, "detail")}
            connection.execute(audit.insert(), row)

    def audit_log(
        self, cursor: str | None = None, limit: int = 100, action: str | None = None, actor: str | None = None
    ) -> Page[Mapping[str, Any]]:
        query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit + 1)
        if action:
            query = query.where(audit.c.action.startswith(action, autoescape=True))
        if actor:
            query = query.where(audit.c.actor == actor)
        if cursor is not None:
            query = query.where(audit.c.sequence < from_cursor(cursor, int)[0])
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        found: list[Mapping[str, Any]] = [
            {"time": row.time, "actor": row.actor, "action": row.action, "detail": mapping(row.detail)} for row in rows[:limit]
        ]
        return Page(found, to_cursor(rows[limit - 1].sequence) if len(rows) > limit else None)

    def setting(self, name: str, value: str | None = None) -> str | None:
        own = f"user:{name}"  # the store keeps settings of its own in the same table
        if value is not None:
            with self.db.writing() as connection:
                connection.execute(self.db.upsert(settings), {"name": own, "value": value})
            return value
        with self.db.reading() as connection:
            return cast("str | None", connection.execute(sa.select(settings.c.value).where(settings.c.name == own)).scalar())


def _now() -> int:
    return time.time_ns() // 1000


def _model(row: Any) -> ModelVersion:
    return ModelVersion(row.name, row.version, row.path, row.created, row.state, mapping(row.facts))


def _job(row: Any) -> Job:
    return Job(row.job_id, row.kind, row.state, row.created, row.updated, row.progress, mapping(row.detail))

"""Scenarios: drafts, immutable versions, and which of them is in force; small tables, every change one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tastemaker.errors import RequestError, UnknownIdError
from tastemaker.store.base import Page, Scenario, ScenarioVersion
from tastemaker.store.codec import from_cursor, mapping, to_cursor, to_json
from tastemaker.store.part import Part
from tastemaker.store.schema import scenario_versions as versions
from tastemaker.store.schema import scenarios

MOST = 1000
"""Scenarios at a time: all that are in force are held in memory by every process."""


class Scenarios(Part):
    """The part of the store that keeps the rules of lists."""

    def scenarios(self, cursor: str | None = None, limit: int = 100) -> Page[Scenario]:
        query = sa.select(scenarios).where(sa.not_(scenarios.c.deleted)).order_by(scenarios.c.name).limit(limit + 1)
        if cursor is not None:
            query = query.where(scenarios.c.name > from_cursor(cursor, str)[0])
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        return Page([_scenario(row) for row in rows[:limit]], to_cursor(rows[limit - 1].name) if len(rows) > limit else None)

    def scenario(self, name: str) -> Scenario | None:
        with self.db.reading() as connection:
            return _found(connection, name)

    def scenario_versions(self, name: str, cursor: str | None = None, limit: int = 100) -> Page[ScenarioVersion]:
        query = sa.select(versions).where(versions.c.name == name).order_by(versions.c.version.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(versions.c.version < from_cursor(cursor, int)[0])
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        return Page([_version(row) for row in rows[:limit]], to_cursor(rows[limit - 1].version) if len(rows) > limit else None)

    def scenario_version(self, name: str, version: int) -> ScenarioVersion | None:
        with self.db.reading() as connection:
            row = connection.execute(sa.select(versions).where(_is(name, version))).one_or_none()
        return None if row is None else _version(row)

    def scenarios_in_force(self, since: int = -1) -> tuple[dict[str, ScenarioVersion], int] | None:
        newest = sa.select(sa.func.coalesce(sa.func.max(scenarios.c.revision), 0)).scalar_subquery()
        both = sa.and_(versions.c.name == scenarios.c.name, versions.c.version == scenarios.c.in_force)
        with self.db.reading() as connection:
            if connection.execute(sa.select(newest)).scalar() == since:
                return None
            # One statement, so that the number belongs to the rows.
            found = sa.select(newest.label("newest"), versions).select_from(
                sa.select(sa.literal(1).label("one")).subquery().outerjoin(scenarios.join(versions, both), sa.true())
            )
            rows = connection.execute(found).all()
        return {row.name: _version(row) for row in rows if row.name is not None}, int(rows[0].newest)

    def put_scenario(self, name: str, draft: Mapping[str, Any], actor: str, revision: int | None = None) -> Scenario:
        text = to_json(draft, "draft")
        with self.db.writing() as connection:
            before = _found(connection, name)
            _unchanged(name, before, revision)
            if before is None:
                there = sa.select(sa.func.count()).select_from(scenarios).where(sa.not_(scenarios.c.deleted))
                if (connection.execute(there).scalar() or 0) >= MOST:
                    raise RequestError(
                        f"{MOST} scenarios", code="too_many", status=409, expected=f"at most {MOST}", hint="delete one"
                    )
            return self._set(connection, name, actor, draft=text, deleted=False)

    def publish_scenario(self, name: str, actor: str, revision: int | None = None) -> ScenarioVersion:
        with self.db.writing() as connection:
            before = _there(connection, name)
            _unchanged(name, before, revision)
            if before.draft is None:
                raise RequestError(
                    f"a scenario {name!r} without a draft", code="no_draft", status=409, hint="save a draft, then publish it"
                )
            made = ScenarioVersion(name, before.versions + 1, before.draft, _now(), actor, before.in_force)
            row = {field: getattr(made, field) for field in made.__slots__} | {"rules": to_json(made.rules, "rules")}
            connection.execute(versions.insert(), row)
            self._set(connection, name, actor, draft=None, in_force=made.version, versions=made.version)
        return made

    def rollback_scenario(self, name: str, actor: str) -> Scenario:
        with self.db.writing() as connection:
            before = _there(connection, name)
            if before.in_force is None:
                raise RequestError(
                    f"no version of the scenario {name!r} in force", code="no_earlier_version", status=409, expected="one"
                )
            return self._set(connection, name, actor, in_force=_withdrawn(connection, before, actor))

    def delete_scenario(self, name: str, actor: str) -> bool:
        with self.db.writing() as connection:
            before = _found(connection, name)
            if before is None:
                return False
            if before.in_force is not None:
                _withdrawn(connection, before, actor)
            self._set(connection, name, actor, draft=None, in_force=None, deleted=True)
        return True

    def _set(self, connection: sa.Connection, name: str, actor: str, **values: Any) -> Scenario:
        """Writes what changes of a scenario, with who and when, under the next revision."""
        revision = (connection.execute(sa.select(sa.func.max(scenarios.c.revision))).scalar() or 0) + 1
        values |= {"revision": revision, "changed": _now(), "changed_by": actor}
        if not connection.execute(scenarios.update().where(scenarios.c.name == name).values(values)).rowcount:
            connection.execute(scenarios.insert(), {"name": name, "in_force": None, "versions": 0, **values})
        return _scenario(connection.execute(sa.select(scenarios).where(scenarios.c.name == name)).one())


def _found(connection: sa.Connection, name: str) -> Scenario | None:
    query = sa.select(scenarios).where(scenarios.c.name == name, sa.not_(scenarios.c.deleted))
    row = connection.execute(query).one_or_none()
    return None if row is None else _scenario(row)


def _there(connection: sa.Connection, name: str) -> Scenario:
    found = _found(connection, name)
    if found is None:
        raise UnknownIdError(f"no scenario {name!r} in the store", hint="see the list of scenarios")
    return found


def _unchanged(name: str, before: Scenario | None, revision: int | None) -> None:
    found = 0 if before is None else before.revision
    if revision is not None and revision != found:
        raise RequestError(
            f"revision {found} of the scenario {name!r}",
            code="draft_changed",
            status=409,
            expected=f"revision {revision}",
            hint="somebody else changed it meanwhile; load it again",
        )


def _withdrawn(connection: sa.Connection, before: Scenario, actor: str) -> int | None:
    """Notes that the version in force no longer is; what was in force before it."""
    this = _is(before.name, before.in_force)
    connection.execute(versions.update().where(this).values(withdrawn=_now(), withdrawn_by=actor))
    return connection.execute(sa.select(versions.c.replaced).where(this)).scalar()


def _is(name: str, version: int | None) -> sa.ColumnElement[bool]:
    return sa.and_(versions.c.name == name, versions.c.version == version)


def _now() -> int:
    return time.time_ns() // 1000


def _scenario(row: Any) -> Scenario:
    draft = None if row.draft is None else mapping(row.draft)
    return Scenario(row.name, draft, row.revision, row.changed, row.changed_by, row.in_force, row.versions)


def _version(row: Any) -> ScenarioVersion:
    return ScenarioVersion(
        row.name,
        row.version,
        mapping(row.rules),
        row.published,
        row.published_by,
        row.replaced,
        row.withdrawn,
        row.withdrawn_by,
    )

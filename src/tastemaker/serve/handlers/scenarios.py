"""Scenarios: drafts, previews, what is in force, history; and the pipeline that rules go into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tastemaker.errors import RequestError, UnknownIdError
from tastemaker.serve.call import Call
from tastemaker.serve.rule_checks import changes, hold
from tastemaker.serve.times import to_text
from tastemaker.store.base import Scenario, ScenarioVersion, Store
from tastemaker.wire.scenarios import (
    Checked,
    HistoryReply,
    PipelineReply,
    PreviewReply,
    Rules,
    ScenarioReply,
    ScenariosReply,
    ScenarioSummary,
    VersionReply,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_BYTES = 1 << 19
"""Of a set of rules as JSON at most: all that are in force are held in memory."""


async def scenarios(call: Call) -> ScenariosReply:
    """All of them, by name."""

    def work() -> ScenariosReply:
        page = call.parts.store.scenarios(call.query.cursor, call.query.limit)
        return ScenariosReply(scenarios=[_summary(call, one) for one in page.rows], next_cursor=page.next)

    return await call.parts.reads.run(work)


async def scenario(call: Call) -> ScenarioReply:
    """One: its draft, what is in force, and how both stand with the catalogue."""
    return await call.parts.reads.run(_reply, call, _name(call))


async def versions(call: Call) -> HistoryReply:
    """What was ever published, newest first, each with what it changed."""
    name = _name(call)

    def work() -> HistoryReply:
        store = call.parts.store
        page = store.scenario_versions(name, call.query.cursor, call.query.limit)
        if not page.rows and call.query.cursor is None:
            _there(store, name)
        return HistoryReply(versions=[_version(store, one) for one in page.rows], next_cursor=page.next)

    return await call.parts.reads.run(work)


async def check(call: Call) -> Checked:
    """Rules against the catalogue of now; nothing is kept."""
    return await call.parts.reads.run(call.parts.service.check_rules, call.body)


async def save(call: Call) -> ScenarioReply:
    """Keeps a draft, if its rules can hold."""
    name, sent = _name(call), call.body
    size = len(msgspec.json.encode(sent.rules))
    if size > _BYTES:
        raise RequestError(f"rules of {size} bytes", code="too_large", expected=f"at most {_BYTES}", hint="name fewer items")

    def work() -> ScenarioReply:
        hold(call.parts.service.check_rules(sent.rules))
        call.parts.store.put_scenario(name, msgspec.to_builtins(sent.rules), call.principal.actor, sent.revision)
        _audit(call, "scenarios.draft", {"name": name})
        return _reply(call, name)

    return await call.parts.writes.run(work)


async def preview(call: Call) -> PreviewReply:
    """What rules would change for some users; nothing is kept."""
    name, sent = _name(call), call.body

    def work() -> PreviewReply:
        rules = sent.rules
        if rules is None:
            draft = _there(call.parts.store, name).draft
            if draft is None:
                raise RequestError(
                    f"a scenario {name!r} without a draft", code="no_draft", status=409, hint="save one, or send rules"
                )
            rules = msgspec.convert(draft, Rules)
        return call.parts.service.preview(name, rules, sent)

    return await call.parts.reads.run_long(work)


async def publish(call: Call) -> ScenarioReply:
    """Puts the draft in force: from the next request on here, within two seconds in other processes."""
    name = _name(call)

    def work() -> ScenarioReply:
        draft = _there(call.parts.store, name).draft
        if draft is not None:
            hold(call.parts.service.check_rules(msgspec.convert(draft, Rules)))
        made = call.parts.store.publish_scenario(name, call.principal.actor, call.body.revision)
        call.parts.service.scenarios.refresh()
        _audit(call, "scenarios.publish", {"name": name, "version": made.version})
        return _reply(call, name)

    return await call.parts.writes.run(work)


async def rollback(call: Call) -> ScenarioReply:
    """Puts the version before back in force."""
    name = _name(call)

    def work() -> ScenarioReply:
        back = call.parts.store.rollback_scenario(name, call.principal.actor)
        call.parts.service.scenarios.refresh()
        _audit(call, "scenarios.rollback", {"name": name, "version": back.in_force})
        return _reply(call, name)

    return await call.parts.writes.run(work)


async def delete(call: Call) -> None:
    """Takes a scenario out of force and out of the list."""
    name = _name(call)

    def work() -> None:
        if not call.parts.store.delete_scenario(name, call.principal.actor):
            raise _unknown(name)
        call.parts.service.scenarios.refresh()
        _audit(call, "scenarios.delete", {"name": name})

    await call.parts.writes.run(work)


async def pipeline(call: Call) -> PipelineReply:
    """The stages of a list, as they run for the model in use."""
    name, times = call.query.scenario, call.parts.monitor.list_stages()
    if name is not None:
        _checked(name)

    def work() -> PipelineReply:
        found = call.parts.store.scenario(name) if name is not None and call.query.draft else None
        draft = None if found is None or found.draft is None else msgspec.convert(found.draft, Rules)
        return call.parts.service.pipeline(name, times, draft)

    return await call.parts.reads.run(work)


def _reply(call: Call, name: str) -> ScenarioReply:
    store, found = call.parts.store, _there(call.parts.store, name)
    current = None if found.in_force is None else store.scenario_version(name, found.in_force)
    draft, published = (
        None if one is None else msgspec.convert(one, Rules) for one in (found.draft, current and current.rules)
    )
    shown = draft or published
    checked = None if shown is None else call.parts.service.check_rules(shown)
    return ScenarioReply(
        name=name,
        revision=found.revision,
        draft=draft,
        published=None if current is None else _version(store, current),
        versions=found.versions,
        changed=to_text(found.changed),
        changed_by=found.changed_by,
        changes=[] if draft is None else changes(published, draft),
        checked=checked,
    )


def _summary(call: Call, found: Scenario) -> ScenarioSummary:
    current = call.parts.service.scenarios.get(found.name)
    description = "" if current is None else current.rules.description
    return ScenarioSummary(
        name=found.name,
        description=description if found.draft is None else str(found.draft.get("description", "")),
        in_force=found.in_force,
        versions=found.versions,
        draft=found.draft is not None,
        changed=to_text(found.changed),
        changed_by=found.changed_by,
    )


def _version(store: Store, kept: ScenarioVersion) -> VersionReply:
    rules = msgspec.convert(kept.rules, Rules)
    before = None if kept.replaced is None else store.scenario_version(kept.name, kept.replaced)
    return VersionReply(
        version=kept.version,
        rules=rules,
        published=to_text(kept.published),
        published_by=kept.published_by,
        replaced=kept.replaced,
        withdrawn=None if kept.withdrawn is None else to_text(kept.withdrawn),
        withdrawn_by=kept.withdrawn_by,
        changes=changes(None if before is None else msgspec.convert(before.rules, Rules), rules),
    )


def _there(store: Store, name: str) -> Scenario:
    found = store.scenario(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> UnknownIdError:
    return UnknownIdError(f"no scenario {name!r} in the store", hint="see the list of scenarios")


def _name(call: Call) -> str:
    return _checked(call.ids["name"])


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        expected = "a letter, then letters, digits and _.- (at most 64)"
        raise RequestError(f"scenario name {name[:80]!r}", code="bad_name", expected=expected)
    return name


def _audit(call: Call, action: str, detail: Mapping[str, Any]) -> None:
    call.parts.store.audit(call.principal.actor, action, detail)

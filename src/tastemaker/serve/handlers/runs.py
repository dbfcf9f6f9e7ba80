"""Runs: their list, the report of one, and several side by side."""

from __future__ import annotations

from tastemaker.serve.call import Call
from tastemaker.serve.runs import Runs
from tastemaker.wire.runs import RunReport, RunsCompared, RunsReply


def _runs(call: Call) -> Runs:
    return Runs(call.parts.runs, call.parts.registry)


async def page(call: Call) -> RunsReply:
    """Newest first."""
    query = call.query
    return await call.parts.reads.run(_runs(call).page, query.model, query.status, query.tuning, query.cursor, query.limit)


async def report(call: Call) -> RunReport:
    """What a run found."""
    return await call.parts.reads.run_long(_runs(call).report, call.ids["run_id"])


async def compare(call: Call) -> RunsCompared:
    """Paired tests, one comparison at a time."""
    return await call.parts.control.run_long(_runs(call).compare, call.body.run_ids)

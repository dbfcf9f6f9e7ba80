"""How the service does, and what it earns."""

from __future__ import annotations

from tastemaker.serve.call import Call
from tastemaker.serve.overview import overview
from tastemaker.wire.overview import Overview


async def look(call: Call) -> Overview:
    """Everything at once."""
    return await call.parts.reads.run(overview, call.parts, call.query.days)

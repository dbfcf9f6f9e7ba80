"""What is told as it changes, by topic of `GET /v1/live`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tastemaker.serve.broadcast import Topic
from tastemaker.serve.overview import in_use, pulse

if TYPE_CHECKING:
    from tastemaker.serve.call import Parts


def of(parts: Parts) -> dict[str, Topic]:
    """All topics of a service."""
    return {"model": Topic(lambda: in_use(parts)), "pulse": Topic(lambda: pulse(parts))}

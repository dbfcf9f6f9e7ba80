"""What is told as it changes, by topic of `GET /v1/live`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tastemaker.serve.broadcast import Topic
from tastemaker.serve.times import to_text
from tastemaker.wire.control import ModelInUse

if TYPE_CHECKING:
    from tastemaker.serve.call import Parts


def of(parts: Parts) -> dict[str, Topic]:
    """All topics of a service."""
    return {"model": Topic(lambda: in_use(parts))}


def in_use(parts: Parts) -> ModelInUse:
    """The version in use."""
    version = parts.service.version
    if version is None:
        return ModelInUse(ready=parts.service.ready, name=None, version=None, created=None)
    return ModelInUse(ready=parts.service.ready, name=version.name, version=version.version, created=to_text(version.created))

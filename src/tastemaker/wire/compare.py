"""Bodies and answers of comparisons: one request, asked of several versions of the model."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tastemaker.wire.bodies import Answer, Body, ModelName, Problem, Recommend, Reply, SessionEvent

MOST_VERSIONS = 3


class VersionName(Body):
    """A version of a model."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class CompareBody(Body):
    """What to ask, and of whom."""

    request: Recommend = msgspec.field(default_factory=Recommend)
    versions: Annotated[list[VersionName], Meta(max_length=MOST_VERSIONS)] = msgspec.field(default_factory=list)
    """in the order of the columns; none: the one in use"""
    events: Annotated[list[SessionEvent], Meta(max_length=1000)] | None = None
    """a history in the place of the user's own, oldest event first, as in a session; null: the user's own"""


class Compared(Reply):
    """What one version answers, or why it does not."""

    model: ModelName | None
    """null: whatever is in use, where that is no version of the registry"""
    in_use: bool
    answer: Answer | None
    """as the version would answer if it were in use; nothing is kept of it, so it has neither an id nor next pages"""
    problem: Problem | None
    loaded_ms: float | None
    """what loading it took, the last time; null of the version in use"""
    reads: int | None
    """newest events of a user's history that the list may stand on; older ones count as seen alone"""
    overlap: float | None
    """items that are on this list and on the first one, as a share of the longer of the two; null where either is missing or both are empty"""
    moves: list[int | None]
    """of each item: by how many ranks it stands higher than on the first list; null where it is not on that"""


class ComparedReply(Reply):
    """The answers side by side, in the order asked for."""

    columns: list[Compared]
    in_use: ModelName | None
    """the version in use; null where a service has one fixed model, or none"""

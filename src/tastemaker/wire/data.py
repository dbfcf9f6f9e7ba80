"""What the dashboard shows of a store's data: its quality, its intake, its drift."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from tastemaker.wire.bodies import Reply
from tastemaker.wire.control import Paged


class Bar(Reply):
    """A bar of a plot."""

    label: str
    count: int


class Plots(Reply):
    """How events are spread."""

    per_user: list[Bar]
    """users by how many events they have"""
    per_item: list[Bar]
    over_time: list[Bar]
    """events by day, or by month where there are more than 400 days"""


class Quality(Reply):
    """The newest report of `tastemaker data describe` on the store."""

    made: str | None
    """null: none was made yet"""
    events_since: int
    """events that came since"""
    report: dict[str, Any] | None
    plots: Plots | None
    job_id: str | None
    """of the report that is being made"""


class LettersQuery(Paged):
    """Events that were refused, newest first."""

    code: Annotated[str, Meta(max_length=64)] | None = None


class Refused(Reply):
    """Events refused for one reason."""

    code: str
    count: int
    why: str
    """in plain words"""
    hint: str
    """what to do"""


class Intake(Reply):
    """What came in of late."""

    counted_at: str
    counted: int
    """events looked at: the newest"""
    hours: list[str]
    """begin of each hour of the events' own times, UTC, oldest first: at most the week before the newest event"""
    kinds: dict[str, list[int]]
    """events of each kind by hour"""
    accepted: int
    """since this process began, as the next two"""
    duplicates: int
    rejected: int
    refused: list[Refused]
    """the newest ten thousand, by reason"""


class Measure(Reply):
    """One way in which what comes in may differ from what the model learned from."""

    name: Literal["item_popularity", "unknown_items", "unknown_users", "kinds", "value"]
    value: float | None
    """null: not known, `note` says why"""
    unit: Literal["bits", "share", "ratio"]
    low: float | None
    """what it would be without drift, by chance alone: 95 % of samples of this size"""
    high: float | None
    verdict: Literal["steady", "watch", "drifted", "unknown"]
    of: int
    """events looked at"""
    note: str
    """what to make of it"""


class Drift(Reply):
    """What comes in now, against what the model in use learned from."""

    model: str | None
    """name and version; null: no model is in use"""
    counted_at: str | None
    events: int
    """looked at: the newest, and where it is known only those that came after its training data"""
    since: str
    """which events these are, in words"""
    measures: list[Measure]

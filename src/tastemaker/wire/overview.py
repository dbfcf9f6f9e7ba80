"""What the overview shows: how the service does, and what it earns."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tastemaker.wire.bodies import Body, Reply
from tastemaker.wire.control import ModelInUse


class OverviewQuery(Body):
    """Over which time outcomes are counted."""

    days: Annotated[float, Meta(gt=0, le=60)] = 30.0


class Share(Reply):
    """A share of answers; all null without an answer."""

    value: float | None
    low: float | None
    """Wilson's 95 % interval"""
    high: float | None
    of: int
    """answers"""


class Outcome(Reply):
    """What became of the answers of a day or of a model."""

    name: str
    """the day (2026-11-30, UTC), or the source of the answers (sasrec/17, popular)"""
    answers: int
    click_through: Share
    conversion: Share


class Pulse(Reply):
    """The last minute."""

    time: float
    """epoch seconds"""
    requests_per_second: float
    lists_per_second: float
    """requests for recommendations"""
    failed_per_second: float
    """answered with 5xx"""
    p50_ms: float | None
    """of requests for recommendations; null without any"""
    p95_ms: float | None
    p99_ms: float | None
    events_per_second: float
    """accepted"""
    duplicates_per_second: float
    rejected_per_second: float
    fallback: float | None
    """share of recommendations that fell back to a list for everybody; null without any"""
    degraded: float | None
    """share of recommendations that came from less than the whole way"""
    in_flight: float
    ready: bool


class Series(Reply):
    """The last ten minutes in steps, oldest first; null where nothing was to be measured."""

    step_seconds: float
    time: list[float]
    """epoch seconds, end of each step"""
    requests_per_second: list[float]
    events_per_second: list[float]
    rejected_per_second: list[float]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]


class Alert(Reply):
    """Something to look at."""

    code: str
    severity: Literal["warn", "bad"]
    text: str
    hint: str
    """what to do"""
    page: str
    """of the dashboard, that helps"""


class Covered(Reply):
    """How much of the catalogue is shown to anybody."""

    items: int
    """in the catalogue"""
    available: int
    """may be recommended now"""
    shown: int
    """of these, in some answer counted"""
    share: float | None
    """shown / available"""


class Overview(Reply):
    """How the service does, and what it earns."""

    health: Literal["good", "warn", "bad"]
    """the worst of the alerts"""
    alerts: list[Alert]
    pulse: Pulse
    series: Series
    model: ModelInUse
    model_age_seconds: float | None
    counted_at: str | None
    """when outcomes were counted; null: not yet"""
    counted_since: str | None
    """time of the oldest answer counted; null: none"""
    click_through: Share
    """of the answers in the window, those with at least one item clicked"""
    conversion: Share
    """those with at least one item bought"""
    by_day: list[Outcome]
    """oldest first"""
    by_model: list[Outcome]
    """most answers first"""
    catalogue: Covered
    events: int | None
    """sequence of the newest event: how many there were; null where the store does not answer"""

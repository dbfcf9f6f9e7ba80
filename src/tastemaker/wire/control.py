"""Bodies, queries and answers of the routes that are not recommendations, events or the catalogue: keys, models, jobs, health."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tastemaker.wire.bodies import (
    Body,
    EventBody,
    Filter,
    Id,
    Include,
    ItemBody,
    JobReply,
    Limit,
    ListInclude,
    Name,
    Reply,
    Rerank,
    Share,
    UserBody,
)

Cursor = Annotated[str, Meta(max_length=4096)]


# ── queries ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Paged(Body):
    """A page of a list."""

    cursor: Cursor | None = None
    limit: Limit = 100


class UsersQuery(Paged):
    """Users by id."""

    prefix: Annotated[str, Meta(max_length=256)] | None = None
    """of their ids"""


class EventsQuery(Paged):
    """Events of a user or of an item."""

    user_id: Id | None = None
    item_id: Id | None = None
    type: Name | None = None


class RecommendQuery(Body):
    """The subset of a request that fits an address; lists are joined by commas."""

    limit: Limit | msgspec.UnsetType = msgspec.UNSET
    scenario: Name | None = None
    filter: Filter | None = None
    exclude_item_ids: Annotated[list[Id], Meta(max_length=100)] = msgspec.field(default_factory=list)
    exclude_seen: bool | msgspec.UnsetType = msgspec.UNSET
    diversity: Share | msgspec.UnsetType = msgspec.UNSET
    strict_filter: bool = True
    rerank: Rerank | None = None
    include: Annotated[list[ListInclude], Meta(max_length=4)] = msgspec.field(default_factory=list)
    deadline_ms: Annotated[float, Meta(gt=0, le=60_000)] | None = None


class Length(Body):
    """How many; as before, or 10."""

    limit: Limit | None = None


class SimilarQuery(Body):
    """How many, and among which."""

    limit: Limit = 10
    filter: Filter | None = None
    include: Annotated[list[Include], Meta(max_length=3)] = msgspec.field(default_factory=list)


class OnboardingQuery(Body):
    """How many, and among which."""

    limit: Annotated[int, Meta(ge=1, le=50)] = 5
    filter: Filter | None = None
    include: Annotated[list[Include], Meta(max_length=3)] = msgspec.field(default_factory=list)


class PopularQuery(SimilarQuery):
    """Which list."""

    window: Annotated[float, Meta(gt=0, le=3.2e8)] | None = None
    """seconds back from now, rounded up to 1, 2, 3, 6, 12 hours, 1, 2, 3, 7, 14, 30, 60, 90, 180, 365 days or ten years; unless given, the service's own"""
    category: Annotated[str, Meta(max_length=256)] | None = None


class LiveQuery(Body):
    """What to be told of, as it changes."""

    topics: Annotated[list[Name], Meta(max_length=16)] = msgspec.field(default_factory=list)
    """joined by commas; none: all"""


class JobsQuery(Paged):
    """Jobs, newest first."""

    kind: Name | None = None
    state: Literal["queued", "running", "done", "failed", "cancelled"] | None = None


class AuditQuery(Paged):
    """Who did what, newest first."""

    action: Annotated[str, Meta(max_length=64)] | None = None
    """what the actions begin with: models, or models.promote"""
    actor: Annotated[str, Meta(max_length=64)] | None = None
    """the id of a key, open, or command line"""


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Events(Body):
    """A batch of events; each is taken or rejected on its own."""

    events: Annotated[list[EventBody], Meta(min_length=1, max_length=1000)]


class AnyEvents(Body):
    """A batch in which at least one event does not look like one."""

    events: Annotated[list[Any], Meta(min_length=1, max_length=1000)]


class Items(Body):
    """A batch of items, each with its `item_id`."""

    items: Annotated[list[ItemBody], Meta(min_length=1, max_length=1000)]


class Users(Body):
    """A batch of users, each with its `user_id`."""

    users: Annotated[list[UserBody], Meta(min_length=1, max_length=1000)]


class Merge(Body, rename={"source": "from"}):
    """Whose events to take over."""

    source: Id


class KeyBody(Body):
    """A key to make."""

    scopes: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)] = msgspec.field(default_factory=list)
    """none: those of a browser key"""
    name: Annotated[str, Meta(max_length=256)] = ""
    browser: bool = False


class TrainBody(Body):
    """A training to start."""

    config: dict[str, Any] | None = None
    """sections as in a config file, without sources; None: as this line of versions was trained before"""
    promote: bool = True
    """put the new version into use if it passes the gate"""
    warm_start: bool = True
    """begin with the weights of the newest version"""


class ScheduleBody(Body):
    """When a line of versions is trained by itself; either condition is enough."""

    every_hours: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    after_events: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    promote: bool = True


class PromoteBody(Body):
    """A version to put into use."""

    force: bool = False
    """even if the gate refuses it"""


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class KeyReply(Reply):
    """A key, without its secret."""

    key_id: str
    name: str
    scopes: list[str]
    browser: bool
    created: str
    revoked: str | None = None


class KeyMade(KeyReply):
    """A key with its secret, which is shown this once."""

    secret: str = ""
    signing_secret: str | None = None
    """what your server signs user tokens of a browser key with; it must not reach the page"""


class KeysReply(Reply):
    """All keys, revoked ones included."""

    keys: list[KeyReply]


class ModelReply(Reply):
    """A version of a model."""

    name: str
    version: int
    state: str
    created: str
    facts: dict[str, Any]


class ModelsReply(Reply):
    """Versions, newest first."""

    models: list[ModelReply]
    promoted: ModelReply | None


class ModelNames(Reply):
    """Models that can be trained."""

    names: list[str]


class JobsReply(Reply):
    """Jobs, newest first."""

    jobs: list[JobReply]
    next_cursor: str | None = None


class SchedulesReply(Reply):
    """What is trained by itself, by name."""

    schedules: dict[str, ScheduleBody]


class Rows(Reply):
    """A page of a log."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


class Alive(Reply):
    """The process runs."""

    status: Literal["alive"] = "alive"


class Readiness(Reply):
    """Whether requests should be sent here."""

    status: Literal["ready", "starting"]


class SlowRequest(Reply):
    """A request that took long."""

    time: str
    request_id: str
    method: str
    route: str
    status: int
    milliseconds: float
    stages: dict[str, float]
    """ms waiting for and reading the body, handling, writing"""


class SlowRequests(Reply):
    """The last slow requests, newest first."""

    threshold_ms: float
    requests: list[SlowRequest]


class Me(Reply):
    """Who asks, and what the key may do."""

    key_id: str | None
    """null while the service is open"""
    scopes: list[str]
    open: bool
    """whether everybody may do everything, since there is no key yet"""


class ModelInUse(Reply):
    """What answers at the moment."""

    ready: bool
    """whether it is verified and warmed up"""
    name: str | None
    """null: lists for everybody alone"""
    version: int | None
    """0: an artifact that was given by hand"""
    created: str | None

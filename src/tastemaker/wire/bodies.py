"""What goes over the wire: one struct for each body, checked strictly when read. The service speaks these too; there is no second set.

Times come in as RFC 3339 text or epoch seconds and go out as RFC 3339. Ids are text of 1 to 256 bytes of UTF-8. Unknown fields are
errors, so that a misspelt option is not silently without effect.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
Time = str | float | int
"""RFC 3339 or epoch seconds"""
Limit = Annotated[int, Meta(ge=1, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]
Filter = Annotated[str, Meta(max_length=4096)]
Properties = dict[str, Any]


class Body(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Base of what comes in."""


class Reply(Struct, kw_only=True):
    """Base of what goes out."""


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class EventBody(Body):
    """One event; `user_id` or `anonymous_id` says whose."""

    item_id: Id
    type: Name = "view"
    user_id: Id | None = None
    anonymous_id: Id | None = None
    event_id: Id | None = None
    session_id: Id | None = None
    value: Finite = 1.0
    timestamp: Time | None = None
    """now when left out"""
    recommendation_id: Id | None = None
    position: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    impressions: Annotated[list[Id], Meta(max_length=1000)] = []
    context: Properties = {}
    properties: Properties = {}


class RejectedEvent(Reply):
    """An event that was not taken, and why."""

    index: int
    code: str
    detail: str


class EventsTaken(Reply):
    """Sent after the write is durable."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]
    durable: bool = True


# ── catalogue ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class ItemBody(Body):
    """An item as put; `item_id` only in batches."""

    item_id: Id | None = None
    properties: Properties = {}
    categories: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=100)] = []
    available_from: Time | None = None
    expires_at: Time | None = None
    hidden: bool = False
    embedding: Annotated[list[Finite], Meta(max_length=4096)] | None = None


class ItemPatch(Body):
    """Changes of an item: what is left out stays; a property set to null is removed."""

    properties: Properties | msgspec.UnsetType = msgspec.UNSET
    categories: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=100)] | msgspec.UnsetType = msgspec.UNSET
    available_from: Time | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: Time | msgspec.UnsetType | None = msgspec.UNSET
    hidden: bool | msgspec.UnsetType = msgspec.UNSET
    embedding: Annotated[list[Finite], Meta(max_length=4096)] | msgspec.UnsetType | None = msgspec.UNSET


class UserBody(Body):
    """A user as put; `user_id` only in batches."""

    user_id: Id | None = None
    properties: Properties = {}


class UserPatch(Body):
    """Changes of a user: a property set to null is removed."""

    properties: Properties = {}


class ItemReply(Reply):
    """An item as held."""

    item_id: str
    properties: Properties
    categories: list[str]
    available_from: str | None
    expires_at: str | None
    hidden: bool
    embedding: list[float] | None = None


class ItemsReply(Reply):
    """A page of the catalogue."""

    items: list[ItemReply]
    next_cursor: str | None


class UserReply(Reply):
    """A user as held."""

    user_id: str
    properties: Properties


class UsersReply(Reply):
    """A page of users."""

    users: list[UserReply]
    next_cursor: str | None


class RowRejected(Reply):
    """A row of a batch that was not taken, and why."""

    index: int
    code: str
    detail: str


class RowsTaken(Reply):
    """What became of a batch of items or users."""

    accepted: int
    rejected: list[RowRejected]


class Merged(Reply):
    """What a merge moved."""

    events: int


class JobReply(Reply):
    """Long work and how far it is."""

    job_id: str
    kind: str
    state: str
    progress: float
    created: str
    updated: str
    detail: Properties


class EventReply(Reply, omit_defaults=True):
    """An event as held."""

    user_id: str
    item_id: str
    type: str
    value: float
    timestamp: str
    event_id: str | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    position: int | None = None
    impressions: list[str] = []
    context: Properties = {}
    properties: Properties = {}


class EventsReply(Reply):
    """A page of events, newest first."""

    events: list[EventReply]
    next_cursor: str | None


# ── recommendations ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Boost(Body):
    """Items that match are raised as if the model found them `weight` times as likely (below 1: lowered)."""

    filter: Filter
    weight: Annotated[float, Meta(gt=0, le=1000)]


class Pin(Body):
    """An item that stands at a place whatever its score, unless it is not available."""

    item_id: Id
    position: Annotated[int, Meta(ge=1, le=1000)]


class SeenRule(Body):
    """Which of the things seen are left out."""

    types: Annotated[list[Name], Meta(max_length=32)] | None = None
    days: Annotated[float, Meta(gt=0)] | None = None


class Rotation(Body):
    """The list changes every `seconds`: a `rate` of its places goes to items just below."""

    rate: Share = 0.2
    seconds: Annotated[float, Meta(gt=0)] = 3600.0


Include = Literal["properties", "score", "reasons"]
ListInclude = Literal["properties", "score", "reasons", "explanations"]
Rerank = Literal["language"]
"""What puts the best candidates into another order, where the service has one"""


class Recommend(Body):
    """A request for a list. Filters and seen-exclusion are exact and applied before the best are chosen."""

    user_id: Id | None = None
    limit: Limit | UnsetType = UNSET
    """10 unless given here or by the scenario"""
    scenario: Name | None = None
    """whose rules, and whose objective of a ranker of several, are added to those of the request; a mere label where there is none of this name"""
    filter: Filter | None = None
    parameters: dict[str, Any] = {}
    """values of `$name` in filters"""
    boosts: Annotated[list[Boost], Meta(max_length=32)] = []
    pins: Annotated[list[Pin], Meta(max_length=100)] = []
    exclude_item_ids: Annotated[list[Id], Meta(max_length=1000)] = []
    exclude_seen: bool | SeenRule | UnsetType = UNSET
    """true unless given here or by the scenario"""
    diversity: Share | UnsetType = UNSET
    """0 unless given here or by the scenario"""
    max_per: dict[str, Annotated[int, Meta(ge=1)]] = {}
    """at most so many items with the same value of a property ("category" means `categories`)"""
    rotation: Rotation | UnsetType | None = UNSET
    """none unless given here or by the scenario; null: none"""
    exploration: Share | None = None
    """reserved"""
    strict_filter: bool = True
    """False: where the filter leaves fewer than `limit`, the list is filled up without it, with a warning"""
    context: Properties = {}
    rerank: Rerank | None = None
    include: Annotated[list[ListInclude], Meta(max_length=4)] = []
    deadline_ms: Annotated[float, Meta(gt=0, le=60_000)] | None = None


class SessionEvent(Body):
    """An event of a session; nothing is stored."""

    item_id: Id
    type: Name = "view"
    timestamp: Time | None = None


class RecommendSession(Recommend):
    """As `Recommend`, from a session alone, oldest event first."""

    events: Annotated[list[SessionEvent], Meta(max_length=1000)] = []
    record: bool = True
    """False: the answer is not kept, so it counts nowhere as one that was shown"""


class RecommendBatch(Body):
    """Several shelves of one page; `distinct` shows no item twice on it."""

    requests: Annotated[list[Recommend], Meta(min_length=1, max_length=100)]
    distinct: bool = True


class Rank(Body):
    """Orders a given list; unknown ids come last and are flagged."""

    item_ids: Annotated[list[Id], Meta(min_length=1, max_length=1000)]
    user_id: Id | None = None
    include: Annotated[list[Include], Meta(max_length=3)] = []


class Complementary(Body):
    """What goes with a basket."""

    item_ids: Annotated[list[Id], Meta(min_length=1, max_length=100)]
    limit: Limit = 10
    filter: Filter | None = None
    parameters: dict[str, Any] = {}


class Explain(Body):
    """Why an item is, or is not, recommended to a user."""

    user_id: Id
    item_id: Id
    request: Recommend | None = None
    """asked so; None: with defaults"""
    features: bool = False
    """whether to tell what the ranker of two stages read"""


class Because(Reply):
    """What a recommendation stands on."""

    kind: str
    """because_of: an item of the history; popular, latest: a list; of items like an item: met_together, same_category, like_contents"""
    item_id: str | None = None
    weight: float | None = None
    """a share; like_contents: of the words and values of both, those they have in common"""
    users: int | msgspec.UnsetType = msgspec.UNSET
    """met_together: users who met both, of `of` users of the item that were looked at"""
    of: int | msgspec.UnsetType = msgspec.UNSET
    category: str | msgspec.UnsetType = msgspec.UNSET
    """same_category: which"""


class Shelf(Reply, omit_defaults=True):
    """One item of an answer."""

    item_id: str
    rank: int
    source: str
    """what put it there: a model's name, popular, latest, pin, co_occurrence, neighbours"""
    score: float | None = None
    reasons: list[Because] | None = None
    explanation: str | None = None
    """the reasons in words"""
    properties: Properties | None = None
    known: bool | None = None
    """False in a ranked list: nothing is known of this id"""


class ModelName(Reply):
    """The version that answered."""

    name: str
    version: int


class Counts(Reply):
    """How many items came and went on the way to the answer."""

    candidates: int = 0
    filtered_seen: int = 0
    filtered_rule: int = 0
    filtered_unavailable: int = 0


class Answer(Reply):
    """The one envelope of all recommendations."""

    recommendation_id: str | None
    items: list[Shelf]
    status: Literal["ok", "degraded", "fallback"] = "ok"
    fallback: str | None = None
    """what the list comes from where the model had nothing to go by"""
    warnings: list[str] = []
    """insufficient_candidates, unknown_items, filter_relaxed, unknown_scenario, deadline…"""
    model: ModelName | None = None
    scenario: str | None = None
    scenario_version: int | None = None
    """of the rules in force; null where the name is a mere label"""
    experiment: None = None
    """reserved"""
    next_cursor: str | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    took_ms: float = 0.0


class Answers(Reply):
    """Answers of a batch, in order."""

    answers: list[Answer]


class Answered(Body):
    """What a new user said of an item."""

    item_id: Id
    answer: Literal["like", "dislike", "unknown"]
    """unknown: the item is not known to the user"""


class Onboarding(Body):
    """Answers of a new user, and how many items to ask about next."""

    answers: Annotated[list[Answered], Meta(max_length=100)] = []
    limit: Annotated[int, Meta(ge=1, le=50)] = 5
    filter: Filter | None = None
    parameters: dict[str, Any] = {}
    include: Annotated[list[Include], Meta(max_length=3)] = []


class OnboardingReply(Reply):
    """What to ask a new user about next."""

    items: list[Shelf]
    """the most telling first; `source` is onboarding or popular"""
    answered: dict[str, int]
    """likes, dislikes and unknown items so far, other events counted as likes"""
    certainty: float
    """share of the doubt about the user's taste that the answers took away, 0…1"""
    status: Literal["ok", "degraded", "fallback"] = "ok"
    fallback: str | None = None
    """popular: the model knows no users to learn from, or is not ready"""
    warnings: list[str] = []
    rejected: list[RejectedEvent] = []
    """answers that were not taken"""
    took_ms: float = 0.0


class Summary(Reply):
    """A user's taste in words."""

    user_id: str
    text: str
    source: Literal["language", "template"]
    """what wrote it"""


class Tags(Reply):
    """Words that help to find an item."""

    item_id: str
    tags: list[str]
    source: Literal["language", "categories"]
    """where they come from"""


class SimilarUser(Reply):
    """A user of like taste."""

    user_id: str
    score: float


class SimilarUsers(Reply):
    """Users, the most like first."""

    users: list[SimilarUser]


class Step(Reply):
    """One stage of the way to an answer, for one item."""

    stage: str
    """retrieve, availability, filter, seen, rank, boosts, pins, rerank, diversity, max_per, rotation, limit"""
    passed: bool
    detail: str


class Trace(Reply):
    """Why and why not: the stages an item passed, its rank if it was shown, and what its score stands on."""

    user_id: str
    item_id: str
    recommended: bool
    rank: int | None
    score: float | None
    steps: list[Step]
    reasons: list[Because]
    model: ModelName | None
    features: dict[str, Any] | None = None
    """the columns of the item's row, where it is a candidate of two stages and they were asked for; null where nothing is known"""


class Problem(Reply, omit_defaults=True):
    """RFC 9457 problem details."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"
    errors: list[dict[str, Any]] = []
    request_id: str | None = None

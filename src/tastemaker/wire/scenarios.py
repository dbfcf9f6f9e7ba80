"""Bodies and answers of scenarios: named rules for lists, their versions, and what they would change."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tastemaker.wire.bodies import Body, Boost, Filter, Id, Limit, ModelName, Pin, Properties, Reply, Rotation, SeenRule, Share
from tastemaker.wire.control import Paged

Revision = Annotated[int, Meta(ge=0)]


class Rules(Body):
    """What a scenario says of lists; what it leaves out is up to the request, or to the defaults of one."""

    description: Annotated[str, Meta(max_length=1000)] = ""
    """for people"""
    filter: Filter | None = None
    """what may be shown"""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    """values of `$name` in the filters of these rules; those of a request are not read by them"""
    strict_filter: bool = True
    """False: where the filter leaves too few, the list is filled up without it, with a warning"""
    boosts: Annotated[list[Boost], Meta(max_length=32)] = msgspec.field(default_factory=list)
    pins: Annotated[list[Pin], Meta(max_length=100)] = msgspec.field(default_factory=list)
    exclude_item_ids: Annotated[list[Id], Meta(max_length=1000)] = msgspec.field(default_factory=list)
    exclude_seen: bool | SeenRule | None = None
    diversity: Share | None = None
    """0…1"""
    max_per: Annotated[dict[str, Annotated[int, Meta(ge=1)]], Meta(max_length=32)] = msgspec.field(default_factory=dict)
    """at most so many items with the same value of a property"""
    rotation: Rotation | None = None
    limit: Limit | None = None
    """items of a list whose request names no number"""


class ScenarioBody(Body):
    """A draft."""

    rules: Rules
    revision: Revision | None = None
    """of the scenario as it was read, 0 of a new one: refused where somebody else changed it meanwhile; null: whatever is there"""


class PublishBody(Body):
    """Which draft."""

    revision: Revision | None = None
    """of the draft as it was seen: refused where it has changed meanwhile; null: whatever is there"""


class PreviewBody(Body):
    """What to compare, and for whom."""

    rules: Rules | None = None
    """null: the draft that is saved"""
    user_ids: Annotated[list[Id], Meta(max_length=50)] = msgspec.field(default_factory=list)
    """none: users drawn from those the model knows"""
    users: Annotated[int, Meta(ge=1, le=50)] = 12
    """how many to draw"""
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None
    """items of a list; null: as the rules say"""


class Note(Reply):
    """Something about a rule."""

    rule: str
    """such as filter, boosts[0], pins[2]"""
    code: str
    """of notes: matches_nothing, unknown_item, hidden, expired, not_yet_available, deleted, filtered, excluded, pinned_twice, unused_parameter;
    of errors: those of filters, such as filter_syntax, filter_unknown_field and filter_parameter"""
    detail: str


class FilterMatch(Reply):
    """How many items a filter of the rules holds for."""

    rule: str
    """filter, or boosts[n]"""
    matches: int
    """items that may be shown now and match"""
    available: int
    """items that may be shown now"""


class Checked(Reply):
    """Rules as the catalogue sees them now."""

    errors: list[Note]
    """what cannot hold; such rules are not kept"""
    notes: list[Note]
    """what is odd"""
    matches: list[FilterMatch]
    items: dict[str, Properties]
    """titles of the items that the rules name, by id; those that are known"""


class VersionReply(Reply):
    """A published version."""

    version: int
    rules: Rules
    published: str
    published_by: str
    replaced: int | None
    """the version in force before it"""
    withdrawn: str | None
    """when it was last rolled back or deleted"""
    withdrawn_by: str | None
    changes: list[Change]
    """from the version that it replaced"""


class Change(Reply):
    """A rule that is another in two sets of rules."""

    rule: str
    before: Any
    """null: none"""
    after: Any


class ScenarioSummary(Reply):
    """A scenario in a list."""

    name: str
    description: str
    in_force: int | None
    """version"""
    versions: int
    draft: bool
    """whether there is one that is not published"""
    changed: str
    changed_by: str


class ScenariosReply(Reply):
    """Scenarios by name."""

    scenarios: list[ScenarioSummary]
    next_cursor: str | None


class ScenarioReply(Reply):
    """A scenario."""

    name: str
    revision: int
    """to be sent back with a change, so that nobody overwrites what they have not seen"""
    draft: Rules | None
    published: VersionReply | None
    """what requests get"""
    versions: int
    changed: str
    changed_by: str
    changes: list[Change]
    """from what is published to the draft"""
    checked: Checked | None
    """the draft, or what is published, against the catalogue of now; null where there is neither"""


class HistoryReply(Reply):
    """Versions, newest first."""

    versions: list[VersionReply]
    next_cursor: str | None


class ScenariosQuery(Paged):
    """A page of scenarios or versions."""


class PreviewItem(Reply, omit_defaults=True):
    """An item of a list before or after."""

    item_id: str
    rank: int
    """from 1"""
    properties: Properties
    other_rank: int | None = None
    """its rank in the other list; null: it is not there"""
    score: float | None = None
    """the model's, without boosts; null where it gave none"""
    why: str = ""
    """after: what put it there; before, of an item that is gone: what took it away"""
    by: str = ""
    """pin, boost, filter, excluded, seen, unavailable, diversity, max_per, rotation, displaced; "" where nothing moved it"""


class PreviewUser(Reply):
    """A user's list as it is and as it would be."""

    user_id: str
    before: list[PreviewItem]
    after: list[PreviewItem]
    changed: int
    """places of the longer list that hold another item"""
    score_given_up: float | None
    """mean score of the list as it is, less that under the draft; null where the model scored neither"""
    status_before: str
    status_after: str
    warnings: list[str]
    """of the list under the draft"""


class Moving(Reply):
    """An item that enters or leaves lists."""

    item_id: str
    properties: Properties
    lists: int
    """of how many users"""


class PreviewTotals(Reply):
    """The sum of all users."""

    users: int
    slots: int
    """places of all lists, each of the longer of the two"""
    changed: int
    """places that hold another item"""
    share_changed: float
    """of the places, 0…1"""
    lists_changed: int
    entering: int
    """different items that are on no list before, and on one after"""
    leaving: int
    short: int
    """lists under the draft with fewer items than asked for"""
    warnings: dict[str, int]
    """lists under the draft with each warning"""
    score_before: float | None
    """mean model score of the items of lists that the model made"""
    score_after: float | None
    score_given_up: float | None
    """the difference; in units of the model's score"""
    score_spread: float | None
    """standard deviation of the scores before, to judge that by"""


class PreviewReply(Reply):
    """What rules would change, as a dry run: nothing of it is kept."""

    compared: str
    """what the list as it is stands on: nothing, or a version"""
    drawn: bool
    """whether the users were drawn"""
    model: ModelName | None
    users: list[PreviewUser]
    totals: PreviewTotals
    entering: list[Moving]
    """at most 20, of most lists first"""
    leaving: list[Moving]
    checked: Checked
    took_ms: float


class PipelineQuery(Body):
    """Under which scenario."""

    scenario: Annotated[str, Meta(max_length=64)] | None = None
    draft: bool = False
    """true: under its draft, where it has one, instead of what is in force"""


class Measured(Reply):
    """What a stage took since the process began."""

    stage: str
    """as in the metric `tastemaker_list_stage_seconds`"""
    mean_ms: float
    """of a batch of requests"""
    batches: int


class Stage(Reply):
    """A step on the way to a list."""

    name: str
    """sources, source, availability, filter, seen, ranker, boosts, language, diversity, max_per, rotation, pins, explain, fallback"""
    title: str
    detail: str
    """what it does, with the settings in force"""
    active: bool
    """whether it does anything for a request that asks for nothing besides"""
    by_scenario: bool
    """whether the scenario is why"""
    settings: dict[str, Any]
    counts: dict[str, int]
    budget_ms: float | None
    """null: none of its own"""
    measured: list[Measured]
    """stages may share what is measured"""
    parts: list[Stage]
    """of sources: each of them"""


class PipelineReply(Reply):
    """The stages in the order in which they run."""

    model: ModelName | None
    kind: str
    """one_stage, two_stage, or none where there is no model"""
    scenario: str | None
    version: int | None
    """of the rules: in force, or the next one where they are a draft"""
    draft: bool
    """whether the rules are those of a draft"""
    stages: list[Stage]

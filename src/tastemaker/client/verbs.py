"""All verbs, in one table that both clients read: a verb builds a `Call` from its arguments, a client sends it.

`Verb` gives a method of the same arguments: on `Client` it returns the answer, on `AsyncClient` an awaitable of it. The options of a verb
are the fields of its struct in `tastemaker.wire`, so they are written down once, for the service and for all of its clients.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import msgspec

from tastemaker.client.call import Call, path, query
from tastemaker.wire import bodies as w
from tastemaker.wire import browse as b
from tastemaker.wire import control as c
from tastemaker.wire import scenarios as s

if TYPE_CHECKING:
    from tastemaker.client.client import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")


class Verb(Generic[P, T]):
    """A method made of a function that builds a call."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self.build = build

    @overload
    def __get__(self, client: Client, kind: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, kind: Any = None) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, client: None, kind: Any = None) -> Verb[P, T]: ...
    def __get__(self, client: Any, kind: Any = None) -> Any:
        if client is None:
            return self
        return lambda *args, **options: client.send(self.build(*args, **options))


def sends(method: str, where: str, body: Callable[P, msgspec.Struct], reply: type[T], *, repeatable: bool = True) -> Verb[P, T]:
    """A verb with a body, whose fields are the options."""

    def build(*args: P.args, **options: P.kwargs) -> Call[T]:
        return Call(method, where, reply, msgspec.json.encode(body(*args, **options)), repeatable=repeatable)

    return Verb(build)


def sends_to(
    method: str, where: str, body: Callable[P, msgspec.Struct], reply: type[T], *, repeatable: bool = True
) -> Verb[Concatenate[str, P], T]:
    """A verb on one id, with a body."""

    def build(one: str, /, *args: P.args, **options: P.kwargs) -> Call[T]:
        return Call(method, path(where, one), reply, msgspec.json.encode(body(*args, **options)), repeatable=repeatable)

    return Verb(build)


def gets(where: str, options: Callable[P, msgspec.Struct], reply: type[T]) -> Verb[P, T]:
    """A verb that reads, with parameters."""

    def build(*args: P.args, **sent: P.kwargs) -> Call[T]:
        return Call("GET", where, reply, query=query(options(*args, **sent)))

    return Verb(build)


def gets_of(where: str, options: Callable[P, msgspec.Struct], reply: type[T]) -> Verb[Concatenate[str, P], T]:
    """A verb that reads of one id, with parameters."""

    def build(one: str, /, *args: P.args, **sent: P.kwargs) -> Call[T]:
        return Call("GET", path(where, one), reply, query=query(options(*args, **sent)))

    return Verb(build)


def on(method: str, where: str, reply: type[T], *, repeatable: bool = True) -> Verb[[str], T]:
    """A verb on one id and nothing else."""
    return Verb(lambda one: Call(method, path(where, one), reply, repeatable=repeatable))


def removes(where: str) -> Verb[[str], None]:
    """A verb that removes one id."""
    return Verb(lambda one: Call("DELETE", path(where, one), None))


def plain(where: str, reply: type[T], method: str = "GET", *, repeatable: bool = True) -> Verb[[], T]:
    """A verb without options."""
    return Verb(lambda: Call(method, where, reply, repeatable=repeatable))


def named(event: w.EventBody) -> w.EventBody:
    """The event with an `event_id`, so that it has one effect however often it is sent, and with the time at which it was given."""
    return msgspec.structs.replace(
        event,
        event_id=uuid.uuid4().hex if event.event_id is None else event.event_id,
        timestamp=time.time() if event.timestamp is None else event.timestamp,
    )


def _events(events: Iterable[w.EventBody]) -> Call[w.EventsTaken]:
    body = c.Events(events=[named(event) for event in events])
    return Call("POST", "/v1/events", w.EventsTaken, msgspec.json.encode(body))


def _track(build: Callable[P, w.EventBody]) -> Verb[P, w.EventsTaken]:
    return Verb(lambda *args, **options: _events([build(*args, **options)]))


def _rows(where: str, row: type[T]) -> Verb[[Iterable[T]], w.RowsTaken]:
    def build(rows: Iterable[T]) -> Call[w.RowsTaken]:
        encode = msgspec.json.Encoder().encode
        return Call("POST", where, w.RowsTaken, b"\n".join(encode(one) for one in rows) or b"\n", media="application/x-ndjson")

    return Verb(build)


def _promote(name: str, version: int, *, force: bool = False) -> Call[c.ModelReply]:
    where = path("/v1/models/{}/versions/{}:promote", name, str(version))
    return Call("POST", where, c.ModelReply, msgspec.json.encode(c.PromoteBody(force=force)), repeatable=False)


def _ready() -> Call[c.Readiness]:
    return Call("GET", "/readyz", c.Readiness, accepts=(503,))


class Verbs:
    """What can be asked of a service; options are those of the structs in `tastemaker.wire`."""

    # recommendations
    recommend = sends("POST", "/v1/recommendations", w.Recommend, w.Answer)
    """Items for a user, or for nobody in particular."""
    recommend_session = sends("POST", "/v1/sessions/recommendations", w.RecommendSession, w.Answer)
    """Items for a session that is sent along; nothing of it is stored."""
    recommend_batch = sends("POST", "/v1/recommendations:batch", w.RecommendBatch, w.Answers)
    """Several shelves of one page, no item twice."""
    next_page = sends_to("POST", "/v1/recommendations/{}/next", c.Length, w.Answer)
    """More items after an answer's `next_cursor`, none of them again."""
    similar = gets_of("/v1/items/{}/similar", c.SimilarQuery, w.Answer)
    """Items like an item."""
    similar_users = gets_of("/v1/users/{}/similar", c.Length, w.SimilarUsers)
    """Users like a user."""
    audience = gets_of("/v1/items/{}/audience", c.Length, w.SimilarUsers)
    """Users who would like an item."""
    summary = on("GET", "/v1/users/{}/summary", w.Summary)
    """A user's taste in words."""
    tags = on("GET", "/v1/items/{}/tags", w.Tags)
    """Words that help to find an item."""
    complementary = sends("POST", "/v1/items:complementary", w.Complementary, w.Answer)
    """What goes with a basket."""
    onboarding = gets_of("/v1/users/{}/onboarding", c.OnboardingQuery, w.OnboardingReply)
    """Items to ask a new user about, the most telling first."""
    answer_onboarding = sends_to("POST", "/v1/users/{}/onboarding", w.Onboarding, w.OnboardingReply)
    """Sends a new user's answers; the next items to ask about."""
    rank = sends("POST", "/v1/rank", w.Rank, w.Answer)
    """A given list in a user's order."""
    popular = gets("/v1/popular", c.PopularQuery, w.Answer)
    """What most users met."""
    trending = gets("/v1/trending", c.PopularQuery, w.Answer)
    """What most users met lately."""
    latest = gets("/v1/latest", c.PopularQuery, w.Answer)
    """What is newest."""
    explain = sends("POST", "/v1/explain", w.Explain, w.Trace)
    """Why an item is recommended, or why not."""

    # events
    track = _track(w.EventBody)
    """Sends one event; when this returns it is durable. An event without an `event_id` gets one, so a retry has one effect."""
    send_events = Verb(_events)
    """Sends 1 … 1,000 events; what is refused is in the reply. `EventBuffer` does it in the background."""
    events = gets("/v1/events", c.EventsQuery, w.EventsReply)
    """Events of a user or of an item, newest first."""
    dead_letters = gets("/v1/dead-letters", c.Paged, c.Rows)
    """Events that were refused, newest first."""

    # items and users
    put_item = sends_to("PUT", "/v1/items/{}", w.ItemBody, w.ItemReply)
    """Puts an item."""
    patch_item = sends_to("PATCH", "/v1/items/{}", w.ItemPatch, w.ItemReply)
    """Changes what is given of an item and leaves the rest."""
    put_items = _rows("/v1/items:batch", w.ItemBody)
    """Puts any number of items, each with its `item_id`; what is refused is in the reply."""
    item = on("GET", "/v1/items/{}", w.ItemReply)
    """An item as held."""
    items = gets("/v1/items", b.ItemsQuery, b.FoundItems)
    """A page of the catalogue, or of what of it a query, a list and a filter hold, best first."""
    catalogue = gets("/v1/catalogue", b.CatalogueQuery, b.CatalogueReply)
    """How many items each list and category has."""
    profile = on("GET", "/v1/items/{}/profile", b.ItemProfile)
    """What is known of an item: events by day, reach, and what the model goes by."""
    item_map = plain("/v1/catalogue/map", b.MapReply)
    """Whether there is a map of the items; the first to ask has it made."""
    map_items = gets("/v1/catalogue/map/items", b.MapPointsQuery, b.MapItems)
    """The items of some points of the map."""
    map_search = gets("/v1/catalogue/map/search", b.MapSearchQuery, b.MapFound)
    """The points of items that a query, a list or a category holds."""
    delete_item = removes("/v1/items/{}")
    """Removes an item."""
    put_user = sends_to("PUT", "/v1/users/{}", w.UserBody, w.UserReply)
    """Puts a user."""
    patch_user = sends_to("PATCH", "/v1/users/{}", w.UserPatch, w.UserReply)
    """Changes what is given of a user and leaves the rest."""
    put_users = _rows("/v1/users:batch", w.UserBody)
    """Puts any number of users, each with its `user_id`."""
    user = on("GET", "/v1/users/{}", w.UserReply)
    """A user as held."""
    users = gets("/v1/users", c.Paged, w.UsersReply)
    """A page of users."""
    merge = sends_to("POST", "/v1/users/{}:merge", c.Merge, w.Merged, repeatable=False)
    """Gives a user the events of another (`source`), such as `anon:` + an anonymous id."""
    export = on("GET", "/v1/users/{}/export", dict[str, Any])
    """Everything held on a user."""
    erase = on("DELETE", "/v1/users/{}", w.JobReply)
    """Removes every trace of a user; the receipt says how many rows went."""

    # scenarios
    scenarios = gets("/v1/scenarios", s.ScenariosQuery, s.ScenariosReply)
    """Named sets of rules for lists."""
    scenario = on("GET", "/v1/scenarios/{}", s.ScenarioReply)
    """A scenario: its draft, and what is in force."""
    scenario_versions = gets_of("/v1/scenarios/{}/versions", s.ScenariosQuery, s.HistoryReply)
    """What was ever published, newest first."""
    check_rules = sends("POST", "/v1/scenarios:check", s.Rules, s.Checked)
    """Holds rules against the catalogue of now; nothing is kept."""
    save_scenario = sends_to("PUT", "/v1/scenarios/{}", s.ScenarioBody, s.ScenarioReply)
    """Saves a draft; what is in force stays."""
    preview_scenario = sends_to("POST", "/v1/scenarios/{}:preview", s.PreviewBody, s.PreviewReply)
    """What a draft would change for some users; nothing is kept."""
    publish_scenario = sends_to("POST", "/v1/scenarios/{}:publish", s.PublishBody, s.ScenarioReply, repeatable=False)
    """Puts the draft in force."""
    rollback_scenario = on("POST", "/v1/scenarios/{}:rollback", s.ScenarioReply, repeatable=False)
    """Back to the version in force before, or to none."""
    delete_scenario = removes("/v1/scenarios/{}")
    """Takes a scenario out of force; lists that began with it go on."""
    pipeline = gets("/v1/pipeline", s.PipelineQuery, s.PipelineReply)
    """The stages of a list, as they run for the model in use."""

    # models and jobs
    models = plain("/v1/models", c.ModelsReply)
    """All versions, and the one in use."""
    versions = on("GET", "/v1/models/{}/versions", c.ModelsReply)
    """Versions of a name."""
    train = sends_to("POST", "/v1/models/{}:train", c.TrainBody, w.JobReply, repeatable=False)
    """Starts a training."""
    promote = Verb(_promote)
    """Puts a version into use, if it passes the gate."""
    rollback = plain("/v1/models:rollback", c.ModelReply, "POST", repeatable=False)
    """Back to the version before."""
    schedules = plain("/v1/schedules", c.SchedulesReply)
    """What is trained by itself."""
    set_schedule = sends_to("PUT", "/v1/schedules/{}", c.ScheduleBody, c.ScheduleBody)
    """Trains by itself, by time or by events."""
    end_schedule = removes("/v1/schedules/{}")
    """Ends a schedule."""
    jobs = gets("/v1/jobs", c.JobsQuery, c.JobsReply)
    """The newest jobs."""
    job = on("GET", "/v1/jobs/{}", w.JobReply)
    """A job and how far it is."""
    cancel_job = on("POST", "/v1/jobs/{}:cancel", w.JobReply, repeatable=False)
    """Ends a job."""

    # operation
    keys = plain("/v1/keys", c.KeysReply)
    """All keys, without secrets."""
    make_key = sends("POST", "/v1/keys", c.KeyBody, c.KeyMade, repeatable=False)
    """Makes a key; its secret is in this answer and nowhere else."""
    revoke_key = removes("/v1/keys/{}")
    """Revokes a key."""
    audit = gets("/v1/audit", c.Paged, c.Rows)
    """Who did what."""
    statistics = plain("/v1/statistics", dict[str, Any])
    """Rows and bytes of the store."""
    alive = plain("/livez", c.Alive)
    """Whether the process runs."""
    ready = Verb(_ready)
    """Whether requests should be sent there; a service that starts is an answer, not an error."""
    slow_requests = plain("/v1/slow-requests", c.SlowRequests)
    """The last slow requests."""
    metrics = plain("/metrics", bytes)
    """Metrics for Prometheus, as text."""
    openapi = plain("/openapi.json", dict[str, Any])
    """The OpenAPI document."""

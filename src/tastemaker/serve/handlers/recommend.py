"""Recommendations of every kind."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic, perf_counter
from typing import Literal

from tastemaker.errors import RequestError
from tastemaker.serve import browser
from tastemaker.serve.asks import Ask
from tastemaker.serve.call import Call
from tastemaker.serve.limits import Threads
from tastemaker.wire.bodies import (
    Answer,
    Answers,
    OnboardingReply,
    Recommend,
    SimilarUsers,
    Summary,
    Tags,
    Trace,
)

_HELD_SECONDS = 0.1
_HELD = 1024


async def recommend(call: Call) -> Answer:
    """For a user or a session; gathered with others into one forward pass. Who may only look leaves no record."""
    wanted = getattr(call.body, "record", True)
    return await _answered(call, call.body, record=wanted and call.principal.may("recommend"))


async def _answered(call: Call, request: Recommend, *, record: bool) -> Answer:
    """Who waits for a language model does so in a thread of its own, so that nobody else does; where there is none left, without it."""
    parts = call.parts
    if not parts.service.waits_for_words(request):
        return await parts.batcher.submit(request, record=record)
    ask = Ask(request, record=record, arrived=perf_counter())
    if parts.words.full:
        return await parts.batcher.ask(replace(ask, quiet=True))
    answer = (await parts.words.run(parts.service.answer, [ask]))[0]
    if isinstance(answer, RequestError):
        raise answer
    return answer


async def for_user(call: Call) -> Answer:
    """The same from an address alone; nothing is kept of it, as GET never writes."""
    query = call.query
    request = Recommend(
        user_id=call.ids["user_id"],
        limit=query.limit,
        scenario=query.scenario,
        filter=query.filter,
        exclude_item_ids=query.exclude_item_ids,
        exclude_seen=query.exclude_seen,
        diversity=query.diversity,
        strict_filter=query.strict_filter,
        rerank=query.rerank,
        include=query.include,
        deadline_ms=query.deadline_ms,
    )
    return await _answered(call, request, record=False)


async def next_page(call: Call) -> Answer:
    """More of an answer, without repeats."""
    return await _continued(call, call.body.limit, record=True)


async def look_ahead(call: Call) -> Answer:
    """The same from an address alone, not kept."""
    return await _continued(call, call.query.limit, record=False)


async def _continued(call: Call, limit: int | None, *, record: bool) -> Answer:
    service, cursor = call.parts.service, call.ids["recommendation_id"]

    def work() -> Answer:
        if call.principal.browser:
            browser.hold_to(call.user, [service.owner(cursor)])
        return service.next_page(cursor, limit, record=record)

    return await call.parts.lists.run(work)


async def batch(call: Call) -> Answers:
    """Several shelves of one page."""
    return await _room(call, *call.body.requests).run(
        partial(call.parts.service.batch, call.body, record=call.principal.may("recommend"))
    )


async def similar(call: Call) -> Answer:
    """Items like an item."""
    query = call.query
    ask = partial(call.parts.service.similar, call.ids["item_id"], query.limit, filter=query.filter, include=query.include)
    return await call.parts.lists.run(ask)


async def similar_users(call: Call) -> SimilarUsers:
    """Users like a user."""
    return await call.parts.lists.run(call.parts.service.similar_users, call.ids["user_id"], call.query.limit or 10)


async def audience(call: Call) -> SimilarUsers:
    """Users who would like an item."""
    return await call.parts.lists.run(call.parts.service.audience, call.ids["item_id"], call.query.limit or 10)


async def onboarding(call: Call) -> OnboardingReply:
    """What to ask a new user about."""
    query = call.query
    ask = partial(call.parts.service.onboarding, call.ids["user_id"], query.limit, filter=query.filter, include=query.include)
    return await call.parts.lists.run(ask)


async def answers(call: Call) -> OnboardingReply:
    """Keeps what a new user said, and what to ask next."""
    return await call.parts.writes.run(call.parts.service.answer_onboarding, call.ids["user_id"], call.body)


async def complementary(call: Call) -> Answer:
    """What goes with a basket."""
    return await call.parts.lists.run(call.parts.service.complementary, call.body)


async def rank(call: Call) -> Answer:
    """A given list in the order of a user's taste."""
    return await call.parts.lists.run(call.parts.service.rank, call.body)


async def popular(call: Call) -> Answer:
    """What most people met."""
    return await _listed(call, "popular")


async def trending(call: Call) -> Answer:
    """What most people met lately."""
    return await _listed(call, "trending")


async def latest(call: Call) -> Answer:
    """What came last into the catalogue."""
    return await _listed(call, "latest")


async def _listed(call: Call, which: Literal["popular", "trending", "latest"]) -> Answer:
    """The same list for everybody, so for a moment and as long as the catalogue stands it is not asked for again."""
    query, service, held = call.query, call.parts.service, call.parts.listed
    key = (which, query.limit, query.window, query.category, query.filter, tuple(query.include), service.view.number)
    known = held.get(key)
    if known is not None and monotonic() - known[0] < _HELD_SECONDS:
        return known[1]
    ask = partial(
        service.popular,
        which,
        window_seconds=query.window,
        category=query.category,
        limit=query.limit,
        filter=query.filter,
        include=query.include,
    )
    answer = await call.parts.lists.run(ask)
    if len(held) >= _HELD:
        held.clear()
    held[key] = (monotonic(), answer)
    return answer


async def explain(call: Call) -> Trace:
    """Why, and why not."""
    room = _room(call, *([call.body.request] if call.body.request else []))
    return await room.run(call.parts.service.explain, call.body)


async def summary(call: Call) -> Summary:
    """A user's taste in words."""
    return await call.parts.words.run(call.parts.service.summary, call.ids["user_id"])


async def tags(call: Call) -> Tags:
    """Words for an item."""
    return await call.parts.words.run(call.parts.service.tags, call.ids["item_id"])


def _room(call: Call, *requests: Recommend) -> Threads:
    """Where to wait: apart from the others, if it is for a language model."""
    words = any(call.parts.service.waits_for_words(request) for request in requests)
    return call.parts.words if words else call.parts.lists

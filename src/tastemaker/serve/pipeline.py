"""Pipeline: the stages that a list goes through, as data: what runs for the model in use under a scenario, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import FilterError
from tastemaker.serve.desk import Desk
from tastemaker.serve.envelope import model_name
from tastemaker.serve.rules import InForce, Settled, settled
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Recommend
from tastemaker.wire.scenarios import Measured, PipelineReply, Rules, Stage

Times = Mapping[str, tuple[float, int]]
"""Of each stage that is measured: seconds in all, and of how many batches"""


def pipeline(
    scenario: str | None,
    in_force: InForce | None,
    desk: Desk,
    view: View,
    settings: ServeSettings,
    times: Times,
    now: int,
    language: str | None,
    draft: bool = False,
) -> PipelineReply:
    """The stages in the order in which they run, for a request that names a scenario and nothing else; `language` is the model of words.

    `draft` says that the rules are not in force.
    """
    request = settled(Recommend(scenario=scenario), in_force)
    rules = Rules() if in_force is None else in_force.rules
    make = _Maker(times)
    kind = "none" if view.model is None else "one_stage" if view.stages is None else "two_stage"
    stages = [
        _sources(make, view, settings),
        _availability(make, view, now),
        _filter(make, request, desk, view, now),
        _seen(make, request, rules, settings),
    ]
    if view.stages is not None:
        stages.append(_ranker(make, view, scenario, settings))
    stages += [
        _boosts(make, request, desk, view),
        make(
            "language",
            "Words",
            f"{language} puts the best candidates into another order, where a request asks for it"
            if language
            else "no language model",
            measured=("language",),
            settings={"rerank": "where asked for"},
        ),
        _diversity(make, request, rules, view),
        _caps(make, request, rules),
        make(
            "rotation",
            "Rotation",
            f"{request.rotation.rate:.0%} of the places change every {request.rotation.seconds:g} s"
            if request.rotation
            else "lists stay until something happens",
            active=request.rotation is not None and request.rotation.rate > 0,
            by_scenario=rules.rotation is not None,
            measured=("rerank",),
            settings=_plain({"rotation": request.rotation}),
        ),
        _pins(make, request, rules),
        make(
            "explain",
            "Reasons",
            "what each item stands on, where a request includes reasons or explanations",
            measured=("explain",),
        ),
        make(
            "fallback",
            "Fallback",
            "where the model has nothing to go by, fails or is late: the user's last list, then what is popular",
            active=True,
            budget_ms=settings.deadline_ms,
            settings={"popular_days": settings.popular_days, "last_answers": settings.last_answers},
        ),
    ]
    return PipelineReply(
        model=model_name(view), kind=kind, scenario=scenario, version=request.version or None, draft=draft, stages=stages
    )


class _Maker:
    """Makes stages, each with what was measured of it."""

    def __init__(self, times: Times) -> None:
        self._times = times

    def __call__(
        self,
        name: str,
        title: str,
        detail: str,
        *,
        active: bool = False,
        by_scenario: bool = False,
        settings: dict[str, Any] | None = None,
        counts: dict[str, int] | None = None,
        budget_ms: float | None = None,
        measured: tuple[str, ...] = (),
        parts: list[Stage] | None = None,
    ) -> Stage:
        took = []
        for stage in measured:
            seconds, batches = self._times.get(stage, (0.0, 0))
            if batches:
                took.append(Measured(stage=stage, mean_ms=round(seconds / batches * 1000, 4), batches=batches))
        return Stage(
            name=name,
            title=title,
            detail=detail,
            active=active,
            by_scenario=by_scenario,
            settings=settings or {},
            counts=counts or {},
            budget_ms=budget_ms,
            measured=took,
            parts=parts or [],
        )


def _sources(make: _Maker, view: View, settings: ServeSettings) -> Stage:
    if view.stages is not None:
        parts = [
            make(
                "source",
                source.name,
                f"its {source.depth} best items, or more where the list needs them",
                active=True,
                settings={"depth": source.depth, "personal": source.model.personal},
            )
            for source in view.stages.sources
        ]
        return make(
            "sources",
            "Sources",
            f"{len(parts)} sources name candidates; those that fail or are late are done without",
            active=True,
            budget_ms=settings.retrieval_budget_ms,
            measured=("retrieve",),
            parts=parts,
        )
    if view.model is None:
        return make("sources", "Sources", "no model in use: everybody gets what is popular", measured=("score",))
    newcomers = max(0, view.size - view.known)
    part = make(
        "source",
        view.model_name,
        "scores every item"
        if view.scoring is not None and not view.scoring.searches
        else "searches its index for the best items",
        active=True,
        settings={"personal": view.personal, "learns_from": view.model.learns_from},
        counts={"known_items": max(0, view.known - FIRST), "newcomers": newcomers},
    )
    return make("sources", "Sources", f"{view.model_name} scores the items", active=True, measured=("score",), parts=[part])


def _availability(make: _Maker, view: View, now: int) -> Stage:
    count, available = view.size - FIRST, int(view.open_at(now)[1].sum())
    return make(
        "availability",
        "Availability",
        "hidden, deleted, expired and coming items are left out before the best are chosen",
        active=True,
        measured=("filter",),
        counts={"items": count, "available": available},
    )


def _filter(make: _Maker, request: Settled, desk: Desk, view: View, now: int) -> Stage:
    if not request.clauses:
        return make("filter", "Filter", "everything available may come", measured=("filter",))
    (clause,) = request.clauses
    mask = view.open_at(now)[1]
    try:
        matches = int((desk.matching(view, clause, {}) & mask).sum())
        detail = f"{matches} items match {clause.text}"
    except FilterError as error:
        matches, detail = int(mask.sum()), f"left out, since it does not fit the catalogue: {error}"
    return make(
        "filter",
        "Filter",
        detail,
        active=True,
        by_scenario=True,
        measured=("filter",),
        settings={"filter": clause.text, "parameters": dict(clause.parameters), "strict_filter": clause.strict},
        counts={"matches": matches, "available": int(mask.sum())},
    )


def _seen(make: _Maker, request: Settled, rules: Rules, settings: ServeSettings) -> Stage:
    rule, excluded = request.exclude_seen, len(request.exclude_item_ids)
    told = "what the user has met may come again"
    if rule is not None:
        kinds = "by " + ", ".join(rule.types) if rule.types else "in any way"
        told = f"what the user has met {kinds}" + (f" in the last {rule.days:g} days" if rule.days else "") + " is left out"
    return make(
        "seen",
        "Seen",
        told + (f"; {excluded} items are excluded" if excluded else ""),
        active=rule is not None or excluded > 0,
        by_scenario=rules.exclude_seen is not None or excluded > 0,
        budget_ms=settings.store_budget_ms,
        measured=("history",),
        settings=_plain(
            {"exclude_seen": rule is not None if rule is None or (rule.types is None and rule.days is None) else rule}
        ),
        counts={"excluded": excluded},
    )


def _ranker(make: _Maker, view: View, scenario: str | None, settings: ServeSettings) -> Stage:
    assert view.stages is not None
    predictor = view.stages.predictor
    if predictor is None:
        return make("ranker", "Ranker", "no ranker: candidates keep the order of what their sources think of them")
    objectives = predictor.objectives
    chosen: str | None = None
    if objectives or len(predictor.outputs) > 1:
        chosen, _ = predictor.objective(scenario if scenario in objectives else None)
    told = f"{type(predictor.ranker).__name__} orders the candidates" + (f" by the objective {chosen!r}" if chosen else "")
    return make(
        "ranker",
        "Ranker",
        told,
        active=True,
        by_scenario=chosen is not None and chosen == scenario,
        budget_ms=settings.ranking_budget_ms,
        measured=("features", "rank"),
        settings={
            "labels": list(predictor.outputs),
            "objective": chosen,
            "objectives": list(objectives),
            "precision": settings.ranker_precision,
        },
        counts={"columns": len(predictor.encoder.columns)},
    )


def _boosts(make: _Maker, request: Settled, desk: Desk, view: View) -> Stage:
    told, counts = [], {}
    for place, boost in enumerate(request.boosts):
        try:
            counts[f"boosts[{place}]"] = int(desk.matching(view, boost.clause, {}).sum())
            told.append(f"× {boost.weight:g} where {boost.clause.text}")
        except FilterError:
            told.append(f"left out, since it does not fit the catalogue: {boost.clause.text}")
    return make(
        "boosts",
        "Boosts",
        "; ".join(told) or "nothing is raised or lowered",
        active=bool(told),
        by_scenario=bool(told),
        settings={"boosts": [{"filter": boost.clause.text, "weight": boost.weight} for boost in request.boosts]},
        counts=counts,
    )


def _diversity(make: _Maker, request: Settled, rules: Rules, view: View) -> Stage:
    able = view.scoring is not None and view.scoring.vectors is not None
    told = f"{request.diversity:.0%} variety, {1 - request.diversity:.0%} score" if request.diversity else "score alone"
    return make(
        "diversity",
        "Diversity",
        told if able or not request.diversity else f"{told}; but this model has no vectors of items, so it is left out",
        active=request.diversity > 0 and able,
        by_scenario=rules.diversity is not None,
        measured=("rerank",),
        settings={"diversity": request.diversity},
    )


def _caps(make: _Maker, request: Settled, rules: Rules) -> Stage:
    told = ", ".join(f"{cap} of a {name}" for name, cap in request.max_per.items())
    return make(
        "max_per",
        "Caps",
        f"at most {told}" if told else "no caps",
        active=bool(told),
        by_scenario=bool(rules.max_per),
        measured=("rerank",),
        settings={"max_per": dict(request.max_per)},
    )


def _pins(make: _Maker, request: Settled, rules: Rules) -> Stage:
    told = ", ".join(f"{pin.item_id} at {pin.position}" for pin in request.pins[:5])
    more = f" and {len(request.pins) - 5} more" if len(request.pins) > 5 else ""
    return make(
        "pins",
        "Pins and cut",
        f"{told}{more}; then {request.limit} items" if told else f"{request.limit} items",
        active=bool(request.pins),
        by_scenario=bool(request.pins) or rules.limit is not None,
        measured=("rerank",),
        settings=_plain({"pins": request.pins, "limit": request.limit}),
        counts={"pins": len(request.pins)},
    )


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return dict(msgspec.to_builtins(settings))

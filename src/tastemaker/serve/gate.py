"""The gate: is a candidate fit to take over? Asked before every promotion, on what users did last.

Each asked user's newest event is withheld, the events before it are the history, and the candidate, the model in use, and two rivals that
are counted in the same events in a moment (popularity, and neighbours of items) answer the same questions. Only items new to the user are asked for, since known ones are not recommended again.

| refused when                                                                                  | because                          |
|-----------------------------------------------------------------------------------------------|----------------------------------|
| an answer fails, or a score is NaN or infinite                                                | it cannot be served              |
| half of single answers take longer than `max_milliseconds`                                    | it cannot be served in time      |
| it knows the items of less than `min_known_share` of the newest events                        | it was made for another catalogue|
| a personal model lists fewer than half as many items as popularity does                       | it tells everybody the same      |
| NDCG@10 is below that of popularity, or of the model in use, by the whole paired interval     | it is worse                      |
| a personal model is below halfway from popularity to item neighbours, by the whole interval   | it learned next to nothing of    |
|                                                                                               | users: shuffled labels do this   |
| fewer than `min_users` can be asked while a model is in use                                   | nothing can be said              |

With fewer users and no model in use it passes with a warning: something has to be the first.

What the candidate may have learned from is not asked where its version says how it was trained (`Learned`): under `leave_last` the
newest event of a user never was; under `by_time` what lies after the cut; under other splits what arrived after the training data.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.evaluate.report import Report
from tastemaker.models.base import Query
from tastemaker.recommend.candidates import Scorer, device_of, scorer
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.fresh import Fresh, K, Learned, answered
from tastemaker.serve.settings import GateSettings
from tastemaker.store.base import Store

METRIC = f"ndcg@{K}"
_PROBES = 20
"""Answers that are timed."""


@dataclass(frozen=True)
class GateReport:
    """The verdict and all that it stands on."""

    passed: bool
    reasons: tuple[str, ...] = ()
    """why it was refused"""
    warnings: tuple[str, ...] = ()
    users_asked: int = 0
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """for "candidate", "popularity" and "in_use": ndcg@10 and hit_rate@10 with bootstrap intervals, coverage@10"""
    differences: dict[str, dict[str, Any]] = field(default_factory=dict)
    """of the candidate's ndcg@10 to "popularity", "in_use" and "halfway" (the mean of popularity and neighbours): difference, paired interval"""
    figures: dict[str, float] = field(default_factory=dict)
    """known_share, milliseconds, seconds (of the whole check)"""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"reasons": list(self.reasons), "warnings": list(self.warnings)}


def check(
    candidate: Recommender,
    current: Recommender | None,
    store: Store,
    *,
    learned: Learned | None = None,
    settings: GateSettings | None = None,
) -> GateReport:
    """Asks the candidate, popularity and the model in use about the newest events of the store; see above for the rules.

    Args:
        candidate: what is to be promoted.
        current: what is in use, None for nothing.
        store: brings the events.
        learned: how the candidate was trained; None takes it as trained with `leave_last`.
        settings: the limits.
    """
    settings, learned = settings or GateSettings.parse({}), learned or Learned()
    began = time.perf_counter()
    fresh = Fresh.of(store, candidate, current, learned, settings)
    personal = candidate.model.personal or candidate.stages is not None
    figures: dict[str, float] = {"known_share": round(fresh.known_share(candidate), 4)}
    try:
        scores = scorer(candidate.model)
        reasons = _unfit(candidate, scores, fresh, settings, figures)
        answers = {} if reasons else {"candidate": fresh.lists(candidate, scores)}
    except Exception as error:  # whatever a model does instead of answering is a reason to refuse it
        reasons, answers = [f"it cannot answer: {type(error).__name__}: {' '.join(str(error).split())[:300]}"], {}
    metrics: dict[str, dict[str, Any]] = {}
    differences: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    if answers and len(fresh):
        answers["popularity"] = fresh.counted("popularity", {})
        if personal:
            answers["neighbours"] = fresh.counted("item_knn", {"neighbours": 50})
        if current is not None:
            answers["in_use"] = fresh.lists(current, scorer(current.model))
        reports = {name: fresh.report(lists, settings) for name, lists in answers.items()}
        metrics = {name: _told(report) for name, report in reports.items()}
        own = reports["candidate"].per_user[METRIC]
        rivals = {name: report.per_user[METRIC] for name, report in reports.items() if name in ("popularity", "in_use")}
        if "neighbours" in reports:
            rivals["halfway"] = (rivals["popularity"] + reports["neighbours"].per_user[METRIC]) / 2
        differences = {name: _difference(own, values, settings) for name, values in rivals.items()}
        reasons += _worse(metrics, differences, personal=personal)
    if answers and len(fresh) < settings.min_users:
        few = f"{len(fresh)} users can be asked, fewer than {settings.min_users}"
        if current is None:
            # figures of so few say nothing: what they would refuse is let through, told and warned of
            warnings, reasons = [f"{few}: it was not judged", *(f"not counted: {reason}" for reason in reasons)], []
        else:
            reasons = [f"{few}: nothing can be said, and a model is in use"]
    figures["seconds"] = round(time.perf_counter() - began, 3)
    return GateReport(not reasons, tuple(reasons), tuple(warnings), len(fresh), metrics, differences, figures)


def _unfit(
    candidate: Recommender, scores: Scorer, fresh: Fresh, settings: GateSettings, figures: dict[str, float]
) -> list[str]:
    """Why it could not be served, whatever its figures."""
    reasons = []
    if figures["known_share"] < settings.min_known_share:
        share = f"{figures['known_share']:.0%} of the newest events are of items it knows"
        reasons.append(f"{share}, less than {settings.min_known_share:.0%}")
    users, histories = fresh.asked_of(candidate, rows=np.arange(min(len(fresh), 64)))
    if not len(users):  # a store without events still learns whether the model works at all
        users, histories = np.array([UNKNOWN]), Histories.of([[FIRST]])
    with torch.inference_mode():
        if not bool(torch.isfinite(scores(Query.of(users, histories).to(device_of(candidate.model)), None)[:, FIRST:]).all()):
            return [*reasons, "NaN or infinite scores"]
    taken = []
    for probe in range(_PROBES):
        row = np.array([probe % len(users)])
        start = time.perf_counter()
        answered(candidate, scores, users[row], histories.take(row))
        taken.append(time.perf_counter() - start)
    figures["milliseconds"] = round(float(np.median(taken)) * 1000, 3)
    if figures["milliseconds"] > settings.max_milliseconds:
        reasons.append(f"an answer takes {figures['milliseconds']:.1f} ms, more than {settings.max_milliseconds:g}")
    return reasons


def _worse(metrics: dict[str, Any], differences: dict[str, Any], *, personal: bool) -> list[str]:
    """Why its lists are not good enough."""
    reasons = []
    for rival, words in (
        ("popularity", "worse than popularity"),
        ("in_use", "worse than the model in use"),
        ("halfway", "it learned next to nothing of users: below halfway from popularity to item neighbours"),
    ):
        if rival in differences and differences[rival]["interval"][1] < 0:
            low, high = differences[rival]["interval"]
            difference = f"difference {differences[rival]['difference']:+.4f} ({low:+.4f} … {high:+.4f})"
            reasons.append(f"{words}: {METRIC} {metrics['candidate'][METRIC]['value']:.4f}, {difference}")
    own, other = metrics["candidate"][f"coverage@{K}"], metrics["popularity"][f"coverage@{K}"]
    if personal and own < other / 2:
        reasons.append(f"its lists hold {own:.1%} of the catalogue, those of popularity {other:.1%}")
    return reasons


def _told(report: Report) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: {"value": round(value, 6), "interval": [round(bound, 6) for bound in report.intervals[name]]}
        for name, value in report.metrics.items()
    }
    return figures | {f"coverage@{K}": round(report.beyond[f"coverage@{K}"], 6)}


def _difference(own: np.ndarray, rival: np.ndarray, settings: GateSettings) -> dict[str, Any]:
    """The mean paired difference over users, and its bootstrap interval."""
    difference, rng = own - rival, np.random.default_rng(settings.seed)
    drawn = rng.choice(difference, (settings.bootstrap, len(difference))).mean(axis=1)
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return {"difference": round(float(difference.mean()), 6), "interval": [round(float(low), 6), round(float(high), 6)]}

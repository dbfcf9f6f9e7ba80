"""The gate: is a candidate fit to take over? Asked before every promotion, on what users did last.

Each asked user's newest event is withheld, the events before it are the history, and the candidate, plain popularity and the model in
use answer the same questions. Only items new to the user are asked for, since known ones are not recommended again.

| refused when                                                                                  | because                          |
|-----------------------------------------------------------------------------------------------|----------------------------------|
| an answer fails, or a score is NaN or infinite                                                | it cannot be served              |
| half of single answers take longer than `max_milliseconds`                                    | it cannot be served in time      |
| it knows the items of less than `min_known_share` of the newest events                        | it was made for another catalogue|
| a personal model lists fewer than half as many items as popularity does                       | it tells everybody the same      |
| NDCG@10 is below that of popularity, or of the model in use, by the whole paired interval     | it is worse                      |
| a personal model is not better than popularity, and no better with a user's own history than  | it learned nothing of users:     |
| with a stranger's                                                                             | shuffled labels look like this   |
| fewer than `min_users` can be asked while a model is in use                                   | nothing can be said              |

With fewer users and no model in use it passes with a warning: something has to be the first.

What the candidate may have learned from is not asked where its version says how it was trained (`Learned`): under `leave_last` the
newest event of a user never was; under `by_time` what lies after the cut; under other splits what arrived after the training data.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.evaluate.evaluator import EvaluateConfig, evaluate_ranking
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import compare
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.recommend.candidates import Scorer, device_of, rank, scorer
from tastemaker.recommend.recommender import Recommender
from tastemaker.settings import Settings
from tastemaker.store.base import Store

K = 10
METRIC = f"ndcg@{K}"
_HISTORY = 1000
"""Newest events of a user that are read."""
_PROBES = 20
"""Answers that are timed."""


class GateSettings(Settings):
    """How strict the gate is."""

    min_users: int = Field(100, ge=2, description="users that must be asked before a model in use is replaced")
    max_users: int = Field(5000, ge=2, description="users asked at most, a seeded sample of those with fresh events")
    window: int = Field(1_000_000, ge=1, description="newest events that users are drawn from and popularity is counted in")
    min_known_share: float = Field(0.5, ge=0, le=1, description="share of these events whose items the candidate must know")
    max_milliseconds: float = Field(250.0, gt=0, description="median time of one answer")
    bootstrap: int = Field(1000, ge=1, description="resamples behind the interval of each figure")
    confidence: float = Field(0.95, gt=0, lt=1, description="of intervals")
    seed: int = Field(0, ge=0, description="of the sample of users and of resampling")


@dataclass(frozen=True)
class Learned:
    """How a candidate was trained, as far as the gate must know."""

    split: str = "leave_last"
    """`[split] kind`"""
    sequence: int = 0
    """of the newest event in its training data"""
    cut: int | None = None
    """µs: first moment it did not learn from (by_time)"""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Learned:
        """As a version's facts have it; the defaults where they say nothing."""
        said = facts.get("learned")
        return cls(**said) if isinstance(said, dict) else cls()


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
    """of the candidate's ndcg@10 to "popularity", "in_use" and "stranger" (asked with another user's history): difference, paired interval"""
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
    fresh = _Fresh.of(store, candidate, current, learned, settings)
    figures: dict[str, float] = {"known_share": round(fresh.known_share(candidate), 4)}
    try:
        scores = scorer(candidate.model)
        reasons = _unfit(candidate, scores, fresh, settings, figures)
        answers = {} if reasons else {"candidate": fresh.lists(candidate, scores)}
        personal = candidate.model.needs_history or isinstance(candidate.model, RetrievalModel)
        if answers and personal:
            answers["stranger"] = fresh.lists(candidate, scores, of=fresh.strangers)
    except Exception as error:  # whatever a model does instead of answering is a reason to refuse it
        reasons, answers = [f"it cannot answer: {type(error).__name__}: {' '.join(str(error).split())[:300]}"], {}
    metrics, differences, warnings = {}, {}, []
    if answers and len(fresh):
        answers["popularity"] = fresh.popular()
        if current is not None:
            answers["in_use"] = fresh.lists(current, scorer(current.model))
        reports = {name: fresh.report(lists, settings) for name, lists in answers.items()}
        metrics = {name: _told(report) for name, report in reports.items() if name != "stranger"}
        differences = {name: _difference(reports["candidate"], reports[name]) for name in reports if name != "candidate"}
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
    candidate: Recommender, scores: Scorer, fresh: _Fresh, settings: GateSettings, figures: dict[str, float]
) -> list[str]:
    """Why it could not be served, whatever its figures."""
    reasons = []
    if fresh.events and figures["known_share"] < settings.min_known_share:
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
        rank(scores, users[row], histories.take(row), K, num_items=candidate.items.size, device=device_of(candidate.model))
        taken.append(time.perf_counter() - start)
    figures["milliseconds"] = round(float(np.median(taken)) * 1000, 3)
    if figures["milliseconds"] > settings.max_milliseconds:
        reasons.append(f"an answer takes {figures['milliseconds']:.1f} ms, more than {settings.max_milliseconds:g}")
    return reasons


def _worse(metrics: dict[str, Any], differences: dict[str, Any], *, personal: bool) -> list[str]:
    """Why its lists are not good enough."""
    reasons = []
    for rival, words in (("popularity", "popularity"), ("in_use", "the model in use")):
        if rival in differences and differences[rival]["interval"][1] < 0:
            own, other = metrics["candidate"][METRIC]["value"], metrics[rival][METRIC]["value"]
            reasons.append(f"worse than {words}: {METRIC} {own:.4f} against {other:.4f}, {_words(differences[rival])}")
    if personal:
        own, other = metrics["candidate"][f"coverage@{K}"], metrics["popularity"][f"coverage@{K}"]
        if own < other / 2:
            reasons.append(f"its lists hold {own:.1%} of the catalogue, those of popularity {other:.1%}")
        if differences["popularity"]["interval"][0] <= 0 and differences["stranger"]["interval"][0] <= 0:
            told = f"{METRIC} {_words(differences['stranger'])} against a stranger's history"
            reasons.append(f"it learned nothing of users: not better than popularity, and {told}")
    return reasons


@dataclass(frozen=True, eq=False)
class _Fresh:
    """Who is asked, with what history, and what is right; in codes of one vocabulary of text ids that covers all models."""

    items: Vocabulary
    user_ids: list[str]
    histories: Histories
    truth: Histories
    counts: np.ndarray
    """float32 (items.size,): events of the window, the withheld ones not among them"""
    events: int
    """events of the window"""
    strangers: np.ndarray
    """int64 (asked,): another asked user for each"""

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def of(
        cls, store: Store, candidate: Recommender, current: Recommender | None, learned: Learned, settings: GateSettings
    ) -> _Fresh:
        rng = np.random.default_rng(settings.seed)
        batches = list(store.scan_events(after=max(0, store.last_sequence() - settings.window)))
        users = _column(batches, "user_id").dictionary_encode()
        item_ids = _column(batches, "item_id")
        sequence, moment = (_column(batches, name, pa.int64()).to_numpy() for name in ("sequence", "time"))
        known = [pa.array(_texts(one.items.ids)) for one in (candidate, current) if one is not None]
        items = Vocabulary(
            pa.concat_arrays(
                [pa.array([], pa.large_string()), *(ids.cast(pa.large_string()) for ids in known), item_ids]
            ).unique()
        )

        order = np.lexsort((sequence, moment, users.indices.to_numpy()))
        owner = users.indices.to_numpy()[order]
        newest = order[np.append(owner[1:] != owner[:-1], True)] if len(order) else order
        if learned.split == "by_time" and learned.cut is not None:
            newest = newest[(moment[newest] >= learned.cut) | (sequence[newest] > learned.sequence)]
        elif learned.split not in ("leave_last", "by_time"):
            newest = newest[sequence[newest] > learned.sequence]
        if len(newest) > settings.max_users:
            newest = np.sort(rng.choice(newest, settings.max_users, replace=False))
        asked = users.take(pa.array(newest)).to_pylist()
        rows = store.histories(asked, _HISTORY) if asked else []
        # one with nothing before the newest event has no history; one who met the item before is not recommended it again
        kept = [
            place
            for place, row in enumerate(rows)
            if len(row) > 1 and row[-1].item_id not in {event.item_id for event in row[:-1]}
        ]
        done = [event for place in kept for event in rows[place]]
        whole = Histories(
            items.encode([event.item_id for event in done]),
            np.array([event.time for event in done], np.int64),
            np.array([event.value for event in done], np.float32),
            np.concatenate([[0], np.cumsum([len(rows[place]) for place in kept])]).astype(np.int64),
        )
        starts, ends = whole.offsets[:-1], whole.offsets[1:]
        truth = whole.last(1)
        counts = np.bincount(items.encode(item_ids), minlength=items.size) - np.bincount(truth.items, minlength=items.size)
        turn = rng.permutation(len(kept))
        strangers = np.empty(len(kept), np.int64)
        strangers[turn] = np.roll(turn, 1)
        return cls(
            items,
            [asked[place] for place in kept],
            whole.slices(starts, ends - 1),
            truth,
            np.maximum(counts, 0).astype(np.float32),
            len(order),
            strangers,
        )

    def known_share(self, recommender: Recommender) -> float:
        """Share of the window's events whose items a recommender knows."""
        held = np.zeros(self.items.size, bool)
        held[self._ours(recommender)[FIRST:]] = True
        return float(self.counts[held].sum() / max(self.counts.sum(), 1))

    def asked_of(self, recommender: Recommender, *, rows: np.ndarray) -> tuple[np.ndarray, Histories]:
        """User codes and histories of some rows in the words of a recommender."""
        mine = np.full(self.items.size, UNKNOWN, np.int32)
        ours = self._ours(recommender)
        mine[ours[FIRST:]] = np.arange(FIRST, len(ours), dtype=np.int32)
        part = self.histories.take(rows)
        users = recommender.users.encode([self.user_ids[row] for row in rows])
        return users, Histories(mine[part.items], part.times, part.values, part.offsets)

    def lists(self, recommender: Recommender, scores: Scorer, *, of: np.ndarray | None = None) -> np.ndarray:
        """The lists of a recommender in common codes; `of` asks with the codes and histories of other rows."""
        every = np.arange(len(self))
        users, histories = self.asked_of(recommender, rows=every if of is None else of)
        _, seen = self.asked_of(recommender, rows=every)
        found = rank(
            scores, users, histories, K, num_items=recommender.items.size, exclude=seen, device=device_of(recommender.model)
        )
        return self._ours(recommender)[found.codes]

    def popular(self) -> np.ndarray:
        """The lists of plain popularity."""
        counts = torch.from_numpy(self.counts)

        def score(query: Query, items: torch.Tensor | None) -> torch.Tensor:
            return counts.repeat(len(query), 1)

        users = np.full(len(self), UNKNOWN)
        return rank(score, users, self.histories, K, num_items=self.items.size, exclude=self.histories).codes

    def report(self, lists: np.ndarray, settings: GateSettings) -> Report:
        """How good lists are."""
        config = EvaluateConfig(
            metrics=("ndcg", "hit_rate"),
            ks=(K,),
            bootstrap=settings.bootstrap,
            confidence=settings.confidence,
            seed=settings.seed,
        )
        return evaluate_ranking(lists, self.truth, self.counts.astype(np.int64), self.histories.lengths, config)

    def _ours(self, recommender: Recommender) -> np.ndarray:
        """The common code of each item code of a recommender; PAD stays PAD."""
        codes = self.items.encode(pa.array(_texts(recommender.items.ids)))
        return np.concatenate([np.arange(FIRST, dtype=np.int32), codes])


def _column(batches: list[pa.RecordBatch], name: str, kind: pa.DataType | None = None) -> pa.Array:
    kind = kind or pa.large_string()
    return pa.concat_arrays([pa.array([], kind), *(batch.column(name).cast(kind) for batch in batches)])


def _texts(ids: pa.Array) -> pa.Array:
    """Ids of the store are text: a vocabulary of integers matches by their digits."""
    return ids.cast(pa.large_string())


def _told(report: Report) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: {"value": round(value, 6), "interval": [round(bound, 6) for bound in report.intervals[name]]}
        for name, value in report.metrics.items()
    }
    return figures | {f"coverage@{K}": round(report.beyond[f"coverage@{K}"], 6)}


def _difference(candidate: Report, rival: Report) -> dict[str, Any]:
    row = compare({"rival": rival, "candidate": candidate}, metrics=[METRIC]).of(METRIC)[1]
    assert row.difference_interval is not None
    return {"difference": round(row.difference, 6), "interval": [round(bound, 6) for bound in row.difference_interval]}


def _words(difference: dict[str, Any]) -> str:
    low, high = difference["interval"]
    return f"difference {difference['difference']:+.4f} ({low:+.4f} … {high:+.4f})"

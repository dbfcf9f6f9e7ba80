"""Drift: does what comes in still look like what the model in use learned from?

| measure | what | without drift |
|---|---|---|
| item_popularity | Jensen-Shannon divergence (Lin 1991, base 2, 0…1 bits) of events by item | that of random splits of both together into samples of these sizes |
| unknown_items | share of events on items that the model was not trained with | up to 2 %: new items always come |
| unknown_users | share of events by users that the artifact does not know | up to 2 %; only models with a vector for each user mind |
| kinds | Jensen-Shannon divergence of events by kind | as item_popularity |
| value | mean value now over that of training | 1 |

Chance alone makes two samples differ, small ones much, and what a model learned from is a sample too. So a divergence stands beside those of a permutation test:
all events are pooled and dealt out anew into two samples as large as these. Above that it is `watch`, and `drifted` where it is large in itself too: a tenth of a bit
more, a value that doubled. A share is `watch` where its whole Wilson interval lies above 2 %, and `drifted` above 20 %. Events are dealt out one by one, so users who
come with many alike at once widen the differences that chance makes beyond the range told here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.serve import course
from tastemaker.serve.times import to_text
from tastemaker.store.base import SILENT, Store
from tastemaker.wire.data import Drift, Measure

if TYPE_CHECKING:
    from tastemaker.serve.view import View

MOST = 50_000
"""Newest events looked at."""
_SAMPLES = 200
_FEW, _MANY = 0.02, 0.2
"""Shares of events on what the model does not know that a live service has anyway, and that no list can be good with."""
_HELD_SECONDS = 30.0
_ROUNDING = 1e-9
"""Few events have few divergences: the same one, found in another order of sums, is no greater one."""
Verdict = Literal["steady", "watch", "drifted", "unknown"]


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two vectors of counts in bits; they need not sum to one, but not to zero."""
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def against(one: np.ndarray) -> float:
        held = one > 0
        return float((one[held] * np.log2(one[held] / middle[held])).sum())

    return max(0.0, (against(p) + against(q)) / 2)


def by_chance(trained: np.ndarray, now: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of the divergence where both are random parts of one whole, given counts of whole events."""
    pooled = (trained + now).astype(np.int64)
    ends, size, rest = np.cumsum(pooled), int(now.sum()), int(trained.sum())
    found = np.empty(_SAMPLES)
    for place in range(_SAMPLES):
        drawn = np.searchsorted(ends, rng.choice(size + rest, size, replace=False, shuffle=False), side="right")
        codes, counts = np.unique(drawn, return_counts=True)
        left = (pooled[codes] - counts) / rest
        found[place] = _of_drawn(counts / size, left)
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def _of_drawn(p: np.ndarray, q: np.ndarray) -> float:
    """The divergence where p is zero beyond these places, and q sums to one with what it has beyond: half of that adds to it."""
    middle, held = (p + q) / 2, q > 0
    within = p @ np.log2(p / middle) + q[held] @ np.log2(q[held] / middle[held])
    return float(within + 1 - q.sum()) / 2


class Drifts:
    """The drift of the version in use, held for half a minute."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._held: tuple[tuple[object, int], float, Drift] | None = None

    def of(self, view: View) -> Drift:
        """The drift against a view's model; reads the newest events of the store."""
        with self._lock:
            last = self._store.last_sequence()
            key = ((view.version and (view.version.name, view.version.version), view.base), last)
            held = self._held
            if held is not None and (held[0] == key or (held[0][0] == key[0] and time.monotonic() - held[1] < _HELD_SECONDS)):
                return held[2]
            found = _measured(self._store, view, last)
            self._held = (key, time.monotonic(), found)
            return found


def _measured(store: Store, view: View, last: int) -> Drift:
    recommender, version = view.recommender, view.version
    if recommender is None:
        return Drift(model=None, counted_at=None, events=0, since="no model is in use", measures=[])
    learned = 0 if version is None else int((version.facts.get("learned") or {}).get("sequence") or 0)
    start = max(learned, last - MOST)
    items, users, kinds, values = _newest(store, start)
    size = sum(items.values())
    name = view.model_name if version is None else f"{version.name} {version.version}"
    since = (
        f"the {size:,} events that came after what it learned from"
        if learned
        else f"the newest {size:,} events; it is not known which of them it learned from"
    )
    if learned and last - learned > MOST:
        since = f"the newest {size:,} of the events that came after what it learned from"
    if not size:
        return Drift(model=name, counted_at=to_text(time.time_ns() // 1000), events=0, since=since, measures=[])
    trained = recommender.events[FIRST:].astype(float)
    codes = recommender.items.encode(list(items))
    known = np.zeros(len(trained))
    unknown = 0
    for code, count in zip(codes, items.values(), strict=True):
        if code >= FIRST:
            known[code - FIRST] += count
        else:
            unknown += count
    told = (course.report(version.path) or {}).get("data", {}) if version is not None and version.path else {}
    of_users = recommender.users.encode(list(users))
    strangers = sum(count for code, count in zip(of_users, users.values(), strict=True) if code < FIRST)
    measures = [
        _popularity(trained, known),
        _share(
            "unknown_items",
            unknown,
            size,
            "events on items that the model was not trained with: it places them by likeness, or not at all",
        ),
        _share(
            "unknown_users", strangers, size, "events by users who came after training: models that read histories do not mind"
        ),
        _kinds(told.get("kinds"), kinds),
        _value(told.get("values"), int(told.get("interactions") or 0), values),
    ]
    return Drift(model=name, counted_at=to_text(time.time_ns() // 1000), events=size, since=since, measures=measures)


def _newest(store: Store, start: int) -> tuple[Counter[str], Counter[str], Counter[str], list[float]]:
    items, users, kinds, values = Counter[str](), Counter[str](), Counter[str](), list[float]()
    for batch in store.scan_events(after=start):
        rows = {one: batch.column(one).to_pylist() for one in ("item_id", "user_id", "kind", "value")}
        for item, user, kind, value in zip(*rows.values(), strict=True):
            if kind not in SILENT:
                items[item] += 1
                users[user] += 1
                kinds[kind] += 1
                values.append(value)
    return items, users, kinds, values


def _popularity(trained: np.ndarray, now: np.ndarray) -> Measure:
    size = int(now.sum())
    if not size or not trained.sum():
        return _unknown("item_popularity", "bits", "no event on an item that the model knows")
    value = divergence(now, trained)
    low, high = by_chance(trained, now, np.random.default_rng(0))
    note = (
        "what is asked for has changed: train again, and more often"
        if value > high
        else "what is asked for is what the model learned from"
    )
    return Measure(
        name="item_popularity",
        value=value,
        unit="bits",
        low=low,
        high=high,
        verdict=_judged(value, high, high + 0.1),
        of=size,
        note=note,
    )


def _share(name: Literal["unknown_items", "unknown_users"], count: int, size: int, note: str) -> Measure:
    from tastemaker.serve.outcomes import Share

    return Measure(
        name=name,
        value=count / size,
        unit="share",
        low=0.0,
        high=_FEW,
        verdict=_judged(Share.wilson(count, size).low or 0.0, _FEW, _MANY),
        of=size,
        note=note,
    )


def _kinds(trained: Mapping[str, int] | None, now: Counter[str]) -> Measure:
    if not trained or set(trained) == {"event"}:
        return _unknown("kinds", "bits", "the training did not tell kinds apart, or is not known")
    names = sorted({*trained, *now})
    before, after = (np.array([float(counts.get(one, 0)) for one in names]) for counts in (trained, now))
    value = divergence(after, before)
    low, high = by_chance(before, after, np.random.default_rng(0))
    note = "the mix of what users do has changed, or a feed sends something else" if value > high else "users do what they did"
    return Measure(
        name="kinds",
        value=value,
        unit="bits",
        low=low,
        high=high,
        verdict=_judged(value, high, high + 0.1),
        of=int(after.sum()),
        note=note,
    )


def _value(trained: Mapping[str, float] | None, events: int, now: Sequence[float]) -> Measure:
    if not trained or not trained.get("mean") or not events:
        return _unknown("value", "ratio", "the training had no values, or is not known")
    sample = np.asarray(now)
    value = float(sample.mean() / trained["mean"])
    spread = 1.96 * float(sample.std()) * np.sqrt(1 / len(sample) + 1 / events) / abs(trained["mean"])
    far = max(value, 1 / value) if value > 0 else np.inf
    verdict: Verdict = "steady" if far <= 1.1 or abs(value - 1) <= spread else "watch" if far < 2 else "drifted"
    note = "mean value of an event now, over that of training; the range is what the noise of both allows"
    return Measure(
        name="value", value=value, unit="ratio", low=1 - spread, high=1 + spread, verdict=verdict, of=len(now), note=note
    )


def _judged(value: float, watch: float, drifted: float) -> Verdict:
    return "steady" if value <= watch + _ROUNDING else "watch" if value <= drifted else "drifted"


def _unknown(name: Literal["item_popularity", "kinds", "value"], unit: Literal["bits", "ratio"], note: str) -> Measure:
    return Measure(name=name, value=None, unit=unit, low=None, high=None, verdict="unknown", of=0, note=note)

"""Overview: numbers of the last minutes, outcomes, and what needs a look."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tastemaker.errors import StoreError
from tastemaker.serve import rates
from tastemaker.serve.jobs import ACTIVE, Schedule, schedules
from tastemaker.serve.outcomes import Counted, Tally
from tastemaker.serve.outcomes import Share as Counting
from tastemaker.serve.rates import Second
from tastemaker.serve.times import to_text
from tastemaker.store.base import Job
from tastemaker.wire.control import ModelInUse
from tastemaker.wire.overview import Alert, Covered, Outcome, Overview, Pulse, Series, Share

if TYPE_CHECKING:
    from tastemaker.serve.call import Parts

_MINUTE = 60
_STEP = 10
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
_FALLBACK, _DEGRADED, _REJECTED = 0.5, 0.01, 0.05
"""Shares above which something is said."""
_REJECTED_AS = "rejected as "
_JOBS = 100
_WAITING = 600_000_000
_ENOUGH = 50
"""Of fewer a share says nothing."""


def in_use(parts: Parts) -> ModelInUse:
    """The version in use."""
    version, ready = parts.service.version, parts.service.ready
    if version is None:
        return ModelInUse(ready=ready, name=None, version=None, created=None)
    return ModelInUse(ready=ready, name=version.name, version=version.version, created=to_text(version.created))


def pulse(parts: Parts) -> Pulse:
    """The last minute, now."""
    seconds = parts.monitor.rates.last(_MINUTE)
    counts = rates.totals(seconds)
    answers = counts["ok"] + counts["fallback"] + counts["degraded"]
    middle, high, highest = rates.percentiles(seconds, (0.5, 0.95, 0.99))
    return Pulse(
        time=round(time.time(), 3),
        requests_per_second=counts["requests"] / _MINUTE,
        lists_per_second=counts["lists"] / _MINUTE,
        failed_per_second=counts["failed"] / _MINUTE,
        p50_ms=middle,
        p95_ms=high,
        p99_ms=highest,
        events_per_second=counts["accepted"] / _MINUTE,
        duplicates_per_second=counts["duplicate"] / _MINUTE,
        rejected_per_second=counts["rejected"] / _MINUTE,
        fallback=counts["fallback"] / answers if answers else None,
        degraded=counts["degraded"] / answers if answers else None,
        in_flight=parts.monitor.flying(),
        ready=parts.service.ready,
    )


def series(seconds: list[Second], now: float) -> Series:
    """Seconds in steps up to now."""
    end = int(now) - int(now) % _STEP
    steps: dict[int, list[Second]] = {at: [] for at in range(end - rates.SECONDS + _STEP, end + 1, _STEP)}
    for one in seconds:
        at = one.at - one.at % _STEP + _STEP
        if at in steps:
            steps[at].append(one)
    counts = [rates.totals(step) for step in steps.values()]
    times = [rates.percentiles(step, (0.5, 0.95, 0.99)) for step in steps.values()]
    return Series(
        step_seconds=_STEP,
        time=[float(at) for at in steps],
        requests_per_second=[count["requests"] / _STEP for count in counts],
        events_per_second=[count["accepted"] / _STEP for count in counts],
        rejected_per_second=[count["rejected"] / _STEP for count in counts],
        p50_ms=[one[0] for one in times],
        p95_ms=[one[1] for one in times],
        p99_ms=[one[2] for one in times],
    )


def overview(parts: Parts, days: float) -> Overview:
    """Everything; waits for the store."""
    now = time.time()
    lately = parts.monitor.rates.last(rates.SECONDS)
    beat, model, counted = pulse(parts), in_use(parts), parts.service.outcomes.counted()
    version = parts.service.version
    age = None if version is None else now - version.created / 1e6
    since = int((now - days * 86_400) * 1e6)
    total = counted.total(since)
    kept = _kept(parts)
    alerts = [*_alerts(parts, beat, lately, age), *_alerts_kept(kept)]
    return Overview(
        health="bad" if any(one.severity == "bad" for one in alerts) else "warn" if alerts else "good",
        alerts=alerts,
        pulse=beat,
        series=series(lately, now),
        model=model,
        model_age_seconds=age,
        counted_at=to_text(counted.at) if counted.at else None,
        counted_since=None if counted.since is None else to_text(counted.since),
        click_through=_share(total.clicked, total.answers),
        conversion=_share(total.bought, total.answers),
        by_day=_by_day(counted, since),
        by_model=by_model(counted, since),
        catalogue=_covered(parts),
        events=None if kept is None else kept.events,
    )


def by_model(counted: Counted, since: int = 0) -> list[Outcome]:
    """Outcomes by what answered, the most answers first."""
    sources: dict[str, Tally] = {}
    for (hour, source, _), tally in counted.tallies.items():
        if hour + _HOUR > since:
            sources[source] = sources.get(source, Tally()) + tally
    found = [_outcome(source or "for everybody", tally) for source, tally in sources.items()]
    return sorted(found, key=lambda one: (-one.answers, one.name))


def _by_day(counted: Counted, since: int) -> list[Outcome]:
    days: dict[int, Tally] = {}
    for (hour, _, _), tally in counted.tallies.items():
        if hour + _HOUR > since:
            day = hour - hour % _DAY
            days[day] = days.get(day, Tally()) + tally
    return [_outcome(f"{dt.datetime.fromtimestamp(day / 1e6, dt.UTC):%Y-%m-%d}", days[day]) for day in sorted(days)]


def _outcome(name: str, tally: Tally) -> Outcome:
    return Outcome(
        name=name,
        answers=tally.answers,
        click_through=_share(tally.clicked, tally.answers),
        conversion=_share(tally.bought, tally.answers),
    )


def _share(count: int, of: int) -> Share:
    found = Counting.wilson(count, of)
    return Share(value=found.value, low=found.low, high=found.high, of=found.of)


def _covered(parts: Parts) -> Covered:
    view = parts.service.view
    mask = view.open_at(int(time.time() * 1e6))[1]
    shown = int((parts.service.outcomes.shown_in(view.base, view.codes, view.size) & mask).sum())
    available = int(mask.sum())
    return Covered(items=len(view.stock) - 1, available=available, shown=shown, share=shown / available if available else None)


def _alerts(parts: Parts, beat: Pulse, lately: list[Second], age: float | None) -> Iterator[Alert]:
    counts = rates.totals(lately)
    answers = counts["ok"] + counts["fallback"] + counts["degraded"]
    events = counts["accepted"] + counts["duplicate"] + counts["rejected"]
    settings = parts.service.settings
    if not beat.ready:
        yield Alert(
            code="not_ready",
            severity="warn",
            text="The model is being loaded and warmed up.",
            hint="Wait a moment; until then everybody gets what is popular.",
            page="models",
        )
    if parts.service.view.recommender is None and beat.ready:
        yield Alert(
            code="no_model",
            severity="warn",
            text="No model is in use: everybody gets what is popular.",
            hint="Train one, or promote a version.",
            page="models",
        )
    if age is not None and age > settings.model_days * 86_400:
        yield Alert(
            code="model_old",
            severity="warn",
            text=f"The model in use is {age / 86_400:.0f} days old.",
            hint="Train a new version, or set a schedule that does.",
            page="models",
        )
    if counts["problem store_unavailable"]:
        yield Alert(
            code="store_unavailable",
            severity="bad",
            text=f"The store did not answer {counts['problem store_unavailable']} times in ten minutes.",
            hint="Look at the database: is it up, full, or slow?",
            page="system",
        )
    if counts["requests"] >= _ENOUGH and counts["failed"] > 0.01 * counts["requests"]:
        yield Alert(
            code="failing",
            severity="bad",
            text=f"{counts['failed']} of {counts['requests']} requests failed in ten minutes.",
            hint="The log on standard error says where, by request id.",
            page="system",
        )
    if answers >= _ENOUGH and counts["degraded"] > _DEGRADED * answers:
        yield Alert(
            code="degraded",
            severity="bad",
            text=f"{counts['degraded']} of {answers} lists in ten minutes came from less than the whole way.",
            hint="A part failed or was late; the slow requests and the stages of the pipeline say which.",
            page="system",
        )
    if answers >= _ENOUGH and counts["fallback"] > _FALLBACK * answers:
        yield Alert(
            code="fallback",
            severity="warn",
            text=f"{counts['fallback']} of {answers} lists in ten minutes fell back to what is popular.",
            hint="Most users are unknown: do events carry the ids that lists are asked for with?",
            page="data",
        )
    (highest,) = rates.percentiles(lately, (0.99,))
    if highest is not None and counts["lists"] >= _ENOUGH and highest > parts.monitor.slow_ms:
        yield Alert(
            code="slow",
            severity="bad" if highest > settings.deadline_ms else "warn",
            text=f"One list in a hundred took more than {highest:.0f} ms in ten minutes.",
            hint=f"Requests above {parts.monitor.slow_ms:g} ms are kept with the time of each stage.",
            page="system",
        )
    if events >= _ENOUGH and counts["rejected"] > _REJECTED * events:
        yield Alert(
            code="rejected",
            severity="warn",
            text=f"{counts['rejected']} of {events} events were rejected in ten minutes, most as {_reason(counts)}.",
            hint="The rejects say why, each with what was sent.",
            page="data",
        )


def _reason(counts: Counter[str]) -> str:
    """The commonest reason why events were rejected."""
    return max((name for name in counts if name.startswith(_REJECTED_AS)), key=counts.__getitem__).removeprefix(_REJECTED_AS)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store has to say."""

    events: int
    jobs: list[Job]
    """the newest trainings"""
    schedules: dict[str, Schedule]


def _kept(parts: Parts) -> _Kept | None:
    """None where the store does not answer: what is in memory is told all the same."""
    try:
        return _Kept(parts.store.last_sequence(), parts.store.jobs("train", _JOBS), schedules(parts.store))
    except StoreError:
        return None


def _alerts_kept(kept: _Kept | None) -> Iterator[Alert]:
    if kept is None:
        yield Alert(
            code="store_lost",
            severity="bad",
            text="The store does not answer.",
            hint="Look at the database: is it up, full, or slow? Lists come from memory until then, and events are refused.",
            page="system",
        )
        return
    now = int(time.time() * 1e6)
    if any(job.state == "queued" and now - job.created > _WAITING for job in kept.jobs) and not any(
        job.state == "running" for job in kept.jobs
    ):
        yield Alert(
            code="training_waits",
            severity="warn",
            text="A training has waited for more than ten minutes, and none is running.",
            hint="Trainings are run by a process of their own: is it up?",
            page="jobs",
        )
    for name, when in kept.schedules.items():
        last = next((job for job in kept.jobs if job.detail.get("name") == name), None)
        over = 0.0 if last is None or when.every_hours is None else (now - last.created) / _HOUR - when.every_hours
        if last is not None and last.state not in ACTIVE and over > 1:
            yield Alert(
                code="schedule_late",
                severity="warn",
                text=f"The training of {name} is {over:.0f} hours late.",
                hint="Schedules are followed by the process that runs trainings: is it up?",
                page="jobs",
            )
    if kept.jobs and kept.jobs[0].state == "failed":
        yield Alert(
            code="training_failed",
            severity="warn",
            text=f"The last training, of {kept.jobs[0].detail.get('name')}, failed.",
            hint="The job says why.",
            page="jobs",
        )

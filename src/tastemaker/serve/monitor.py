"""What can be seen of a running service: metrics for Prometheus, a line in the log for each request, the last slow requests.

Neither ids of users or items nor secrets appear in any of them: routes are named by their templates (`/v1/users/{user_id}`), errors by
their codes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from tastemaker import __version__
from tastemaker.recommend.language.tally import Tally
from tastemaker.serve.rates import Rates
from tastemaker.serve.times import to_text
from tastemaker.store.base import ModelVersion
from tastemaker.wire.bodies import Answer, EventsTaken
from tastemaker.wire.control import SlowRequest

MEDIA_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
STAGES = ("read", "handle", "write")
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_LISTS = (
    "/recommendations",
    "/recommendations:batch",
    "/similar",
    "/rank",
    "/popular",
    "/trending",
    "/latest",
    "/next",
    ":complementary",
)
"""Ends of the routes that answer with items."""
_KEPT = 100
_UNWRITTEN = 100_000


@dataclass(slots=True)
class Seen:
    """What is told of one request."""

    request_id: str
    method: str
    route: str
    """the path's template; "none" where no route was found"""
    status: int = 499
    """499: the client went away"""
    code: str = ""
    """of the problem, if there was one"""
    started: float = 0.0
    """`perf_counter` when the request came"""
    read: float = 0.0
    handled: float = 0.0
    written: float = 0.0
    """`perf_counter` at the end of each stage; 0: not reached"""
    bytes_in: int = 0
    bytes_out: int = 0

    def stages(self) -> tuple[float, float, float]:
        """Seconds of each of `STAGES`."""
        read = self.read or self.written
        handled = self.handled or read
        return read - self.started, handled - read, self.written - handled


class _Language(Collector):
    """A tally as metrics."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """The counts as they are now."""
        told = self._tally.to_dict()
        answers = CounterMetricFamily(
            "tastemaker_language_answers", "What became of questions to the language model.", labels=["task", "outcome"]
        )
        faults = CounterMetricFamily(
            "tastemaker_language_faults", "What was left out of its replies.", labels=["task", "fault"]
        )
        for family, counts in ((answers, told["answers"]), (faults, told["faults"])):
            for task, by_name in counts.items():
                for name, count in by_name.items():
                    family.add_metric([task, name], count)
        calls = CounterMetricFamily("tastemaker_language_calls", "Calls of the language model.", labels=["task"])
        for task, count in told["calls"].items():
            calls.add_metric([task], count)
        tokens = CounterMetricFamily("tastemaker_language_tokens", "Tokens it read and wrote.", labels=["way"])
        for way, count in told["tokens"].items():
            tokens.add_metric([way], count)
        return [answers, faults, calls, tokens]


class Monitor:
    """Counts and keeps; one for each application."""

    def __init__(
        self,
        *,
        slow_ms: float = 250.0,
        log: TextIO | None = sys.stderr,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Requests of `slow_ms` or more are captured; a line of JSON for each request goes to `log` when `flush` is called."""
        self.slow_ms, self._log, self._clock = slow_ms, log, clock
        self.slow: deque[tuple[float, Seen]] = deque(maxlen=_KEPT)
        """time and facts of the last slow requests"""
        self.rates = Rates(clock)
        """the last minutes"""
        self._told: list[dict[str, object]] = []
        """lines of those turned away"""
        self._lines: deque[tuple[float, Seen]] = deque(maxlen=_UNWRITTEN)
        self._encode = msgspec.json.Encoder().encode
        self.registry = CollectorRegistry()
        one = self.registry
        self._requests = Counter(
            "tastemaker_requests", "Requests answered, refused ones included.", ["method", "route", "status"], registry=one
        )
        self._seconds = Histogram(
            "tastemaker_request_seconds", "From head to answer.", ["route"], buckets=_SECONDS, registry=one
        )
        self._stages = Histogram(
            "tastemaker_stage_seconds", "Of a request's stages.", ["route", "stage"], buckets=_SECONDS, registry=one
        )
        self._list_stages = Histogram(
            "tastemaker_list_stage_seconds", "Of the stages of one batch of lists.", ["stage"], buckets=_SECONDS, registry=one
        )
        self._problems = Counter("tastemaker_problems", "Requests answered by a problem.", ["code"], registry=one)
        self._answers = Counter("tastemaker_answers", "Recommendations by status.", ["status", "fallback"], registry=one)
        self._warnings = Counter("tastemaker_answer_warnings", "Warnings on recommendations.", ["warning"], registry=one)
        self._skips = Counter(
            "tastemaker_skipped_stages",
            "Requests answered without a source of candidates, without the ranker, or without the language model.",
            ["stage", "reason"],
            registry=one,
        )
        self._events = Counter("tastemaker_events", "Events by what became of them.", ["outcome"], registry=one)
        self._rejected = Counter("tastemaker_rejected_events", "Rejected events by reason.", ["code"], registry=one)
        self._batches = Histogram("tastemaker_batch_size", "Requests in one forward pass.", buckets=_SIZES, registry=one)
        self.in_flight = Gauge("tastemaker_requests_in_flight", "Requests being answered.", registry=one)
        self._ready = Gauge("tastemaker_ready", "1 when the model is verified and warmed up.", registry=one)
        self._model = Gauge("tastemaker_model_info", "1 for the version in use.", ["name", "version"], registry=one)
        self._age = Gauge("tastemaker_model_age_seconds", "Since the version in use was made.", registry=one)
        self._depth = Gauge("tastemaker_queue_depth", "Calls that wait or run.", ["queue"], registry=one)
        Gauge("tastemaker_info", "This version.", ["version"], registry=one).labels(__version__).set(1)
        for outcome in ("accepted", "duplicate", "rejected"):
            self._events.labels(outcome)
        self._turned: Counts[tuple[str, str]] = Counts()
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram, list[Histogram], bool]] = {}
        self._asks: list[Callable[[], None]] = []

    def request(self, seen: Seen) -> None:
        """Counts a request that is over."""
        key = (seen.method, seen.route, seen.status)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (
                self._requests.labels(seen.method, seen.route, str(seen.status)),
                self._seconds.labels(seen.route),
                [self._stages.labels(seen.route, stage) for stage in STAGES],
                seen.route.partition("?")[0].endswith(_LISTS),
            )
        count, seconds, stages, listed = found
        took = seen.written - seen.started
        self.rates.request(took, seen.status, listed=listed)
        count.inc()
        seconds.observe(took)
        for stage, part in zip(stages, seen.stages(), strict=True):
            stage.observe(part)
        if seen.code:
            self._problems.labels(seen.code).inc()
            self.rates.count(f"problem {seen.code}")
        now = self._clock()
        if took * 1000 >= self.slow_ms:
            self.slow.appendleft((now, seen))
        if self._log is not None:
            self._lines.append((now, seen))

    def turned_away(self, method: str, route: str) -> None:
        """Counts a request that was refused unread: it has no time, and shares its line in the log with others."""
        self._turned[method, route] += 1

    def gather(self) -> None:
        """Puts those turned away since the last time where they are seen; in the thread that turns away."""
        for (method, route), count in self._turned.items():
            self._requests.labels(method, route, "503").inc(count)
            self.rates.count("requests", count)
            self.rates.count("failed", count)
            self._problems.labels("overload").inc(count)
            if self._log is not None:
                self._told.append({"method": method, "route": route, "status": 503, "code": "overload", "requests": count})
        self._turned.clear()

    def answered(self, answer: Answer) -> None:
        """Counts a recommendation."""
        self._answers.labels(answer.status, answer.fallback or "").inc()
        self.rates.count(answer.status)
        for warning in answer.warnings:
            self._warnings.labels(warning).inc()

    def taken(self, taken: EventsTaken) -> None:
        """Counts a batch of events."""
        for name, number in (("accepted", taken.accepted), ("duplicate", taken.duplicates), ("rejected", len(taken.rejected))):
            self.rates.count(name, number)
        self._events.labels("accepted").inc(taken.accepted)
        self._events.labels("duplicate").inc(taken.duplicates)
        self._events.labels("rejected").inc(len(taken.rejected))
        for one in taken.rejected:
            self._rejected.labels(one.code).inc()
            self.rates.count(f"rejected as {one.code}")

    def events_so_far(self) -> dict[str, int]:
        """Events by what became of them, since the start."""
        return {
            sample.labels["outcome"]: int(sample.value)
            for family in self._events.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        }

    def batch(self, size: int) -> None:
        """Counts a forward pass."""
        self._batches.observe(size)

    def list_stage(self, stage: str, seconds: float) -> None:
        """Counts a stage of a batch of lists."""
        self._list_stages.labels(stage).observe(seconds)

    def list_stages(self) -> dict[str, tuple[float, int]]:
        """What each stage of a batch of lists took so far: seconds in all, and of how many batches."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for sample in (sample for metric in self._list_stages.collect() for sample in metric.samples):
            if sample.name.endswith("_sum"):
                sums[sample.labels["stage"]] = sample.value
            elif sample.name.endswith("_count"):
                counts[sample.labels["stage"]] = int(sample.value)
        return {stage: (sums.get(stage, 0.0), count) for stage, count in counts.items()}

    def skipped(self, stage: str, reason: str, requests: int) -> None:
        """Counts requests that a stage was left out for."""
        self._skips.labels(stage, reason).inc(requests)

    def watch_queue(self, name: str, depth: Callable[[], float]) -> None:
        """Shows how many wait in a queue."""
        self._depth.labels(name).set_function(depth)

    def flying(self) -> float:
        """Requests being answered."""
        return float(next(iter(self.in_flight.collect())).samples[0].value)

    def watch_language(self, tally: Tally) -> None:
        """Shows what a language model was asked, what became of it and what it cost."""
        self.registry.register(_Language(tally))

    def watch_model(self, ready: Callable[[], bool], version: Callable[[], ModelVersion | None]) -> None:
        """Shows which version is in use, and how old it is."""
        self._ready.set_function(lambda: float(ready()))

        def ask() -> None:
            self._model.clear()
            found = version()
            if found is not None:
                self._model.labels(found.name, str(found.version)).set(1)
                self._age.set(self._clock() - found.created / 1e6)

        self._asks.append(ask)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        for ask in self._asks:
            ask()
        return generate_latest(self.registry)

    def flush(self) -> None:
        """Writes the log lines that gathered since the last time, in one go: a write for each would cost more than a short answer."""
        self.gather()
        if self._log is None or not (self._lines or self._told):
            return
        lines = [_line(*self._lines.popleft()) for _ in range(len(self._lines))]
        lines += [{"time": round(self._clock(), 3), "level": "warning", "message": "turned away", **one} for one in self._told]
        self._told.clear()
        self._log.write("".join(self._encode(line).decode() + "\n" for line in lines))
        self._log.flush()


def _line(now: float, seen: Seen) -> dict[str, object]:
    line: dict[str, object] = {
        "time": round(now, 3),
        "level": "info" if seen.status < 500 else "error",
        "message": "request",
        "request_id": seen.request_id,
        "method": seen.method,
        "route": seen.route,
        "status": seen.status,
        "ms": round((seen.written - seen.started) * 1000, 3),
        "bytes_in": seen.bytes_in,
        "bytes_out": seen.bytes_out,
    }
    if seen.code:
        line["code"] = seen.code
    return line


def slow_request(now: float, seen: Seen) -> SlowRequest:
    """A slow request as the admin route shows it."""
    return SlowRequest(
        time=to_text(int(now * 1e6)),
        request_id=seen.request_id,
        method=seen.method,
        route=seen.route,
        status=seen.status,
        milliseconds=round((seen.written - seen.started) * 1000, 3),
        stages={stage: round(part * 1000, 3) for stage, part in zip(STAGES, seen.stages(), strict=True)},
    )

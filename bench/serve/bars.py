"""The bars: each case measures a running service and says what came out, against what was promised."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.serve import asks, shop
from bench.serve.loadgen import Report, in_process, request
from bench.serve.postgres import postgres
from bench.serve.process import Process, service
from bench.serve.world import World


@dataclass(frozen=True)
class Row:
    """A figure beside what it should be."""

    what: str
    found: str
    bar: str = ""
    met: bool | None = None
    """None: no bar, for information"""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Session:
    """What cases share: the world, a folder for this run, how long to measure."""

    world: World
    folder: Path
    seconds: float

    @contextmanager
    def serving(self, *more: str, artifact: Path | None = None) -> Iterator[Process]:
        """The service over a copy of the world, with its model or another; `more` is said to it."""
        copy = self.folder / "store.db"
        if not copy.exists():
            subprocess.run(["cp", "--reflink=auto", str(self.world.store), str(copy)], check=True)
        with self.over(f"sqlite:///{copy}", *more, artifact=artifact) as server:
            yield server

    def warm(self, server: Process, asked: list[bytes]) -> None:
        """What a running server has met; meanwhile it has also made its index of what items are."""
        in_process(server.url, asked[-2000:], rate=50, seconds=max(2, self.seconds / 2))

    @contextmanager
    def over(self, url: str, *more: str, artifact: Path | None = None) -> Iterator[Process]:
        """The service over any store, with the world's model or another."""
        with service(url, self.folder / "server.log", *more, artifact=artifact or self.world.artifact) as server:
            yield server


def measured(server: Process, requests: list[bytes], **how: Any) -> tuple[Report, dict[str, Any]]:
    """A load, and what the server spent on it."""
    cpu = server.cpu_seconds
    report = in_process(server.url, requests, **how)
    answered = max(1, report.asked)
    spent = (server.cpu_seconds - cpu) / answered * 1000
    return report, {**asdict(report), "server_cpu_ms_each": round(spent, 3), "memory_mb": round(server.memory_mb)}


def told(report: Report, facts: dict[str, Any]) -> str:
    bad = f", {report.degraded} degraded" if report.degraded else ""
    bad += f", FAILED {report.statuses}" if report.failed else ""
    return (
        f"{report.ok_per_second:g}/s, p50 {report.p50:g} p99 {report.p99:g} p99.9 {report.p999:g} ms, "
        f"CPU {facts['server_cpu_ms_each']:g} ms each (generator {report.cpu_ms_each:g}){bad}"
    )


def recommend(session: Session) -> list[Row]:
    """200 requests a second with a filter and without what was seen; then as many as go."""
    asked = asks.recommend(session.world)
    with session.serving() as server:
        rows = [Row("first start until ready", f"{server.ready_seconds:.1f} s: programs and store come from the disk")]
    with session.serving() as server:
        ready = server.ready_seconds
        rows.append(Row("start again until ready", f"{ready:.1f} s, {server.memory_mb:.0f} MB", "≤ 5 s", ready <= 5))
        session.warm(server, asked)
        report, facts = measured(server, asked, rate=200, seconds=session.seconds)
        met = report.p50 <= 10 and report.p99 <= 30 and not report.failed and report.ok_per_second > 195
        rows.append(Row("recommend at 200/s", told(report, facts), "p50 ≤ 10 ms, p99 ≤ 30 ms", met, facts))
        report, facts = measured(server, asked, clients=32, seconds=session.seconds)
        met = report.ok_per_second >= 500 and not report.failed
        rows.append(Row("recommend, 32 clients", told(report, facts), "≥ 500/s", met, facts))
        report, facts = measured(server, asked, rate=500, seconds=session.seconds)
        met = report.ok_per_second >= 495 and not report.failed
        rows.append(Row("recommend at 500/s", told(report, facts), "all answered", met, facts))
    return rows


def popular(session: Session) -> list[Row]:
    """The list for everybody."""
    with session.serving() as server:
        report, facts = measured(server, asks.popular(), clients=16, seconds=session.seconds)
    return [
        Row("popular, 16 clients", told(report, facts), "≥ 2000/s", report.ok_per_second >= 2000 and not report.failed, facts)
    ]


def ingest(session: Session) -> list[Row]:
    """Durable events over HTTP: batches and single ones, into an empty store, into the world, into PostgreSQL."""
    rows = []
    empty = session.folder / f"empty-{time.time_ns()}.db"
    with session.over(f"sqlite:///{empty}") as server:
        rows += [_batches(session, server, "SQLite, empty", 20_000), _singles(session, server)]
    with session.serving() as server:
        rows.append(_batches(session, server, f"SQLite with {session.world.events:,} events", 20_000))
    with postgres() as url:
        if url is None:
            rows.append(Row("ingest, PostgreSQL", "no server programs: apt install postgresql", "≥ 10000/s", False))
        else:
            with session.over(url) as server:
                rows.append(_batches(session, server, "PostgreSQL", 10_000))
    return rows


def _batches(session: Session, server: Process, where: str, bar: int) -> Row:
    seconds = min(session.seconds, 15)
    sent = asks.events(session.world, int(seconds * bar * 2.5 / 1000), 1000)
    report, facts = measured(server, sent, clients=4, seconds=seconds, units=[1000] * len(sent))
    each = report.units / report.seconds
    facts |= {"events_per_second": round(each), "server_cpu_us_an_event": facts["server_cpu_ms_each"]}
    return Row(
        f"ingest by 1000, {where}",
        f"{each:,.0f} events/s; a batch p50 {report.p50:g} p99 {report.p99:g} ms, CPU {facts['server_cpu_ms_each']:g} ms",
        f"≥ {bar:,}/s",
        each >= bar and not report.failed,
        facts,
    )


def _singles(session: Session, server: Process) -> Row:
    sent = asks.events(session.world, int(session.seconds * 3000), 1)
    report, facts = measured(server, sent, clients=32, seconds=session.seconds, units=[1] * len(sent))
    return Row(
        "single posts, 32 clients, SQLite",
        told(report, facts),
        "≥ 500/s",
        report.ok_per_second >= 500 and not report.failed,
        facts,
    )


def naive(session: Session) -> list[Row]:
    """The naive server and the service, one after the other, the same number of clients."""
    command = ["-m", "bench.serve.naive", str(session.world.artifact)]
    with Process(command, session.folder / "naive.log") as server:
        asked = asks.histories(session.world)
        session.warm(server, asked)
        theirs, theirs_facts = measured(server, asked, clients=32, seconds=session.seconds)
    rows = [Row("naive server, 32 clients", told(theirs, theirs_facts), facts=theirs_facts)]
    with session.serving() as server:
        asked = asks.recommend(session.world, seed=7)
        session.warm(server, asked)
        ours, facts = measured(server, asked, clients=32, seconds=session.seconds)
    times = ours.ok_per_second / max(theirs.ok_per_second, 1e-9)
    cpu = theirs_facts["server_cpu_ms_each"] / max(facts["server_cpu_ms_each"], 1e-9)
    found = f"{times:.1f} × its throughput ({cpu:.1f} × by CPU), p99 {ours.p99:g} to {theirs.p99:g} ms; {told(ours, facts)}"
    rows.append(
        Row(
            "service, 32 clients",
            found,
            "≥ 5 ×, lower p99",
            times >= 5 and ours.p99 < theirs.p99,
            facts | {"times": times, "times_by_cpu": cpu},
        )
    )
    return rows


def overload(session: Session) -> list[Row]:
    """Five times what it can do, for as long as asked (60 s by default): who is answered, who is told to come back, what it costs."""
    asked = asks.recommend(session.world, seed=9)
    with session.serving() as server:
        session.warm(server, asked)
        maximum = in_process(server.url, asked, clients=32, seconds=session.seconds).ok_per_second
        before = server.memory_mb
        with probing(server.url) as probes:
            report, facts = measured(server, asked, rate=5 * maximum, seconds=3 * session.seconds)
        share, peak = report.ok_per_second / max(maximum, 1e-9), server.peak_mb
        after = in_process(server.url, asked, rate=50, seconds=3)
    facts |= {"maximum": maximum, "goodput_share": round(share, 3), "memory_before_mb": before, "memory_peak_mb": peak}
    slowest, failed = max(probes, default=0.0), sum(one > 1.0 for one in probes)
    honest = not report.failed and not report.without_retry_after
    return [
        Row("overload 5 ×: goodput", f"{share:.0%} of {maximum:g}/s; {told(report, facts)}", "≥ 90 %", share >= 0.9, facts),
        Row("overload: lists without the model", f"{report.degraded} of {report.statuses.get('200', 0)}"),
        Row("overload: the rest", f"{report.statuses}, {report.without_retry_after} without Retry-After", "429/503, Retry-After", honest),
        Row("overload: memory", f"{before:.0f} MB before, {peak:.0f} MB at most", "≤ 1.5 ×, + 200 MB", peak <= before * 1.5 + 200),
        Row("overload: /livez", f"{len(probes)} probes, slowest {slowest * 1000:.0f} ms", "each ≤ 1 s", bool(probes) and not failed),
        Row("after it: 50/s", f"p50 {after.p50:g} p99 {after.p99:g} ms, {after.statuses}", "p99 ≤ 100 ms", after.p99 <= 100 and not after.failed),
    ]  # fmt: skip


@contextmanager
def probing(url: str, every: float = 0.25) -> Iterator[list[float]]:
    """Seconds that `/livez` took, asked all the while; 10 where it did not answer."""
    took: list[float] = []
    over = threading.Event()

    def probe() -> None:
        while not over.wait(every):
            started = time.perf_counter()
            try:
                with urllib.request.urlopen(url + "/livez", timeout=5) as answer:
                    took.append(time.perf_counter() - started if answer.status == 200 else 10.0)
            except OSError:
                took.append(10.0)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def floor(session: Session) -> list[Row]:
    """Where CPU goes: what HTTP costs without work, and what the model costs without HTTP."""
    import torch

    from tastemaker.index.exact import top_k
    from tastemaker.models.base import Query
    from tastemaker.recommend import artifact

    with session.serving() as server:
        report, facts = measured(server, [request("GET", "/livez")], clients=16, seconds=min(5, session.seconds))
    rows = [Row("floor: HTTP alone (/livez)", told(report, facts), facts=facts)]
    with session.serving("--set", "serve.patience_ms=0.001", "--set", "serve.max_batch=1") as server:
        report, facts = measured(server, asks.recommend(session.world, 2000), clients=64, seconds=min(5, session.seconds))
    said = f"CPU {facts['server_cpu_ms_each']:g} ms each, of which {report.statuses} answered; p99 {report.refused_p99:g} ms"
    rows.append(Row("floor: a refusal (nearly all are refused)", said, facts=facts))
    torch.set_num_threads(1)
    model = artifact.load(session.world.artifact).model
    for size in (1, 8, 32):
        items = torch.randint(2, model.schema.num_items, (size * 20,))
        query = Query(
            torch.ones(size, dtype=torch.int64), items, items * 0, torch.ones(len(items)), torch.arange(0, size * 20 + 1, 20)
        )
        nobody = torch.zeros(0, dtype=torch.int64)
        scores = torch.empty(size, model.schema.num_items)
        spent: dict[str, list[float]] = {"model": [], "scores": [], "top": []}
        with torch.inference_mode():
            for _ in range(30):
                times = [time.process_time()]
                users = model.encode_user(query)
                times.append(time.process_time())
                torch.mm(users, model.encode_item().T, out=scores)
                times.append(time.process_time())
                top_k(scores, 64, nobody, nobody)
                times.append(time.process_time())
                for name, took in zip(spent, np.diff(times), strict=True):
                    spent[name].append(took * 1000 / size)
        each = {name: round(float(np.median(values)), 3) for name, values in spent.items()}
        text = f"CPU ms each: transformer {each['model']}, scores {each['scores']}, top-k {each['top']}"
        rows.append(Row(f"floor: model alone, {size} at a time", text, facts=each))
    return rows


def two_stage(session: Session) -> list[Row]:
    """Some 500 candidates of two sources, ranked by a dcnv2: at 100 requests a second, as many as go, and what each stage takes."""
    from tastemaker.nn.packed import packs

    shop.put_profiles(session.world)
    asked = asks.users(session.world)
    rows = []
    with session.serving(artifact=shop.artifact(session.world)) as server:
        session.warm(server, asked)
        before = server.metrics("tastemaker_list_stage_seconds_sum")
        report, facts = measured(server, asked, rate=100, seconds=session.seconds)
        after = server.metrics("tastemaker_list_stage_seconds_sum")
        met = report.p99 <= 30 and not report.failed and not report.degraded and report.ok_per_second >= 99
        rows.append(Row("two stages at 100/s", told(report, facts), "p99 ≤ 30 ms", met, facts))
        each = {stage: round((after[stage] - before.get(stage, 0.0)) * 1000 / max(1, report.asked), 3) for stage in after}
        text = ", ".join(f"{stage} {ms:g}" for stage, ms in each.items())
        rows.append(Row("of which, ms of a request's batch", text, facts=each))
        report, facts = measured(server, asked, clients=16, seconds=session.seconds)
        met = report.ok_per_second >= 100 and not report.failed
        rows.append(Row("two stages, 16 clients", told(report, facts), "≥ 100/s", met, facts))
        rows.append(Row("candidates of a request", f"{shop.candidates(session.world):.0f} in the mean"))
    if packs("bfloat16"):
        with session.serving("--set", "serve.ranker_precision=bfloat16", artifact=shop.artifact(session.world)) as server:
            session.warm(server, asked)
            report, facts = measured(server, asked, rate=100, seconds=session.seconds)
            rows.append(Row("at 100/s with bfloat16", told(report, facts), facts=facts))
    return rows


CASES: dict[str, Callable[[Session], list[Row]]] = {
    "floor": floor,
    "recommend": recommend,
    "popular": popular,
    "ingest": ingest,
    "naive": naive,
    "overload": overload,
    "two_stage": two_stage,
}


def clear(session: Session) -> None:
    """Removes what the run wrote."""
    shutil.rmtree(session.folder, ignore_errors=True)
